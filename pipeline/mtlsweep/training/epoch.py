"""How a trial starts and trains one epoch: bit for bit the same in the sweep and in a study that watches it."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from itertools import islice

import torch
from torch import nn

from mtlsweep.params.suite import Schedule
from mtlsweep.suites.networks import MultiTaskNetwork, create_network
from mtlsweep.suites.prepared.splits import Batch, PreparedData, with_further
from mtlsweep.training.augmentation import augment
from mtlsweep.training.content import check_content
from mtlsweep.training.evaluation import evaluate
from mtlsweep.training.seeds import stream, stream_seed
from mtlsweep.training.step.updater import Updater, build_updater
from mtlsweep.trials.trial import Trial

Watcher = Callable[[MultiTaskNetwork, Batch, int], None]
"""Called with (network, batch, epoch) before each step; must not change the network or the random state."""


def begin_training(trial: Trial, data: PreparedData, device: torch.device) -> tuple[MultiTaskNetwork, Updater]:
    """Return the trial's network before its first step, and what updates it.

    Raises:
        UserError: own code, files or metrics are not what the trial's key says.
    """
    cell = trial.cell
    check_content(trial, data.tasks_of(cell.tasks))
    network = build_network(trial, data, device)
    updater = build_updater(
        network,
        data.tasks_of(cell.tasks),
        cell.weighting,
        cell.optimizer,
        cell.learning_rate,
        generator=stream(trial.seed, "weighting"),
        precision=cell.training.precision,
        explosion_factor=cell.training.explosion_factor,
    )
    return network, updater


def build_network(trial: Trial, data: PreparedData, device: torch.device) -> MultiTaskNetwork:
    """Return the trial's network with the initial weights its seed decides."""
    with torch.random.fork_rng():
        torch.manual_seed(stream_seed(trial.seed, "init"))
        network = create_network(trial.cell.network, data.tasks_of(trial.cell.tasks), data.inputs)
    if trial.cell.training.channels_last:
        network.memory_format = torch.channels_last
    return network.to(device)


def train_epoch(
    trial: Trial,
    data: PreparedData,
    network: MultiTaskNetwork,
    updater: Updater,
    epoch: int,
    device: torch.device,
    watcher: Watcher | None = None,
) -> dict[str, float]:
    """Train `epoch` (1-based) of a trial and return the epoch's means (losses, weights, ...) from the updater.

    Raises:
        Diverged: a loss stopped being finite or exploded.
    """
    training, split = trial.cell.training, data.splits["train"]
    tasks = data.tasks_of(trial.cell.tasks)
    torch.manual_seed(stream_seed(trial.seed, "forward", epoch))  # dropout and the like
    updater.set_learning_rate(learning_rate_factor(training.schedule, epoch, training.epochs))
    numbers = range(1, updater.batches)
    generators = [
        stream(trial.seed, "order", epoch),
        *(stream(trial.seed, "order", epoch, number) for number in numbers),
    ]
    orders = [torch.randperm(len(split), generator=generator) for generator in generators]
    drawn = [split.batches(order, training.batch_size, device, trial.cell.merges_last_batch) for order in orders]
    augmentation = stream(trial.seed, "augmentation", epoch)
    network.train()
    for batches in zip(*drawn, strict=True):
        batch = with_further(
            batches
            if training.augmentation == "none"
            else [augment(batch, tasks, training.augmentation, augmentation) for batch in batches]
        )
        if watcher is not None:
            watcher(network, batch, epoch)
        updater.step(batch)
    figures = dict(updater.end_epoch())
    if updater.averages:
        _measure_batches(network, split.batches(orders[0], training.batch_size, device, trial.cell.merges_last_batch))
    return figures


def _measure_batches(network: MultiTaskNetwork, batches: Iterable[Batch]) -> None:
    """Give the batch statistics of a network, if it has any, the values of its present parameters.

    They were measured at the parameters that train, and an average of parameters is evaluated (as the authors of
    `schedulefree` advise, from the first 50 batches).
    """
    if any(isinstance(module, nn.modules.batchnorm._BatchNorm) for module in network.modules()):
        with torch.no_grad():
            for batch in islice(batches, 50):
                network(batch.inputs)


def validate(
    trial: Trial, data: PreparedData, network: MultiTaskNetwork, updater: Updater, device: torch.device
) -> dict[str, float]:
    """Return the metrics of the validation split after an epoch, and tell the weighting.

    Raises:
        UserError: the weighting's options do not fit the metrics.
    """
    tasks = data.tasks_of(trial.cell.tasks)
    metrics = evaluate(network, data.splits["val"], tasks, trial.cell.training.batch_size, device, "val")
    updater.end_validation(metrics)
    return metrics


def learning_rate_factor(schedule: Schedule, epoch: int, epochs: int) -> float:
    """Return what the initial learning rate is multiplied by in `epoch` (1-based) of `epochs`."""
    if schedule.kind == "step":
        return schedule.factor ** ((epoch - 1) // schedule.every)
    if schedule.kind == "cosine":
        return 0.5 * (1 + math.cos(math.pi * (epoch - 1) / epochs))
    return 1.0
