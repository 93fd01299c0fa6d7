"""Finished trials made again: with someone watching, or as the network of their best epoch."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import torch
from safetensors.torch import load as load_safetensors

from pipeline.data import Batch, PreparedData
from pipeline.data.augmentation import augment
from pipeline.errors import UserError
from pipeline.ledger import BEST, Ledger
from pipeline.networks import MultiTaskNetwork
from pipeline.studies.cells import ChosenTrial
from pipeline.training.evaluation import evaluate
from pipeline.training.seeds import stream, stream_seed
from pipeline.training.step import build_updater
from pipeline.training.trial import EpochEnd, build_network, learning_rate_factor, run_trial
from pipeline.trials import Trial

Watcher = Callable[[MultiTaskNetwork, Batch, int, int], None]
"""Sees (network, batch, epoch, iteration) before each step; it must leave network and random state as they are."""

TOLERANCE = 1e-3
"""How far, relatively, a metric may lie from the recorded one: other hardware rounds otherwise."""


def retrain(trial: Trial, data: PreparedData, device: torch.device, epochs: int, watcher: Watcher) -> MultiTaskNetwork:
    """Train the first `epochs` of `trial` as `run_trial` does, to the bit, and show `watcher` every step.

    Raises:
        Diverged: as the trial did.
    """
    cell, training = trial.cell, trial.cell.training
    tasks = [task for task in data.tasks if task.name in cell.tasks]
    network = build_network(trial, data, device)
    updater = build_updater(
        network,
        tasks,
        cell.weighting,
        cell.optimizer,
        cell.learning_rate,
        generator=stream(trial.seed, "weighting"),
        precision=training.precision,
        explosion_factor=training.explosion_factor,
    )
    split, iteration = data.splits["train"], 0
    for epoch in range(1, epochs + 1):
        torch.manual_seed(stream_seed(trial.seed, "forward", epoch))
        updater.set_learning_rate(learning_rate_factor(training.schedule, epoch, training.epochs))
        order = torch.randperm(len(split), generator=stream(trial.seed, "order", epoch))
        augmentation = stream(trial.seed, "augmentation", epoch)
        network.train()
        for batch in split.batches(order, training.batch_size, device):
            if training.augmentation != "none":
                batch = augment(batch, tasks, training.augmentation, augmentation)
            watcher(network, batch, epoch, iteration)
            updater.step(batch)
            iteration += 1
        updater.end_epoch()
    return network


@contextmanager
def threads_of_a_trial(threads: int) -> Iterator[None]:
    """Let torch use as many threads as the sweep gave a trial: with another number sums differ in their last bits."""
    before = torch.get_num_threads()
    torch.set_num_threads(threads)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def trained_network(chosen: ChosenTrial, data: PreparedData, ledger: Ledger, device: torch.device) -> MultiTaskNetwork:
    """Return the network of a trial at its best epoch: from the ledger's checkpoint if it is that one, else trained again.

    Raises:
        UserError: even trained again it does not measure what was recorded.
    """
    network = build_network(chosen.trial, data, device)
    checkpoint = ledger.directory / chosen.trial.key / BEST
    if checkpoint.exists():
        network.load_state_dict(load_safetensors(checkpoint.read_bytes()))
        if measures_as_recorded(network, chosen, data, device):
            return network
    weights: list[bytes] = []

    def keep(end: EpochEnd) -> None:
        if end.record.epoch == chosen.best_epoch:
            weights.append(end.weights())

    run_trial(chosen.trial, data, keep, score=lambda metrics: math.inf, device=device, until=chosen.best_epoch)
    network.load_state_dict(load_safetensors(weights[0]))
    if not measures_as_recorded(network, chosen, data, device):
        raise UserError(
            f"trial `{chosen.trial.key}` ({chosen.trial.name}) no longer gives the test metrics recorded for it, so it was trained by "
            f"other code or on another machine; run `mtlsweep run {chosen.trial.key}` to compare, or remove its directory from the ledger."
        )
    return network


def measures_as_recorded(
    network: MultiTaskNetwork, chosen: ChosenTrial, data: PreparedData, device: torch.device
) -> bool:
    """Whether `network` has, on the clean test split, the metrics that the trial recorded at its best epoch."""
    tasks = [task for task in data.tasks if task.name in chosen.trial.cell.tasks]
    measured = evaluate(network, data.splits["test"], tasks, chosen.trial.cell.training.batch_size, device)
    return all(
        math.isclose(value, measured[name], rel_tol=TOLERANCE, abs_tol=TOLERANCE)
        or (math.isnan(value) and math.isnan(measured[name]))
        for name, value in chosen.recorded("test").items()
    )
