"""Where an attempt may run: spread over the kinds of GPU, alone after out-of-memory, elsewhere after trouble."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from typing import Any, cast

import pytest
import ray

from mtlsweep.errors import UserError
from mtlsweep.params.resources import Resources
from mtlsweep.sweep.devices.sharing import GpuShare
from mtlsweep.sweep.executors.attempts import Attempt
from mtlsweep.sweep.executors.ray import gpus
from mtlsweep.sweep.executors.ray.places import Places, Pool, placement, shared_pools
from mtlsweep.trials.assignment import Assignment
from mtlsweep.trials.trial import Trial


def share(kind: str, each: int, slots: int, *hosts: str) -> GpuShare:
    return GpuShare(kind, kind, hosts, len(hosts), each, slots, 0.9 / each if each > 1 else None, "cuda", "")


SHARES = [share("A100", 4, 8, "a", "b"), share("T4", 1, 2, "c", "d")]


@pytest.fixture
def attempt(make_trial: Callable[..., Trial]) -> Callable[..., Attempt]:
    return lambda **options: Attempt(Assignment(make_trial(), 3), **options)


def places(pools: list[Pool], hosts: str = "abcd") -> Places:
    return Places(lambda: pools, lambda: list(hosts), lambda: 64.0)


def test_slots_of_all_kinds_are_filled_together(attempt: Callable[..., Attempt]) -> None:
    chosen = places(shared_pools(SHARES, 2.0, ["A100", "T4"]))
    taken = [chosen.take(str(number), attempt()) for number in range(10)]
    assert Counter(place["gpus"] for place in taken) == {0.25: 8, 1.0: 2}
    assert Counter(place["gpus"] for place in taken[:5]) == {0.25: 4, 1.0: 1}
    assert {place["cpus"] for place in taken} == {2.0}
    freed = next(number for number in range(10) if taken[number]["gpus"] == 1.0)
    chosen.release(str(freed))
    assert chosen.take("next", attempt()) == taken[freed]


@pytest.mark.parametrize(
    ("shares", "kinds", "kind", "nodes"),
    [
        (SHARES[:1], ["A100"], {}, None),
        (SHARES, ["A100", "T4"], {"accelerator_type:A100": 0.001}, None),
        (SHARES[:1], ["A100", "K80"], {"accelerator_type:A100": 0.001}, None),  # the other kind cannot be used
        ([share("RTX PRO 6000", 4, 4, "x")], ["RTX PRO 6000", "T4"], {"accelerator_type:RTX PRO 6000": 0.001}, None),
        ([share("GPU", 4, 4, "y", "x")], ["GPU", "T4"], {}, "in(x,y)"),  # Ray does not know its name
    ],
)
def test_kinds_are_told_apart_where_there_are_several(
    attempt: Callable[..., Attempt], shares: list[GpuShare], kinds: list[str], kind: dict[str, float], nodes: str | None
) -> None:
    place = places(shared_pools(shares, 1, kinds), "abcdxy").take("0", attempt())
    assert (place["kind"], place["nodes"]) == (kind, nodes)
    assert placement({"place": place}).required_resources == {"CPU": 1, "GPU": 0.25, **kind}


def test_after_out_of_memory_a_trial_gets_a_gpu_of_the_largest_kind_for_itself(
    attempt: Callable[..., Attempt],
) -> None:
    chosen = places(shared_pools(SHARES, 2.0, ["A100", "T4"]))
    place = chosen.take("0", attempt(alone=True))
    assert (place["cpus"], place["gpus"], place["memory"]) == (2.0, 1.0, 1.0), "a GPU, and not the CPUs of a host"
    assert place["kind"] == {"accelerator_type:A100": 0.001}
    two = places([Pool(1.0, 2.0, 4)]).take("0", attempt(alone=True))
    assert (two["gpus"], two["memory"]) == (2.0, None)


def test_without_gpus_a_trial_that_ran_out_of_memory_gets_a_whole_host(attempt: Callable[..., Attempt]) -> None:
    place = places([Pool(1.0, 0.0, 8)]).take("0", attempt(alone=True))
    assert placement({"place": place}).required_resources == {"CPU": 64.0}
    assert placement({"place": places([Pool(1.0, 0.0, 8)]).take("0", attempt())}).required_resources == {"CPU": 1.0}


def test_a_trial_does_not_wait_for_a_kind_of_which_it_avoids_every_host(attempt: Callable[..., Attempt]) -> None:
    pools = shared_pools(SHARES, 1.0, ["A100", "T4"])
    taken = [places(pools).take("0", attempt(avoid=("a", "b"), alone=alone)) for alone in (False, True)]
    assert [place["kind"] for place in taken] == [{"accelerator_type:T4": 0.001}] * 2
    assert {place["nodes"] for place in taken} == {"!in(a,b)"}
    unnamed = places(shared_pools([share("GPU", 4, 4, "y", "x")], 1.0, ["GPU", "T4"]), "xy")
    assert unnamed.take("0", attempt(avoid=("y",)))["nodes"] == "in(x)"


def test_a_kind_whose_hosts_are_gone_takes_no_attempts(attempt: Callable[..., Attempt]) -> None:
    chosen = places(shared_pools(SHARES, 1.0, ["A100", "T4"]), hosts="bc")
    assert Counter(chosen.take(str(number), attempt())["gpus"] for number in range(10)) == {0.25: 8, 1.0: 2}
    chosen = places(shared_pools(SHARES, 1.0, ["A100", "T4"]), hosts="d")
    assert {chosen.take(str(number), attempt())["gpus"] for number in range(10)} == {1.0}


def test_without_gpus_auto_means_what_zero_meant(monkeypatch: pytest.MonkeyPatch) -> None:
    node = {"NodeID": "a", "Alive": True, "Resources": {"CPU": 4.0}, "Labels": {}}
    monkeypatch.setattr(ray, "nodes", lambda: [node])
    unused = gpus.Kinds(cast(Any, None))
    for device in ("auto", "cpu"):
        assert gpus.find_shares(Resources(device=device), unused, 8) == ([], [])
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")
    with pytest.raises(
        UserError, match=r"^`resources.device` is `cuda`, but Ray finds no host .* CUDA_VISIBLE_DEVICES"
    ):
        gpus.find_shares(Resources(device="cuda"), unused, 8)
    assert gpus.describe_own_share(0, "auto") == []
