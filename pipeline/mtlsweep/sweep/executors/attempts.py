"""Attempts at assignments: if an attempt ends for a reason outside its trial, another one follows."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Collection
from dataclasses import dataclass

from mtlsweep.sweep.executors.executor import Work
from mtlsweep.sweep.executors.host_trouble import Deaths, Host, HostHealth, Trouble, Verdict
from mtlsweep.trials.assignment import Assignment
from mtlsweep.trials.state import Finished, Outcome, State

Living = Callable[[str | None], Collection[str]]
"""Returns the ids of the hosts there are; if it gets one, it waits a little for the news that this host is gone."""


@dataclass(frozen=True)
class Attempt:
    """One start of an assignment.

    Attributes:
        assignment: what to train.
        alone: whether it gets a device, or a host without one, for itself.
        avoid: ids of hosts on which it must not start.
    """

    assignment: Assignment
    alone: bool = False
    avoid: tuple[str, ...] = ()


class Attempts:
    """Hands out the work's assignments, and hands out again what memory, a worker or a host kept from running.

    Args:
        work: provides assignments and takes their results.
        hosts: returns the ids of the hosts that trials can run on now.
        retries: how often a trial is tried again whose process died; the loss of a host does not count.
        alone: whether every attempt has its host for itself.
    """

    def __init__(self, work: Work, hosts: Callable[[], Collection[str]], retries: int = 0, alone: bool = False) -> None:
        self._work = work
        self._retries = retries
        self._alone = alone
        self._deaths = Deaths()
        self._health = HostHealth(hosts)
        self._next: list[tuple[Assignment, bool]] = []
        self._later: list[tuple[Assignment, bool]] = []
        self._earlier: Counter[str] = Counter()  # attempts so far, by trial

    def next(self) -> Attempt | None:
        """Return the next attempt; None: see `Work.next`."""
        if self._work.stopping() is not None:
            return None
        if self._next:
            return self._attempt(*self._next.pop(0))
        if (assignment := self._work.next()) is not None:
            return self._attempt(assignment, self._alone)
        return self._attempt(*self._later.pop(0)) if self._later else None

    def ended(self, attempt: Attempt, state: State, host: Host | None, starts: int) -> None:
        """Pass the end of a trial to the work; a trial that ran out of memory beside others is tried again alone.

        Args:
            attempt: that ended.
            state: of its trial.
            host: where it ended; None if unknown.
            starts: how often the attempt was started.
        """
        trial = attempt.assignment.trial
        if host is not None:
            self._health.ran(trial, host.id)
        self._earlier[trial.key] += starts
        if isinstance(state, Finished) and state.cause == "oom" and not attempt.alone:
            self._work.interrupted(attempt.assignment)
            self._next.append((attempt.assignment, True))
        else:
            self._work.ended(attempt.assignment, state, host.name if host else "", self._earlier[trial.key])

    def had_trouble(self, attempt: Attempt, host: Host, trouble: Trouble, starts: int) -> None:
        """Decide what follows when a host could not run a trial: another attempt, its failure, another plan, or the end of the sweep."""
        trial = attempt.assignment.trial
        self._earlier[trial.key] += starts
        verdict = self._health.had_trouble(trial, host.id, trouble.cause)
        if verdict is Verdict.AGAIN:
            self._work.interrupted(attempt.assignment)
            elsewhere = host.id in self._health.avoided(trial)
            # on the same host others go first: they show whether the host or the trial is the cause
            (self._next if elsewhere else self._later).append((attempt.assignment, attempt.alone))
        elif verdict is Verdict.THE_TRIALS:
            failed = Finished(Outcome.FAILED, (), trouble.cause, trouble.detail)
            self._work.ended(attempt.assignment, failed, host.name, self._earlier[trial.key])
        elif verdict is Verdict.PLAN_AGAIN:
            self._work.changed(attempt.assignment, trouble.what)
        else:
            self._work.no_host(f"{host.name}: {trouble.what}")

    def died(self, attempt: Attempt, host: str | None, living: Living) -> bool:
        """Try a trial again at once whose process died; return False if its retries are used up.

        Args:
            attempt: that ended so.
            host: id of its host; None if unknown.
            living: knows which hosts there are.
        """
        key = attempt.assignment.trial.key
        self._earlier[key] += 1
        self._deaths.add(key, host)
        if self._deaths.own(key, living(None)) > self._retries and self._deaths.own(key, living(host)) > self._retries:
            return False
        self.start_again(attempt)
        return True

    def gave_up(self, attempt: Attempt, cause: str, detail: str) -> None:
        """Pass to the work that a trial failed whose retries are used up."""
        trial = attempt.assignment.trial
        failed = Finished(Outcome.FAILED, (), cause, detail)
        self._work.ended(attempt.assignment, failed, "", self._earlier[trial.key])

    def start_again(self, attempt: Attempt) -> None:
        """Try again at once what failed because of an earlier trial in its process, or of its host."""
        self._work.interrupted(attempt.assignment)
        self._next.append((attempt.assignment, attempt.alone))

    def _attempt(self, assignment: Assignment, alone: bool) -> Attempt:
        return Attempt(assignment, alone, self._health.avoided(assignment.trial))
