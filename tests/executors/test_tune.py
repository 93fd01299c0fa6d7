"""What Tune asks for and reports, and what the sweep makes of it. Tune's trials and Ray's list of hosts are invented here."""

from __future__ import annotations

import pickle
from collections.abc import Callable, Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest
import ray
from ray.tune.search import Searcher

from mtlsweep.params.resources import Resources
from mtlsweep.record.ledger import Ledger
from mtlsweep.sweep.executors.attempts import Attempts
from mtlsweep.sweep.executors.ray import room as rooms
from mtlsweep.sweep.executors.ray.gpus import Kinds
from mtlsweep.sweep.executors.ray.places import Places
from mtlsweep.sweep.executors.ray.room import Room
from mtlsweep.sweep.executors.ray.tune_callback import WorkCallback, WorkStopper
from mtlsweep.sweep.executors.ray.tune_searcher import AttemptSearcher
from mtlsweep.trials.assignment import Assignment
from mtlsweep.trials.curve import EpochRecord, curve_to_json
from mtlsweep.trials.state import Finished, Outcome, State, state_to_json
from mtlsweep.trials.trial import Trial

HOST = {"NodeID": "a", "Alive": True, "Resources": {"CPU": 2.0}}
RECORD = EpochRecord(1, {"val/left/loss": 1.0}, 0.0, 1.0)


class Work:
    """Hands out given assignments and keeps what it is told."""

    def __init__(self, assignments: Sequence[Assignment]) -> None:
        self.waiting = list(assignments)
        self.told: list[tuple[object, ...]] = []
        self.reason: str | None = None

    def next(self) -> Assignment | None:
        return self.waiting.pop(0) if self.waiting else None

    def stopping(self) -> str | None:
        return self.reason

    def started(self, assignment: Assignment) -> None:
        self.told.append(("started", assignment.trial.seed))

    def interrupted(self, assignment: Assignment) -> None:
        self.told.append(("interrupted", assignment.trial.seed))

    def devices(self, sentences: Sequence[str]) -> None:
        self.told.append(("devices", *sentences))

    def epochs(self, assignment: Assignment, records: Sequence[EpochRecord], host: str = "") -> None:
        self.told.append(("epochs", assignment.trial.seed, len(records), host))

    def ended(self, assignment: Assignment, state: State, host: str, attempts: int) -> None:
        assert isinstance(state, Finished)
        self.told.append(("ended", assignment.trial.seed, state.outcome, state.cause, state.detail, host, attempts))

    def unwritable(self, reason: str) -> None:
        self.told.append(("unwritable", reason))

    def changed(self, assignment: Assignment, reason: str) -> None:
        self.told.append(("changed", assignment.trial.seed, reason))

    def no_host(self, reason: str) -> None:
        self.told.append(("no host", reason))


class Tune:
    """Plays Tune: asks for attempts and reports what became of them."""

    def __init__(self, ledger: Ledger, trials: Sequence[Trial], retries: int, **resources: Any) -> None:
        self.work, self.ledger = Work([Assignment(trial, 3) for trial in trials]), ledger
        needs = Resources(cpus_per_trial=1, gpus_per_trial=0, **resources)
        self.room = Room(needs, cast(Kinds, SimpleNamespace(tried=list)), 10, grows=True)
        self.room.read()
        attempts = Attempts(self.work, lambda: self.room.hosts, retries)
        places = Places(lambda: self.room.pools, lambda: self.room.hosts, lambda: self.room.largest_host)
        self.searcher = AttemptSearcher(self.work, attempts, places, self.room)
        self.callback = WorkCallback(self.work, attempts, self.searcher, ledger, self.room, lambda key: "a")

    def start(self, name: str) -> Any:
        """Start the next attempt as the trial `name`; return it."""
        assert isinstance(self.searcher.suggest(name), dict)
        trial = cast(
            Any, SimpleNamespace(trial_id=name, error_file="error.txt", get_error=lambda: "Traceback\nIt crashed")
        )
        self.callback.on_trial_start(1, [], trial)
        return trial

    def report(self, trial: Any, **result: Any) -> None:
        self.callback.on_trial_result(1, [], trial, result)

    def fail(self, trial: Any) -> None:
        self.callback.on_trial_error(1, [], trial)
        self.searcher.on_trial_complete(trial.trial_id, error=True)


@pytest.fixture
def nodes(monkeypatch: pytest.MonkeyPatch) -> list[dict[str, Any]]:
    """Ray's hosts."""
    made: list[dict[str, Any]] = [HOST]
    monkeypatch.setattr(ray, "nodes", lambda: made)
    monkeypatch.setattr(rooms, "SECONDS_BETWEEN_READS", 0.0)
    monkeypatch.setattr(rooms, "SECONDS_UNTIL_MISSED", 0.0)
    return made


@pytest.fixture
def tune(tmp_path: Path, nodes: list[dict[str, Any]], make_trial: Callable[..., Trial]) -> Callable[..., Tune]:
    def make(trials: int = 3, retries: int = 0, **resources: Any) -> Tune:
        return Tune(Ledger(tmp_path, "digits"), [make_trial(seed) for seed in range(trials)], retries, **resources)

    return make


# The searcher


