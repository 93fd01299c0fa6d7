"""The norm of an update, from its weights and the Gramian."""

from __future__ import annotations

from torch import Tensor


def clip_update(weights: Tensor, gramian: Tensor, max_norm: float) -> Tensor:
    """Return `weights` [T], scaled so that |sum_i w_i g_i| is at most `max_norm`; 0 means no limit."""
    norm = (weights @ gramian @ weights).clamp(min=0.0).sqrt()
    return weights * (max_norm / norm) if 0 < max_norm < norm else weights
