"""Hosts come and go: the first one is waited for, room is read again, demand is shown, new kinds of GPU are measured.

Ray's list of hosts is invented here; `test_growing_cluster.py` has real ones.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from types import SimpleNamespace
from typing import Any, cast

import pytest
import ray

from mtlsweep.errors import UserError
from mtlsweep.params.resources import Resources
from mtlsweep.sweep.devices.figures import GpuFigures
from mtlsweep.sweep.executors.ray import gpus, room
from mtlsweep.sweep.executors.ray.gpus import Kinds, Measuring
from mtlsweep.sweep.executors.ray.places import Places
from mtlsweep.sweep.executors.ray.room import Room

GIB = 2**30
A100 = GpuFigures("cuda", "A100", 40 * GIB, 40 * GIB, 12 * GIB, "ew adam", 0.1)  # two trials fit
T4 = GpuFigures("cuda", "T4", 15 * GIB, 15 * GIB, 11 * GIB, "ew adam", 0.1)  # one fits


def host(name: str, cpus: float = 0.0, gpus: int = 0, kind: str | None = None) -> dict[str, Any]:
    resources = {"CPU": cpus, "GPU": float(gpus)} | ({f"accelerator_type:{kind}": 1.0} if kind else {})
    return {"NodeID": name, "Alive": True, "Resources": {name: count for name, count in resources.items() if count}}


HEAD = host("head")


class Cluster:
    """Hosts that a test adds and takes away, and the demand that the cluster's autoscaler sees."""

    def __init__(self) -> None:
        self.nodes = [HEAD]
        self.demand: list[dict[str, float]] = []

    def ask(self, bundles: list[dict[str, float]]) -> dict[str, float]:
        (bundle,) = bundles
        self.demand.append(bundle)
        return bundle


@pytest.fixture
def cluster(monkeypatch: pytest.MonkeyPatch) -> Cluster:
    made = Cluster()
    monkeypatch.setattr(ray, "nodes", lambda: made.nodes)
    monkeypatch.setattr(ray.util, "placement_group", made.ask)
    monkeypatch.setattr(ray.util, "remove_placement_group", made.demand.remove)
    monkeypatch.setattr(room, "SECONDS_BETWEEN_READS", 0.0)
    monkeypatch.setattr(room, "SECONDS_BETWEEN_LOOKS", 0.001)
    return made


class Watching:
    """Work that keeps the sentences, and lets a test act each time the stage looks whether it shall stop."""

    def __init__(self, at_look: Callable[[], str | None] = lambda: None) -> None:
        self.said: list[Sequence[str]] = []
        self.stopping = at_look

    def devices(self, sentences: Sequence[str]) -> None:
        self.said.append(sentences)


class Store:
    """Keeps nothing: what a trial needs is given by the test."""

    written: Sequence[str] = ()

    def write(self, kinds: object, sentences: Sequence[str]) -> None:
        self.written = sentences


def make_room(most: int = 100, grows: bool = True, **resources: Any) -> Room:
    kinds = Kinds(cast(Measuring, SimpleNamespace(store=Store())))
    return Room(Resources(**resources), kinds, most, grows)


def wait(made: Room, work: Watching) -> bool:
    return made.wait(cast(Any, work))


def test_a_stage_waits_for_its_first_host_says_so_and_shows_demand(cluster: Cluster) -> None:
    seen: list[list[dict[str, float]]] = []

    def look() -> None:
        seen.append([*cluster.demand])
        if len(seen) == 3:
            cluster.nodes = [HEAD, host("first", cpus=8)]

    work, made = Watching(look), make_room(cpus_per_trial=2, concurrency=6)
    assert wait(made, work)
    assert work.said[0] == ["no host has room for a trial yet; the stage waits for one, at most 15 minutes"]
    assert seen == [[{"CPU": 2.0}] * 6] * 3, "demand up to the concurrency"
    assert cluster.demand == [], "Tune shows its own"
    assert work.said[1] == ["one host with room for 4 trials at once"]
    assert made.slots == 4


def test_demand_without_a_concurrency_is_one_trial_and_a_gpu_is_asked_for_where_one_is_needed(cluster: Cluster) -> None:
    for resources, bundle in (
        ({}, {"CPU": 1.0}),
        ({"gpus_per_trial": 0.5}, {"CPU": 1.0, "GPU": 0.5}),
        ({"device": "cuda"}, {"CPU": 1.0, "GPU": 1.0}),
    ):
        seen: list[list[dict[str, float]]] = []

        def look(seen: list[list[dict[str, float]]] = seen) -> str | None:
            seen.append([*cluster.demand])
            return "it received a stop signal"

        assert not wait(make_room(**resources), Watching(look)), "a stop ends the waiting"
        assert seen == [[bundle]]
        assert cluster.demand == []