def test_attempts_are_given_up_to_the_room_and_the_last_one_ends_the_run(tune: Callable[..., Tune]) -> None:
    playing = tune(trials=3)
    first = playing.searcher.suggest("t0")
    assert Trial.from_json(first["trial"]).seed == 0 and first["until"] == 3 and first["place"]["cpus"] == 1
    assert isinstance(playing.searcher.suggest("t1"), dict)
    assert playing.searcher.suggest("t2") is None, "the host has two CPUs"
    playing.searcher.on_trial_complete("t0")
    assert isinstance(playing.searcher.suggest("t2"), dict)
    playing.searcher.on_trial_complete("t1")
    assert playing.searcher.suggest("t3") is None, "one still runs, and may have to start again"
    playing.searcher.on_trial_complete("t2")
    assert playing.searcher.suggest("t3") == Searcher.FINISHED


def test_a_sweep_that_stops_asks_for_nothing_more(tune: Callable[..., Tune]) -> None:
    playing = tune()
    stopper = WorkStopper(playing.work)
    playing.start("t0")
    assert not stopper("t0", {}) and not stopper.stop_all()
    playing.work.reason = "it received a stop signal"
    assert stopper("t0", {}) and stopper.stop_all()
    assert playing.searcher.suggest("t1") == Searcher.FINISHED


def test_tunes_snapshots_hold_nothing_of_a_sweep(tune: Callable[..., Tune]) -> None:
    playing = tune()
    playing.start("t0")
    for part in (playing.searcher, playing.callback, WorkStopper(playing.work)):
        assert part.__getstate__() == {} and len(pickle.dumps(part)) < 200


# The callback


def test_epochs_and_the_end_of_a_trial_reach_the_sweep_with_the_name_of_the_host(tune: Callable[..., Tune]) -> None:
    playing = tune()
    trial, nothing = playing.start("t0"), curve_to_json([])
    playing.report(trial, records=curve_to_json([RECORD]), hostname="gpu-7")
    playing.report(trial, records=nothing, state=state_to_json(Finished(Outcome.DONE, ())), host=("a", "gpu-7"))
    assert playing.work.told == [
        ("started", 0),
        ("epochs", 0, 1, "gpu-7"),
        ("ended", 0, Outcome.DONE, None, None, "gpu-7", 1),
    ]


def test_checkpoints_that_cannot_be_written_stop_the_sweep_and_fail_no_trial(tune: Callable[..., Tune]) -> None:
    playing = tune()
    playing.report(playing.start("t0"), checkpoint_error="No space left on device")
    assert playing.work.told == [("started", 0), ("unwritable", "No space left on device")]


def test_trouble_of_a_host_is_no_result_and_the_trial_comes_again(tune: Callable[..., Tune]) -> None:
    playing = tune(trials=1)
    playing.report(playing.start("t0"), trouble={"cause": "data", "what": "gone", "detail": ""}, host=("a", "gpu-7"))
    playing.searcher.on_trial_complete("t0")
    playing.start("t1")
    assert playing.work.told == [("started", 0), ("interrupted", 0), ("started", 0)]


def test_a_trial_whose_process_dies_starts_again_until_its_retries_are_used_up(tune: Callable[..., Tune]) -> None:
    playing = tune(trials=1, retries=1)
    for name in ("t0", "t1"):
        playing.fail(playing.start(name))
    assert playing.work.told == [
        ("started", 0), ("interrupted", 0), ("started", 0),
        ("ended", 0, Outcome.FAILED, "worker", "Traceback\nIt crashed", "", 2),
    ]  # fmt: skip


def test_a_process_that_dies_without_a_word_has_a_cause_too(tune: Callable[..., Tune]) -> None:
    playing = tune(trials=1)
    trial = playing.start("t0")
    trial.error_file = None
    playing.fail(trial)
    assert playing.work.told[-1] == ("ended", 0, Outcome.FAILED, "worker", "the worker process died", "", 1)


def test_a_trial_that_took_longer_than_it_may_says_so(
    tune: Callable[..., Tune], make_trial: Callable[..., Trial]
) -> None:
    playing = tune(trials=1)
    trial = playing.start("t0")
    playing.ledger.checkpoints.mark_hung(make_trial(0).key)
    playing.fail(trial)
    assert playing.work.told[-1][2:5] == (Outcome.FAILED, "time", "it took longer than `resources.trial_hours` allows")


def test_a_trial_that_met_a_spoilt_process_costs_no_retry(tune: Callable[..., Tune]) -> None:
    playing = tune(trials=1)
    for name in ("t0", "t1", "t2"):
        trial = playing.start(name)
        playing.report(trial, spoilt_process=True)
        playing.fail(trial)
    assert playing.work.told == [("started", 0), ("interrupted", 0)] * 3


def test_processes_that_never_start_are_the_hosts_and_end_the_sweep(tune: Callable[..., Tune]) -> None:
    playing = tune(trials=1)
    assert isinstance(playing.searcher.suggest("t0"), dict)
    never = SimpleNamespace(
        trial_id="t0", error_file="error.txt", get_error=lambda: "RuntimeError: no torch here\nmore"
    )
    playing.fail(never)
    ((what, reason),) = playing.work.told
    assert what == "no host" and str(reason).startswith("worker processes do not start: ")


def test_hosts_that_come_are_told_once(tune: Callable[..., Tune], nodes: list[dict[str, Any]]) -> None:
    playing = tune()
    playing.callback.on_step_begin(1, [])
    nodes.append({**HOST, "NodeID": "b"})
    playing.callback.on_step_begin(2, [])
    playing.callback.on_step_begin(3, [])
    assert playing.work.told == [("devices", "2 hosts with room for 4 trials at once")]
