"""Base class and common value types of the sections of params.yaml."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationInfo

from mtlsweep.params.choice import Choice


def without_repeats(values: tuple[Any, ...]) -> tuple[Any, ...]:
    """Return `values`; raise ValueError if a value occurs twice."""
    seen: list[Any] = []
    for value in values:
        if value in seen:
            raise ValueError(f"{value} occurs twice")
        seen.append(value)
    return values


def expand_home(value: Any) -> Any:
    """Return a path with its leading `~` or `~user` expanded, as a shell does it; any other value as it is."""
    if not isinstance(value, Path):
        return value
    try:
        return value.expanduser()
    except RuntimeError as error:
        raise ValueError(f"{value.parts[0]} names no home directory") from error


def _equally_many(
    rates_of: Mapping[str, tuple[float, ...]], section: ValidationInfo
) -> Mapping[str, tuple[float, ...]]:
    """Check that optimizers with learning rates of their own try as many as the others do."""
    count = len(section.data.get("learning_rates", ()))
    for name, rates in rates_of.items():
        if count and len(rates) != count:
            raise ValueError(
                f"`{name}` would try {len(rates)} and the others {count}; results are comparable when every method tries equally many"
            )
    return rates_of


Folder = Annotated[Path, AfterValidator(expand_home)]
LearningRate = Annotated[float, Field(gt=0, allow_inf_nan=False)]
LearningRates = Annotated[tuple[LearningRate, ...], Field(min_length=1), AfterValidator(without_repeats)]
RatesByOptimizer = Annotated[Mapping[str, LearningRates], AfterValidator(_equally_many)]
"""By the name of an optimizer; in a section that has `learning_rates` before it."""

Seeds = Annotated[tuple[Annotated[int, Field(ge=0)], ...], Field(min_length=1), AfterValidator(without_repeats)]
Choices = Annotated[tuple[Choice, ...], Field(min_length=1), AfterValidator(without_repeats)]


class Section(BaseModel):
    """A part of `params.yaml`: immutable, and unknown keys are an error."""

    model_config = ConfigDict(frozen=True, extra="forbid")
