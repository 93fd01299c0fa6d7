"""How much memory and time a few steps of a trial take on a device."""

from __future__ import annotations

import gc
import resource
import sys
import time
from contextlib import suppress
from dataclasses import dataclass
from itertools import islice

import psutil
import torch

from mtlsweep.suites.prepared.splits import PreparedData, with_further
from mtlsweep.training.epoch import begin_training
from mtlsweep.training.step.divergence import Diverged
from mtlsweep.trials.trial import Trial


@dataclass(frozen=True)
class DeviceMemory:
    """A device's name, its memory, and how much of that other processes leave free (bytes)."""

    name: str
    total: int
    free: int


@dataclass(frozen=True)
class StepCost:
    """The peak memory of a trial's steps (bytes), without what a process has before them, and the seconds of one step."""

    peak: int
    seconds: float


def read_memory(device: torch.device) -> DeviceMemory:
    """Return the memory of a device; what torch holds in this process counts as free."""
    if device.type == "cuda":
        free, total = torch.cuda.mem_get_info(device)
        return DeviceMemory(torch.cuda.get_device_name(device), total, free + torch.cuda.memory_reserved(device))
    memory = psutil.virtual_memory()
    return DeviceMemory("CPU", memory.total, memory.available)


def measure_steps(trial: Trial, data: PreparedData, device: torch.device, warm_up: int, steps: int) -> StepCost:
    """Return what `steps` training steps after `warm_up` ones, and a batch of each other split, take.

    On a GPU the peak is that of torch's allocator, with its unused blocks, as a limit of a process counts them
    (`torch.cuda.set_per_process_memory_fraction`); on a CPU it is the peak of the process so far.

    Raises:
        Exception: any exception of the trial's code.
    """
    _forget_peak(device)
    network, updater = begin_training(trial, data, device)
    size, merge = trial.cell.training.batch_size, trial.cell.merges_last_batch
    drawn = [data.splits["train"].batches(None, size, device, merge) for _ in range(updater.batches)]
    network.train()
    stamps = []
    with suppress(Diverged):  # it has taken its memory all the same
        for batches in islice(zip(*drawn, strict=True), warm_up + steps):
            updater.step(with_further(batches))
            stamps.append(_now(device))
    network.eval()
    with torch.no_grad():
        for name in ("val", "test"):
            for batch in islice(data.splits[name].batches(None, size, device), 1):
                network(batch.inputs)
    timed = stamps[min(warm_up, len(stamps)) - 1 :] if stamps else []
    return StepCost(_peak(device), (timed[-1] - timed[0]) / (len(timed) - 1) if len(timed) > 1 else 0.0)


def _forget_peak(device: torch.device) -> None:
    gc.collect()  # what an earlier trial left
    if device.type == "cuda":
        torch.cuda.empty_cache()
        torch.cuda.reset_peak_memory_stats(device)


def _peak(device: torch.device) -> int:
    if device.type == "cuda":
        return torch.cuda.max_memory_reserved(device)
    unit = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit


def _now(device: torch.device) -> float:
    if device.type == "cuda":
        torch.cuda.synchronize(device)
    return time.perf_counter()
