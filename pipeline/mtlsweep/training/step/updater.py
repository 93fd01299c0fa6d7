"""One optimizer step after another: what trains a network with one weighting and one optimizer.

Data loading, epochs, evaluation and checkpoint files may not enter.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, Literal

import numpy as np
import torch
from torch.optim import Optimizer

from mtlsweep.methods.combination import check_combination, check_sharing
from mtlsweep.methods.optimizers import OPTIMIZERS, Parameters, without_weight_decay
from mtlsweep.methods.optimizers.joint import averaging, parts_of, restore
from mtlsweep.methods.weighting import (
    WEIGHTINGS,
    HeadAligningWeighting,
    LookAheadWeighting,
    LossWeighting,
    Performance,
    TaskOptimizers,
    TwoSampleWeighting,
    Weighting,
)
from mtlsweep.methods.weighting.absence import only
from mtlsweep.params.choice import Choice
from mtlsweep.suites.networks.multitask import MultiTaskNetwork
from mtlsweep.suites.prepared.splits import Batch
from mtlsweep.suites.tasks import Task
from mtlsweep.training.step.aligned_heads import AlignedHeads
from mtlsweep.training.step.backward import OneBackward, RepresentationBackward, TaskBackwards
from mtlsweep.training.step.divergence import Diverged, DivergenceCheck
from mtlsweep.training.step.forward import Forward, to_host
from mtlsweep.training.step.look_ahead import LookAhead
from mtlsweep.training.step.meter import Meter
from mtlsweep.training.step.route import Measured, Route
from mtlsweep.training.step.task_steps import TaskSteps
from mtlsweep.training.step.two_samples import TwoSamples
from mtlsweep.trials.metric_names import MetricName

__all__ = ["Diverged", "Updater", "build_updater", "check_combination"]


class Updater:
    """Trains a network step by step; made by `build_updater`.

    Args:
        route: moves the network's parameters.
        weighting: what the route asks for weights.
        own_optimizer: of the weighting's own parameters, if it has any.
    """

    def __init__(self, route: Route, weighting: Weighting, own_optimizer: Optimizer | None) -> None:
        self._route, self._weighting, self._own_optimizer = route, weighting, own_optimizer
        self._optimizers = [*route.optimizers, *([own_optimizer] if own_optimizer else [])]
        self._averaging = averaging(self._optimizers)
        self._initial_rates = [group["lr"] for group in self._groups()]
        self._meter = Meter(weighting.tasks)

    def _groups(self) -> list[dict[str, Any]]:
        return [group for optimizer in self._optimizers for group in optimizer.param_groups]

    @property
    def batches(self) -> int:
        """How many batches a step sees; see `Weighting.batches`."""
        return self._weighting.batches

    def step(self, batch: Batch) -> None:
        """Take one optimizer step on `batch`.

        A task without a label in the batch is absent: the weighting sees the other tasks only, its head and all state
        of it stay as they were, and nothing is recorded for it. Without any label the step is skipped and counted.

        Raises:
            Diverged: the parameters are then unchanged, except with methods that step task by task.
        """
        present = self._present(not batch.lacks(task) for task in self._weighting.tasks) if batch.labelled else None
        if present == ():
            self._meter.skip()
            return
        for optimizer in self._averaging:
            optimizer.train()
        with self._only(present):
            measured = self._take(batch)
        self._meter.add(measured.losses, measured.weights, measured.gramian, present)

    def _take(self, batch: Batch) -> Measured:
        try:
            measured = self._route.step(batch)
        except (np.linalg.LinAlgError, torch.linalg.LinAlgError) as error:  # type: ignore[attr-defined]  # it is there
            raise Diverged("nan", f"the weighting's solver failed: {error}") from error
        if self._own_optimizer is not None:
            self._own_optimizer.step()
        if isinstance(self._weighting, LossWeighting) and self._weighting.reevaluates:
            (after,) = to_host(self._route.forward.losses_without_side_effects(batch))
            self._route.check.positive(after)
            self._weighting.observe(after)
        return measured

    def _present(self, there: Iterable[bool]) -> tuple[int, ...] | None:
        """Return the positions of the tasks that are there; None for all."""
        flags = tuple(there)
        return None if all(flags) else tuple(position for position, flag in enumerate(flags) if flag)

    @contextmanager
    def _only(self, present: Sequence[int] | None) -> Iterator[None]:
        """Within, the weighting and the check are those of the tasks at these positions; None for all."""
        if present is None:
            yield
            return
        own = parts_of(self._own_optimizer) if self._own_optimizer is not None else ()
        with self._route.check.only(present), only(self._weighting, present, own):
            yield

    def set_learning_rate(self, factor: float) -> None:
        """Set every learning rate, that of a weighting's own parameters included, to `factor` times its first value.

        An optimizer that averages parameters keeps its rate: the average takes the place of a schedule.
        """
        constant = [group for optimizer in self._averaging for group in optimizer.param_groups]
        for group, rate in zip(self._groups(), self._initial_rates, strict=True):
            if not any(group is each for each in constant):
                group["lr"] = factor * rate

    @property
    def optimizers(self) -> tuple[Optimizer, ...]:
        """The network's optimizers: one, or one per task."""
        return self._route.optimizers

    @property
    def averages(self) -> bool:
        """Whether parameters are evaluated at an average of those that are trained."""
        return bool(self._averaging)

    def show_average(self) -> None:
        """Give the network the parameters that are to be evaluated; the next step continues from those that it trains."""
        for optimizer in self._averaging:
            optimizer.eval()

    def end_epoch(self) -> dict[str, float]:
        """Tell the weighting that an epoch has ended, show the average, and return the epoch's means.

        Returns:
            `train/<task>/loss`; `.../weight` and `.../head_weight` (effective multipliers of the task's
            gradient) unless each task has its optimizer; and where task gradients are compared
            `.../gradient_norm`, `train/cosine/mean`, `train/cosine/least`, `train/cosine/<task>-<task>`.

        Raises:
            Diverged: a task's mean loss is not what the weighting needs.
        """
        self.show_average()
        means = self._meter.mean_losses()
        there = means.isfinite()
        present = self._present(there.tolist())
        if present != ():
            with self._only(present):
                self._route.check.mean_losses(means[there])
                self._weighting.end_epoch(means[there])
        return self._meter.read()

    @property
    def needs_validation(self) -> bool:
        """Whether `end_validation` must be called after every epoch."""
        return self._weighting.needs_validation

    def end_validation(self, metrics: Mapping[str, float]) -> None:
        """Tell the weighting what the network reaches on the validation split after an epoch: `val/<task>/<metric>`.

        Raises:
            UserError: the weighting's options do not fit the tasks' metrics.
        """
        self._weighting.end_validation(
            [
                Performance(
                    task.name,
                    metric.name,
                    metrics[str(MetricName("val", task.name, metric.name))],
                    metric.higher_is_better,
                )
                for task in self._route.forward.tasks
                for metric in task.metrics
            ]
        )

    def state_dict(self) -> dict[str, Any]:
        """Return everything that changes during training except the network; tensors and plain values only."""
        return {
            "optimizers": [optimizer.state_dict() for optimizer in self._optimizers],
            "weighting": self._weighting.state_dict(),
            "generator": self._weighting.generator.get_state(),
            "first_losses": self._route.check.first_losses,
            "meter": self._meter.state_dict(),
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Continue from where `state_dict` was taken, bit for bit; `state` may come from another device."""
        for optimizer, saved in zip(self._optimizers, state["optimizers"], strict=True):
            restore(optimizer, saved)
        self._weighting.restore(state["weighting"], self._route.shared[0].device)
        self._weighting.generator.set_state(state["generator"])
        self._route.check.first_losses = state["first_losses"]
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
        explosion_factor: a loss above this many times max(its first value, 1) ends the trial.

    Raises:
        UserError: unknown names or options, or an invalid combination.
    """
    names = [task.name for task in tasks]
    check_combination(weighting, optimizer, names)
    check_sharing(weighting, type(network).__name__, network.one_representation)
    method = WEIGHTINGS.create(weighting, names, generator)
    if isinstance(method, TaskOptimizers):
        shared = Parameters.in_network(network, network.shared_parameters())
        optimizers = [OPTIMIZERS.create(optimizer, shared, learning_rate) for _ in tasks]
        for task, each in zip(tasks, optimizers, strict=True):
            each.add_param_group({"params": network.head_parameters(task.name)})
    else:
        heads = [each for task in tasks for each in network.head_parameters(task.name)]
        parameters = Parameters.in_network(network, network.parameters(), heads)
        optimizers = [OPTIMIZERS.create(optimizer, parameters, learning_rate)]
    route = _route_of(method)(
        Forward(network, tasks, precision),
        DivergenceCheck(names, explosion_factor, weighting.name, method.needs_positive_losses),
        optimizers,
        method,
    )
    return Updater(route, method, _own_optimizer(method, optimizer, learning_rate))


def _own_optimizer(method: Weighting, optimizer: Choice, learning_rate: float) -> Optimizer | None:
    """Return what trains the weighting's own parameters, if it has any: the network's kind, without weight decay."""
    own = list(method.parameters())
    if not own:
        return None
    made = OPTIMIZERS.create(without_weight_decay(optimizer), own, learning_rate)
    if method.learning_rate is not None:
        for group in made.param_groups:
            group["lr"] = method.learning_rate
    return made


def _route_of(method: Weighting) -> Any:
    """Return the cheapest route that gives `method` what it needs under its conventions."""
    if isinstance(method, TaskOptimizers):
        return TaskSteps
    if isinstance(method, LookAheadWeighting):
        return LookAhead
    if isinstance(method, HeadAligningWeighting):
        return AlignedHeads
    if isinstance(method, TwoSampleWeighting):
        return TwoSamples
    if isinstance(method, LossWeighting):
        return RepresentationBackward if method.conventions.heads == "one" else OneBackward
    return RepresentationBackward if method.conventions.gradients == "representation" else TaskBackwards
