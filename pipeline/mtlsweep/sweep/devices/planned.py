"""How trials would share GPUs, before a sweep starts, for `mtlsweep plan`."""

from __future__ import annotations

import os

import torch

from mtlsweep.environment import usable_cpus
from mtlsweep.params.resources import Resources
from mtlsweep.suites.prepared.splits import PreparedData
from mtlsweep.sweep.devices.figures import FigureStore, measure
from mtlsweep.sweep.devices.sharing import GpuHost, share_gpus
from mtlsweep.training.device import torch_threads


def plan_devices(
    resources: Resources, store: FigureStore, data: PreparedData, trials: int
) -> tuple[list[str], int | None]:
    """Return sentences on how trials would share GPUs, and how many would run at once; None where this is not known here.

    On this machine's own GPUs the trials are measured if no sweep has done so. What a cluster has is known from its last run.

    Args:
        resources: of the params.
        store: figures of earlier runs.
        data: the prepared data.
        trials: number of trials that are wanted now.
    """
    if resources.executor == "inline" or resources.gpus_per_trial != "auto" or resources.device == "cpu":
        return [], None
    if resources.address != "local" or os.environ.get("RAY_ADDRESS"):
        last = [f"in the last run: {sentence}" for sentence in store.read_sentences()]
        return last or ["how many trials share a GPU is measured when the sweep starts"], None
    if not torch.cuda.is_available():
        return [], None
    name = torch.cuda.get_device_name()
    figures = next((one for one in store.read().values() if one.name == name), None)
    if figures is None:
        with torch_threads(resources.threads):
            figures = measure(store.examples, data, torch.device("cuda"))
    here = GpuHost("here", name, usable_cpus(), torch.cuda.device_count())
    at_once = min(trials, resources.concurrency or trials)
    shares = share_gpus([here], {name: figures} if figures else {}, resources.cpus_per_trial, at_once)
    return [share.sentence() for share in shares], sum(share.slots for share in shares) or None
