"""How many trials share a GPU follows from measured figures and from what the hosts have; nothing here needs a GPU."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from mtlsweep.cli.plan import plan_lines
from mtlsweep.cli.status import status_lines
from mtlsweep.methods.optimizers import OPTIMIZERS
from mtlsweep.methods.weighting import WEIGHTINGS
from mtlsweep.params.choice import Choice
from mtlsweep.params.resources import Resources
from mtlsweep.record.ledger import Ledger
from mtlsweep.suites.networks import NETWORKS
from mtlsweep.suites.prepared.splits import PreparedData
from mtlsweep.sweep.devices import planned
from mtlsweep.sweep.devices.figures import FigureStore, GpuFigures, examples_of, measure
from mtlsweep.sweep.devices.sharing import CONTEXT_BYTES, MARGIN, MOST_ON_A_GPU, GpuHost, share_gpus
from mtlsweep.trials.cell import Cell
from mtlsweep.trials.trial import Trial

GIB = 2**30
A100 = GpuFigures("cuda", "NVIDIA A100-SXM4-40GB", 40 * GIB, 39 * GIB, 5 * GIB, "pcgrad adam", 0.041)  # 7 GiB a trial
T4 = GpuFigures("cuda", "Tesla T4", 15 * GIB, 14 * GIB, 5 * GIB, "pcgrad adam", 0.2)

gpu_figures = st.builds(
    lambda total, free, trial: GpuFigures("cuda", "some", total, int(total * free), trial, "ew adam", 0.1),
    st.integers(4 * GIB, 200 * GIB),
    st.floats(0.2, 1.0),
    st.integers(0, 100 * GIB),
)
hosts_of_one_kind = st.lists(
    st.builds(
        GpuHost, st.integers(0, 10**6).map(str), st.just("A100"), st.integers(1, 256).map(float), st.integers(1, 16)
    ),
    min_size=1,
    max_size=5,
)


def host(cpus: float, gpus: int, kind: str = "A100", name: str = "h") -> GpuHost:
    return GpuHost(name, kind, cpus, gpus)


@pytest.mark.parametrize(
    ("cpus", "gpus", "cpus_per_trial", "at_once", "each", "slots", "why"),
    [
        (64, 1, 1, None, 5, 5, "one needs 7.0 GiB of 39.0 GiB (`pcgrad adam`, 41 ms a step)"),
        (64, 8, 1, None, 5, 40, "one needs 7.0 GiB"),
        (16, 8, 1, None, 2, 16, "there are CPUs for no more"),
        (16, 8, 4, None, 1, 4, "there are CPUs for no more"),  # not four on the first GPU
        (64, 8, 1, 8, 1, 8, "there are no more trials at once"),
        (64, 8, 1, 3, 1, 8, "there are no more trials at once"),
        (64, 8, 1, 100, 5, 40, "one needs 7.0 GiB"),
    ],
)
def test_a_gpu_takes_what_its_memory_holds_and_no_more_than_spreads_over_all(
    cpus: float, gpus: int, cpus_per_trial: float, at_once: int | None, each: int, slots: int, why: str
) -> None:
    (share,) = share_gpus([host(cpus, gpus)], {"A100": A100}, cpus_per_trial, at_once)
    assert (share.each, share.slots) == (each, slots)
    assert share.why.startswith(why)


def test_64_cpus_and_one_gpu_are_no_64_trials_on_it_even_if_they_need_nothing() -> None:
    (share,) = share_gpus([host(64, 1)], {"A100": replace(A100, trial=0)}, 1, None)
    assert share.each == share.slots == MOST_ON_A_GPU
    assert "more would only take turns" in share.why


@given(hosts_of_one_kind, gpu_figures, st.sampled_from([0.5, 1.0, 2.0]), st.none() | st.integers(1, 500))
def test_trials_of_a_gpu_fit_its_memory_its_host_and_rays_count(
    hosts: list[GpuHost], figures: GpuFigures, cpus_per_trial: float, at_once: int | None
) -> None:
    shares = share_gpus(hosts, {"A100": figures}, cpus_per_trial, at_once)
    assert bool(shares) == any(one.cpus >= cpus_per_trial for one in hosts)
    for share in shares:
        able = [one for one in hosts if one.id in share.hosts]
        assert share.each >= 1
        assert 1 - 2e-3 < share.each * share.part <= 1, "in Ray's steps of 0.0001, and no other trial fits"
        assert share.slots <= sum(one.cpus / cpus_per_trial for one in able)
        assert share.slots <= share.gpus * share.each
        if share.each > 1:
            assert share.memory is not None
            together = share.each * (share.memory * figures.total + CONTEXT_BYTES)
            assert together <= figures.free * (1 + 1e-9), "nobody can take another one's memory"
            assert share.memory * figures.total >= MARGIN * figures.trial - 1, "and each has what it was seen to need"
        else:
            assert share.memory is None


@given(gpu_figures, st.integers(0, 10 * GIB))
def test_a_hungrier_trial_never_shares_with_more(figures: GpuFigures, more: int) -> None:
    fewer = replace(figures, trial=figures.trial + more)
    each = [share_gpus([host(64, 2)], {"A100": one}, 1, None)[0].each for one in (figures, fewer)]
    assert each[0] >= each[1]


def test_kinds_have_their_own_number_and_the_one_with_most_memory_comes_first() -> None:
    hosts = [host(32, 4, "T4", "small"), host(64, 8, "A100", "large"), host(64, 8, "H100", "unmeasured")]
    shares = share_gpus(hosts, {"A100": A100, "T4": T4}, 1, None)
    assert [(share.kind, share.each, share.hosts) for share in shares] == [
        ("A100", 5, ("large",)),
        ("T4", 2, ("small",)),
        ("H100", 1, ("unmeasured",)),
    ]
    assert shares[0].sentence() == (
        "8 GPUs (NVIDIA A100-SXM4-40GB): up to 5 trials share each, 40 at once; "
        "one needs 7.0 GiB of 39.0 GiB (`pcgrad adam`, 41 ms a step)"
    )
    assert "one trial at a time" in shares[2].sentence() and "could not be measured" in shares[2].sentence()


def test_examples_show_each_weighting_optimizer_network_and_batch_size_once(
    make_trial: Callable[..., Trial],
) -> None:
    first = make_trial()
    same = [make_trial(seed=1), make_trial(learning_rate=0.5)]
    other = [
        make_trial(weighting=first.cell.weighting.model_copy(update={"name": "ew"})),
        make_trial(optimizer=first.cell.optimizer.model_copy(update={"name": "sgd"})),
        make_trial(training=first.cell.training.model_copy(update={"batch_size": 8})),
        make_trial(role="stl", tasks=("left",)),
        make_trial(role="stl", tasks=("right",)),
    ]
    assert examples_of([first, *same, *other]) == (first, *other)


def cell_that_trains(make_trial: Callable[..., Trial], data: PreparedData, **changes: Any) -> Cell:
    resolved = {
        "network": NETWORKS.resolve(Choice(name="lenet")),
        "weighting": WEIGHTINGS.resolve(Choice(name="pcgrad")),
        "optimizer": OPTIMIZERS.resolve(Choice(name="adam")),
    }
    return make_trial(data_fingerprint=data.fingerprint, **resolved, **changes).cell


def test_measuring_takes_the_same_way_on_any_device(make_trial: Callable[..., Trial], digits: PreparedData) -> None:
    trial = Trial(cell_that_trains(make_trial, digits), 0)
    figures = measure([trial], digits, torch.device("cpu"))
    assert figures is not None
    assert (figures.device, figures.heaviest) == ("cpu", trial.cell.method)
    assert 0 < figures.trial < figures.total and 0 < figures.free <= figures.total and figures.seconds > 0


def test_the_heaviest_example_counts_and_one_that_fails_does_not(
    make_trial: Callable[..., Trial], digits: PreparedData, monkeypatch: pytest.MonkeyPatch
) -> None:
    from mtlsweep.sweep.devices import figures as module
    from mtlsweep.training.memory import StepCost

    trials = [Trial(cell_that_trains(make_trial, digits, weighting_label=label), 0) for label in ("a", "b", "c")]
    answers: dict[str, Any] = {"a": StepCost(3, 0.1), "b": StepCost(7, 0.2), "c": KeyError("a bug")}

    def answer(trial: Trial, *arguments: Any) -> StepCost:
        found = answers[trial.cell.weighting_label]
        if isinstance(found, Exception):
            raise found
        assert isinstance(found, StepCost)
        return found

    monkeypatch.setattr(module, "measure_steps", answer)
    cpu = torch.device("cpu")
    found = measure(trials, digits, cpu)
    assert found is not None and (found.trial, found.heaviest, found.seconds) == (7, trials[1].cell.method, 0.2)
    answers["a"] = torch.OutOfMemoryError("too little")
    found = measure(trials, digits, cpu)
    assert found is not None and (found.trial, found.heaviest) == (found.total, trials[0].cell.method)
    assert measure(trials[2:], digits, cpu) is None


def test_figures_are_kept_until_the_stage_trains_something_else(
    tmp_path: Path, make_trial: Callable[..., Trial]
) -> None:
    ledger = Ledger(tmp_path, "digits")
    ledger.directory.mkdir(parents=True)
    cell = make_trial().cell
    store = FigureStore.of(ledger, "sweep", [cell], 0)
    assert (store.read(), store.read_sentences()) == ({}, [])
    store.write({"A100": A100}, ["four share one"])
    rate = FigureStore.of(ledger, "sweep", [cell, replace(cell, learning_rate=0.5)], 0)
    assert (rate.read(), rate.read_sentences()) == ({"A100": A100}, ["four share one"])
    larger = replace(cell, training=cell.training.model_copy(update={"batch_size": 512}))
    assert FigureStore.of(ledger, "sweep", [larger], 0).read() == {}
    assert FigureStore.of(ledger, "baselines", [cell], 0).read() == {}
    store.storage.write(store.name, b"{")
    assert store.read() == {}


def test_a_plan_says_what_this_machine_would_do_or_a_cluster_did(
    tmp_path: Path, make_trial: Callable[..., Trial], digits: PreparedData, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("RAY_ADDRESS", raising=False)
    ledger = Ledger(tmp_path, "digits")
    ledger.directory.mkdir(parents=True)
    store = FigureStore.of(ledger, "sweep", [make_trial().cell], 0)
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    assert planned.plan_devices(Resources(), store, digits, 100) == ([], None)
    at_head = Resources(address="head:6379")
    assert "measured when the sweep starts" in planned.plan_devices(at_head, store, digits, 100)[0][0]
    store.write({"A100": A100}, ["five share one"])
    assert planned.plan_devices(at_head, store, digits, 100) == (["in the last run: five share one"], None)
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    monkeypatch.setattr(torch.cuda, "get_device_name", lambda: A100.name)
    monkeypatch.setattr(planned, "usable_cpus", lambda: 64)
    sentences, slots = planned.plan_devices(Resources(), store, digits, 100)
    assert slots == 10 and "2 GPUs (NVIDIA A100-SXM4-40GB): up to 5 trials share each" in sentences[0]
    for own in (Resources(gpus_per_trial=1), Resources(device="cpu"), Resources(executor="inline")):
        assert planned.plan_devices(own, store, digits, 100) == ([], None)


def test_plan_and_status_show_the_sentences() -> None:
    stage = {"devices": ["five share one"], "eta_seconds": None, "not_needed": 0}
    plan = {"strategy": "grid", "methods": {}, "planned": 2, "finished": 0, "forecast": None, "outdated": {}}
    planned_stage = {**plan, "past_errors": [], "devices": ["five would share one"]}
    assert "    five would share one" in list(plan_lines({"suite": "digits", "stages": {"sweep": planned_stage}}))
    ended: dict[str, Any] = {
        "outcomes": {},
        "planned": 2,
        "not_needed": 0,
        "half_finished": 0,
        "failures": {},
        "running": [],
        **stage,
    }
    status = {"suite": "digits", "holder": None, "disk_bytes": 0, "stages": {"sweep": ended}}
    assert "    five share one" in list(status_lines(status))


@pytest.mark.gpu
def test_a_real_gpu_is_measured_and_a_trial_cannot_exceed_its_cap(
    make_trial: Callable[..., Trial], digits: PreparedData
) -> None:
    trial = Trial(cell_that_trains(make_trial, digits), 0)
    figures = measure([trial], digits, torch.device("cuda"))
    assert figures is not None and figures.device == "cuda"
    assert 0 < figures.trial < figures.free <= figures.total
    (share,) = share_gpus([host(64, 1)], {"A100": figures}, 1, None)
    assert share.memory is not None
    torch.cuda.set_per_process_memory_fraction(share.memory)
    try:
        assert measure([trial], digits, torch.device("cuda")) is not None, "it fits"
        with pytest.raises(torch.OutOfMemoryError):
            torch.empty(int(1.2 * share.memory * figures.total), dtype=torch.uint8, device="cuda")
    finally:
        torch.cuda.set_per_process_memory_fraction(1.0)
