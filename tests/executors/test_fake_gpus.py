"""Slots, devices and memory shares on a cluster with GPUs that only Ray believes in, for the default params.

Two hosts that each hide other GPUs: one shows an A100 by its UUID, one two T4 by their numbers. What a trial needs is
given, since it cannot be measured there; nothing else is changed.
"""

from __future__ import annotations

import json
import os
import re
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import torch

from mtlsweep.errors import UserError
from mtlsweep.params.params import Params
from mtlsweep.params.resources import Resources
from mtlsweep.record.ledger import Ledger
from mtlsweep.sweep.devices.figures import FigureStore, GpuFigures
from mtlsweep.sweep.devices.sharing import CONTEXT_BYTES
from mtlsweep.sweep.executors.attempts import Attempt
from mtlsweep.sweep.executors.host_trouble import HostError
from mtlsweep.sweep.executors.ray import cluster, gpus, worker
from mtlsweep.sweep.executors.ray.data_copies import DataCopies
from mtlsweep.sweep.executors.ray.places import Places
from mtlsweep.sweep.executors.setup import Setup
from mtlsweep.sweep.plan.stage_inputs import open_stage
from mtlsweep.sweep.stage import run_stage
from mtlsweep.trials.state import Outcome

pytestmark = pytest.mark.slow

SUITE = "digits"
GIB = 2**30
WATCHED = '''
"""A weighting that writes down where it runs; one trial of it runs out of memory unless it has a GPU to itself."""
import json, os
import ray, torch
from mtlsweep.methods.weighting.loss.ew import EqualWeighting

def write(**what):
    context = ray.get_runtime_context()
    ids = context.get_accelerator_ids()["GPU"]
    assigned = context.get_assigned_resources()
    seen = {"host": context.get_node_id(), "visible": os.environ.get("CUDA_VISIBLE_DEVICES"), "ids": ids, "gpus": assigned.get("GPU", 0)}
    with open(os.environ["WATCHED"], "a") as file:
        file.write(json.dumps({**seen, **what}) + "\\n")

class Watched(EqualWeighting):
    written = False
    def weigh(self, losses):
        if not self.written:
            self.written = True
            write(method="watched")
        return super().weigh(losses)

class Hungry(EqualWeighting):
    def weigh(self, losses):
        write(method="hungry")
        raise torch.OutOfMemoryError("CUDA out of memory")
'''


A100 = GpuFigures("cpu", "A100", 40 * GIB, 40 * GIB, 12 * GIB, "ew adam", 0.1)  # 15.75 GiB a trial: two fit
T4 = GpuFigures("cpu", "T4", 15 * GIB, 15 * GIB, 11 * GIB, "ew adam", 0.1)  # one fits
VISIBLE = {"A100": ["GPU-bbbb"], "T4": ["6", "7"]}


