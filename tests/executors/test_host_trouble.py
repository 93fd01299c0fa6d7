"""Trouble of a host is no result of a trial, unless the trial has it wherever others run."""

from __future__ import annotations

import errno
from collections.abc import Callable, Sequence

import pytest

from mtlsweep.params.choice import Choice
from mtlsweep.sweep.executors.attempts import Attempt, Attempts
from mtlsweep.sweep.executors.host_trouble import Host, HostError, Trouble, trouble_of
from mtlsweep.trials.assignment import Assignment
from mtlsweep.trials.cell import ContentChangedError
from mtlsweep.trials.curve import EpochRecord
from mtlsweep.trials.state import Finished, Outcome, State
from mtlsweep.trials.trial import Trial

DONE = Finished(Outcome.DONE, ())
A, B = Host("id of a", "a"), Host("id of b", "b")
METHODS = ("ew", "uw", "pcgrad")


class Recording:
    """Work that hands out given assignments and keeps what comes back."""

    def __init__(self, assignments: Sequence[Assignment]) -> None:
        self._waiting = list(assignments)
        self.ends: list[tuple[Trial, State, str, int]] = []
        self.stopped: str | None = None
        self.changes: list[tuple[Trial, str]] = []
        self.interruptions: list[Trial] = []

    def next(self) -> Assignment | None:
        return self._waiting.pop(0) if self._waiting else None

    def stopping(self) -> str | None:
        return self.stopped

    def started(self, assignment: Assignment) -> None: ...

    def interrupted(self, assignment: Assignment) -> None:
        self.interruptions.append(assignment.trial)

    def devices(self, sentences: Sequence[str]) -> None: ...

    def epochs(self, assignment: Assignment, records: Sequence[EpochRecord], host: str = "") -> None: ...

    def ended(self, assignment: Assignment, state: State, host: str, attempts: int) -> None:
        self.ends.append((assignment.trial, state, host, attempts))

    def unwritable(self, reason: str) -> None: ...

    def changed(self, assignment: Assignment, reason: str) -> None:
        self.changes.append((assignment.trial, reason))

    def no_host(self, reason: str) -> None:
        self.stopped = reason


@pytest.fixture
def work(make_trial: Callable[..., Trial]) -> Recording:
    trials = [
        make_trial(weighting_label=method, weighting=Choice(name=method), learning_rate=rate)
        for method in METHODS
        for rate in (0.1, 0.01)
    ]
    return Recording([Assignment(trial, trial.cell.training.epochs) for trial in trials])


def trouble(cause: str) -> Trouble:
    return Trouble(cause, f"no {cause}", "Traceback")


def play(work: Recording, hosts: Sequence[Host], run: Callable[[Attempt, Host], State | Trouble]) -> list[str]:
    """Run one attempt after another, each on the first host that it does not avoid; return what ran where."""
    attempts = Attempts(work, lambda: [host.id for host in hosts])
    log = []
    while (attempt := attempts.next()) is not None:
        host = next(host for host in hosts if host.id not in attempt.avoid)
        log.append(f"{attempt.assignment.trial.cell.weighting_label} on {host.name}")
        state = run(attempt, host)
        if isinstance(state, Trouble):
            attempts.had_trouble(attempt, host, state, starts=1)
        else:
            attempts.ended(attempt, state, host, starts=1)
    return log


@pytest.mark.parametrize("cause", ["disk", "device", "import", "data"])
def test_a_bad_host_fails_no_trial_and_gets_no_more_work(work: Recording, cause: str) -> None:
    log = play(work, [A, B], lambda attempt, host: trouble(cause) if host is A else DONE)
    assert [state for _, state, _, _ in work.ends] == [DONE] * 6
    assert {host for _, _, host, _ in work.ends} == {"b"}
    cells_or_methods = 3 if cause in ("device", "import") else 2  # two rates of one method may share its own fault
    assert sum(one.endswith("on a") for one in log) == cells_or_methods
    assert max(attempts for _, _, _, attempts in work.ends) == 2


def test_a_bad_host_that_goes_leaves_the_trial_to_the_next_one(work: Recording) -> None:
    hosts = [A]
    attempts = Attempts(work, lambda: [host.id for host in hosts])
    attempt = attempts.next()
    assert attempt is not None
    hosts.clear()
    for rate in range(3):
        attempts.had_trouble(attempt, Host(f"gone {rate}", "gone"), trouble("disk"), starts=1)
    assert work.stopped is None
    hosts.append(B)
    again = [attempts.next() for _ in range(6)]
    assert attempt.assignment in [one.assignment for one in again if one is not None]


class Hosts:
    """Hosts of which the loss is noticed after the death of their processes."""

    def __init__(self, *names: str) -> None:
        self.names = set(names)
        self.unnoticed: set[str] = set()

    def living(self, host: str | None) -> set[str]:
        if host in self.unnoticed:
            self.names -= self.unnoticed
        return self.names


@pytest.mark.parametrize("retries", [0, 1])
def test_a_lost_host_costs_no_retry_however_late_its_loss_is_noticed(work: Recording, retries: int) -> None:
    hosts = Hosts("a", "b", "c")
    attempts = Attempts(work, lambda: hosts.names, retries)
    attempt = attempts.next()
    assert attempt is not None
    for name in ("a", "b"):
        hosts.unnoticed = {name}
        assert attempts.died(attempt, name, hosts.living)
        assert attempts.next() == attempt
        hosts.names -= {name}
    own = [attempts.died(attempt, "c", hosts.living) for _ in range(retries + 1)]
    assert own == [True] * retries + [False]
    assert work.ends == [] and work.interruptions == [attempt.assignment.trial] * (2 + retries)
    attempts.gave_up(attempt, "worker", "it died")
    ((trial, state, _, starts),) = work.ends
    assert (trial, state) == (attempt.assignment.trial, Finished(Outcome.FAILED, (), "worker", "it died"))
    assert starts == 3 + retries


