"""Two people sweep one suite on one server: each sees and changes the runs of the own ledger, and no other."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from mlflow import MlflowClient

from mtlsweep.record.ledger import Ledger
from mtlsweep.record.mlflow import Tracker, find_moved_artifacts
from mtlsweep.record.mlflow.summary import Summary, record_summary
from mtlsweep.trials.curve import EpochRecord
from mtlsweep.trials.state import FinishedTrial
from tests.servers import runs_of

MakeFinished = Callable[..., FinishedTrial]


def state_of(uri: str) -> dict[tuple[str, str], str]:
    """The status of each run by ledger and trial."""
    return {(run.data.tags["ledger_id"], run.data.tags["trial_key"]): run.info.status for run in runs_of(uri)}


def trained_elsewhere(finished: FinishedTrial) -> FinishedTrial:
    """The same trial, on another machine: at another time, and with other last digits."""
    curve = tuple(
        EpochRecord(
            record.epoch,
            {name: value + 1e-7 for name, value in record.metrics.items()},
            record.finished_at + 1e3,
            record.seconds,
        )
        for record in finished.state.curve
    )
    execution = replace(finished.execution, finished_at=finished.execution.finished_at + 1e3)
    return replace(finished, state=replace(finished.state, curve=curve), execution=execution)


def test_a_start_leaves_the_runs_of_others_alone(uri: str, make_finished: MakeFinished) -> None:
    running, finished = make_finished(0), make_finished(1)
    theirs = Tracker(uri, "digits", "theirs")
    theirs.log_epochs(running.trial, running.state.curve[:1], 0.0)
    theirs.finish(finished, {})
    before = state_of(uri)

    ours = Tracker(uri, "digits", "ours")
    ours.drop_unfinished()
    ours.forget(finished)
    assert not ours.has(finished)
    assert state_of(uri) == before

    ours.finish(trained_elsewhere(running), {})
    ours.finish(trained_elsewhere(finished), {})
    theirs.finish(running, {})
    for ledger_id in ("ours", "theirs"):
        Tracker(uri, "digits", ledger_id).drop_unfinished()
    assert state_of(uri) == {
        (ledger_id, one.trial.key): "FINISHED" for ledger_id in ("ours", "theirs") for one in (running, finished)
    }
    assert len(runs_of(uri)) == 4


def test_tables_are_read_from_the_own_runs(uri: str, make_finished: MakeFinished) -> None:
    here = make_finished()
    there = trained_elsewhere(here)
    for ledger_id, one in (("theirs", there), ("ours", here)):
        Tracker(uri, "digits", ledger_id).finish(one, {})
    for ledger_id, one in (("theirs", there), ("ours", here)):
        tracker = Tracker(uri, "digits", ledger_id)
        assert len(tracker.outcomes()) == 1
        rows = tracker.history([one.trial.key]).read([one.trial.key]).to_pylist()
        assert {(row["step"], row["name"]): row["value"] for row in rows} == {
            (record.epoch, name): value for record in one.state.curve for name, value in record.metrics.items()
        }


def write_summary(uri: str, ledger_id: str, value: float) -> None:
    summary = Summary({"delta_m": value}, [], "multidigits", "f" * 64)
    assert record_summary(uri, "digits", ledger_id, summary, Path("report")) is None


def test_each_ledger_has_a_summary_of_its_own(uri: str, in_directory: Path) -> None:
    for ledger_id, value in (("ours", 1.0), ("theirs", 2.0), ("ours", 3.0)):
        write_summary(uri, ledger_id, value)
    found = {run.data.tags["ledger_id"]: run.data.metrics["delta_m"] for run in runs_of(uri)}
    assert (found, len(runs_of(uri))) == ({"ours": 3.0, "theirs": 2.0}, 2)


def test_the_machine_of_another_driver_is_still_watched(uri: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MLFLOW_ENABLE_SYSTEM_METRICS_LOGGING", "true")
    end = Tracker(uri, "digits", "theirs").watch_machine()
    Tracker(uri, "digits", "ours").watch_machine()()
    assert sorted(run.info.status for run in runs_of(uri)) == ["FINISHED", "RUNNING"]
    end()


def as_an_earlier_version(uri: str) -> None:
    """Take the ledger's name from every run."""
    client = MlflowClient(tracking_uri=uri)
    for run in runs_of(uri):
        client.delete_tag(run.info.run_id, "ledger_id")


