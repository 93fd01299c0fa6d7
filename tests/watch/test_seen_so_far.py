"""What the live view keeps of a ledger and finds in it, without a study; `test_live.py` has one."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from mtlsweep.analysis.objectives import Objective
from mtlsweep.errors import UserError
from mtlsweep.params.choice import Choice
from mtlsweep.record.ledger import Ledger
from mtlsweep.sweep.control import seen_trials
from mtlsweep.sweep.control.findings import describe_baselines, find_baselines, find_so_far
from mtlsweep.sweep.control.seen_trials import SeenTrials
from mtlsweep.sweep.reference import Reference
from mtlsweep.trials.curve import EpochRecord
from mtlsweep.trials.state import Finished, FinishedTrial, Outcome

OBJECTIVES = tuple(Objective(task, "accuracy", higher_is_better=True) for task in ("left", "right"))

Make = Callable[..., FinishedTrial]
"""A trial whose accuracies are a tenth of its epoch and its seed together, in both tasks."""


def reference(accuracy: float) -> Reference:
    values = {objective.name: accuracy for objective in OBJECTIVES}
    return Reference(OBJECTIVES, {"val": values, "test": values})


@pytest.fixture
def ledger(tmp_path: Path) -> Ledger:
    return Ledger(tmp_path, "digits")


# The trials


def test_a_trial_is_kept_with_its_best_epoch_and_without_its_curve(ledger: Ledger, make_finished: Make) -> None:
    one, failed = make_finished(seed=1), make_finished(seed=2, outcome=Outcome.FAILED)
    lines = Finished(Outcome.FAILED, (), "code", "Traceback\n  File\nKeyError: 'x'\n")
    for each in (one, replace(failed, state=lines)):
        ledger.finish(each)
    seen = SeenTrials(ledger)
    seen.read(reference(0.5), seconds=60)
    kept = {each.trial.seed: each for each in seen.read_all()}
    assert kept[1].trial == one.trial and len(kept[1].state.curve) == 0
    assert kept[2].state.detail == "KeyError: 'x'", "the last line of the traceback"
    assert seen.measured["val_delta_m"].to_dict() == {one.trial.key: pytest.approx(20.0)}, (
        "0.4 in the last of three epochs"
    )
    assert list(seen.read_ends([one.trial.key, "of another stage"])) == [(one.trial.key, Outcome.DONE, None)]
    before = seen.version
    seen.read(reference(0.5), seconds=60)
    assert (seen.version, seen.unread) == (before, 0), "nothing is new"


def test_many_trials_are_read_over_several_looks(
    ledger: Ledger, make_finished: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(seen_trials, "TRIALS_AT_ONCE", 2)
    for seed in range(5):
        ledger.finish(make_finished(seed=seed))
    seen, unread = SeenTrials(ledger), []
    for _ in range(3):
        seen.read(reference(0.5), seconds=-1)
        unread.append(seen.unread)
    assert unread == [3, 1, 0] and len(seen.measured) == len(list(seen.read_all())) == 5


def test_what_leaves_the_ledger_or_goes_on_is_not_shown_as_it_was(ledger: Ledger, make_finished: Make) -> None:
    gone, cut = make_finished(seed=0), make_finished(seed=1, epochs=1, outcome=Outcome.PRUNED)
    for one in (gone, cut):
        ledger.finish(one)
    seen = SeenTrials(ledger)
    seen.read(reference(0.5), seconds=60)
    ledger.forget(gone.trial.key)
    ledger.finish(make_finished(seed=1))
    seen.read(reference(0.5), seconds=60)
    assert [(one.trial.seed, one.state.outcome) for one in seen.read_all()] == [(1, Outcome.PRUNED)], "read once"
    seen.read_unsettled_again()
    seen.read(reference(0.5), seconds=60)
    assert [(one.trial.seed, one.state.outcome) for one in seen.read_all()] == [(1, Outcome.DONE)]
    assert seen.measured["val_delta_m"].tolist() == pytest.approx([20.0])


def test_with_another_baseline_everything_is_compared_again(ledger: Ledger, make_finished: Make) -> None:
    ledger.finish(make_finished(seed=1))
    seen = SeenTrials(ledger)
    for baseline, delta_m in ((None, []), (0.5, [20.0]), (0.8, [50.0])):
        seen.read(None if baseline is None else reference(baseline), seconds=60)
        figures = seen.measured["val_delta_m"].tolist() if len(seen.measured) else []
        assert figures == pytest.approx(delta_m)


# What is found


def test_the_best_cell_of_a_method_has_the_most_seeds_and_the_lowest_mean(ledger: Ledger, make_finished: Make) -> None:
    for seed in (0, 1):
        ledger.finish(make_finished(seed=seed, learning_rate=0.1))
        ledger.finish(make_finished(seed=seed, epochs=2, learning_rate=0.01))
    ledger.finish(make_finished(seed=9, learning_rate=0.001))  # a single lucky one
    ledger.finish(make_finished(seed=4, weighting=Choice(name="ew"), weighting_label="ew"))
    seen = SeenTrials(ledger)
    seen.read(reference(0.5), seconds=60)
    found = find_so_far(seen.read_all(), seen.measured, OBJECTIVES)
    named = [(one["weighting"], one["learning_rate"], one["seeds"]) for one in found["methods"]]
    assert named == [("ew", 0.001, 1), ("cagrad", 0.1, 2)]
    assert [one["delta_m"] for one in found["methods"]] == pytest.approx([-40.0, 30.0])
    assert found["methods"][0]["deviation"] is None and found["methods"][1]["deviation"] == pytest.approx(200**0.5)
    front = found["front"]
    assert (front["trials"], front["members"], front["by_method"]) == (6, 1, {"cagrad adam": 1})
    assert [axis["label"] for axis in front["axes"]] == ["left accuracy", "right accuracy"]
    (best,) = [point for point in front["points"] if point["member"]]
    assert best == {"name": "cagrad adam lr=0.001", "optimizer": "adam", "x": 1.2, "y": 1.2, "member": True}


def test_before_anything_is_compared_nothing_is_found(ledger: Ledger, make_finished: Make) -> None:
    ledger.finish(make_finished())
    seen = SeenTrials(ledger)
    seen.read(None, seconds=60)
    assert find_so_far(seen.read_all(), seen.measured, OBJECTIVES) == {"methods": [], "front": None}


def single_task(make_finished: Make, task: str, rate: float, seed: int, loss: float) -> FinishedTrial:
    one = make_finished(seed, role="stl", tasks=(task,), weighting_label="stl", learning_rate=rate)
    metrics = {
        f"{split}/{task}/{name}": value
        for split in ("val", "test")
        for name, value in (("loss", loss), ("accuracy", 1 - loss))
    }
    curve = (EpochRecord(1, {**metrics, f"train/{task}/loss": 9.0}, 0.0, 1.0),)
    return replace(one, state=Finished(Outcome.DONE, curve))


def test_baselines_are_those_of_lowest_loss_and_a_task_without_one_is_named(make_finished: Make) -> None:
    left = [
        single_task(make_finished, "left", rate, seed, loss)
        for rate, seed, loss in ((0.1, 0, 0.4), (0.1, 1, 0.2), (0.01, 0, 0.5), (0.01, 1, 0.6))
    ]
    with pytest.raises(UserError, match="task `right` has no baseline"):
        find_baselines(left, OBJECTIVES)
    with pytest.raises(UserError, match="task `left` has no baseline"):
        find_baselines([], OBJECTIVES)
    right = [single_task(make_finished, "right", 0.1, seed, 0.3) for seed in (0, 1)]
    described = describe_baselines(find_baselines([*left, *right], OBJECTIVES))
    assert [(one["metric"], one["learning_rate"], one["seeds"]) for one in described] == [
        ("left accuracy", 0.1, 2), ("right accuracy", 0.1, 2),
    ]  # fmt: skip
    assert [one["mean"] for one in described] == pytest.approx([0.7, 0.7])
