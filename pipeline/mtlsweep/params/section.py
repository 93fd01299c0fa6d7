"""Base class and common value types of the sections of params.yaml."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import AfterValidator, BaseModel, ConfigDict, Field

from mtlsweep.params.choice import Choice


def without_repeats(values: tuple[Any, ...]) -> tuple[Any, ...]:
    """Return `values`; raise ValueError if a value occurs twice."""
    seen: list[Any] = []
    for value in values:
        if value in seen:
            raise ValueError(f"{value} occurs twice")
        seen.append(value)
    return values


LearningRate = Annotated[float, Field(gt=0, allow_inf_nan=False)]
LearningRates = Annotated[tuple[LearningRate, ...], Field(min_length=1), AfterValidator(without_repeats)]
Seeds = Annotated[tuple[Annotated[int, Field(ge=0)], ...], Field(min_length=1), AfterValidator(without_repeats)]
Choices = Annotated[tuple[Choice, ...], Field(min_length=1), AfterValidator(without_repeats)]


class Section(BaseModel):
    """A part of `params.yaml`: immutable, and unknown keys are an error."""

    model_config = ConfigDict(frozen=True, extra="forbid")
