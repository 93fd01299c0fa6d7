"""What the environment does to Ray and to devices, in one sentence that names the variable, and how Ray is left."""

import gc
import weakref
from pathlib import Path
from typing import Any

import pytest
import ray
import torch

from mtlsweep.errors import UserError
from mtlsweep.params.resources import Resources
from mtlsweep.sweep.executors.ray import cluster
from mtlsweep.sweep.executors.ray.executor import RayExecutor
from mtlsweep.training.device import choose_device


@pytest.mark.parametrize("length", [60, 100])
def test_a_directory_of_ray_whose_path_is_too_long(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, length: int
) -> None:
    directory = tmp_path / ("x" * max(1, length - len(str(tmp_path)) - 1))
    directory.mkdir()
    monkeypatch.setenv("RAY_TMPDIR", str(directory))
    with pytest.raises(
        UserError, match=r"^Ray cannot start in .*RAY_TMPDIR\): its path is too long .* 35 characters\.$"
    ):
        cluster.connect(Resources())
    assert not ray.is_initialized()


def test_the_longest_directory_leaves_room_for_rays_sockets() -> None:
    socket = "/ray/session_2026-01-01_00-00-00_123456_4194304/sockets/plasma_store"
    assert cluster.LONGEST_DIRECTORY + len(socket) == 103  # macOS; Linux takes four more


@pytest.mark.parametrize("variable", ["RAY_TMPDIR", "TMPDIR", None])
def test_a_directory_that_cannot_be_written_is_named_with_where_it_comes_from(
    monkeypatch: pytest.MonkeyPatch, variable: str | None
) -> None:
    for name in ("RAY_TMPDIR", "TMPDIR"):
        monkeypatch.delenv(name, raising=False)
    if variable:
        monkeypatch.setenv(variable, "/scratch")
    monkeypatch.setattr(ray, "init", fail(OSError(30, "Read-only file system")))
    where = rf"`/scratch` \(the environment variable {variable}\)" if variable else "`/tmp`"
    with pytest.raises(UserError, match=rf"^Ray cannot start in {where}: .*Read-only file system; set RAY_TMPDIR"):
        cluster.connect(Resources())


def fail(error: Exception) -> Any:
    def init(**options: Any) -> None:
        raise error

    return init


def test_an_unreachable_cluster_is_blamed_on_what_named_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ray, "init", fail(ConnectionError("no answer")))
    monkeypatch.setenv("RAY_ADDRESS", "head:1")
    with pytest.raises(UserError, match=r"`head:1` \(the environment variable RAY_ADDRESS\).* or unset RAY_ADDRESS\.$"):
        cluster.connect(Resources())
    monkeypatch.delenv("RAY_ADDRESS")
    with pytest.raises(
        UserError, match=r"`head:2` \(`resources\.address` of params\.yaml\).* or set `resources\.address:"
    ):
        cluster.connect(Resources(address="head:2"))


@pytest.mark.parametrize(
    "address", ["http://[bad", "[bad", "head", "head:port", "head:99999", "ray://[bad", "ray://head:port"]
)
def test_a_malformed_address_is_refused_before_anything_waits_for_it(
    monkeypatch: pytest.MonkeyPatch, address: str
) -> None:
    monkeypatch.setattr(ray, "init", fail(AssertionError("connected")))
    monkeypatch.setenv("RAY_ADDRESS", address)
    with pytest.raises(
        UserError, match=r"\(the environment variable RAY_ADDRESS\) is not the address of a Ray cluster; allowed"
    ):
        cluster.connect(Resources())


@pytest.mark.parametrize("address", ["auto", "head:6379", "10.0.0.1:6379", "[::1]:6379", "ray://head:10001"])
def test_addresses_of_clusters(monkeypatch: pytest.MonkeyPatch, address: str) -> None:
    taken: dict[str, Any] = {}
    monkeypatch.setattr(ray, "init", lambda **options: taken.update(options))
    monkeypatch.delenv("RAY_ADDRESS", raising=False)
    cluster.connect(Resources(address=address))
    assert taken["address"] == address


def test_a_local_ray_has_the_cpus_that_this_process_may_use(monkeypatch: pytest.MonkeyPatch) -> None:
    taken: dict[str, Any] = {}
    monkeypatch.setattr(ray, "init", lambda **options: taken.update(options))
    monkeypatch.setattr(cluster, "usable_cpus", lambda: 3)
    monkeypatch.delenv("RAY_ADDRESS", raising=False)
    cluster.connect(Resources())
    assert taken["num_cpus"] == 3


def test_gpus_that_the_environment_may_hide(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ray, "nodes", lambda: [{"NodeID": "a", "Alive": True, "Resources": {"CPU": 4.0}}])
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    assert cluster.count_slots(1, 1) == 0
    assert cluster.no_room(1, 1).endswith("no host has them; the cluster has 4 CPUs and 0 GPUs")
    with pytest.raises(
        UserError, match=r"`resources\.device` is `cuda`, but torch finds no GPU on this machine; set it"
    ):
        choose_device("cuda")
    assert choose_device("auto") == "cpu"
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "-1")
    assert "0 GPUs (the environment variable CUDA_VISIBLE_DEVICES, which hides GPUs, is `-1` here)" in cluster.no_room(
        1, 1
    )
    with pytest.raises(
        UserError, match=r"no GPU on this machine \(the environment variable CUDA_VISIBLE_DEVICES.*`-1`\)"
    ):
        choose_device("cuda")


def test_nothing_is_collected_while_ray_shuts_down(monkeypatch: pytest.MonkeyPatch) -> None:
    """A thread that frees one of Ray's references meanwhile ends the process; a sweep whose results were still being recorded did."""

    class Circle:
        def __init__(self) -> None:
            self.itself = self

    freed = weakref.ref(Circle())
    seen = []
    monkeypatch.setattr("ray.shutdown", lambda: seen.append((gc.isenabled(), freed() is None)))
    executor = RayExecutor.__new__(RayExecutor)
    executor.__exit__(None, None, None)
    assert seen == [(False, True)] and gc.isenabled()
