"""Trains finished trials again: to watch their training, or to get the network of their best epoch."""

from __future__ import annotations

import math
from collections.abc import Callable

import torch
from safetensors.torch import load as load_safetensors

from mtlsweep.errors import UserError
from mtlsweep.record.ledger import Ledger
from mtlsweep.studies.finished_trials import ChosenTrial
from mtlsweep.suites.networks import MultiTaskNetwork
from mtlsweep.suites.prepared.splits import PreparedData
from mtlsweep.training.epoch import Watcher, begin_training, build_network, train_epoch, validate
from mtlsweep.training.evaluation import evaluate
from mtlsweep.training.step.updater import Updater
from mtlsweep.training.trial import EpochEnd, run_trial
from mtlsweep.trials.trial import Trial

TOLERANCE = 1e-3
"""Largest relative difference between a metric and the recorded one: other hardware rounds differently."""


def retrain(
    trial: Trial,
    data: PreparedData,
    device: torch.device,
    epochs: int,
    watcher: Watcher,
    begin: Callable[[MultiTaskNetwork, Updater], None] = lambda network, updater: None,
) -> MultiTaskNetwork:
    """Train the first `epochs` of `trial` as `run_trial` does, bit for bit.

    Args:
        watcher: called before every step.
        begin: called with the network and what updates it, before everything else.

    Raises:
        Diverged: if the trial diverged.
    """
    network, updater = begin_training(trial, data, device)
    begin(network, updater)
    for epoch in range(1, epochs + 1):
        train_epoch(trial, data, network, updater, epoch, device, watcher)
        if updater.needs_validation:
            validate(trial, data, network, updater, device)
    return network


def trained_network(chosen: ChosenTrial, data: PreparedData, ledger: Ledger, device: torch.device) -> MultiTaskNetwork:
    """Return the network of a trial at its best epoch: from the ledger's checkpoint if that is of the best epoch, else trained again.

    Raises:
        UserError: even after training again its metrics differ from the recorded ones.
    """
    network = build_network(chosen.trial, data, device)
    checkpoint = ledger.checkpoints.load_best(chosen.trial.key)
    if checkpoint is not None:
        network.load_state_dict(load_safetensors(checkpoint))
        if reproduces_recorded_metrics(network, chosen, data, device):
            return network
    weights: list[bytes] = []

    def keep(end: EpochEnd) -> None:
        if end.record.epoch == chosen.best_epoch:
            weights.append(end.weights())

    run_trial(chosen.trial, data, keep, score=lambda metrics: math.inf, device=device, until=chosen.best_epoch)
    network.load_state_dict(load_safetensors(weights[0]))
    if not reproduces_recorded_metrics(network, chosen, data, device):
        raise UserError(
            f"trial `{chosen.trial.key}` ({chosen.trial.name}) no longer gives the test metrics recorded for it, so it was trained by "
            f"other code or on another machine; run `mtlsweep run {chosen.trial.key}` to compare, or remove its directory from the ledger."
        )
    return network


def reproduces_recorded_metrics(
    network: MultiTaskNetwork, chosen: ChosenTrial, data: PreparedData, device: torch.device
) -> bool:
    """Whether `network` has, on the clean test split, the metrics that the trial recorded at its best epoch."""
    tasks = data.tasks_of(chosen.trial.cell.tasks)
    measured = evaluate(network, data.splits["test"], tasks, chosen.trial.cell.training.batch_size, device, "test")
    return all(
        math.isclose(value, measured[name], rel_tol=TOLERANCE, abs_tol=TOLERANCE)
        or (math.isnan(value) and math.isnan(measured[name]))
        for name, value in chosen.recorded("test").items()
    )
