"""One training course of the loss-scaling study: two small regressions on one backbone."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import ClassVar

import torch
from torch import Tensor, nn

from mtlsweep.methods.optimizers import without_weight_decay
from mtlsweep.params.suite import Method
from mtlsweep.studies.loss_scaling.params import LossScaling
from mtlsweep.suites.inputs import IMAGE
from mtlsweep.suites.networks import MultiTaskNetwork
from mtlsweep.suites.prepared.splits import Batch
from mtlsweep.suites.tasks import Metric, Task
from mtlsweep.suites.tasks.loss_only import NoMetrics
from mtlsweep.training.seeds import stream, stream_seed
from mtlsweep.training.step.divergence import Diverged
from mtlsweep.training.step.updater import build_updater
from mtlsweep.trials.metric_names import LOSS, MetricName

TARGETS = {"near": 2.0, "far": 0.5}
"""The two depth-like tasks: each target is a multiple of the input."""

PARTS = ("backbone", *(f"head {name}" for name in TARGETS))
WIDTH = 20


@dataclass(frozen=True)
class ScaledDistance(Task):
    """`scale` times the mean L1 distance of a number to its target."""

    scale: float = 1.0
    metrics: ClassVar[tuple[Metric, ...]] = ()

    @property
    def outputs(self) -> int:
        return 1

    def loss(self, output: Tensor, target: Tensor) -> Tensor:
        return self.scale * (output.squeeze(1) - target).abs().mean()

    def evaluator(self) -> NoMetrics:
        return NoMetrics()


@dataclass(frozen=True)
class Course:
    """One training run: rows of its curves, and for each part its updates [steps, P]."""

    rows: list[tuple[int, str, str, float]]
    updates: dict[str, Tensor]


def _network(seed: int) -> MultiTaskNetwork:
    def layers(inputs: int, outputs: int) -> list[nn.Module]:
        return [nn.Linear(inputs, WIDTH), nn.LeakyReLU(), nn.Linear(WIDTH, outputs)]

    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(stream_seed(seed, "init"))
        backbone = nn.Sequential(nn.Flatten(), *layers(1, WIDTH), nn.LeakyReLU())
        return MultiTaskNetwork(backbone, {name: nn.Sequential(*layers(WIDTH, 1)) for name in TARGETS})


def train_course(
    section: LossScaling, method: Method, scales: tuple[float, float], frozen: bool, epochs: int
) -> Course:
    """Train a method for `epochs` on two losses multiplied by `scales`; return what was measured at every step."""
    network = _network(section.seed)
    inputs = torch.rand(section.samples, 1, 1, 1, generator=stream(section.seed, "inputs"))
    batch = Batch({IMAGE: inputs}, {name: factor * inputs.flatten() for name, factor in TARGETS.items()})
    tasks = [ScaledDistance(name, scale) for name, scale in zip(TARGETS, scales, strict=True)]
    updater = build_updater(
        network,
        tasks,
        method.weighting,
        without_weight_decay(method.optimizer, unless_given=True),
        section.learning_rate,
        generator=stream(section.seed, "weighting"),
        explosion_factor=1e6,
    )
    if frozen:  # for the optimizer, not for the weighting, so that every method can run
        for optimizer in updater.optimizers:
            optimizer.register_step_pre_hook(partial(_without_gradients, network.shared_parameters()))
    parts = dict(zip(PARTS, [network.shared_parameters(), *map(network.head_parameters, TARGETS)], strict=True))
    rows: list[tuple[int, str, str, float]] = []
    updates: dict[str, list[Tensor]] = {part: [] for part in PARTS}
    for epoch in range(1, epochs + 1):
        gradients = _task_gradients(network, tasks, batch)
        before = {part: _flat(parameters) for part, parameters in parts.items()}
        try:
            updater.step(batch)
        except Diverged:
            break
        if frozen:  # weight decay may have moved it
            _write(before["backbone"], parts["backbone"])
        figures = updater.end_epoch()
        for part, parameters in parts.items():
            updates[part].append(_flat(parameters) - before[part])
            rows.append((epoch, "update norm", part, float(updates[part][-1].norm())))
        for part, norm in _gradient_norms(gradients, figures).items():
            rows.append((epoch, "gradient norm", part, norm))
        for task in tasks:
            loss = figures[str(MetricName("train", task.name, LOSS))]
            rows += [
                (epoch, "scaled loss", f"head {task.name}", loss),
                (epoch, "loss", f"head {task.name}", loss / task.scale),
            ]
    return Course(rows, {part: torch.stack(steps) for part, steps in updates.items()})


def _task_gradients(network: MultiTaskNetwork, tasks: list[ScaledDistance], batch: Batch) -> list[dict[str, Tensor]]:
    """Return for each task the gradients of its scaled loss on the backbone and on its head, flat."""
    outputs = network(batch.inputs)
    found = []
    for task in tasks:
        shared, own = network.shared_parameters(), network.head_parameters(task.name)
        loss = task.loss(outputs[task.name], batch.targets[task.name])
        gradients = torch.autograd.grad(loss, [*shared, *own], retain_graph=True)
        flat = [
            torch.cat([each.flatten() for each in some])
            for some in (gradients[: len(shared)], gradients[len(shared) :])
        ]
        found.append({"shared": flat[0], "own": flat[1]})
    return found


def _gradient_norms(gradients: list[dict[str, Tensor]], figures: dict[str, float]) -> dict[str, float]:
    """Return the norm of the combined gradient: the weighted sum if the method has weights, else the plain sum."""
    weights = [figures.get(str(MetricName("train", name, "weight")), 1.0) for name in TARGETS]
    of_heads = [figures.get(str(MetricName("train", name, "head_weight")), 1.0) for name in TARGETS]
    total = sum((weight * each["shared"] for weight, each in zip(weights, gradients, strict=True)), torch.zeros(()))
    heads = {
        f"head {name}": abs(weight) * float(each["own"].norm())
        for name, weight, each in zip(TARGETS, of_heads, gradients, strict=True)
    }
    return {"backbone": float(total.norm()), **heads}


def _without_gradients(parameters: list[nn.Parameter], *_: object) -> None:
    for parameter in parameters:
        parameter.grad = torch.zeros_like(parameter)


@torch.no_grad()
def _write(values: Tensor, parameters: list[nn.Parameter]) -> None:
    for value, parameter in zip(values.split([each.numel() for each in parameters]), parameters, strict=True):
        parameter.copy_(value.view(parameter.shape))


def _flat(parameters: list[nn.Parameter]) -> Tensor:
    return torch.cat([parameter.detach().flatten() for parameter in parameters])
