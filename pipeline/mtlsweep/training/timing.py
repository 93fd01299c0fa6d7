"""How long a few steps of a trial take, for forecasts."""

from __future__ import annotations

import math
import time

import torch

from mtlsweep.suites.prepared.splits import PreparedData
from mtlsweep.training.epoch import begin_training
from mtlsweep.trials.trial import Trial


def time_steps(trial: Trial, data: PreparedData, device: torch.device, warm_up: int, steps: int) -> float:
    """Return the seconds that one epoch of training steps takes, extrapolated from `steps` timed ones."""
    network, updater = begin_training(trial, data, device)
    split, size = data.splits["train"], trial.cell.training.batch_size
    order = torch.arange(min(len(split), (warm_up + steps) * size))
    network.train()
    began, timed = time.perf_counter(), 0
    for number, batch in enumerate(split.batches(order, size, device)):
        if number == min(warm_up, len(order) // size - 1):
            began, timed = time.perf_counter(), 0
        updater.step(batch)
        timed += 1
    return (time.perf_counter() - began) / timed * math.ceil(len(split) / size)
