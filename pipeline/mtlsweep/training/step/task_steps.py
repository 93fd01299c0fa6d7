"""The route of task optimizers: each task steps by itself."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch.optim import Optimizer

from mtlsweep.methods.weighting import TaskOptimizers
from mtlsweep.suites.prepared.splits import Batch
from mtlsweep.training.step.divergence import DivergenceCheck
from mtlsweep.training.step.forward import Forward, to_host
from mtlsweep.training.step.jacobian import Jacobian
from mtlsweep.training.step.route import Measured, Route


class TaskSteps(Route):
    """One optimizer per task, over the shared parameters and the task's head.

    All gradients are taken at one point, unless the method is `sequential`. If an optimizer adds weight
    decay to the gradient, the decay of shared parameters is then taken at that point too, 1/T of it by
    each task. If it shrinks parameters directly, only the first optimizer does so. Either way decay
    happens once per step, and T = 1 is the base optimizer.

    Args:
        optimizers: one per task, with the shared parameters as its first group.
    """

    def __init__(
        self, forward: Forward, check: DivergenceCheck, optimizers: Sequence[Optimizer], weighting: TaskOptimizers
    ) -> None:
        super().__init__(forward, check, optimizers)
        self._sequential = weighting.sequential
        self._decay_share = 0.0
        if not self._sequential:
            self.jacobian = Jacobian(len(forward.tasks), self.shared)
            self._share_decay()

    def _share_decay(self) -> None:
        for index, optimizer in enumerate(self.optimizers):
            group = optimizer.param_groups[0]
            if isinstance(optimizer, torch.optim.AdamW):
                group["weight_decay"] = group["weight_decay"] if index == 0 else 0.0
            else:
                self._decay_share = group.get("weight_decay", 0.0) / len(self.optimizers)
                group["weight_decay"] = 0.0

    def step(self, batch: Batch) -> Measured:
        return self._step_sequentially(batch) if self._sequential else self._step_at_one_point(batch)

    def _step_sequentially(self, batch: Batch) -> Measured:
        losses = []
        for task, optimizer in zip(self.forward.tasks, self.optimizers, strict=True):
            self._clear_gradients()
            loss = self.forward.loss(task, batch)
            loss.backward()
            optimizer.step()
            losses.append(loss)
        (on_host,) = to_host(losses)
        self.check.losses(on_host)
        return Measured(on_host, None, None)

    def _step_at_one_point(self, batch: Batch) -> Measured:
        losses = self.forward.losses(batch)
        self._clear_gradients()
        self.jacobian.differentiate(losses, retain_graph=True)
        on_host, gramian = to_host(losses, self.jacobian.gramian())
        self.check.losses(on_host)
        self.check.gramian(gramian)
        if self._decay_share:
            with torch.no_grad():
                self.jacobian.rows.add_(torch.cat([each.reshape(-1) for each in self.shared]), alpha=self._decay_share)
        for gradients, optimizer in zip(self.jacobian.shaped_rows, self.optimizers, strict=True):
            self._set_shared_gradients(gradients)
            optimizer.step()
        return Measured(on_host, None, gramian)
