"""What is worth a message while a sweep runs, when it is due, and that it is told once."""

from __future__ import annotations

import time
from collections.abc import Callable

import pytest

from mtlsweep.sweep.notify.alarms import SECONDS_IF_UNKNOWN, Alarms
from mtlsweep.sweep.notify.message import Sweep
from mtlsweep.sweep.progress import Progress
from mtlsweep.trials.state import FinishedTrial, Outcome

SWEEP = Sweep("my-study", "digits", "sweep", "head")


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> dict[str, float]:
    """Return the time as the sweep sees it, which the test moves."""
    now = {"seconds": 1000.0}
    monkeypatch.setattr(time, "time", lambda: now["seconds"])
    return now


@pytest.fixture
def progress(clock: dict[str, float]) -> Progress:
    return Progress("digits sweep", 20, {"cagrad adam": 60}, {"earlier": Outcome.FAILED})


def told(alarms: Alarms, used_up: str | None = None) -> list[str]:
    return [message.event for message in alarms.due(time.time(), used_up)]


def test_a_sweep_stalls_when_no_trial_ends_in_three_times_what_one_takes(
    progress: Progress, clock: dict[str, float], make_finished: Callable[..., FinishedTrial]
) -> None:
    alarms = Alarms(SWEEP, progress, failed_share=1.0)
    one, other = make_finished(0), make_finished(1)
    progress.start(one.trial)
    progress.start(other.trial)
    progress.epoch(
        one.trial, one.state.curve[0], delta_m=None
    )  # two seconds an epoch, three epochs: six seconds a trial
    for epoch in range(50):  # slower ones count
        progress._seconds["cagrad adam"] += 100 if epoch == 0 else 0
    expected = progress.trial_seconds
    assert expected == 3 * 102
    clock["seconds"] += 3 * expected
    assert told(alarms) == []
    clock["seconds"] += 1
    (message,) = alarms.due(time.time(), None)
    assert message.event == "stalled"
    assert message.text.splitlines()[0] == "No trial has ended for 15 min; one takes about 5 min."
    assert "mtlsweep status digits" in message.text
    assert told(alarms) == [], "once for one silence"
    progress.stop(one.trial)
    clock["seconds"] += 3 * expected + 1
    assert told(alarms) == ["stalled"], "and again for the next"


def test_short_trials_and_the_first_trial_have_time(
    progress: Progress, clock: dict[str, float], make_finished: Callable[..., FinishedTrial]
) -> None:
    alarms = Alarms(SWEEP, progress, failed_share=1.0)
    one = make_finished(0)
    progress.start(one.trial)
    clock["seconds"] += 3 * SECONDS_IF_UNKNOWN - 1
    assert told(alarms) == [], "nobody knows yet what a trial takes"
    clock["seconds"] += 2
    assert told(alarms) == ["stalled"]
    progress.epoch(one.trial, one.state.curve[0], delta_m=None)
    progress.stop(one.trial)
    clock["seconds"] += 59
    assert told(alarms) == [], "six seconds a trial, but a worker may take a while to start"


def test_failures_of_this_run_are_told_once_above_the_share(
    progress: Progress, clock: dict[str, float], make_finished: Callable[..., FinishedTrial]
) -> None:
    alarms = Alarms(SWEEP, progress, failed_share=0.2)
    ends = [Outcome.FAILED, *[Outcome.DONE] * 4, Outcome.DIVERGED, Outcome.FAILED]
    for seed, outcome in enumerate(ends):
        assert told(alarms) == []
        progress.finish(make_finished(seed).trial, outcome)
    (message,) = alarms.due(time.time(), None)
    assert message.event == "failing"
    assert message.text.splitlines() == [
        "2 of the 7 trials that ended in this run failed, more than `notify.failed_share` (20%).",
        "8 of 20 trials are finished: 1 diverged, 4 done, 3 failed.",
        "Study my-study, suite digits, stage sweep, on head.",
        "Next: `mtlsweep failures digits` says why.",
    ]
    assert told(alarms) == []


def test_a_budget_that_is_used_up_is_told_once(progress: Progress) -> None:
    alarms = Alarms(SWEEP, progress, failed_share=1.0)
    assert told(alarms) == []
    (message,) = alarms.due(time.time(), "`resources.budget.hours` (48) is used up")
    assert message.title == "my-study, digits sweep: budget used up"
    assert message.text.startswith("`resources.budget.hours` (48) is used up.\n")
    assert told(alarms, "`resources.budget.hours` (48) is used up") == []
