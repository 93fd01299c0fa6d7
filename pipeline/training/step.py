"""One optimizer step: losses, weights, gradients, and the end of a trial that has diverged.

Data loading, epochs, evaluation and checkpoint files may not enter.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import torch
from torch import Tensor
from torch.optim import Optimizer

from pipeline.optimizers import OPTIMIZERS
from pipeline.registry import Choice
from pipeline.training.backward import Backward, Forward, choose_backward
from pipeline.training.meter import Meter
from pipeline.weighting import WEIGHTINGS, Weighting

if TYPE_CHECKING:
    from pipeline.data.store import Batch
    from pipeline.networks import MultiTaskNetwork
    from pipeline.tasks import Task


class Diverged(Exception):  # noqa: N818 - an outcome, not an error
    """Training has left the finite world.

    Attributes:
        cause: `nan` (a loss, product of gradients or weight is not finite, or a solver gave up on it)
            or `explosion` (a loss far above where it started).
        detail: which task or number, and its value.
    """

    def __init__(self, cause: Literal["nan", "explosion"], detail: str) -> None:
        super().__init__(f"{cause}: {detail}")
        self.cause = cause
        self.detail = detail


class DivergenceCheck:
    """Knows where each task's loss started.

    Args:
        tasks: names of the T tasks.
        explosion_factor: how many times max(first loss, 1) a loss may reach.
    """

    def __init__(self, tasks: Sequence[str], explosion_factor: float) -> None:
        self._tasks = tuple(tasks)
        self._factor = explosion_factor
        self.first_losses: Tensor | None = None

    def __call__(self, losses: Tensor, gramian: Tensor | None) -> None:
        """Raise `Diverged` if losses [T] or Gramian [T, T] say so."""
        finite = losses.isfinite()
        if not finite.all():
            index = int(finite.logical_not().nonzero()[0])
            raise Diverged("nan", f"loss of task `{self._tasks[index]}` is {losses[index].item()}")
        if gramian is not None and not gramian.isfinite().all():
            raise Diverged("nan", "task gradients are not finite")
        if self.first_losses is None:
            self.first_losses = losses.clone()
        limit = self._factor * self.first_losses.clamp(min=1.0)
        exploded = losses > limit
        if exploded.any():
            index = int(exploded.nonzero()[0])
            raise Diverged(
                "explosion",
                f"loss of task `{self._tasks[index]}` is {losses[index].item():.4g}, above {limit[index].item():.4g}",
            )


class Updater:
    """Trains a network step by step with one weighting and one optimizer; made by `build_updater`."""

    def __init__(
        self,
        forward: Forward,
        backward: Backward,
        check: DivergenceCheck,
        weighting: Weighting,
        optimizer: Optimizer,
        weighting_optimizer: Optimizer | None,
    ) -> None:
        self._forward, self._backward, self._check = forward, backward, check
        self._weighting = weighting
        self._optimizers = [optimizer] if weighting_optimizer is None else [optimizer, weighting_optimizer]
        self._initial_rates = [group["lr"] for group in self._groups()]
        self._meter = Meter(weighting.tasks)

    def _groups(self) -> list[dict[str, Any]]:
        return [group for optimizer in self._optimizers for group in optimizer.param_groups]

    def step(self, batch: Batch) -> None:
        """Take one optimizer step on `batch`.

        Raises:
            Diverged: before the parameters are touched.
        """
        try:
            measured = self._backward(batch)
        except (np.linalg.LinAlgError, torch.linalg.LinAlgError) as error:
            raise Diverged("nan", f"the weighting's solver failed: {error}") from error
        weights = measured.weights
        if weights is not None and not (weights.shared.sum() + weights.heads.sum()).isfinite():
            raise Diverged("nan", f"weights are {weights.shared.tolist()}, of heads {weights.heads.tolist()}")
        for optimizer in self._optimizers:
            optimizer.step()
        self._meter.add(measured.losses, weights, measured.gramian)

    def set_learning_rate(self, factor: float) -> None:
        """Set every learning rate, a weighting's own included, to `factor` times its initial value."""
        for group, rate in zip(self._groups(), self._initial_rates, strict=True):
            group["lr"] = factor * rate

    def end_epoch(self) -> dict[str, float]:
        """Tell the weighting that an epoch has ended, and return the epoch's means.

        Returns:
            `train/<task>/loss`, `.../weight`, `.../head_weight` (effective multipliers of the task's
            gradient), and for gradient methods `.../gradient_norm` and `train/cosine/<task>-<task>`.
        """
        self._weighting.end_epoch(self._meter.mean_losses())
        return self._meter.read()

    def state_dict(self) -> dict[str, Any]:
        """Return all that changes while training, but for the network; tensors and plain values only."""
        return {
            "optimizers": [optimizer.state_dict() for optimizer in self._optimizers],
            "weighting": self._weighting.state_dict(),
            "generator": self._weighting.generator.get_state(),
            "first_losses": self._check.first_losses,
            "meter": self._meter.state_dict(),
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Continue where `state_dict` was taken, to the bit."""
        for optimizer, saved in zip(self._optimizers, state["optimizers"], strict=True):
            optimizer.load_state_dict(saved)
        self._weighting.load_state_dict(state["weighting"])
        self._weighting.generator.set_state(state["generator"])
        self._check.first_losses = state["first_losses"]
        self._meter.load_state_dict(state["meter"])


def build_updater(
    network: MultiTaskNetwork,
    tasks: Sequence[Task],
    weighting: Choice,
    optimizer: Choice,
    learning_rate: float,
    *,
    generator: torch.Generator,
    precision: Literal["float32", "bfloat16"] = "float32",
    explosion_factor: float = 1e3,
) -> Updater:
    """Return what trains `network` on `tasks`.

    Args:
        network: on its device already.
        tasks: in the order in which weights, losses and statistics are given.
        weighting: of WEIGHTINGS.
        optimizer: of OPTIMIZERS; also trains the weighting's own parameters, without weight decay.
        learning_rate: initial rate.
        generator: the weighting's random stream, a CPU generator.
        precision: of the forward pass; `bfloat16` means autocast, parameters stay float32.
        explosion_factor: see `DivergenceCheck`.

    Raises:
        UserError: unknown names or options, or a combination that makes no sense.
    """
    check_combination(weighting, optimizer, len(tasks))
    names = [task.name for task in tasks]
    method: Weighting = WEIGHTINGS.create(weighting, names, generator)
    make: Callable[..., Optimizer] = OPTIMIZERS.create
    own = list(method.parameters())
    own_rate = learning_rate if method.learning_rate is None else method.learning_rate
    forward = Forward(network, tasks, precision)
    check = DivergenceCheck(names, explosion_factor)
    return Updater(
        forward,
        choose_backward(method, forward, check),
        check,
        method,
        make(optimizer, list(network.parameters()), learning_rate),
        make(_without_weight_decay(optimizer), own, own_rate) if own else None,
    )


def _without_weight_decay(optimizer: Choice) -> Choice:
    """Return `optimizer` with its weight decay, if it has one, at 0."""
    options = dict(optimizer.options)
    if "weight_decay" in OPTIMIZERS.options_of(optimizer.name):
        options["weight_decay"] = 0.0
    return Choice(name=optimizer.name, options=options)


def check_combination(weighting: Choice, optimizer: Choice, tasks: int) -> None:
    """Check, without building anything, that the two can train a network with that many tasks.

    Raises:
        UserError: unknown names or options, or a combination that makes no sense.
    """
    WEIGHTINGS.resolve(weighting)
    OPTIMIZERS.resolve(optimizer)
