"""How task losses or task gradients become one update: one file per method.

A weighting maps numbers to numbers; networks, batches and optimizers may not enter.
"""

from pipeline.weighting.base import (
    Conventions,
    Facts,
    GradientWeighting,
    GramianWeighting,
    JacobianWeighting,
    LossWeighting,
    TaskOptimizers,
    Weighting,
    Weights,
)
from pipeline.weighting.registry import WEIGHTINGS, MethodRow, describe_methods

__all__ = [
    "WEIGHTINGS",
    "Conventions",
    "Facts",
    "GradientWeighting",
    "GramianWeighting",
    "JacobianWeighting",
    "LossWeighting",
    "MethodRow",
    "TaskOptimizers",
    "Weighting",
    "Weights",
    "describe_methods",
]
