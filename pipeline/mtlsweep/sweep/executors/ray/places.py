"""Where an attempt may run: pools of hosts whose slots are alike, and what an attempt asks Ray for in one of them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from ray import tune

from mtlsweep.sweep.devices.sharing import GpuShare
from mtlsweep.sweep.executors.attempts import Attempt
from mtlsweep.sweep.executors.ray.gpus import KIND, UNKNOWN_KIND

SOME_OF_A_KIND = 0.001
"""A host has 1 of the resource of its kind of GPU, for all its trials."""


@dataclass(frozen=True)
class Pool:
    """Hosts on which a trial asks for the same.

    Attributes:
        cpus, gpus: of one trial.
        slots: trials at once on these hosts.
        memory: part of a GPU's memory that torch may allocate in a trial; None for no limit.
        kind: of its GPUs, where a cluster has several kinds.
        hosts: ids of its hosts, where a cluster has several kinds.
        device: torch's name of the device that trials use there; None: `resources.device`.
    """

    cpus: float
    gpus: float
    slots: int
    memory: float | None = None
    kind: str | None = None
    hosts: tuple[str, ...] = ()
    device: str | None = None


def shared_pools(shares: Sequence[GpuShare], cpus: float, kinds: Collection[str]) -> list[Pool]:
    """Return a pool for each share.

    Args:
        shares: of the GPUs that trials use.
        cpus: of one trial.
        kinds: of all GPUs of the cluster.
    """
    several = len(set(kinds)) > 1
    return [
        Pool(
            cpus,
            share.part,
            share.slots,
            share.memory,
            share.kind if several else None,
            share.hosts if several else (),
            share.device,
        )
        for share in shares
    ]


class Places:
    """Gives every attempt a place in the pool with the largest part of its slots free.

    Args:
        pools: returns those of the hosts there are now; the first one takes attempts that need a device for themselves.
        hosts: returns the ids of the hosts there are now; a kind of GPU whose hosts are gone takes no attempts.
        whole_host: returns the number of CPUs of the largest host, for an attempt without a GPU that runs alone.
    """

    def __init__(
        self,
        pools: Callable[[], Sequence[Pool]],
        hosts: Callable[[], Collection[str]],
        whole_host: Callable[[], float],
    ) -> None:
        self._pools = pools
        self._hosts = hosts
        self._whole_host = whole_host
        self._taken: dict[str, Pool] = {}

    def take(self, trial_id: str, attempt: Attempt) -> dict[str, Any]:
        """Return the place of an attempt, as plain data for `placement`.

        After it ran out of memory a trial gets a whole GPU, or a whole host without GPUs.
        """
        pool = self._choose(attempt)
        self._taken[trial_id] = pool
        cpus, gpus, memory = pool.cpus, pool.gpus, pool.memory
        if attempt.alone and gpus > 0:
            gpus, memory = max(1.0, gpus), None if memory is None else 1.0
        elif attempt.alone:
            cpus = max(cpus, self._whole_host())
        nodes = f"!in({','.join(attempt.avoid)})" if attempt.avoid else None
        if pool.kind == UNKNOWN_KIND:  # which no resource names
            nodes = f"in({','.join(sorted(set(pool.hosts) - set(attempt.avoid)) or pool.hosts)})"
        kind = {} if pool.kind in (None, UNKNOWN_KIND) else {f"{KIND}{pool.kind}": SOME_OF_A_KIND}
        return {"cpus": cpus, "gpus": gpus, "memory": memory, "kind": kind, "nodes": nodes, "device": pool.device}

    def release(self, trial_id: str) -> None:
        """Free the place of an attempt that ended."""
        self._taken.pop(trial_id, None)

    def _choose(self, attempt: Attempt) -> Pool:
        able = list(self._pools())
        if len(able) > 1:
            usable = set(self._hosts()) - set(attempt.avoid)
            able = [pool for pool in able if not usable.isdisjoint(pool.hosts)] or able
        if attempt.alone:
            return able[0]
        taken = Counter(pool.kind for pool in self._taken.values())
        return max(able, key=lambda pool: (pool.slots - taken[pool.kind]) / pool.slots)


def placement(config: Mapping[str, Any]) -> tune.PlacementGroupFactory:
    """Return Ray's request for the place in an attempt's configuration."""
    place = config["place"]
    bundle = {"CPU": place["cpus"], **place["kind"]}
    if place["gpus"] > 0:
        bundle["GPU"] = place["gpus"]
    if place["nodes"] is None:
        return tune.PlacementGroupFactory([bundle])
    return tune.PlacementGroupFactory([bundle], bundle_label_selector=[{"ray.io/node-id": place["nodes"]}])
