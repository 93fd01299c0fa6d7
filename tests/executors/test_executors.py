"""The seam: a sweep is the same sweep in this process and replayed; what goes wrong in a trial is the trial's."""

from __future__ import annotations

import errno
import signal
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
import torch

from mtlsweep.errors import UserError
from mtlsweep.params.params import Params
from mtlsweep.params.resources import Budget
from mtlsweep.record.checkpoints import Checkpoints
from mtlsweep.record.ledger import Ledger
from mtlsweep.record.trial_file import read_record
from mtlsweep.studies.training_stages import training_stages
from mtlsweep.sweep import stage
from mtlsweep.sweep.control.run_one import run_alone
from mtlsweep.sweep.driver import Driver
from mtlsweep.sweep.executors.executor import Executor
from mtlsweep.sweep.executors.replay import ReplayExecutor
from mtlsweep.sweep.plan.stage_inputs import open_stage
from mtlsweep.sweep.progress import Progress
from mtlsweep.sweep.stage import run_stage
from mtlsweep.sweep.stopping import StopRequest
from mtlsweep.sweep.strategies.grid import Grid
from mtlsweep.trials.assignment import Assignment
from mtlsweep.trials.curve import EpochRecord, UnreadCurve
from mtlsweep.trials.state import Finished, FinishedTrial, Outcome, State, TrialRecord
from mtlsweep.trials.trial import Trial

pytestmark = pytest.mark.slow

SUITE = "digits"
Write = Callable[..., Params]


def outcomes(ledger: Ledger) -> dict[str, Outcome]:
    return {one.trial.key: one.state.outcome for one in ledger.read_all()}


def replay(
    params: Params, recorded: dict[str, FinishedTrial], directory: Path, slots: int
) -> tuple[Ledger, ReplayExecutor]:
    """Run the sweep of `params` on recorded curves, into a ledger of its own."""
    context = open_stage(params, SUITE, "sweep")
    ledger, strategy = Ledger(directory, SUITE), context.make_strategy({})
    progress = Progress("replay", strategy.total(), strategy.epochs_left())
    with ReplayExecutor(recorded, slots) as executor, StopRequest(Budget(), progress.clock) as stop:
        executor.run(Driver(ledger, strategy, stop, progress, context.reference, {}))
    assert not strategy.left()
    return ledger, executor


@pytest.mark.slow
def test_a_race_in_this_process_and_its_replay_from_the_grid_decide_alike(study: Write, tmp_path: Path) -> None:
    params = study()
    run_stage(params, SUITE, "sweep")
    raced = outcomes(Ledger(Path("results"), SUITE))
    assert sorted(raced.values()).count(Outcome.PRUNED) == 2  # of each method one rate
    run_stage(study(strategy="grid"), SUITE, "sweep")  # trains what was cut, and nothing else, to its end
    whole = {one.trial.key: one for one in Ledger(Path("results"), SUITE).read_all()}
    assert all(one.state.outcome is Outcome.DONE for one in whole.values())
    for slots in (1, 2, 3):
        ledger, executor = replay(study(), whole, tmp_path / f"replay-{slots}", slots)
        mtl = {key: outcome for key, outcome in raced.items() if whole[key].trial.cell.role == "mtl"}
        assert outcomes(ledger) == mtl
        assert executor.epochs == 2 * (1 + 3 + 3)


def test_a_stage_with_nothing_to_train_reads_each_curve_once_for_its_table(
    study: Write, monkeypatch: pytest.MonkeyPatch
) -> None:
    params, reads = study(), []

    def read(place: str, stored: bytes, to_state: Callable[..., Any], metrics: bool = True) -> object:
        reads.append(metrics)
        return read_record(place, stored, to_state, metrics)

    monkeypatch.setattr("mtlsweep.record.ledger.read_record", read)
    run_stage(params, SUITE, "baselines")
    trials = len(Ledger(Path("results"), SUITE).finished_keys())
    assert reads == [False] * trials + [True] * trials


