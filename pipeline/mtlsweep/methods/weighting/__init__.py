"""How task losses or task gradients become one update: one file per method.

A weighting maps numbers to numbers; networks, batches and optimizers may not enter.
"""

from __future__ import annotations

from mtlsweep.methods.weighting.kinds import (
    GradientWeighting,
    GramianWeighting,
    HeadAligningWeighting,
    JacobianWeighting,
    LookAheadWeighting,
    LossWeighting,
    TaskOptimizers,
    TwoSampleWeighting,
)
from mtlsweep.methods.weighting.overview import MethodRow, describe_methods
from mtlsweep.methods.weighting.registry import WEIGHTINGS
from mtlsweep.methods.weighting.weighting import Conventions, Facts, Performance, Weighting, Weights

__all__ = [
    "WEIGHTINGS",
    "Conventions",
    "Facts",
    "GradientWeighting",
    "GramianWeighting",
    "HeadAligningWeighting",
    "JacobianWeighting",
    "LookAheadWeighting",
    "LossWeighting",
    "MethodRow",
    "Performance",
    "TaskOptimizers",
    "TwoSampleWeighting",
    "Weighting",
    "Weights",
    "describe_methods",
]
