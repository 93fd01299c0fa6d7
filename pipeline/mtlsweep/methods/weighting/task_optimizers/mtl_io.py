"""MTL-IO: independent optimizers that take turns."""

from __future__ import annotations

from mtlsweep.methods.weighting.kinds import TaskOptimizers
from mtlsweep.methods.weighting.registry import WEIGHTINGS
from mtlsweep.methods.weighting.weighting import Facts


@WEIGHTINGS.register("mtl_io")
class IndependentOptimizers(TaskOptimizers):
    """Within an iteration each task in turn steps the shared parameters and its head with its own optimizer.

    Task t's loss and gradient are taken where the tasks before it have left the parameters, on the same
    batch. Each optimizer keeps its own state and its own weight decay. With T = 1 it is the base. A task without labels in
    the batch makes no step, and its optimizer's state stays.
    """

    facts = Facts(
        paper="Pascal, Michiardi, Bost, et al. 2021, arXiv 2109.11678",
        scale="the base optimizer's steps, one task after another",
        heads="the base optimizer on the head's own gradient",
        symmetric=False,
    )
    cost = "T forwards + T backwards, T optimizer steps"
    sequential = True
