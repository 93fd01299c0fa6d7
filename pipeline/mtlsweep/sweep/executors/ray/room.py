"""Room for trials on the hosts that there are now. On a cluster it is read again and again: hosts come and go."""

from __future__ import annotations

import math
import threading
import time
from collections.abc import Mapping, Sequence
from typing import Any

from mtlsweep.errors import UserError
from mtlsweep.params.resources import Resources
from mtlsweep.sweep.executors.executor import Work
from mtlsweep.sweep.executors.ray.cluster import asked_for, count_slots, hosts_with_room, living_nodes, no_room
from mtlsweep.sweep.executors.ray.gpus import Kinds, able_hosts, describe_own_share, find_shares, gpu_hosts
from mtlsweep.sweep.executors.ray.places import Pool, shared_pools

SECONDS_BETWEEN_READS = 2.0

SECONDS_BETWEEN_LOOKS = 0.5
"""Of a stage that waits for its first host."""

SECONDS_UNTIL_MISSED = 5.0
"""Ray may notice that a process is gone before it notices that its host is."""


class Room:
    """Where trials can run, and how many at once.

    GPUs of a kind that has not been seen are measured before trials run on them: at the start while the stage waits, later
    beside the trials that run elsewhere.

    Args:
        resources: of one trial, and the most trials at once.
        kinds: the kinds of GPU, as far as they are measured.
        most: trials that are wanted now, or fewer.
        grows: whether hosts may come and go; those of a local Ray do not.
    """

    def __init__(self, resources: Resources, kinds: Kinds, most: int, grows: bool) -> None:
        self._resources = resources
        self._kinds = kinds
        self._most = most
        self._grows = grows
        self._read_at = -math.inf
        self._seen: object = None
        self._measuring: threading.Thread | None = None
        self._refusal = ""
        self.pools: list[Pool] = []
        """Of the hosts that there are; if those have no room, of the last ones that had."""
        self.slots = 0
        """Trials that fit at once."""
        self.hosts: list[str] = []
        """Ids of the hosts that are large enough for a trial."""
        self.largest_host = 0.0
        """CPUs of the largest host."""
        self.sentences: list[str] = []
        """For people: which devices trials run on or wait for."""

    def wait(self, work: Work) -> bool:
        """Wait until a host has room, at most `resources.wait_minutes`; return False if the work stops before.

        Raises:
            UserError: no host has room; of a local Ray this is known at once.
        """
        minutes, wanted = self._resources.wait_minutes, min(self._most, self._resources.concurrency or 1)
        until = time.monotonic() + 60 * minutes
        self.read()
        if not self.slots and self._grows and minutes:
            work.devices([f"no host has room for a trial yet; the stage waits for one, at most {_minutes(minutes)}"])
        while not self.slots:
            if not self._grows or not minutes:
                raise UserError(self._refusal)
            if time.monotonic() >= until:
                raise UserError(f"after {_minutes(minutes)} (`resources.wait_minutes`) {self._refusal}")
            with asked_for(self._smallest_request(), wanted):
                hosts = _ids(living_nodes())
                while _ids(living_nodes()) == hosts and time.monotonic() < until:
                    if work.stopping() is not None:
                        return False
                    time.sleep(SECONDS_BETWEEN_LOOKS)
            self.read()
        work.devices(self.sentences)
        return True

    def read_again(self) -> bool:
        """Read what there is now, if hosts may have come or gone since the last time; return whether anything changed."""
        if not self._grows or time.monotonic() - self._read_at < SECONDS_BETWEEN_READS:
            return False
        before = (self.slots, self.hosts, self.sentences)
        self.read(in_background=True)
        return before != (self.slots, self.hosts, self.sentences)

    def living(self, host: str | None) -> set[str]:
        """Return the ids of the hosts that there are; wait a little for the news that `host` is gone, if it may go."""
        until = time.monotonic() + (SECONDS_UNTIL_MISSED if self._grows else 0.0)
        while host in (living := _ids(living_nodes())) and time.monotonic() < until:
            time.sleep(0.2)
        return living

    @property
    def limit(self) -> int:
        """Most trials at once, those that wait for a host included: only they are demand that an autoscaler sees.

        With several kinds of GPU none waits, since it would wait for a certain kind.
        """
        concurrency = self._resources.concurrency
        if self._grows and concurrency is not None and len(self.pools) == 1:
            return concurrency
        return max(1, self.slots if concurrency is None else min(self.slots, concurrency))

    def read(self, in_background: bool = False) -> None:
        """Read which hosts there are, and measure their GPUs if need be.

        Args:
            in_background: whether trials run already, which shall not wait for measurements.
        """
        self._read_at = time.monotonic()
        nodes = living_nodes()
        seen = sorted((node["NodeID"], sorted(node["Resources"].items())) for node in nodes), self._kinds.tried()
        if seen == self._seen:
            return
        self._seen = seen
        self.largest_host = max((node["Resources"].get("CPU", 0.0) for node in nodes), default=0.0)
        pools, sentences = self._find_pools(in_background)
        self.slots = sum(pool.slots for pool in pools)
        self.pools = pools or self.pools
        least = [min((getattr(pool, name) for pool in self.pools), default=0.0) for name in ("cpus", "gpus")]
        self.hosts = hosts_with_room(*least) if self.slots else []
        if not self.slots:
            sentences = [*sentences, "no host has room for a trial now; the trials go on when one comes"]
        elif self._grows:
            hosts = f"{len(self.hosts)} hosts" if len(self.hosts) > 1 else "one host"
            trials = f"{self.slots} trials at once" if self.slots > 1 else "one trial"
            sentences = [*sentences, f"{hosts} with room for {trials}"]
        self.sentences = sentences

    def _find_pools(self, in_background: bool) -> tuple[list[Pool], list[str]]:
        """Return the pools of the hosts that there are, none if no trial fits, and sentences about their GPUs."""
        cpus, gpus = self._resources.cpus_per_trial, self._resources.gpus_per_trial
        if gpus != "auto":
            sentences = describe_own_share(gpus, self._resources.device)
            return self._plain_pool(
                Pool(cpus, gpus, count_slots(cpus, gpus), gpus if 0 < gpus < 1 else None)
            ), sentences
        self._measure(in_background)
        try:
            shares, sentences = find_shares(self._resources, self._kinds, self._most)
        except UserError as error:
            self._refusal = str(error)
            return [], []
        if shares:
            return shared_pools(shares, cpus, [host.kind for host in gpu_hosts()]), sentences
        if any(pool.gpus for pool in self.pools):  # a stage that trains on GPUs waits for the next one
            return [], sentences
        untried = [host.id for host in self._kinds.untried(able_hosts(self._resources))]
        return self._plain_pool(Pool(cpus, 0.0, count_slots(cpus, 0.0, untried), device="cpu")), sentences

    def _plain_pool(self, pool: Pool) -> list[Pool]:
        remedy = (
            "start hosts that have them, or reduce it in params.yaml" if self._grows else "reduce it in params.yaml"
        )
        self._refusal = f"{no_room(pool.cpus, pool.gpus)}; {remedy}."
        return [pool] if pool.slots else []

    def _measure(self, in_background: bool) -> None:
        new = self._kinds.untried(able_hosts(self._resources))
        if not new or (self._measuring is not None and self._measuring.is_alive()):
            return
        if in_background:
            self._measuring = threading.Thread(target=self._kinds.measure, args=(new,), name="gpus", daemon=True)
            self._measuring.start()
        else:
            self._kinds.measure(new)

    def _smallest_request(self) -> Mapping[str, Any]:
        """Return what a trial needs at least, while nobody knows which GPUs there will be."""
        gpus = self._resources.gpus_per_trial
        if gpus == "auto":
            gpus = 1.0 if self._resources.device == "cuda" else 0.0
        return {"CPU": self._resources.cpus_per_trial} | ({"GPU": gpus} if gpus else {})


def _ids(nodes: Sequence[Mapping[str, Any]]) -> set[str]:
    return {node["NodeID"] for node in nodes}


def _minutes(count: float) -> str:
    return "one minute" if count == 1 else f"{count:g} minutes"