@pytest.mark.parametrize("host", ["a", None])
def test_deaths_on_living_or_unknown_hosts_use_up_the_retries(work: Recording, host: str | None) -> None:
    attempts = Attempts(work, lambda: ["a"], retries=2)
    attempt = attempts.next()
    assert attempt is not None
    died = [attempts.died(attempt, host, Hosts("a").living) for _ in range(3)]
    assert died == [True, True, False]


@pytest.mark.parametrize("cause", ["disk", "device", "import", "data"])
def test_without_a_sound_host_the_sweep_stops_and_nothing_has_failed(work: Recording, cause: str) -> None:
    log = play(work, [A, B], lambda attempt, host: trouble(cause))
    assert work.ends == []
    assert work.stopped is not None and work.stopped.endswith(f": no {cause}")
    assert len(log) <= 8


def test_what_one_method_lacks_on_every_host_is_its_own(work: Recording) -> None:
    def run(attempt: Attempt, host: Host) -> State | Trouble:
        return trouble("import") if attempt.assignment.trial.cell.weighting_label == "uw" else DONE

    play(work, [A, B], run)
    outcomes = [(trial.cell.weighting_label, state.outcome) for trial, state, _, _ in work.ends]  # type: ignore[union-attr]
    assert outcomes.count(("uw", Outcome.FAILED)) == 2
    assert outcomes.count(("ew", Outcome.DONE)) == outcomes.count(("pcgrad", Outcome.DONE)) == 2
    assert work.stopped is None


def test_what_one_method_lacks_is_its_own_on_a_single_host_too(work: Recording) -> None:
    def run(attempt: Attempt, host: Host) -> State | Trouble:
        return trouble("import") if attempt.assignment.trial.cell.weighting_label == "ew" else DONE

    play(work, [A], run)
    assert sorted(state.outcome for _, state, _, _ in work.ends) == [Outcome.DONE] * 4 + [Outcome.FAILED] * 2  # type: ignore[union-attr]


def test_a_full_disk_is_never_a_result(work: Recording) -> None:
    """Even where other methods ran before: a disk may fill up at any time."""
    run = 0

    def fills_up(attempt: Attempt, host: Host) -> State | Trouble:
        nonlocal run
        run += 1
        return DONE if run <= 3 else trouble("disk")

    play(work, [A], fills_up)
    assert [state for _, state, _, _ in work.ends] == [DONE] * 3
    assert work.stopped == "a: no disk"


def test_another_content_on_one_host_is_not_there_on_the_other(work: Recording) -> None:
    log = play(work, [A, B], lambda attempt, host: trouble("content") if host is A else DONE)
    assert [state for _, state, _, _ in work.ends] == [DONE] * 6
    assert sum(one.endswith("on a") for one in log) == 6, "a host with other content of one trial is a host for others"


def test_a_trial_whose_content_changed_everywhere_has_no_result_and_the_others_go_on(work: Recording) -> None:
    def run(attempt: Attempt, host: Host) -> State | Trouble:
        return trouble("content") if attempt.assignment.trial.cell.weighting_label == "uw" else DONE

    log = play(work, [A, B], run)
    assert [trial.cell.weighting_label for trial, *_ in work.ends] == ["ew", "ew", "pcgrad", "pcgrad"]
    assert [(trial.cell.weighting_label, reason) for trial, reason in work.changes] == [("uw", "no content")] * 2
    assert len(log) == 4 + 2 * 2
    assert work.stopped is None


def test_a_trouble_that_passes_costs_an_attempt(work: Recording) -> None:
    troubles = [trouble("data")]
    play(work, [A], lambda attempt, host: troubles.pop() if troubles else DONE)
    assert [state for _, state, _, _ in work.ends] == [DONE] * 6
    assert sorted(attempts for _, _, _, attempts in work.ends) == [1, 1, 1, 1, 1, 2]


def test_out_of_memory_is_tried_again_alone_and_then_a_result(work: Recording) -> None:
    oom = Finished(Outcome.FAILED, (), "oom", "")
    seen: list[bool] = []

    def run(attempt: Attempt, host: Host) -> State:
        if attempt.assignment.trial.cell.weighting_label != "uw":
            return DONE
        seen.append(attempt.alone)
        return oom

    play(work, [A], run)
    assert seen == [False, True, False, True]
    assert [state for _, state, _, _ in work.ends].count(oom) == 2


def test_which_errors_are_the_hosts() -> None:
    full = trouble_of(OSError(errno.ENOSPC, "No space left on device"), "Traceback")
    assert full == Trouble("disk", "[Errno 28] No space left on device", "Traceback")
    for error, cause in (
        (ModuleNotFoundError("No module named 'timm'"), "import"),
        (HostError("data", "gone"), "data"),
        (ContentChangedError("trial `a` was planned with other content"), "content"),
        (type("AcceleratorError", (RuntimeError,), {})("CUDA error"), "device"),
    ):
        found = trouble_of(error, "")
        assert found is not None and found.cause == cause
    for own in (KeyError("x"), FileNotFoundError("mine.csv"), MemoryError(), ValueError("shape")):
        assert trouble_of(own, "") is None
