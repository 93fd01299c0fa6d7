"""How an optimizer applies weight decay."""

from __future__ import annotations

from torch import optim

_SHRINKING = ("AdamW", "Adafactor", "Muon", "SOAP")
_FLAGS = ("decoupled_weight_decay", "weight_decouple")


def shrinks_directly(optimizer: optim.Optimizer) -> bool:
    """Whether weight decay shrinks the parameters themselves, and is not added to the gradient.

    Known by name, or by what the group of an optimizer says of itself.
    """
    return type(optimizer).__name__ in _SHRINKING or any(optimizer.param_groups[0].get(flag) for flag in _FLAGS)
