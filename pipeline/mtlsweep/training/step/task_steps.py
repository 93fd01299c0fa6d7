"""The route of task optimizers: each task steps by itself."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

import torch
from torch import Tensor
from torch.optim import Optimizer

from mtlsweep.methods.optimizers.decay import shrinks_directly
from mtlsweep.methods.weighting import TaskOptimizers
from mtlsweep.suites.prepared.splits import Batch
from mtlsweep.suites.tasks import Task
from mtlsweep.training.step.divergence import DivergenceCheck
from mtlsweep.training.step.forward import Forward, to_host
from mtlsweep.training.step.jacobian import Jacobian
from mtlsweep.training.step.route import Measured, Route


class TaskSteps(Route):
    """One optimizer per task, over the shared parameters and the task's head.

    All gradients are taken at one point, unless the method is `sequential`. If an optimizer adds weight
    decay to the gradient, the decay of shared parameters is then taken at that point too, 1/T of it by
    each task. If it shrinks parameters directly, only the first optimizer does so. Either way decay
    happens once per step, and T = 1 is the base optimizer. Tasks without a label in the batch take no step;
    T and the first optimizer are then those of the others.

    Args:
        optimizers: one per task, with the shared parameters as its first group.
    """

    def __init__(
        self, forward: Forward, check: DivergenceCheck, optimizers: Sequence[Optimizer], weighting: TaskOptimizers
    ) -> None:
        super().__init__(forward, check, optimizers, weighting)
        self._sequential = weighting.sequential
        if not self._sequential:
            self.jacobian = Jacobian(len(forward.tasks), self.shared)
            self._decay: float = self.optimizers[0].param_groups[0].get("weight_decay", 0.0)
            self._shrinks = shrinks_directly(self.optimizers[0])

    def _present(self, batch: Batch) -> list[tuple[Task, Optimizer]]:
        tasks = zip(self.forward.tasks, self.optimizers, strict=True)
        return [(task, optimizer) for task, optimizer in tasks if not batch.lacks(task.name)]

    def step(self, batch: Batch) -> Measured:
        """Update every task's parameters; see the class."""
        return self._step_sequentially(batch) if self._sequential else self._step_at_one_point(batch)

    def _step_sequentially(self, batch: Batch) -> Measured:
        losses = [
            self._descend(optimizer, partial(self._gradients_of, task, batch))
            for task, optimizer in self._present(batch)
        ]
        (on_host,) = to_host(losses)
        self.check.losses(on_host)
        return Measured(on_host, None, None)

    def _gradients_of(self, task: Task, batch: Batch) -> Tensor:
        self._clear_gradients()
        loss = self.forward.loss(task, batch)
        loss.backward()
        return loss.detach()

    def _step_at_one_point(self, batch: Batch) -> Measured:
        losses = self.forward.losses(batch)
        jacobian = self.jacobian.first(len(losses))
        self._clear_gradients()
        jacobian.differentiate(losses, retain_graph=True)
        on_host, gramian = to_host(losses, jacobian.gramian())
        self.check.losses(on_host)
        self.check.gramian(gramian)
        if self._decay and not self._shrinks:
            with torch.no_grad():
                every = torch.cat([each.reshape(-1) for each in self.shared])
                jacobian.rows.add_(every, alpha=self._decay / len(losses))
        for position, (_, optimizer) in enumerate(self._present(batch)):
            shrinks = self._shrinks and position == 0
            optimizer.param_groups[0]["weight_decay"] = self._decay if shrinks else 0.0
            self._set_shared_gradients(jacobian.shaped_rows[position])
            optimizer.step()
        return Measured(on_host, None, gramian)
