"""A run whose first trials all fail for one reason stops; a method that fails alone stops nothing."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import pytest

from mtlsweep.params.choice import Choice
from mtlsweep.sweep.failing_together import FailingTogether
from mtlsweep.sweep.retry_command import retry_hint, training_command
from mtlsweep.trials.state import Execution, Finished, FinishedTrial, Outcome, TrialRecord
from mtlsweep.trials.trial import Trial

Ended = Callable[..., FinishedTrial]


@pytest.fixture
def ended(make_trial: Callable[..., Trial]) -> Ended:
    def make(method: str, rate: float, detail: str | None = "Traceback\nKeyError: 'image'") -> FinishedTrial:
        trial = make_trial(weighting_label=method, weighting=Choice(name=method), learning_rate=rate)
        state = Finished(Outcome.DONE, ()) if detail is None else Finished(Outcome.FAILED, (), "code", detail)
        return TrialRecord(trial, state, Execution(0.0, 1.0, 1.0, "host", 1, {}))

    return make


def reason(planned: Sequence[FinishedTrial], records: Sequence[FinishedTrial]) -> str | None:
    failing = FailingTogether(one.trial.cell for one in planned)
    for one in records:
        failing.add(one)
    return failing.reason()


def test_the_first_trials_of_two_methods_stop_the_run(ended: Ended) -> None:
    records = [ended("ew", 0.1), ended("ew", 0.01), ended("uw", 0.1)]
    assert reason(records, records) == "the first 3 trials of this run all failed: KeyError: 'image'"
    assert reason(records, records[:2]) is None


def test_a_method_that_is_broken_by_itself_stops_nothing(ended: Ended) -> None:
    broken = [ended("ew", rate) for rate in (0.1, 0.01, 0.001, 0.0001)]
    assert reason([*broken, ended("uw", 0.1)], broken) is None
    assert reason(broken, broken) is not None  # there is no other method to train


@pytest.mark.parametrize("place", [0, 1, 2])
def test_one_trial_that_ends_otherwise_shows_that_trials_can_run(ended: Ended, place: int) -> None:
    for other in (ended("ew", 0.5, None), ended("ew", 0.5, "Traceback\nTypeError: another reason")):
        records = [ended("ew", 0.1), ended("ew", 0.01), ended("uw", 0.1), ended("uw", 0.01)]
        records.insert(place, other)
        assert reason(records, records) is None


def test_numbers_in_a_message_do_not_make_it_another_reason(ended: Ended) -> None:
    records = [ended(method, 0.1, f"RuntimeError: row {row}") for row, method in enumerate(("ew", "uw", "pcgrad"))]
    assert reason(records, records) is not None


def test_the_command_trains_the_stages_of_the_trials_that_were_forgotten(
    make_trial: Callable[..., Trial], in_directory: Path
) -> None:
    Path("dvc.yaml").touch()
    mtl, stl = make_trial(role="mtl"), make_trial(role="stl")
    assert training_command("digits", [mtl]) == "dvc repro --single-item --force sweep@digits && dvc repro"
    assert training_command("digits", [stl, stl]) == "dvc repro --single-item --force baselines@digits && dvc repro"
    both = training_command("digits", [mtl, stl])
    assert both == "dvc repro --single-item --force baselines@digits sweep@digits && dvc repro"
    assert retry_hint("digits", [mtl, stl]) == f"correct the cause, then run `mtlsweep retry digits && {both}`"
    Path("dvc.yaml").unlink()
    assert training_command("digits", [mtl]) == "python -c \"import mtlsweep; mtlsweep.Project().run('digits')\""
