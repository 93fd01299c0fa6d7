"""The GPUs of a Ray cluster: which hosts have them, and what a trial needs there, measured by a task on one host of each kind."""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import ray
from ray.exceptions import GetTimeoutError, RayError
from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

from mtlsweep.errors import UserError, first_line
from mtlsweep.params.resources import Resources
from mtlsweep.sweep.devices.figures import FigureStore, GpuFigures
from mtlsweep.sweep.devices.sharing import GpuHost, GpuShare, share_gpus
from mtlsweep.sweep.executors.ray.cluster import hidden_gpus
from mtlsweep.sweep.executors.ray.data_copies import DataCopies
from mtlsweep.sweep.executors.setup import Setup

KIND = "accelerator_type:"
"""Begins the name of a resource that a host has by the kind of its GPUs; a host whose kind Ray does not know has none."""

UNKNOWN_KIND = "GPU"

SECONDS_TO_WAIT = 300.0
"""A kind whose GPUs others use for longer than this is not measured."""

HOSTS_TRIED = 2
"""Of one kind, where torch cannot use a GPU."""


@dataclass(frozen=True)
class Measuring:
    """What measuring a stage's trials needs.

    Attributes:
        setup: settings of all trials.
        data: copies the prepared data to the hosts.
        store: the examples, and the figures of earlier runs.
    """

    setup: Setup
    data: DataCopies
    store: FigureStore


class Kinds:
    """The kinds of GPU that were measured, and those that torch cannot use; another thread may measure.

    Args:
        measuring: how to measure.
    """

    def __init__(self, measuring: Measuring) -> None:
        self._measuring = measuring
        self._found: tuple[Mapping[str, GpuFigures], Mapping[str, str], frozenset[str]] = ({}, {}, frozenset())

    def measure(self, hosts: Sequence[GpuHost]) -> None:
        """Measure the kinds of these hosts, as far as no earlier run has done so."""
        figures, missing = measure_kinds(hosts, self._measuring)
        known, unusable, tried = self._found
        self._found = {**known, **figures}, {**unusable, **missing}, tried | {host.kind for host in hosts}

    def found(self) -> tuple[Mapping[str, GpuFigures], Mapping[str, str]]:
        """Return figures by kind, and why torch can use no GPU of the other kinds; see `measure_kinds`."""
        return self._found[:2]

    def tried(self) -> frozenset[str]:
        """Return the kinds that were measured, or could not be."""
        return self._found[2]

    def untried(self, hosts: Sequence[GpuHost]) -> list[GpuHost]:
        """Return the hosts whose kind was not yet to be measured."""
        return [host for host in hosts if host.kind not in self.tried()]

    def write(self, sentences: Sequence[str]) -> None:
        """Keep the figures for later runs."""
        self._measuring.store.write(self._found[0], sentences)


def gpu_hosts() -> list[GpuHost]:
    """Return the hosts with GPUs."""
    return [
        GpuHost(
            id=str(node["NodeID"]),
            kind=next((name.removeprefix(KIND) for name in node["Resources"] if name.startswith(KIND)), UNKNOWN_KIND),
            cpus=node["Resources"].get("CPU", 0.0),
            gpus=int(node["Resources"]["GPU"]),
        )
        for node in ray.nodes()
        if node["Alive"] and node["Resources"].get("GPU", 0) >= 1
    ]


def able_hosts(resources: Resources) -> list[GpuHost]:
    """Return the hosts on whose GPUs trials may train."""
    return [host for host in gpu_hosts() if host.cpus >= resources.cpus_per_trial and resources.device != "cpu"]


