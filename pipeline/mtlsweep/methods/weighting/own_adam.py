"""Methods that step a tensor of their own with Adam, beside the network's optimizer."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch

from mtlsweep.methods.weighting.weighting import Weighting


class OwnAdam(Weighting):
    """A method that sets `_adam` over one of its buffers; Adam's state is saved and restored with the method's."""

    _adam: torch.optim.Adam

    def optimizers(self) -> Sequence[torch.optim.Optimizer]:
        return (self._adam,)

    def get_extra_state(self) -> dict[str, Any]:
        """Return the state of Adam."""
        return self._adam.state_dict()

    def set_extra_state(self, state: dict[str, Any]) -> None:
        """Continue from `get_extra_state`."""
        self._adam.load_state_dict(state)
