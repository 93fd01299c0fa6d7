"""Finished trials made again: with someone watching, or as the network of their best epoch."""

from __future__ import annotations

import math

import torch
from safetensors.torch import load as load_safetensors

from mtlsweep.errors import UserError
from mtlsweep.record.checkpoints import BEST
from mtlsweep.record.ledger import Ledger
from mtlsweep.studies.finished_trials import ChosenTrial
from mtlsweep.suites.networks import MultiTaskNetwork
from mtlsweep.suites.prepared.splits import PreparedData
from mtlsweep.training.epoch import Watcher, begin_training, build_network, train_epoch
from mtlsweep.training.evaluation import evaluate
from mtlsweep.training.trial import EpochEnd, run_trial
from mtlsweep.trials.trial import Trial

TOLERANCE = 1e-3
"""How far, relatively, a metric may lie from the recorded one: other hardware rounds otherwise."""


def retrain(trial: Trial, data: PreparedData, device: torch.device, epochs: int, watcher: Watcher) -> MultiTaskNetwork:
    """Train the first `epochs` of `trial` as `run_trial` does, to the bit, and show `watcher` every step.

    Raises:
        Diverged: as the trial did.
    """
    network, updater = begin_training(trial, data, device)
    for epoch in range(1, epochs + 1):
        train_epoch(trial, data, network, updater, epoch, device, watcher)
    return network


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
    tasks = data.tasks_of(chosen.trial.cell.tasks)
    measured = evaluate(network, data.splits["test"], tasks, chosen.trial.cell.training.batch_size, device)
    return all(
        math.isclose(value, measured[name], rel_tol=TOLERANCE, abs_tol=TOLERANCE)
        or (math.isnan(value) and math.isnan(measured[name]))
        for name, value in chosen.recorded("test").items()
    )
