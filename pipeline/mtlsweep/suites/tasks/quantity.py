"""A measured number with a unit, learned in standard deviations."""

from __future__ import annotations

from dataclasses import KW_ONLY, dataclass
from typing import Annotated, ClassVar

from pydantic import Field

from mtlsweep.suites.tasks.regression import Regression, RegressionEvaluator
from mtlsweep.suites.tasks.task import TASKS


class QuantityEvaluator(RegressionEvaluator):
    """As of `regression`, with the absolute error in the quantity's unit."""

    def __init__(self, deviation: float) -> None:
        super().__init__()
        self._deviation = deviation

    def compute(self) -> dict[str, float]:
        standardised = super().compute()
        return {**standardised, "mae": standardised["mae"] * self._deviation}


@TASKS.register("quantity")
@dataclass(frozen=True)
class Quantity(Regression):
    """A regression whose target is standardised: (value - mean) / `deviation`, of the training split.

    The loss is the mean squared error of the standardised target, so that units do not weight tasks; `mae`
    is in `unit`, as papers report it.
    """

    _: KW_ONLY
    deviation: Annotated[float, Field(gt=0)]
    unit: str = ""

    kind: ClassVar[str] = "quantity"

    def evaluator(self) -> QuantityEvaluator:
        return QuantityEvaluator(self.deviation)