def test_a_run_without_a_ledger_belongs_to_the_ledger_that_knows_its_end_to_the_millisecond(
    uri: str, make_finished: MakeFinished
) -> None:
    finished = make_finished()
    Tracker(uri, "digits", "ours").finish(finished, {})
    as_an_earlier_version(uri)
    (old,) = runs_of(uri)

    elsewhere = Tracker(uri, "digits", "theirs")
    elsewhere.finish(trained_elsewhere(finished), {})
    assert {run.data.tags.get("ledger_id") for run in runs_of(uri)} == {None, "theirs"}

    tracker = Tracker(uri, "digits", "ours")
    tracker.finish(finished, {})
    assert {run.data.tags["ledger_id"]: run.info.run_id for run in runs_of(uri)}["ours"] == old.info.run_id
    assert Tracker(uri, "digits", "ours").has(finished)
    assert len(runs_of(uri)) == 2


def test_a_running_run_without_a_ledger_is_left_alone(uri: str, make_finished: MakeFinished) -> None:
    finished = make_finished()
    Tracker(uri, "digits", "theirs").log_epochs(finished.trial, finished.state.curve[:1], 0.0)
    as_an_earlier_version(uri)
    tracker = Tracker(uri, "digits", "ours")
    tracker.drop_unfinished()
    tracker.finish(finished, {})
    assert sorted(run.info.status for run in runs_of(uri)) == ["FINISHED", "RUNNING"]


def test_a_run_names_its_user(uri: str, make_finished: MakeFinished, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LOGNAME", "ada")
    Tracker(uri, "digits", "ours").finish(make_finished(), {})
    assert [run.data.tags["mlflow.user"] for run in runs_of(uri)] == ["ada"]


def test_a_ledger_keeps_its_name_wherever_it_is(tmp_path: Path) -> None:
    ledger = Ledger(tmp_path / "here", "digits")
    name = ledger.id
    assert (Ledger(tmp_path / "here", "digits").id, len(name)) == (name, 32)
    assert Ledger(tmp_path / "other", "digits").id != name
    shutil.move(tmp_path / "here", tmp_path / "there")
    assert Ledger(tmp_path / "there", "digits").id == name
    assert list(Ledger(tmp_path / "there", "digits").read_all()) == []


@pytest.mark.parametrize("keep", [True, False])
def test_the_ui_finds_the_files_of_a_moved_project(
    tmp_path: Path, empty_database: bytes, monkeypatch: pytest.MonkeyPatch, keep: bool
) -> None:
    here, there = tmp_path / "here", tmp_path / "there"
    figure = here / "report" / "figures" / "digits" / "front.svg"
    figure.parent.mkdir(parents=True)
    figure.write_text("a front")
    (here / "mlflow.db").write_bytes(empty_database)
    monkeypatch.chdir(here)
    write_summary(f"sqlite:///{here}/mlflow.db", "ours", 1.0)
    (shutil.copytree if keep else shutil.move)(here, there)
    monkeypatch.chdir(there)
    uri = f"sqlite:///{there}/mlflow.db"
    find_moved_artifacts(uri, ["not recorded", "digits"])
    (run,) = runs_of(uri)
    place = here if keep else there
    assert str(run.info.artifact_uri).startswith(str(place / "mlruns"))
    client = MlflowClient(tracking_uri=uri)
    assert Path(client.download_artifacts(run.info.run_id, "figures/front.svg")).read_text() == "a front"


@pytest.mark.parametrize("keep", [True, False])
def test_a_project_that_is_moved_or_copied_keeps_its_files_where_it_is(
    tmp_path: Path, empty_database: bytes, monkeypatch: pytest.MonkeyPatch, keep: bool
) -> None:
    def report(directory: Path) -> None:
        figure = directory / "report" / "figures" / "digits" / "front.svg"
        figure.parent.mkdir(parents=True, exist_ok=True)
        figure.write_text(directory.name)
        monkeypatch.chdir(directory)
        write_summary(f"sqlite:///{directory}/mlflow.db", "ours", 1.0)

    here, there = tmp_path / "here", tmp_path / "there"
    here.mkdir()
    (here / "mlflow.db").write_bytes(empty_database)
    report(here)
    if keep:
        shutil.copytree(here, there)
    else:
        shutil.move(here, there)
    before = sorted(here.rglob("*.svg"))
    report(there)
    assert sorted(here.rglob("*.svg")) == before
    assert here.exists() == keep
    uri = f"sqlite:///{there}/mlflow.db"
    (run,) = runs_of(uri)
    client = MlflowClient(tracking_uri=uri)
    assert [entry.path for entry in client.list_artifacts(run.info.run_id, "figures")] == ["figures/front.svg"]
    assert Path(client.download_artifacts(run.info.run_id, "figures/front.svg")).read_text() == "there"