def find_shares(resources: Resources, kinds: Kinds, at_once: int) -> tuple[list[GpuShare], list[str]]:
    """Return how trials share the cluster's GPUs, none where they train on CPUs, and sentences about it.

    Hosts whose kind is not measured yet are left out.

    Args:
        resources: with `gpus_per_trial: auto`.
        kinds: what is measured.
        at_once: most trials at once.

    Raises:
        UserError: `resources.device` is `cuda`, and no GPU can be used.
    """
    hosts = able_hosts(resources)
    if not hosts:
        if resources.device == "cuda":
            raise UserError(
                f"`resources.device` is `cuda`, but Ray finds no host with a GPU and {resources.cpus_per_trial:g} CPUs"
                f"{hidden_gpus()}; set it to `auto`, or start Ray where the GPUs are."
            )
        return [], []
    figures, missing = kinds.found()
    usable = [host for host in hosts if host.kind in kinds.tried() - missing.keys()]
    sentences = [
        f"{kind}: torch can use no GPU of this kind ({why}); no trial runs on it" for kind, why in missing.items()
    ]
    if untried := sorted({host.kind for host in kinds.untried(hosts)}):
        sentences += [f"{kind}: what a trial needs on a GPU of this kind is being measured" for kind in untried]
    if not usable and resources.device == "cuda":
        raise UserError(f"`resources.device` is `cuda`, but {'; '.join(sentences)}.")
    if not usable:
        return [], [f"{sentence}, all run on CPUs" for sentence in sentences] if missing else sentences
    shares = share_gpus(usable, figures, resources.cpus_per_trial, at_once)
    sentences = [*(share.sentence() for share in shares), *sentences]
    kinds.write(sentences)
    return shares, sentences


def describe_own_share(gpus: float, device: str) -> list[str]:
    """Return what `resources.gpus_per_trial` means if it is a number: sentences where trials share a GPU because of it."""
    if 0 < gpus < 1:
        return [f"{int(1 / gpus + 1e-9)} trials share a GPU, because `resources.gpus_per_trial` is {gpus:g}"]
    if gpus == 0 and device != "cpu" and gpu_hosts():
        return [
            "`resources.gpus_per_trial` is 0: trials that use a GPU all use the first one of their host, without a limit of memory; `auto` spreads them"
        ]
    return []


def measure_kinds(hosts: Sequence[GpuHost], measuring: Measuring) -> tuple[dict[str, GpuFigures], dict[str, str]]:
    """Return figures by kind of GPU, and why torch cannot use the kinds that it cannot use.

    A kind is in neither if it cannot be measured: its GPUs are busy, or the example crashes its process.
    """
    figures = dict(measuring.store.read())
    missing: dict[str, str] = {}
    tries = {
        kind: [host for host in hosts if host.kind == kind][:HOSTS_TRIED] for kind in {host.kind for host in hosts}
    }
    for number in range(HOSTS_TRIED):
        pending = {
            kind: _start(tried[number], measuring)
            for kind, tried in tries.items()
            if kind not in figures and number < len(tried)
        }
        for kind, task in pending.items():
            found = _result(task)
            if isinstance(found, str):
                missing[kind] = found
            elif found is not None:
                figures[kind] = found
                missing.pop(kind, None)
    return figures, missing


def _start(host: GpuHost, measuring: Measuring) -> Any:
    there = NodeAffinitySchedulingStrategy(host.id, soft=False)
    task = ray.remote(_measure_here).options(num_cpus=1, num_gpus=1, max_retries=0, scheduling_strategy=there)
    return task.remote([trial.to_json() for trial in measuring.store.examples], measuring.setup, measuring.data)


def _result(task: Any) -> GpuFigures | str | None:
    """Return what a task measured, why torch can use no GPU there, or None."""
    try:
        found: GpuFigures | str | None = ray.get(task, timeout=SECONDS_TO_WAIT)
        return found
    except GetTimeoutError:
        ray.cancel(task, force=True)
    except RayError:
        pass  # the process died, or cannot read the data: the trials will show why
    return None


def _measure_here(examples: Sequence[Mapping[str, Any]], setup: Setup, data: DataCopies) -> GpuFigures | str | None:
    """Measure in a process of Ray's that has a GPU to itself, and ends then."""
    import torch

    from mtlsweep.suites.prepared.splits import open_prepared
    from mtlsweep.sweep.devices.figures import measure
    from mtlsweep.training.device import torch_threads
    from mtlsweep.trials.trial import Trial

    try:
        torch.zeros(1, device="cuda")
    except Exception as error:
        return first_line(error)
    if setup.import_path not in sys.path:
        sys.path.insert(0, setup.import_path)
    trials = [Trial.from_json(example) for example in examples]
    directory = data.directory_here(trials[0].cell.data_fingerprint)
    with torch_threads(setup.threads):
        return measure(trials, open_prepared(directory), torch.device("cuda"))
