"""How long a few steps of a trial take, for forecasts."""

from __future__ import annotations

import time

import torch

from mtlsweep.suites.prepared.batches import cut
from mtlsweep.suites.prepared.splits import PreparedData
from mtlsweep.training.epoch import begin_training
from mtlsweep.trials.trial import Trial


def time_steps(trial: Trial, data: PreparedData, device: torch.device, warm_up: int, steps: int) -> float:
    """Return the seconds that one epoch of training steps takes: that of its last batch, and `steps` full ones extrapolated."""
    network, updater = begin_training(trial, data, device)
    split, size, merge = data.splits["train"], trial.cell.training.batch_size, trial.cell.merges_last_batch
    rows = torch.arange(len(split))
    full = cut(rows, size, merge)[:-1]
    tried = min(len(full), warm_up + steps)
    order = torch.cat([rows[: tried * size], rows[len(full) * size :]])
    network.train()
    stamps = [time.perf_counter()]
    for batch in split.batches(order, size, device, merge):
        updater.step(batch)
        stamps.append(time.perf_counter())
    last = stamps[-1] - stamps[-2]
    if not full:
        return last
    first = min(warm_up, tried - 1)
    return last + (stamps[tried] - stamps[first]) / (tried - first) * len(full)
