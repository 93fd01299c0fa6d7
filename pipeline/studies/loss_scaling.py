"""The experiment `loss_scaling`: what multiplying the losses of two tasks changes, shown rather than assumed.

Two networks start from the same weights; one sees the losses as they are, the other multiplied by
`scales`. Both are trained by the project's own trainer. Where a method is invariant their updates
coincide; the verdict is the largest relative difference between them.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

import numpy as np
import pandas as pd
import torch
from torch import Tensor, nn

from pipeline.analysis.tables import write_table
from pipeline.data.store import Batch
from pipeline.files import write_atomically
from pipeline.networks import MultiTaskNetwork
from pipeline.optimizers import OPTIMIZERS
from pipeline.params import LossScaling, Method
from pipeline.registry import Choice
from pipeline.studies.no_metrics import NoMetrics
from pipeline.tasks import Metric, Task
from pipeline.training.seeds import stream, stream_seed
from pipeline.training.step import Diverged, build_updater, check_combination
from pipeline.weighting import WEIGHTINGS

CURVES, VERDICTS = "curves.parquet", "verdicts.csv"

TARGETS = {"near": 2.0, "far": 0.5}
"""The two depth-like tasks: each target is so many times the input."""

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
class LossScalingTables:
    """What the experiment found.

    Attributes:
        curves: weighting, optimizer, backbone (free, frozen), losses (unscaled, scaled), epoch, quantity
            (loss, scaled loss, gradient norm, update norm), part, value.
        verdicts: a row per weighting, optimizer, state of the backbone and part that moves: relative
            difference between scaled and unscaled update (`first`, `median` and `largest` over steps),
            `first_norm_ratio` of the two updates' lengths, and whether the first and all are `invariant`.
    """

    curves: pd.DataFrame
    verdicts: pd.DataFrame

    def write(self, directory: Path) -> None:
        """Write `curves.parquet` and `verdicts.csv`."""
        write_table(directory / CURVES, self.curves)
        write_atomically(directory / VERDICTS, self.verdicts.to_csv(index=False, lineterminator="\n").encode())


@dataclass(frozen=True)
class _Course:
    """One training run: rows of its curves, and for each part its updates [steps, P]."""

    rows: list[tuple[int, str, str, float]]
    updates: dict[str, Tensor]


def run_loss_scaling(section: LossScaling) -> LossScalingTables:
    """Train every method with scaled and unscaled losses, backbone free and frozen, and compare.

    Raises:
        UserError: an unknown name, a wrong option, or a pair that does not exist.
    """
    for method in section.methods:
        check_combination(method.weighting, method.optimizer, list(TARGETS))
    curves, verdicts = [], []
    for method in section.methods:
        names = {"weighting": WEIGHTINGS.label(method.weighting), "optimizer": OPTIMIZERS.label(method.optimizer)}
        for state in ("free", "frozen"):
            unscaled, scaled = (
                _train(section, method, scales, state == "frozen") for scales in ((1.0, 1.0), section.scales)
            )
            for losses, course in (("unscaled", unscaled), ("scaled", scaled)):
                frame = pd.DataFrame(course.rows, columns=["epoch", "quantity", "part", "value"])
                curves.append(frame.assign(**names, backbone=state, losses=losses))
            moving = PARTS if state == "free" else PARTS[1:]
            verdicts += [
                {**names, "backbone": state, **_verdict(part, unscaled, scaled, section.tolerance)} for part in moving
            ]
    order = ["weighting", "optimizer", "backbone", "losses", "epoch", "quantity", "part", "value"]
    return LossScalingTables(pd.concat(curves, ignore_index=True)[order], pd.DataFrame(verdicts))


def relative_differences(one: Tensor, other: Tensor) -> np.ndarray:
    """Return |other - one| / |one| of each row; 0 where neither moves."""
    difference, length = (other - one).norm(dim=1).numpy(), one.norm(dim=1).numpy()
    with np.errstate(divide="ignore", invalid="ignore"):
        ratio = difference / length
    return np.where(difference == 0, 0.0, ratio)


def _verdict(part: str, unscaled: _Course, scaled: _Course, tolerance: float) -> dict[str, object]:
    one, other = unscaled.updates[part], scaled.updates[part]
    steps = min(len(one), len(other))  # a run that diverged is shorter
    differences = relative_differences(one[:steps], other[:steps])
    whole = len(one) == len(other)
    return {
        "part": part,
        "first": differences[0],
        "median": float(np.median(differences)),
        "largest": differences.max() if whole else np.inf,
        "first_norm_ratio": float(other[0].norm() / one[0].norm()),
        "first_invariant": bool(differences[0] < tolerance),
        "invariant": whole and bool(differences.max() < tolerance),
    }


def _network(seed: int) -> MultiTaskNetwork:
    def layers(inputs: int, outputs: int) -> list[nn.Module]:
        return [nn.Linear(inputs, WIDTH), nn.LeakyReLU(), nn.Linear(WIDTH, outputs)]

    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(stream_seed(seed, "init"))
        backbone = nn.Sequential(nn.Flatten(), *layers(1, WIDTH), nn.LeakyReLU())
        return MultiTaskNetwork(backbone, {name: nn.Sequential(*layers(WIDTH, 1)) for name in TARGETS})


def _train(section: LossScaling, method: Method, scales: tuple[float, float], frozen: bool) -> _Course:
    network = _network(section.seed)
    inputs = torch.rand(section.samples, 1, 1, 1, generator=stream(section.seed, "inputs"))
    batch = Batch(inputs, {name: factor * inputs.flatten() for name, factor in TARGETS.items()})
    tasks = [ScaledDistance(name, scale) for name, scale in zip(TARGETS, scales, strict=True)]
    updater = build_updater(
        network,
        tasks,
        method.weighting,
        _without_decay(method.optimizer),
        section.learning_rate,
        generator=stream(section.seed, "weighting"),
        explosion_factor=1e6,
    )
    parts = dict(zip(PARTS, [network.shared_parameters(), *map(network.head_parameters, TARGETS)], strict=True))
    rows: list[tuple[int, str, str, float]] = []
    updates: dict[str, list[Tensor]] = {part: [] for part in PARTS}
    for epoch in range(1, section.epochs + 1):
        gradients = _task_gradients(network, tasks, batch)
        before = {part: _flat(parameters) for part, parameters in parts.items()}
        try:
            updater.step(batch)
        except Diverged:
            break
        if frozen:  # put back rather than left out of the graph: then any method can be run
            with torch.no_grad():
                nn.utils.vector_to_parameters(before["backbone"], parts["backbone"])
        figures = updater.end_epoch()
        for part, parameters in parts.items():
            updates[part].append(_flat(parameters) - before[part])
            rows.append((epoch, "update norm", part, float(updates[part][-1].norm())))
        for part, norm in _gradient_norms(gradients, figures).items():
            rows.append((epoch, "gradient norm", part, norm))
        for task in tasks:
            loss = figures[f"train/{task.name}/loss"]
            rows += [
                (epoch, "scaled loss", f"head {task.name}", loss),
                (epoch, "loss", f"head {task.name}", loss / task.scale),
            ]
    return _Course(rows, {part: torch.stack(steps) for part, steps in updates.items()})


def _task_gradients(network: MultiTaskNetwork, tasks: list[ScaledDistance], batch: Batch) -> list[dict[str, Tensor]]:
    """Return of each task its scaled loss's gradients on the backbone and on its head, flat."""
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
    """Return the length of what the method makes of the gradients: weighted where it weighs, else their sum."""
    weights = [figures.get(f"train/{name}/weight", 1.0) for name in TARGETS]
    of_heads = [figures.get(f"train/{name}/head_weight", 1.0) for name in TARGETS]
    total = sum((weight * each["shared"] for weight, each in zip(weights, gradients, strict=True)), torch.zeros(()))
    heads = {
        f"head {name}": abs(weight) * float(each["own"].norm())
        for name, weight, each in zip(TARGETS, of_heads, gradients, strict=True)
    }
    return {"backbone": float(total.norm()), **heads}


def _flat(parameters: list[nn.Parameter]) -> Tensor:
    return torch.cat([parameter.detach().flatten() for parameter in parameters])


def _without_decay(optimizer: Choice) -> Choice:
    options = {"weight_decay": 0.0} if "weight_decay" in OPTIMIZERS.options_of(optimizer.name) else {}
    return Choice(name=optimizer.name, options={**options, **optimizer.options})
