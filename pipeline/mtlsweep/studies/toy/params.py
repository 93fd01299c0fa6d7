"""`studies.toy` of params.yaml."""

from __future__ import annotations

from typing import ClassVar

from pydantic import Field

from mtlsweep.params.choice import Choice
from mtlsweep.params.section import Choices, LearningRates
from mtlsweep.params.studies import StudySection


class Toy(StudySection):
    """The toy problem: which settings reach its global minimum, and after how many iterations.

    Attributes:
        optimizers: of the registry, or `gd` for gradient descent without momentum.
        iterations: after this many, a start counts as not arriving.
    """

    per_suite: ClassVar[bool] = False

    weightings: Choices = (Choice(name="ew"), Choice(name="pcgrad"), Choice(name="cagrad"))
    optimizers: Choices = (Choice(name="gd"), Choice(name="adam"))
    learning_rates: LearningRates = (10.0, 5.0, 1.0, 0.5, 0.1, 0.05, 0.01, 0.005, 0.001)
    iterations: int = Field(default=100_000, ge=1)