def test_after_the_minutes_the_stage_is_refused_with_the_next_step(cluster: Cluster) -> None:
    cluster.nodes = [HEAD, host("small", cpus=2), host("other", cpus=3)]
    with pytest.raises(UserError) as refused:
        wait(make_room(cpus_per_trial=4, wait_minutes=0.001), Watching())
    assert str(refused.value) == (
        "after 0.001 minutes (`resources.wait_minutes`) no trial fits: `resources` requests 4 CPUs and 0 GPUs per trial, "
        "and no host has them; the cluster has 5 CPUs and 0 GPUs; start hosts that have them, or reduce it in params.yaml."
    )
    with pytest.raises(UserError, match="Ray finds no host with a GPU and 4 CPUs"):
        wait(make_room(cpus_per_trial=4, device="cuda", wait_minutes=0.001), Watching())


@pytest.mark.parametrize("resources", [{"grows": False}, {"wait_minutes": 0}])
def test_a_local_ray_without_room_is_refused_at_once(cluster: Cluster, resources: dict[str, Any]) -> None:
    work = Watching(lambda: pytest.fail("it waited"))
    with pytest.raises(UserError, match=r"^no trial fits: .* the cluster has 0 CPUs and 0 GPUs; .*reduce it in params"):
        wait(make_room(**resources), work)
    assert work.said == []


def test_hosts_that_come_are_used_and_hosts_that_go_are_not_counted(cluster: Cluster) -> None:
    cluster.nodes = [HEAD, host("a", cpus=4)]
    made = make_room(cpus_per_trial=2)
    assert wait(made, Watching())
    assert (made.slots, made.limit, made.hosts) == (2, 2, ["a"])
    assert not made.read_again()

    cluster.nodes = [HEAD, host("a", cpus=4), host("b", cpus=7), host("tiny", cpus=1)]
    assert made.read_again()
    assert (made.slots, made.limit, made.hosts, made.largest_host) == (5, 5, ["a", "b"], 7.0)
    assert made.sentences == ["2 hosts with room for 5 trials at once"]

    cluster.nodes = [HEAD, {**host("a", cpus=4), "Alive": False}, {**host("b", cpus=7), "Alive": False}]
    assert made.read_again()
    assert (made.slots, made.hosts) == (0, [])
    assert made.limit == 1, "one trial waits: it is the demand for the next host"
    assert made.pools, "and asks for what trials asked for before"
    assert made.sentences == ["no host has room for a trial now; the trials go on when one comes"]

    cluster.nodes = [HEAD, host("c", cpus=2)]
    assert made.read_again()
    assert (made.slots, made.limit, made.hosts) == (1, 1, ["c"])


def test_as_many_trials_wait_for_hosts_as_the_concurrency_allows(cluster: Cluster) -> None:
    cluster.nodes = [HEAD, host("a", cpus=4)]
    growing = make_room(concurrency=50)
    assert wait(growing, Watching())
    assert (growing.slots, growing.limit) == (4, 50)
    local = make_room(concurrency=50, grows=False)
    assert wait(local, Watching())
    assert (local.slots, local.limit) == (4, 4), "nothing comes to a local Ray"
    small = make_room(concurrency=3)
    assert wait(small, Watching())
    assert (small.slots, small.limit) == (4, 3)


def test_fractions_of_hosts_do_not_add_up_to_room(cluster: Cluster) -> None:
    cluster.nodes = [HEAD, host("a", cpus=3, gpus=1), host("b", cpus=3, gpus=3)]
    made = make_room(cpus_per_trial=2, gpus_per_trial=2)
    assert wait(made, Watching())
    assert made.slots == 1


class Measurements:
    """Figures by kind, which are there when the test lets them be."""

    def __init__(self) -> None:
        self.kinds: list[set[str]] = []
        self.allowed = threading.Event()
        self.allowed.set()

    def measure(self, hosts: Sequence[Any], measuring: object) -> tuple[dict[str, GpuFigures], dict[str, str]]:
        self.allowed.wait()
        kinds = {one.kind for one in hosts}
        self.kinds.append(kinds)
        known = {"A100": A100, "T4": T4}
        return {kind: known[kind] for kind in kinds & known.keys()}, {"K80": "too old"} if "K80" in kinds else {}


@pytest.fixture
def measurements(monkeypatch: pytest.MonkeyPatch) -> Measurements:
    made = Measurements()
    monkeypatch.setattr(gpus, "measure_kinds", made.measure)
    return made


