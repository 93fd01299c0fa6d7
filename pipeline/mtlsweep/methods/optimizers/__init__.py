"""From gradients to a step: torch's optimizers under the names of the study, and signSGD.

An optimizer is a function of (parameters, learning rate) and options that returns a
`torch.optim.Optimizer`. Tasks and weightings may not enter.
"""

from __future__ import annotations

from mtlsweep.methods.optimizers.registry import OPTIMIZERS, without_weight_decay

__all__ = ["OPTIMIZERS", "without_weight_decay"]