def test_curves_of_a_running_sweep_stay_in_the_ledger(
    study: Write, tmp_path: Path, make_finished: Callable[..., FinishedTrial], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Those of 40 tasks and 800 trials would take two gigabytes of the driver's memory."""
    params, update = study(strategy="grid"), Grid.update
    seen: list[TrialRecord[State]] = []

    def watched(self: Grid, record: TrialRecord[State]) -> Sequence[Trial]:
        seen.append(record)
        return update(self, record)

    monkeypatch.setattr(Grid, "update", watched)
    trials = open_stage(params, SUITE, "sweep").plan.trials
    recorded = {trial.key: replace(make_finished(epochs=3), trial=trial) for trial in trials}
    replay(params, recorded, tmp_path / "replay", 1)
    assert {record.trial.key for record in seen} == recorded.keys()
    assert all(isinstance(record.state.curve, UnreadCurve) for record in seen)
    assert all(record.state.curve == recorded[record.trial.key].state.curve for record in seen)


def test_a_replay_says_what_no_record_has(study: Write, tmp_path: Path) -> None:
    with pytest.raises(LookupError):
        replay(study(), {}, tmp_path / "replay", 1)


def test_what_a_users_code_raises_is_the_trials_and_not_the_sweeps(
    study: Write, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.syspath_prepend(str(Path.cwd()))  # as the commands and the stages do
    Path("mine.py").write_text(
        "from mtlsweep.methods.weighting.loss.ew import EqualWeighting\n"
        "class Raises(EqualWeighting):\n"
        "    def weigh(self, losses):\n"
        "        raise KeyError('a bug of mine')\n"
    )
    params = study(strategy="grid", weightings=["ew", "mine:Raises"], learning_rates=[0.01], seeds=[0])
    hint = r"1 of 2 trials failed .* correct the cause, then run `mtlsweep retry digits && python -c"
    with pytest.raises(UserError, match=hint):
        run_stage(params, SUITE, "sweep")
    failed = [one for one in Ledger(Path("results"), SUITE).read_all() if one.state.outcome is Outcome.FAILED]
    assert [(one.state.cause, "a bug of mine" in (one.state.detail or "")) for one in failed] == [("code", True)]
    with pytest.raises(KeyError, match="a bug of mine"):
        run_alone(params, failed[0].trial.key, lambda record: None, training_stages)


def test_a_device_that_is_not_there_is_no_result_of_any_trial(study: Write) -> None:
    if torch.cuda.is_available():
        pytest.skip("there is a GPU")
    options: dict[str, Any] = {"strategy": "grid", "learning_rates": [0.01], "seeds": [0]}
    with pytest.raises(
        UserError,
        match=r"no host can run trials \(.*: params.yaml: `resources.device` is `cuda`, but torch finds no GPU",
    ):
        run_stage(study({"device": "cuda"}, **options), SUITE, "sweep")
    (key, *_) = (trial.key for trial in open_stage(study(**options), SUITE, "sweep").plan.trials)
    with pytest.raises(UserError, match=r"`resources.device` is `cuda`, but torch finds no GPU"):
        run_alone(study({"device": "cuda"}, **options), key, lambda record: None, training_stages)
    assert not any(one.trial.cell.role == "mtl" for one in Ledger(Path("results"), SUITE).read_all())
    run_stage(study(**options), SUITE, "sweep")
    assert pd.read_parquet("results/digits/sweep/outcomes.parquet")["outcome"].tolist() == ["done", "done"]


def test_data_that_cannot_be_read_is_no_result_of_any_trial(study: Write, monkeypatch: pytest.MonkeyPatch) -> None:
    options: dict[str, Any] = {"strategy": "grid", "learning_rates": [0.01], "seeds": [0]}

    def unreadable(directory: Path) -> None:
        raise OSError(errno.EACCES, "Permission denied", str(directory))

    with monkeypatch.context() as patch:
        patch.setattr("mtlsweep.sweep.executors.run_assignment.open_prepared", unreadable)
        with pytest.raises(UserError, match=r"no host can run trials \(.* cannot be read: .*Permission denied"):
            run_stage(study(**options), SUITE, "sweep")
    assert not any(one.trial.cell.role == "mtl" for one in Ledger(Path("results"), SUITE).read_all())


def test_a_method_edited_while_the_sweep_runs_is_trained_as_the_next_run_plans_it(
    study: Write, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.syspath_prepend(str(Path.cwd()))
    mine = (
        "from mtlsweep.methods.weighting.loss.ew import EqualWeighting\nclass Mine(EqualWeighting):\n    share = {}\n"
    )
    file = Path("edited_meanwhile.py")
    file.write_text(mine.format(1))
    params = study(strategy="grid", weightings=["edited_meanwhile:Mine", "ew"], learning_rates=[0.01], seeds=[0])
    make_executor = stage.make_executor

    def edit(*arguments: Any) -> Executor:
        file.write_text(mine.format(2))
        return make_executor(*arguments)

    with monkeypatch.context() as patch:
        patch.setattr(stage, "make_executor", edit)
        with pytest.raises(UserError) as stopped:
            run_stage(params, SUITE, "sweep")
    assert "stopped with 1 of 2 trials" in str(stopped.value)
    assert "was planned with other content than there is here: source code of weighting; run `dvc repro`" in str(
        stopped.value
    )
    run_stage(params, SUITE, "sweep")
    assert pd.read_parquet("results/digits/sweep/outcomes.parquet")["outcome"].tolist() == ["done", "done"]


def test_first_trials_that_all_fail_for_one_reason_stop_the_sweep(
    study: Write, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.syspath_prepend(str(Path.cwd()))
    Path("together.py").write_text(
        "from mtlsweep.methods.weighting.loss.ew import EqualWeighting\n"
        "class One(EqualWeighting):\n"
        "    def weigh(self, losses):\n"
        "        raise KeyError('a bug of both')\n"
        "class Two(One): pass\n"
    )
    params = study(strategy="grid", weightings=["together:One", "together:Two"], learning_rates=[0.01, 0.001])
    with pytest.raises(UserError) as stopped:
        run_stage(params, SUITE, "sweep")
    message = str(stopped.value)
    assert "stopped with 5 of 8 trials" in message
    assert "because the first 5 trials of this run all failed: KeyError: 'a bug of both'" in message
    assert "mtlsweep retry digits && python -c" in message


def test_the_seconds_of_a_trial_count_the_epochs_that_were_lost(study: Write, tmp_path: Path) -> None:
    context = open_stage(study(strategy="grid", seeds=[0]), SUITE, "sweep")
    strategy = context.make_strategy({})
    progress = Progress("lost", strategy.total(), strategy.epochs_left())
    ledger = Ledger(tmp_path / "lost", SUITE)
    metrics = {"val/left/loss": 1.0}
    first, lost, again = (
        EpochRecord(epoch, metrics, 0.0, seconds) for epoch, seconds in ((1, 2.0), (2, 5.0), (2, 3.0))
    )
    with StopRequest(Budget(), progress.clock) as stop:
        driver = Driver(ledger, strategy, stop, progress, context.reference, {})
        assignment = driver.next()
        assert assignment is not None
        driver.started(assignment)
        driver.epochs(assignment, [first])
        driver.epochs(assignment, [lost])  # then the worker dies, and another one starts from the first epoch's end
        driver.started(assignment)
        driver.epochs(assignment, [again])
        driver.ended(assignment, Finished(Outcome.DONE, (first, again)), "host", attempts=2)
    execution = ledger.read(assignment.trial.key).execution
    assert execution.seconds == 2.0 + 5.0 + 3.0
    assert execution.cost_seconds == execution.device_seconds == progress.clock.seconds()


def test_a_trial_run_alone_is_the_recorded_one_and_leaves_nothing(study: Write) -> None:
    params = study(strategy="grid", weightings=["ew"], learning_rates=[0.01], seeds=[0])
    run_stage(params, SUITE, "sweep")
    (key,) = [one.trial.key for one in Ledger(Path("results"), SUITE).read_all() if one.trial.cell.role == "mtl"]
    before = {path: path.stat().st_mtime_ns for path in Path("results").rglob("*")}
    seen: list[EpochRecord] = []
    _, state = run_alone(params, key[:6], seen.append, training_stages)
    recorded = Ledger(Path("results"), SUITE).read(key).state
    assert [record.metrics for record in state.curve] == [record.metrics for record in recorded.curve]
    assert len(seen) == 3
    assert before == {path: path.stat().st_mtime_ns for path in Path("results").rglob("*")}


def test_a_signal_stops_in_the_middle_of_a_trial_and_the_next_run_continues(
    study: Write, monkeypatch: pytest.MonkeyPatch
) -> None:
    params = study({"checkpoint_seconds": 0}, strategy="grid", weightings=["ew"], learning_rates=[0.01], seeds=[0])
    trained: list[int] = []
    epochs = Driver.epochs

    def interrupting(self: Driver, assignment: Assignment, records: Sequence[EpochRecord], host: str) -> None:
        epochs(self, assignment, records, host)
        trained.extend(record.epoch for record in records)
        if trained == [1, 2]:
            signal.raise_signal(signal.SIGTERM)

    monkeypatch.setattr(Driver, "epochs", interrupting)
    with pytest.raises(UserError, match=r"stopped with 0 of 1 trials .* received a stop signal \(SIGTERM\)"):
        run_stage(params, SUITE, "sweep")
    run_stage(params, SUITE, "sweep")
    assert trained == [1, 2, 3]
    assert pd.read_parquet("results/digits/sweep/outcomes.parquet")["outcome"].tolist() == ["done"]


def test_checkpoints_that_cannot_be_written_stop_the_sweep(study: Write, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(self: Checkpoints, key: str, content: bytes) -> None:
        raise OSError(28, "No space left on device")

    params = study(strategy="grid", learning_rates=[0.01], seeds=[0])
    with monkeypatch.context() as patch:
        patch.setattr(Checkpoints, "save_best", full)
        with pytest.raises(UserError, match=r"results cannot be written to .* \(No space left on device\)"):
            run_stage(params, SUITE, "sweep")
    assert not any(one.trial.cell.role == "mtl" for one in Ledger(Path("results"), SUITE).read_all())
    run_stage(params, SUITE, "sweep")


def test_a_budget_of_trials_ends_a_run_and_the_next_one_continues(study: Write) -> None:
    options: dict[str, Any] = {"strategy": "grid", "learning_rates": [0.01], "seeds": [0]}
    with pytest.raises(UserError, match=r"stopped with 1 of 2 .* `resources.budget.trials` \(1\) is used up"):
        run_stage(study({"budget": {"trials": 1}}, **options), SUITE, "sweep")
    run_stage(study(**options), SUITE, "sweep")
    assert len(pd.read_parquet("results/digits/sweep/outcomes.parquet")) == 2
