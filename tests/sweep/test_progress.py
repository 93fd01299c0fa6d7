"""Progress: what is left at the cost of its own method and the pace kept so far; one line, one table, one file."""

from __future__ import annotations

import io
import json
import time
from collections.abc import Callable

import pytest
from rich.console import Console

from mtlsweep.sweep.device_clock import DeviceClock
from mtlsweep.sweep.progress import Progress
from mtlsweep.trials.state import FinishedTrial, Outcome


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> dict[str, float]:
    """Return the time as the sweep sees it, which the test moves."""
    now = {"seconds": 1000.0}
    monkeypatch.setattr(time, "time", lambda: now["seconds"])
    return now


def ticking(clock: dict[str, float]) -> DeviceClock:
    return DeviceClock(lambda: clock["seconds"])


def test_the_time_left_is_that_of_the_methods_left_at_the_pace_so_far(
    make_finished: Callable[..., FinishedTrial], clock: dict[str, float]
) -> None:
    quick, slow = make_finished(0), make_finished(0, weighting_label="slow", learning_rate=0.5)
    left = {"cagrad adam": 10, "slow adam": 4, "unseen adam": 2}
    progress = Progress("digits sweep", 9, left, clock=ticking(clock))
    assert progress.eta_seconds is None
    clock["seconds"] += 500  # until Ray is there
    progress.start(quick.trial)
    progress.start(slow.trial)
    for record in quick.state.curve[:2]:  # two seconds each
        progress.epoch(quick.trial, record, delta_m=1.0)
    for record in slow.state.curve[:1]:
        progress.epoch(slow.trial, record, delta_m=-2.0)
    clock["seconds"] += 3.0  # six seconds of training in three: two at once
    assert progress.eta_seconds == pytest.approx((10 * 2 + 4 * 2 + 2 * 2 - 3 * 2) / 2)

    progress.stop(quick.trial)
    progress.finish(quick.trial, Outcome.PRUNED)
    line = progress.line()
    assert line.startswith("digits sweep: 1/9 finished, 1 pruned, 1 running, ETA 30 s, best validation Δm -2.00 %")


def test_the_time_left_follows_the_devices_that_there_are(
    make_finished: Callable[..., FinishedTrial], clock: dict[str, float]
) -> None:
    one, other = make_finished(0), make_finished(1)
    progress = Progress("digits sweep", 2, {"cagrad adam": 41}, clock=ticking(clock))
    progress.start(one.trial)
    progress.epoch(one.trial, one.state.curve[0], delta_m=None)
    clock["seconds"] += 4.0  # of which two are training
    assert progress.eta_seconds == pytest.approx(40 * 4.0)
    progress.start(other.trial)  # on a host that comes
    assert progress.eta_seconds == pytest.approx(40 * 4.0 / 2)
    for trial in (one.trial, other.trial):
        progress.interrupt(trial)
    assert progress.eta_seconds is None, "nobody knows when a host comes"


def test_what_unfinished_trials_cost_is_the_time_in_which_they_hold_devices(
    make_finished: Callable[..., FinishedTrial], clock: dict[str, float]
) -> None:
    one, other = make_finished(0), make_finished(1)
    progress = Progress("digits sweep", 2, {}, clock=ticking(clock))
    progress.start(one.trial)
    clock["seconds"] += 3.0
    progress.interrupt(one.trial)  # its host is gone
    clock["seconds"] += 100.0
    progress.start(other.trial)
    progress.start(one.trial)
    clock["seconds"] += 5.0
    assert progress.to_json()["device_seconds_unfinished"] == 3.0 + 5.0 + 5.0
    progress.stop(other.trial)  # the ledger has it
    assert progress.to_json()["device_seconds_unfinished"] == 3.0 + 5.0
    progress.stop(one.trial)
    progress.start(one.trial)  # paused before, and goes on
    clock["seconds"] += 1.0
    assert progress.to_json()["device_seconds_unfinished"] == 1.0
    assert progress.clock.seconds() == 3.0 + 5.0 + 5.0 + 1.0


def test_a_pruned_trial_that_is_continued_is_counted_once(make_finished: Callable[..., FinishedTrial]) -> None:
    cut, done = make_finished(0).trial, make_finished(1).trial
    progress = Progress("digits sweep", 2, {}, {cut.key: Outcome.PRUNED, done.key: Outcome.DONE})
    assert progress.line().startswith("digits sweep: 2/2 finished, 1 pruned, 0 running")
    progress.start(cut)
    assert progress.line().startswith("digits sweep: 1/2 finished, 1 running")
    progress.stop(cut)
    progress.finish(cut, Outcome.DONE)
    assert progress.line().startswith("digits sweep: 2/2 finished, 0 running")


def test_progress_is_never_above_its_total(make_finished: Callable[..., FinishedTrial]) -> None:
    """After a grid a race wants fewer trials than there are."""
    trials = [make_finished(seed).trial for seed in range(4)]
    progress = Progress("digits sweep", 2, {}, dict.fromkeys((trial.key for trial in trials[:3]), Outcome.DONE))
    progress.start(trials[3])
    assert progress.line().startswith("digits sweep: 3/4 finished, 1 running")
    assert progress.to_json()["planned"] == 4


def test_a_metric_that_is_not_finite_is_shown_in_every_view(
    make_finished: Callable[..., FinishedTrial], clock: dict[str, float]
) -> None:
    one = make_finished(0)
    progress = Progress("digits sweep", 2, {"cagrad adam": 3}, clock=ticking(clock))
    progress.start(one.trial)
    progress.epoch(one.trial, one.state.curve[0], delta_m=float("nan"))
    clock["seconds"] += 1.0
    assert json.loads(json.dumps(progress.to_json(), allow_nan=False))["running"][0]["delta_m"] is None
    assert progress.to_json()["best"] is None
    text = io.StringIO()
    Console(width=120, file=text).print(progress.table())
    assert all(word in text.getvalue() for word in ("planned", "pruned", "diverged", "ETA"))
    assert "nan" not in text.getvalue()


def test_other_shells_learn_what_runs_where_and_how_much_training_is_left(
    make_finished: Callable[..., FinishedTrial], clock: dict[str, float]
) -> None:
    one, other = make_finished(0), make_finished(1)
    progress = Progress("digits sweep", 2, {"cagrad adam": 6})
    assert progress.to_json()["device_seconds_left"] is None
    progress.start(one.trial)
    progress.start(other.trial)
    progress.epoch(one.trial, one.state.curve[0], delta_m=None, host="gpu-7")
    clock["seconds"] += 1.0
    content = progress.to_json()
    assert [(running["host"], running["epoch"]) for running in content["running"]] == [("gpu-7", 1), ("", 0)]
    assert content["device_seconds_left"] == 6 * 2.0 - 2.0
    progress.epochs_left = {"cagrad adam": 0}
    assert progress.to_json()["device_seconds_left"] == 0.0
