"""From gradients to a step: torch's optimizers under the names of the study, and newer ones from libraries.

An optimizer is a function of (parameters, learning rate) and options that returns a
`torch.optim.Optimizer`. Its parameters come with their groups (`Parameters`). Tasks and weightings may not enter.
"""

from __future__ import annotations

from mtlsweep.methods.optimizers.parameters import Group, Parameters
from mtlsweep.methods.optimizers.registry import OPTIMIZERS, without_weight_decay

__all__ = ["OPTIMIZERS", "Group", "Parameters", "without_weight_decay"]