def measured(made: Room) -> None:
    """Wait until the measurement in the background has ended, and read what it found."""
    for thread in threading.enumerate():
        if thread.name == "gpus":
            thread.join()
    made.read_again()


def test_a_kind_of_gpu_that_comes_later_is_measured_beside_the_trials(
    cluster: Cluster, measurements: Measurements
) -> None:
    cluster.nodes = [HEAD, host("t4", 4, 2, "T4")]
    made = make_room()
    assert wait(made, Watching())
    assert [(pool.slots, pool.gpus, pool.kind, pool.device) for pool in made.pools] == [(2, 1.0, None, "cuda")]

    measurements.allowed.clear()
    cluster.nodes = [*cluster.nodes, host("a100", 4, 1, "A100"), host("more", 4, 1, "T4")]
    assert made.read_again()
    assert [(pool.slots, pool.kind, pool.hosts) for pool in made.pools] == [(3, "T4", ("t4", "more"))], (
        "none on the new"
    )
    assert "A100: what a trial needs on a GPU of this kind is being measured" in made.sentences

    measurements.allowed.set()
    measured(made)
    assert [(pool.slots, pool.gpus, pool.kind) for pool in made.pools] == [(2, 0.5, "A100"), (3, 1.0, "T4")]
    assert made.pools[0].memory is not None and made.pools[0].memory < 0.5
    assert measurements.kinds == [{"T4"}, {"A100"}], "each kind once"
    assert made.limit == made.slots == 5

    cluster.nodes = [HEAD, host("a100", 4, 1, "A100")]
    assert made.read_again()
    assert [(pool.slots, pool.gpus) for pool in made.pools] == [(2, 0.5)]


def test_a_kind_that_cannot_be_measured_gets_one_trial_for_each_gpu(
    cluster: Cluster, measurements: Measurements
) -> None:
    cluster.nodes = [HEAD, host("a100", 4, 1, "A100")]
    made = make_room()
    assert wait(made, Watching())
    cluster.nodes = [*cluster.nodes, host("new", 8, 4, "B300"), host("old", 8, 4, "K80")]
    made.read_again()
    measured(made)
    assert {(pool.kind, pool.slots, pool.gpus, pool.memory) for pool in made.pools if pool.kind == "B300"} == {
        ("B300", 4, 1.0, None)
    }
    assert {pool.kind for pool in made.pools} == {"A100", "B300"}
    assert "K80: torch can use no GPU of this kind (too old); no trial runs on it" in made.sentences


def test_a_stage_that_began_on_cpus_goes_on_on_gpus_and_then_waits_for_them(
    cluster: Cluster, measurements: Measurements
) -> None:
    cluster.nodes = [HEAD, host("plain", cpus=4)]
    made = make_room()
    assert wait(made, Watching())
    assert [(pool.slots, pool.gpus, pool.device) for pool in made.pools] == [(4, 0.0, "cpu")]

    measurements.allowed.clear()
    cluster.nodes = [*cluster.nodes, host("a100", 8, 1, "A100")]
    made.read_again()
    assert [(pool.slots, pool.device) for pool in made.pools] == [(4, "cpu")], "its CPUs are left to the measurement"
    measurements.allowed.set()
    measured(made)
    assert [(pool.slots, pool.gpus, pool.device) for pool in made.pools] == [(2, 0.5, "cuda")]

    cluster.nodes = [HEAD, host("plain", cpus=4)]
    made.read_again()
    assert (made.slots, [pool.gpus for pool in made.pools]) == (0, [0.5])


def test_places_follow_the_room(cluster: Cluster, measurements: Measurements, make_trial: Callable[..., Any]) -> None:
    from mtlsweep.sweep.executors.attempts import Attempt
    from mtlsweep.trials.assignment import Assignment

    cluster.nodes = [HEAD, host("t4", 4, 1, "T4")]
    made = make_room()
    assert wait(made, Watching())
    places = Places(lambda: made.pools, lambda: made.hosts, lambda: made.largest_host)
    attempt = Attempt(Assignment(make_trial(), 3))
    assert places.take("1", attempt)["gpus"] == 1.0
    cluster.nodes = [*cluster.nodes, host("a100", 8, 1, "A100")]
    made.read_again()
    measured(made)
    kinds = [places.take(str(number), attempt)["kind"] for number in (2, 3, 4)]
    assert kinds.count({"accelerator_type:A100": 0.001}) == 2 and kinds.count({"accelerator_type:T4": 0.001}) == 1
