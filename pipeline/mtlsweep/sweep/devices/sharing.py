"""How many trials share a GPU: pure functions of what was measured and of what the hosts have."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from mtlsweep.sweep.devices.figures import GpuFigures

CONTEXT_BYTES = 768 * 2**20
"""Memory of a GPU that every process takes outside torch's allocator: the CUDA context and its libraries."""

MARGIN = 1.25
"""What a trial may need, relative to the peak of its first steps: later batches, evaluation, fragments."""

MOST_ON_A_GPU = 8
"""Processes take turns on a GPU; that more of them gain anything is unproven. Whoever knows better writes a fraction."""


@dataclass(frozen=True)
class GpuHost:
    """A host with GPUs: Ray's id, the kind of its GPUs, CPUs and GPUs."""

    id: str
    kind: str
    cpus: float
    gpus: int


@dataclass(frozen=True)
class GpuShare:
    """How trials share the GPUs of one kind.

    Attributes:
        kind: Ray's name of the kind; `GPU` if it has none.
        name: of the GPU.
        hosts: their ids.
        gpus: number on all these hosts.
        each: trials on each GPU.
        slots: trials at once on all these hosts.
        memory: part of a GPU's memory that torch may allocate in one trial; None for no limit.
        device: that trials use, see `GpuFigures`.
        why: what decided `each`.
    """

    kind: str
    name: str
    hosts: tuple[str, ...]
    gpus: int
    each: int
    slots: int
    memory: float | None
    device: str
    why: str

    @property
    def part(self) -> float:
        """The GPUs of one trial, in the steps of 0.0001 that Ray counts in."""
        return math.floor(10_000 / self.each) / 10_000

    def sentence(self) -> str:
        """Return who shares what, and why."""
        gpus = f"{self.gpus} GPUs" if self.gpus > 1 else "one GPU"
        share = f"up to {self.each} trials share each" if self.each > 1 else "each trained on by one trial at a time"
        return f"{gpus} ({self.name}): {share}, {self.slots} at once; {self.why}"


def share_gpus(
    hosts: Sequence[GpuHost], figures: Mapping[str, GpuFigures], cpus_per_trial: float, at_once: int | None
) -> list[GpuShare]:
    """Return how trials share the GPUs of `hosts`, by kind; those with most memory for a trial first.

    Trials are spread: no GPU gets a second one before the CPUs allow one for each GPU.

    Args:
        hosts: with GPUs. Those with fewer CPUs than a trial needs are left out.
        figures: by kind; of a kind without figures each GPU gets one trial.
        cpus_per_trial: `resources.cpus_per_trial`.
        at_once: most trials at once on all hosts; None: no limit.
    """
    able = [host for host in hosts if host.cpus >= cpus_per_trial and host.gpus > 0]
    gpus = sum(host.gpus for host in able)
    shares = []
    for kind in sorted({host.kind for host in able}):
        own = [host for host in able if host.kind == kind]
        each, why = _each(own, figures.get(kind), cpus_per_trial, None if at_once is None else at_once // gpus)
        one = figures.get(kind)
        shares.append(
            GpuShare(
                kind=kind,
                name=one.name if one else kind,
                hosts=tuple(host.id for host in own),
                gpus=sum(host.gpus for host in own),
                each=each,
                slots=sum(min(_trials_of_cpus(host, cpus_per_trial), host.gpus * each) for host in own),
                memory=_memory(one, each) if one and each > 1 else None,
                device=one.device if one else "cuda",
                why=why,
            )
        )
    return sorted(shares, key=lambda share: -(figures[share.kind].free if share.kind in figures else 0))


def _each(
    hosts: Sequence[GpuHost], figures: GpuFigures | None, cpus_per_trial: float, wanted: int | None
) -> tuple[int, str]:
    """Return how many trials share a GPU of one kind, and the reason."""
    if figures is None:
        return 1, "what a trial needs could not be measured"
    need = CONTEXT_BYTES + math.ceil(MARGIN * figures.trial)
    took = f", {1000 * figures.seconds:.0f} ms a step" if figures.seconds else ""
    needs = f"one needs {_gib(need)} of {_gib(figures.free)} (`{figures.heaviest}`{took})"
    cpus = sum(_trials_of_cpus(host, cpus_per_trial) for host in hosts) // sum(host.gpus for host in hosts)
    limits = [
        (figures.free // need, needs),
        (cpus, f"there are CPUs for no more, and {needs}"),
        (MOST_ON_A_GPU, f"more would only take turns, and {needs}"),
    ]
    if wanted is not None:
        limits.append((wanted, f"there are no more trials at once, and {needs}"))
    each, why = min(limits, key=lambda limit: limit[0])
    return max(1, each), why


def _memory(figures: GpuFigures, each: int) -> float:
    """Return the part of the memory that torch's allocator gets in each of `each` processes."""
    return max(0.0, figures.free / each - CONTEXT_BYTES) / figures.total


def _trials_of_cpus(host: GpuHost, cpus_per_trial: float) -> int:
    return int(host.cpus / cpus_per_trial + 1e-9)


def _gib(count: float) -> str:
    return f"{count / 2**30:.1f} GiB"
