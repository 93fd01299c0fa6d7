"""A last batch of one row joins the batch before it: BatchNorm trains, only the keys of such trials change, `plan` times it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

from mtlsweep import paths
from mtlsweep.params.choice import Choice
from mtlsweep.params.params import load_params
from mtlsweep.params.suite import Training
from mtlsweep.studies.robustness.corrupted_sets import ChosenRows
from mtlsweep.suites.networks import NETWORKS, MultiTaskNetwork
from mtlsweep.suites.prepared.batches import cut, has_lone_row
from mtlsweep.suites.prepared.preparation import prepare
from mtlsweep.suites.prepared.splits import PreparedData, open_prepared
from mtlsweep.suites.tasks import Task
from mtlsweep.sweep.plan.plan import open_plan
from mtlsweep.training.content import used_content
from mtlsweep.training.step.updater import Updater
from mtlsweep.training.timing import time_steps
from mtlsweep.training.trial import run_trial
from mtlsweep.trials.state import Finished, Outcome
from mtlsweep.trials.trial import Trial

CPU = torch.device("cpu")
LONE = 17  # training rows: with batches of 8 the last one of 17 has a single row


class Pooled(MultiTaskNetwork):
    """BatchNorm on maps of 1 x 1, as in the pooled branch of DeepLab; it refuses a batch of one row."""

    def __init__(self, tasks: Sequence[Task], input_shape: tuple[int, int, int]) -> None:
        pooled = nn.Sequential(
            nn.AdaptiveAvgPool2d(1), nn.Conv2d(input_shape[0], 4, 1), nn.BatchNorm2d(4), nn.Flatten()
        )
        super().__init__(pooled, {task.name: nn.Linear(4, task.outputs) for task in tasks})


@pytest.fixture(autouse=True)
def pooled_network(monkeypatch: pytest.MonkeyPatch) -> None:
    NETWORKS.names()  # loads the others
    monkeypatch.setattr(NETWORKS, "_entries", {**NETWORKS._entries, "pooled": Pooled})


@pytest.fixture(scope="module")
def lone(tmp_path_factory: pytest.TempPathFactory) -> PreparedData:
    directory = tmp_path_factory.mktemp("prepared") / "digits"
    prepare(Choice(name="multidigits", options={"train": LONE, "val": 9, "test": 9}), directory)
    return open_prepared(directory)


@pytest.fixture
def make_lone(make_trial: Callable[..., Trial], lone: PreparedData) -> Callable[..., Trial]:
    def make(**changes: Any) -> Trial:
        fields = {
            "tasks": tuple(task.name for task in lone.tasks),
            "network": Choice(name="pooled"),
            "weighting": Choice(name="ew"),
            "training": Training(epochs=1, batch_size=8),
            "data_fingerprint": lone.fingerprint,
        }
        cell = make_trial(**{**fields, **changes}).cell
        content = used_content(cell.network, cell.weighting, cell.optimizer, lone.tasks)  # as a plan does
        return Trial(replace(cell, content=content), seed=0)

    return make


@given(rows=st.integers(1, 200), batch_size=st.integers(1, 30))
def test_batches_hold_every_row_once_and_only_a_lone_one_is_merged(rows: int, batch_size: int) -> None:
    numbers = torch.arange(rows)
    pieces = cut(numbers, batch_size, merge_lone_row=True)
    assert torch.equal(torch.cat(pieces), numbers)
    plain = [len(piece) for piece in numbers.split(batch_size)]
    if batch_size > 1 and len(plain) > 1 and plain[-1] == 1:
        assert has_lone_row(rows, batch_size)
        plain[-2:] = [batch_size + 1]
    assert [len(piece) for piece in pieces] == plain
    assert [len(piece) for piece in cut(numbers, batch_size, merge_lone_row=False)] == [
        len(piece) for piece in numbers.split(batch_size)
    ]


@pytest.mark.parametrize("resident_bytes", [0, 2**30])
def test_a_split_and_chosen_rows_of_it_merge_alike(lone: PreparedData, resident_bytes: int) -> None:
    split = open_prepared(lone.directory, resident_bytes).splits["train"]
    order = torch.randperm(LONE, generator=torch.Generator().manual_seed(0))
    (whole,) = split.batches(order, LONE, CPU)
    for source in (split, ChosenRows(split, torch.arange(LONE))):
        batches = list(source.batches(order, 8, CPU, merge_lone_row=True))
        assert [len(batch) for batch in batches] == [8, 9]
        assert torch.equal(torch.cat([batch.inputs["image"].clone() for batch in batches]), whole.inputs["image"])
        assert [len(batch) for batch in source.batches(order, 8, CPU)] == [8, 8, 1]


def test_batchnorm_on_one_value_per_channel_trains(make_lone: Callable[..., Trial], lone: PreparedData) -> None:
    result = run_trial(make_lone(merges_last_batch=True), lone, lambda end: None, score=lambda _: 0.0, device=CPU)
    assert isinstance(result, Finished) and result.outcome is Outcome.DONE
    with pytest.raises(ValueError, match="more than 1 value per channel"):  # a trial planned before the rule
        run_trial(make_lone(), lone, lambda end: None, score=lambda _: 0.0, device=CPU)


@pytest.mark.slow
def test_only_a_trial_with_such_a_batch_has_another_key(make_lone: Callable[..., Trial]) -> None:
    plain, merged = make_lone(), make_lone(merges_last_batch=True)
    assert merged.key != plain.key and "last_batch" not in plain.cell.identity
    for trial in (plain, merged):
        assert Trial.from_json(trial.to_json()) == trial


@pytest.mark.slow
@pytest.mark.parametrize("stage", ["baselines", "sweep"])
def test_a_plan_knows_from_the_prepared_data_whether_there_is_one(in_directory: Path, stage: Any) -> None:
    suite = {
        "data": {"dataset": {"multidigits": {"train": LONE, "val": 9, "test": 9}}},
        "network": "lenet",
        "training": {"epochs": 1, "batch_size": 8},
        "baselines": {"learning_rates": [0.01], "seeds": [0]},
        "sweep": {"strategy": "grid", "weightings": ["ew"], "optimizers": ["adam"], "learning_rates": [0.01], "seeds": [0]},
    }  # fmt: skip
    prepare(Choice(name="multidigits", options={"train": LONE, "val": 9, "test": 9}), paths.prepared("digits"))
    merged = {}
    for size in (1, 5, 8, 16, 17):
        suite["training"] = {"epochs": 1, "batch_size": size}
        Path("params.yaml").write_text(yaml.safe_dump({"active": ["digits"], "suites": {"digits": suite}}))
        plan = open_plan(load_params(Path("params.yaml")), "digits", stage)
        (merged[size],) = {cell.merges_last_batch for cell in plan.cells}
        assert all(plan.space.relabel(cell) == cell for cell in plan.cells)
    assert merged == {1: False, 5: False, 8: True, 16: True, 17: False}


def test_a_forecast_times_the_last_batch(
    make_lone: Callable[..., Trial], lone: PreparedData, digits: PreparedData, monkeypatch: pytest.MonkeyPatch
) -> None:
    sizes: list[int] = []
    step = Updater.step

    def watched(updater: Updater, batch: Any) -> None:
        sizes.append(len(batch))
        step(updater, batch)

    monkeypatch.setattr(Updater, "step", watched)
    assert time_steps(make_lone(merges_last_batch=True), lone, CPU, warm_up=2, steps=6) > 0
    assert sizes == [8, 9]
    sizes.clear()
    long = make_lone(data_fingerprint=digits.fingerprint, training=Training(epochs=1, batch_size=10))
    assert time_steps(long, digits, CPU, warm_up=2, steps=6) > 0  # 256 rows
    assert sizes == [10] * 8 + [6]


def test_an_epochs_time_adds_up_from_full_batches_and_the_last(
    make_lone: Callable[..., Trial], digits: PreparedData, monkeypatch: pytest.MonkeyPatch
) -> None:
    clock = [0.0]
    monkeypatch.setattr("time.perf_counter", lambda: clock[0])
    monkeypatch.setattr(Updater, "step", lambda updater, batch: clock.__setitem__(0, clock[0] + len(batch)))
    trial = make_lone(data_fingerprint=digits.fingerprint, training=Training(epochs=1, batch_size=10))
    assert time_steps(trial, digits, CPU, warm_up=2, steps=6) == 256