@pytest.fixture(scope="module")
def fake_gpus(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The address of a cluster of a host with an A100 and one with two T4, the last two of eight GPUs."""
    from ray.cluster_utils import Cluster

    with pytest.MonkeyPatch.context() as patch, tempfile.TemporaryDirectory(prefix="gpu-", dir="/tmp") as short:
        os.environ.setdefault("RAY_AUTH_TOKEN", "only-for-these-tests")  # for later tests of this process, too
        patch.setenv("WATCHED", str(tmp_path_factory.mktemp("watched") / "lines"))
        cluster = Cluster()
        for kind, visible in VISIBLE.items():
            cluster.add_node(
                num_cpus=2,
                num_gpus=len(visible),
                resources={f"accelerator_type:{kind}": 1},
                env_vars={"CUDA_VISIBLE_DEVICES": ",".join(visible)},
                include_dashboard=False,
                temp_dir=short if kind == "A100" else None,
            )
        yield cluster.address
        cluster.shutdown()


@pytest.fixture
def measured(monkeypatch: pytest.MonkeyPatch) -> None:
    """Give the figures that a real GPU of each kind would have."""
    monkeypatch.setattr(gpus, "measure_kinds", lambda hosts, measuring: ({"A100": A100, "T4": T4}, {}))


def read_lines() -> list[dict[str, Any]]:
    return [json.loads(line) for line in Path(os.environ["WATCHED"]).read_text().splitlines()]


def test_trials_fill_every_gpu_within_its_memory_and_run_alone_after_out_of_memory(
    study: Callable[..., Params],
    fake_gpus: str,
    measured: None,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.syspath_prepend(str(Path.cwd()))
    Path("watched.py").write_text(WATCHED)
    places: list[dict[str, Any]] = []
    take = Places.take

    def spied(self: Places, trial_id: str, attempt: Attempt) -> dict[str, Any]:
        places.append(take(self, trial_id, attempt))
        return places[-1]

    monkeypatch.setattr(Places, "take", spied)
    params = study(
        {"executor": "ray", "address": fake_gpus, "failed_share_limit": 0.9},
        strategy="grid",
        weightings=["watched:Watched", "watched:Hungry"],
        learning_rates=[0.01, 0.005, 0.003, 0.002, 0.001],
        seeds=[0],
    )
    run_stage(params, SUITE, "sweep")

    out = capfd.readouterr().out
    assert "one GPU (A100): up to 2 trials share each, 2 at once; one needs 15.8 GiB of 40.0 GiB (`ew adam`" in out
    assert "2 GPUs (T4): each trained on by one trial at a time, 2 at once; one needs 14.5 GiB of 15.0 GiB" in out

    outcomes = [one.state.outcome for one in Ledger(Path("results"), SUITE).read_all() if one.trial.cell.role == "mtl"]
    assert sorted(outcomes) == [Outcome.DONE] * 5 + [Outcome.FAILED] * 5
    lines = read_lines()
    kinds = {line["host"]: "A100" if line["visible"] in VISIBLE["A100"] else "T4" for line in lines}
    assert sorted(kinds.values()) == ["A100", "T4"]
    assert {line["visible"] for line in lines} == {"GPU-bbbb", "6", "7"}, "each trial sees one GPU, and all are used"
    shared = [line for line in lines if line["gpus"] < 1]
    assert {(kinds[line["host"]], line["gpus"]) for line in shared} == {("A100", 0.5)}
    hungry = [line for line in lines if line["method"] == "hungry"]
    assert len(hungry) == 10, "each twice"
    assert sum(line["gpus"] == 1 and kinds[line["host"]] == "A100" for line in hungry) >= 5, "the second time alone"

    half = (20 * GIB - CONTEXT_BYTES) / (40 * GIB)
    assert {(place["gpus"], place["memory"]) for place in places} == {(0.5, half), (1.0, None), (1.0, 1.0)}
    content = json.loads((Path("results") / SUITE / "ledger/progress-sweep.json").read_bytes())
    assert [sentence.split(":")[0] for sentence in content["devices"]] == [
        "one GPU (A100)",
        "2 GPUs (T4)",
        "2 hosts with room for 4 trials at once",
    ]


def test_gpus_that_torch_cannot_use_are_named_and_trials_train_on_cpus(
    study: Callable[..., Params], fake_gpus: str
) -> None:
    import ray

    context = open_stage(study(strategy="grid"), SUITE, "sweep")
    cluster.connect(Resources(address=fake_gpus))
    try:
        node = ray.get_runtime_context().get_node_id()
        setup = Setup(context.data.directory.resolve(), lambda metrics: 0.0, "auto", 1, 30.0, os.getcwd())
        store = FigureStore.of(context.ledger, "sweep", context.plan.cells, 0)
        kinds = gpus.Kinds(gpus.Measuring(setup, DataCopies(setup.data, node), store))
        kinds.measure(gpus.able_hosts(Resources()))
        shares, sentences = gpus.find_shares(Resources(), kinds, 8)
        assert shares == []
        assert all(
            re.match(r"(A100|T4): torch can use no GPU of this kind \(.+\); no trial runs on it, all run on CPUs", one)
            for one in sentences
        )
        assert len(sentences) == 2
        with pytest.raises(UserError, match=r"^`resources.device` is `cuda`, but (A100|T4): torch can use no GPU"):
            gpus.find_shares(Resources(device="cuda"), kinds, 8)
        assert gpus.find_shares(Resources(device="cpu"), kinds, 8) == ([], [])
        assert "trials share a GPU, because" in gpus.describe_own_share(0.25, "auto")[0]
        assert "without a limit of memory; `auto` spreads them" in gpus.describe_own_share(0, "auto")[0]
        assert gpus.describe_own_share(0, "cpu") == gpus.describe_own_share(2, "auto") == []
    finally:
        ray.shutdown()


@pytest.mark.parametrize("needs_gpu", [True, False])
def test_a_host_whose_gpu_torch_cannot_use_trains_only_where_no_gpu_was_promised(needs_gpu: bool) -> None:
    if torch.cuda.is_available():
        pytest.skip("there is a GPU")
    if not needs_gpu:
        worker.check_gpu(needs_gpu)
        return
    with pytest.raises(HostError, match="torch can use no GPU of this host") as found:
        worker.check_gpu(needs_gpu)
    assert found.value.cause == "device"
