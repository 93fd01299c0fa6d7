"""Ranges of learning rates and options that a search may choose from."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Annotated, Any

from optuna.distributions import CategoricalChoiceType
from optuna.trial import BaseTrial
from pydantic import BaseModel, ConfigDict, Field, model_validator

LEARNING_RATE = "learning_rate"


class Range(BaseModel):
    """Every value from `low` to `high`, both included; integers if both are. `log` samples on a logarithmic scale."""

    model_config = ConfigDict(frozen=True, extra="forbid")
    low: int | float
    high: int | float
    log: bool = False

    @model_validator(mode="after")
    def _check_order(self) -> Range:
        if not self.low < self.high:
            raise ValueError("`low` must be less than `high`")
        if self.log and self.low <= 0:
            raise ValueError("`low` must be positive with `log: true`")
        return self


Values = Annotated[tuple[bool | int | float | str, ...], Field(min_length=1)]

Ranges = Mapping[str, Range | Values]
"""By `learning_rate`, or by `weighting.option` or `optimizer.option` (`cagrad.c`, `sgd.momentum`)."""


def propose(trial: BaseTrial, key: str, chosen: Range | Sequence[CategoricalChoiceType]) -> Any:
    """Return the value that Optuna's sampler proposes for a ranged option."""
    if not isinstance(chosen, Range):
        return trial.suggest_categorical(key, tuple(chosen))
    if isinstance(chosen.low, int) and isinstance(chosen.high, int):
        return trial.suggest_int(key, chosen.low, chosen.high, log=chosen.log)
    return trial.suggest_float(key, chosen.low, chosen.high, log=chosen.log)


def allows(chosen: Range | Sequence[Any], value: Any) -> bool:
    """Return whether a range or a list of choices contains `value`."""
    return chosen.low <= value <= chosen.high if isinstance(chosen, Range) else value in chosen
