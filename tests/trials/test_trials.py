"""A key names what decides a result, and nothing else."""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from pathlib import Path

import pytest

from mtlsweep.params.choice import Choice
from mtlsweep.params.suite import Schedule, Training
from mtlsweep.trials.curve import EpochRecord
from mtlsweep.trials.state import (
    Finished,
    FinishedTrial,
    Outcome,
    Paused,
    finished_from_json,
    state_from_json,
    state_to_json,
)
from mtlsweep.trials.trial import Trial


def test_keys_are_pinned(make_trial: Callable[..., Trial]) -> None:
    """Changing a key orphans every result people have: bump SCHEMA_VERSION knowingly when this fails."""
    assert make_trial().cell.key == "535c21a8f80109f7"
    assert make_trial().key == "347fd08659c3af55"


@pytest.mark.parametrize(
    ("change", "key"),
    [
        ({"merges_last_batch": True}, "2427f8cf8648c787"),
        ({"incomplete": True}, "4ec7e251413e5dd8"),
        ({"content": {"network": {"width": "sha256:0"}}}, "949ffaa987111801"),
        ({"network": Choice(name="mine:Net", options={"weights": Path("/a/w.pt")})}, "bca10e50ff1fb3b3"),
    ],
)
def test_keys_of_what_is_in_a_key_only_where_it_is_set_are_pinned(
    make_trial: Callable[..., Trial], change: dict[str, object], key: str
) -> None:
    assert make_trial(**change).key == key


@pytest.mark.parametrize(
    "change",
    [
        {"suite": "other"},
        {"role": "stl"},
        {"tasks": ("left",)},
        {"network": Choice(name="lenet", options={"width": 51})},
        {"weighting": Choice(name="cagrad", options={"c": 0.4})},
        {"optimizer": Choice(name="sgd")},
        {"learning_rate": 2e-3},
        {"training": Training(epochs=4, batch_size=32)},
        {"training": Training(epochs=3, batch_size=32, schedule=Schedule(kind="cosine"))},
        {"data_fingerprint": "e" * 64},
    ],
)
def test_whatever_decides_a_result_changes_both_keys(
    make_trial: Callable[..., Trial], change: dict[str, object]
) -> None:
    assert make_trial(**change).cell.key != make_trial().cell.key
    assert make_trial(**change).key != make_trial().key


@pytest.mark.parametrize("part", ["network", "weighting", "optimizer"])
def test_a_file_that_an_option_names_is_its_content_in_a_key_and_a_path_beside_it(
    make_trial: Callable[..., Trial], part: str
) -> None:
    def at(path: str, content: str = "sha256:0") -> Trial:
        choice = Choice(name="mine:Part", options={"file": Path(path), "width": 3})
        return make_trial(**{part: choice, "content": {part: {"file": content, "source": "sha256:1"}}})

    here, there = at("/here/a.pt"), at("/there/b.pt")
    assert here.key == there.key != at("/here/a.pt", "sha256:2").key
    assert here.cell.files() == ["/here/a.pt"], "the source is no option"
    assert here.cell.with_paths_of(there.cell) == there.cell
    assert make_trial().cell.with_paths_of(there.cell) == make_trial().cell, "it has no file of that name"
    assert json.loads(json.dumps(here.to_json()))[part]["options"] == {"file": "/here/a.pt", "width": 3}


def test_a_method_is_a_weighting_with_an_optimizer(make_trial: Callable[..., Trial]) -> None:
    assert make_trial().cell.method == "cagrad adam"


def test_replicates_share_a_cell(make_trial: Callable[..., Trial]) -> None:
    assert make_trial(0).cell.key == make_trial(1).cell.key
    assert make_trial(0).key != make_trial(1).key


def test_how_a_method_is_called_changes_no_key(make_trial: Callable[..., Trial]) -> None:
    assert make_trial(weighting_label="CAGrad (ours)").key == make_trial().key


@pytest.mark.parametrize(
    "change",
    [
        {},
        {"merges_last_batch": True},
        {"incomplete": True},
        {"tuned": {"optimizer.momentum": "0.9"}},
        {"compared": {"network.width": "50"}},
        {"content": {"network": {"width": "sha256:0"}}, "schema": 7, "trainer": 8},
    ],
)
def test_a_trial_survives_json(make_trial: Callable[..., Trial], change: dict[str, object]) -> None:
    trial = make_trial(5, **change)
    restored = Trial.from_json(json.loads(json.dumps(trial.to_json())))
    assert restored == trial
    assert restored.key == trial.key


def test_axes_are_named_in_the_file_of_a_trial_only_where_there_are_any(make_trial: Callable[..., Trial]) -> None:
    assert make_trial().to_json()["labels"] == {"weighting": "cagrad", "optimizer": "adam"}


def test_a_cell_has_the_values_of_its_axes_tuned_and_compared(make_trial: Callable[..., Trial]) -> None:
    cell = make_trial(tuned={"optimizer.momentum": "0.9"}, compared={"network.width": "50"}).cell
    assert cell.axes == {"optimizer.momentum": "0.9", "network.width": "50"}


@pytest.mark.parametrize(
    ("rate", "name"),
    [
        (1e-3, "cagrad adam lr=1e-3 seed=0"),
        (0.5, "cagrad adam lr=5e-1 seed=0"),
        (0.00025, "cagrad adam lr=2.5e-4 seed=0"),
        (10.0, "cagrad adam lr=1e1 seed=0"),
    ],
)
def test_names_are_what_people_read(make_trial: Callable[..., Trial], rate: float, name: str) -> None:
    assert make_trial(learning_rate=rate).name == name


def test_a_name_has_the_values_of_tuned_axes(make_trial: Callable[..., Trial]) -> None:
    trial = make_trial(tuned={"optimizer.momentum": "0.9", "training.batch_size": "8"})
    assert trial.name == "cagrad adam lr=1e-3 momentum=0.9 batch_size=8 seed=0"


def test_baselines_are_named_by_their_task(make_trial: Callable[..., Trial]) -> None:
    assert make_trial(role="stl", tasks=("left",)).name == "stl left adam lr=1e-3 seed=0"


def test_a_result_survives_json_with_every_kind_of_number(make_finished: Callable[..., FinishedTrial]) -> None:
    odd = EpochRecord(4, {"val/left/r2": math.inf, "val/left/accuracy": -math.inf, "only/now/here": 1.0}, 1.0, 2.0)
    result = Finished(Outcome.DIVERGED, (*make_finished().state.curve, odd), "nan", "epoch 5")
    assert finished_from_json(state_to_json(result)) == result
    undefined = Finished(Outcome.DONE, (EpochRecord(1, {"val/left/r2": math.nan}, 1.0, 2.0),))
    assert math.isnan(finished_from_json(state_to_json(undefined)).curve[0].metrics["val/left/r2"])


def test_a_paused_trial_is_written_as_pruned_and_read_as_paused(make_finished):
    """On the wire; in the ledger the file's name tells a paused trial from one that was cut."""
    curve = make_finished().state.curve
    assert state_to_json(Paused(curve))["outcome"] == "pruned"
    assert state_from_json(state_to_json(Paused(curve))) == Paused(curve)
    assert finished_from_json(state_to_json(Paused(curve))) == Finished(Outcome.PRUNED, curve)
