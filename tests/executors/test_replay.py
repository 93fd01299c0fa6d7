"""A replay gives recorded results in the order in which their recorded seconds would end, and counts no epoch twice."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import pytest

from mtlsweep.sweep.executors.replay import ReplayExecutor
from mtlsweep.trials.assignment import Assignment
from mtlsweep.trials.curve import EpochRecord
from mtlsweep.trials.state import FinishedTrial, Outcome, Paused, State

Make = Callable[..., FinishedTrial]
"""A trial of three epochs of two seconds each, if the test says nothing else."""


class Work:
    """Hands out assignments and keeps what ends; it stops after as many ends as the test says."""

    def __init__(self, *assignments: Assignment, most: int = 99) -> None:
        self.waiting, self.most = list(assignments), most
        self.ends: list[tuple[int, State]] = []
        self.added: list[tuple[int, int]] = []

    def next(self) -> Assignment | None:
        return self.waiting.pop(0) if self.waiting else None

    def stopping(self) -> str | None:
        return "enough" if len(self.ends) >= self.most else None

    def started(self, assignment: Assignment) -> None: ...

    def interrupted(self, assignment: Assignment) -> None: ...

    def devices(self, sentences: Sequence[str]) -> None: ...

    def epochs(self, assignment: Assignment, records: Sequence[EpochRecord], host: str = "") -> None:
        self.added.append((assignment.trial.seed, len(records)))

    def ended(self, assignment: Assignment, state: State, host: str, attempts: int) -> None:
        self.ends.append((assignment.trial.seed, state))

    def unwritable(self, reason: str) -> None: ...

    def changed(self, assignment: Assignment, reason: str) -> None: ...

    def no_host(self, reason: str) -> None: ...


def records(*finished: FinishedTrial) -> dict[str, FinishedTrial]:
    return {one.trial.key: one for one in finished}


def test_a_trial_that_is_continued_adds_its_further_epochs_only(make_finished: Make) -> None:
    one = make_finished(seed=1)
    work, executor = Work(Assignment(one.trial, 1), Assignment(one.trial, 3)), ReplayExecutor(records(one))
    executor.run(work)
    assert work.ends == [(1, Paused(one.state.curve[:1])), (1, one.state)]
    assert work.added == [(1, 1), (1, 2)] and (executor.epochs, executor.seconds) == (3, 6.0)


def test_what_diverged_before_a_rung_has_its_end_there(make_finished: Make) -> None:
    one = make_finished(seed=1, epochs=1, outcome=Outcome.DIVERGED)
    work = Work(Assignment(one.trial, 2))
    ReplayExecutor(records(one)).run(work)
    assert work.ends == [(1, one.state)]


@pytest.mark.parametrize(("slots", "order"), [(1, [1, 2, 3]), (2, [2, 1, 3]), (3, [2, 3, 1])])
def test_with_several_slots_what_takes_less_time_ends_first(make_finished: Make, slots: int, order: list[int]) -> None:
    """Six seconds, two, and then two seconds again; of those that end together the one that began first is first."""
    finished = [make_finished(seed=seed) for seed in (1, 2, 3)]
    untils = (3, 1, 2 if slots == 2 else 1)
    work = Work(*(Assignment(one.trial, until) for one, until in zip(finished, untils, strict=True)))
    ReplayExecutor(records(*finished), slots).run(work)
    assert [seed for seed, _ in work.ends] == order


def test_a_replay_stops_when_the_work_does_and_names_what_is_not_recorded(make_finished: Make) -> None:
    first, second = make_finished(seed=1), make_finished(seed=2)
    work = Work(*(Assignment(one.trial, 3) for one in (first, second)), most=1)
    ReplayExecutor(records(first, second)).run(work)
    assert [seed for seed, _ in work.ends] == [1]
    with pytest.raises(LookupError):
        ReplayExecutor(records(first)).run(Work(Assignment(second.trial, 3)))
