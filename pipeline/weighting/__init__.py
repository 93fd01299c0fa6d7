"""How task losses or task gradients become one update: one file per method.

A weighting maps numbers to numbers; networks, batches and optimizers may not enter.
"""

from pipeline.weighting.base import (
    WEIGHTINGS,
    Conventions,
    Facts,
    GramianWeighting,
    LossWeighting,
    Weighting,
    Weights,
)

__all__ = ["WEIGHTINGS", "Conventions", "Facts", "GramianWeighting", "LossWeighting", "Weighting", "Weights"]
