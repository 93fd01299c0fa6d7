"""MLflow shows every trial as one flat run; writing twice changes nothing, and reading is complete."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import pytest
from mlflow import MlflowClient

from mtlsweep.errors import UserError
from mtlsweep.record.mlflow import Tracker, resolve_uri, shown_uri, view_links, views
from mtlsweep.record.mlflow.entries import dataset_of
from mtlsweep.record.mlflow.summary import Summary, record_summary
from mtlsweep.trials.curve import EpochRecord
from mtlsweep.trials.state import FinishedTrial, Outcome


def runs_of(uri: str, suite: str = "digits") -> list:  # type: ignore[type-arg]
    client = MlflowClient(tracking_uri=uri)
    experiment = client.get_experiment_by_name(suite)
    assert experiment is not None
    return list(client.search_runs([experiment.experiment_id]))


def rows_of(uri: str, run_id: str) -> dict[str, list[tuple[int, int, float]]]:
    client = MlflowClient(tracking_uri=uri)
    names = client.get_run(run_id).data.metrics
    return {
        name: sorted((m.step, m.timestamp, m.value) for m in client.get_metric_history(run_id, name)) for name in names
    }


@pytest.mark.slow
def test_a_trial_is_one_flat_run_with_names_tags_params_and_curves(
    uri: str, make_finished: Callable[..., FinishedTrial]
) -> None:
    finished = make_finished(seed=2)
    Tracker(uri, "digits", "ours").finish(finished, {"sweep_id": "s1"})
    (run,) = runs_of(uri)
    assert run.info.run_name == "cagrad adam lr=1e-3 seed=2"
    assert run.info.status == "FINISHED"
    assert (run.info.start_time, run.info.end_time) == (1_700_000_000_000, 1_700_000_009_000)
    tags = {"trial_key", "cell_key", "suite", "sweep_id", "outcome"}
    assert {name: run.data.tags[name] for name in tags} == {
        "trial_key": finished.trial.key,
        "cell_key": finished.trial.cell.key,
        "suite": "digits",
        "sweep_id": "s1",
        "outcome": "done",
    }
    assert "mlflow.parentRunId" not in run.data.tags
    assert {name: run.data.params[name] for name in ("weighting", "optimizer", "lr", "seed", "weighting.c")} == {
        "weighting": "cagrad",
        "optimizer": "adam",
        "lr": "0.001",
        "seed": "2",
        "weighting.c": "0.5",
    }
    history = rows_of(uri, run.info.run_id)["val/left/accuracy"]
    assert history == [(epoch, 1_700_000_000_500 + 1000 * epoch, (epoch + 2) / 10) for epoch in (1, 2, 3)]


@pytest.mark.parametrize(
    ("outcome", "status"),
    [
        (Outcome.DONE, "FINISHED"),
        (Outcome.DIVERGED, "FINISHED"),
        (Outcome.PRUNED, "KILLED"),
        (Outcome.FAILED, "FAILED"),
    ],
)
def test_every_outcome_ends_its_run(
    uri: str, make_finished: Callable[..., FinishedTrial], outcome: Outcome, status: str
) -> None:
    tracker = Tracker(uri, "digits", "ours")
    tracker.finish(make_finished(outcome=outcome), {})
    assert [run.info.status for run in runs_of(uri)] == [status]
    assert tracker.outcomes() == {make_finished().trial.key: outcome.value}


def test_writing_twice_from_two_processes_changes_nothing(
    uri: str, make_finished: Callable[..., FinishedTrial]
) -> None:
    finished = make_finished()
    for _ in range(2):
        tracker = Tracker(uri, "digits", "ours")
        tracker.finish(finished, {})
        tracker.finish(finished, {})
    (run,) = runs_of(uri)
    assert {len(rows) for rows in rows_of(uri, run.info.run_id).values()} == {3}


def test_live_epochs_become_the_finished_run(uri: str, make_finished: Callable[..., FinishedTrial]) -> None:
    finished, tracker = make_finished(), Tracker(uri, "digits", "ours")
    for record in finished.state.curve[:2]:
        tracker.log_epochs(finished.trial, [record], finished.execution.started_at)
    assert [run.info.status for run in runs_of(uri)] == ["RUNNING"]
    tracker.finish(finished, {})
    (run,) = runs_of(uri)
    assert run.info.status == "FINISHED"
    assert {len(rows) for rows in rows_of(uri, run.info.run_id).values()} == {3}


def test_epochs_trained_again_after_a_crash_occur_once(uri: str, make_finished: Callable[..., FinishedTrial]) -> None:
    """The live run saw epoch 2 at a time that the final curve, resumed from epoch 1, does not know."""
    finished, tracker = make_finished(), Tracker(uri, "digits", "ours")
    first, second, _ = finished.state.curve
    tracker.log_epochs(finished.trial, [first], 0.0)
    tracker.log_epochs(finished.trial, [EpochRecord(2, second.metrics, second.finished_at - 60, 2.0)], 0.0)
    tracker.finish(finished, {})
    (run,) = runs_of(uri)
    assert {len(rows) for rows in rows_of(uri, run.info.run_id).values()} == {3}


def test_runs_of_a_dead_sweep_are_dropped(uri: str, make_finished: Callable[..., FinishedTrial]) -> None:
    finished, other = make_finished(0), make_finished(1)
    dead = Tracker(uri, "digits", "ours")
    dead.log_epochs(finished.trial, finished.state.curve[:1], 0.0)
    dead.finish(other, {})
    Tracker(uri, "digits", "ours").drop_unfinished()
    assert [run.data.tags["trial_key"] for run in runs_of(uri)] == [other.trial.key]


def test_two_runs_of_one_trial_become_one(uri: str, make_finished: Callable[..., FinishedTrial]) -> None:
    """A create whose answer was lost on the way is made again; the next start mends it."""
    finished = make_finished()
    first, second = Tracker(uri, "digits", "ours"), Tracker(uri, "digits", "ours")
    first.log_epochs(finished.trial, finished.state.curve[:1], 0.0)
    second.finish(finished, {})
    assert len(runs_of(uri)) == 2
    Tracker(uri, "digits", "ours")
    assert [run.info.status for run in runs_of(uri)] == ["FINISHED"]


def twice(epochs: Sequence[Mapping[str, float]]) -> Sequence[Mapping[str, float]]:
    return [{"val/delta_m": 2 * epoch["val/left/accuracy"]} for epoch in epochs]


@pytest.mark.slow
def test_new_baselines_replace_what_was_derived_from_the_old(
    uri: str, make_finished: Callable[..., FinishedTrial]
) -> None:
    finished = make_finished()
    Tracker(uri, "digits", "ours").finish(finished, {})
    renewed = Tracker(uri, "digits", "ours", twice, reference="other baselines")
    assert not renewed.has(finished)
    renewed.finish(finished, {})
    assert renewed.has(finished)
    (run,) = runs_of(uri)
    assert [row[2] for row in rows_of(uri, run.info.run_id)["val/delta_m"]] == pytest.approx([0.2, 0.4, 0.6])


def second(epochs: Sequence[Mapping[str, float]]) -> tuple[int, Mapping[str, float]]:
    return 1, {"test_left_accuracy": epochs[1]["test/left/accuracy"]}


@pytest.mark.parametrize("outcome", list(Outcome))
def test_the_epoch_that_counts_stands_beside_the_last_where_a_trial_has_a_result(
    uri: str, make_finished: Callable[..., FinishedTrial], outcome: Outcome
) -> None:
    finished = make_finished(outcome=outcome)
    tracker = Tracker(uri, "digits", "ours", at_best=second)
    for _ in range(2):
        tracker.finish(finished, {})
    (run,) = runs_of(uri)
    assert run.data.metrics["test/left/accuracy"] == pytest.approx(0.3)
    best = {name: value for name, value in run.data.metrics.items() if name.startswith("best/")}
    has_result = outcome in (Outcome.DONE, Outcome.PRUNED)
    assert best == ({"best/epoch": 2.0, "best/test_left_accuracy": pytest.approx(0.2)} if has_result else {})


def test_system_metrics_are_a_run_of_their_own_when_asked_for(uri: str, monkeypatch: pytest.MonkeyPatch) -> None:
    Tracker(uri, "digits", "ours").watch_machine()()
    assert runs_of(uri) == []
    monkeypatch.setenv("MLFLOW_ENABLE_SYSTEM_METRICS_LOGGING", "true")
    monkeypatch.setenv("MLFLOW_SYSTEM_METRICS_SAMPLING_INTERVAL", "0.1")
    killed, tracker = Tracker(uri, "digits", "ours"), Tracker(uri, "digits", "ours")
    killed.watch_machine()  # whose driver dies
    end = tracker.watch_machine()
    time.sleep(1.0)
    end()
    end_of = {run.info.status: run for run in runs_of(uri)}
    assert set(end_of) == {"KILLED", "FINISHED"}
    assert end_of["FINISHED"].info.run_name.startswith("system ")
    assert "system/cpu_utilization_percentage" in end_of["FINISHED"].data.metrics
    assert tracker.outcomes() == {}


def write_summary(uri: str, ledger_id: str, report: Path, value: float) -> None:
    table = report / "tables" / "digits" / "table.csv"
    table.parent.mkdir(parents=True, exist_ok=True)
    table.write_text("a,b")
    summary = Summary({"best": {"delta_m": value}}, ["SGD is best."], "multidigits", "f" * 64)
    assert record_summary(uri, "digits", ledger_id, summary, report) is None


def test_the_summary_run_is_one(uri: str, in_directory: Path) -> None:
    for value in (1.0, 2.0):
        write_summary(uri, "ours", in_directory / "report", value)
    (run,) = runs_of(uri)
    assert (run.data.tags["kind"], run.data.metrics["best/delta_m"]) == ("summary", 2.0)
    assert [entry.dataset.digest for entry in run.inputs.dataset_inputs] == ["f" * 16]
    client = MlflowClient(tracking_uri=uri)
    assert [entry.path for entry in client.list_artifacts(run.info.run_id, "tables")] == ["tables/table.csv"]


def test_a_label_that_mlflow_refuses_in_a_name_does_not_cost_the_summary(uri: str, in_directory: Path) -> None:
    labels = {"sgd(momentum=0) [batch_size=64]": {"delta_m": 3.0}}
    summary = Summary({"best_by_optimizer": labels}, [], "multidigits", "f" * 64)
    assert record_summary(uri, "digits", "ours", summary, in_directory) is None
    (run,) = runs_of(uri)
    assert run.data.metrics == {"best_by_optimizer/sgd momentum 0 batch_size 64 /delta_m": 3.0}


def test_the_data_of_a_run_is_its_input_with_name_fingerprint_and_rows(
    uri: str, make_finished: Callable[..., FinishedTrial], in_directory: Path
) -> None:
    """So that the UI's column "Dataset" shows it, from the first epoch on and after a rebuild."""
    summary = in_directory / "data" / "prepared" / "digits" / "summary.json"
    summary.parent.mkdir(parents=True)
    content = {"dataset": "multidigits", "fingerprint": "f" * 64, "splits": {"train": 60, "val": 10, "test": 20}}
    summary.write_text(json.dumps(content))
    finished, tracker = make_finished(), Tracker(uri, "digits", "ours")
    tracker.log_epochs(finished.trial, finished.state.curve[:1], 0.0)
    (live,) = runs_of(uri)
    tracker.forget(finished)
    tracker.finish(finished, {})
    tracker.finish(finished, {})
    (run,) = runs_of(uri)
    for entry in (*live.inputs.dataset_inputs, *run.inputs.dataset_inputs):
        assert (entry.dataset.name, entry.dataset.digest) == ("multidigits", "f" * 16)
        assert json.loads(entry.dataset.profile) == {"num_rows": 90, "train": 60, "val": 10, "test": 20}
        assert json.loads(entry.dataset.source) == {"uri": "data/prepared/digits", "fingerprint": "f" * 64}
        assert [(tag.key, tag.value) for tag in entry.tags] == [("mlflow.data.context", "training")]
    assert len(live.inputs.dataset_inputs) == len(run.inputs.dataset_inputs) == 1


def test_data_prepared_anew_since_is_not_taken_for_the_data_of_a_trial(in_directory: Path) -> None:
    summary = in_directory / "data" / "prepared" / "digits" / "summary.json"
    assert dataset_of("digits", "f" * 64).dataset.name == "digits"
    summary.parent.mkdir(parents=True)
    summary.write_text(json.dumps({"dataset": "multidigits", "fingerprint": "e" * 64, "splits": {"train": 60}}))
    data = dataset_of("digits", "f" * 64).dataset
    assert (data.name, data.digest, data.profile) == ("multidigits", "f" * 16, None)


def test_views_of_the_sweep_and_the_baselines_are_saved_with_links_to_them(
    uri: str, make_finished: Callable[..., FinishedTrial]
) -> None:
    tracker = Tracker(uri, "digits", "ours")
    tracker.finish(make_finished(seed=0, role="stl"), {})
    assert view_links(uri, "http://here", ["digits"]) == []
    tracker.finish(make_finished(seed=1), {})
    links = view_links(uri, "http://here", ["digits", "absent"])
    assert [(suite, name) for suite, name, _ in links] == [
        ("digits", "Sweep: best first"),
        ("digits", "Single-task baselines"),
    ]
    experiment = MlflowClient(tracking_uri=uri).get_experiment_by_name("digits")
    assert experiment is not None
    assert links[0][2] == f"http://here/#/experiments/{experiment.experiment_id}/runs?viewStateShareKey={views.SWEEP}"
    view = json.loads(experiment.tags[f"{views.VIEW_TAG}{views.SWEEP}"])
    state = json.loads(view["state"])
    assert (state["searchFilter"], state["orderByKey"], state["orderByAsc"]) == (
        "tags.`role` = 'mtl'",
        "metrics.`best/val_delta_m`",
        True,
    )
    assert [name.split("`")[1] for name in state["selectedColumns"]] == [
        *("weighting", "optimizer", "lr", "seed", "best/val_delta_m", "best/test_delta_m"),
        *("best/test_left_accuracy", "best/test_right_accuracy", "outcome", "Dataset"),
    ]


def test_views_of_forty_tasks_fit_into_a_tag() -> None:
    metrics = [f"{split}/a_long_attribute_name_{task}/accuracy" for split in ("val", "test") for task in range(40)]
    assert max(map(len, views.saved_views(metrics, 1_700_000_000_000).values())) < 5000


def test_an_experiment_without_test_metrics_has_no_such_views() -> None:
    assert views.saved_views(["fog/left/accuracy", "clean/left/accuracy"], 0) == {}


@pytest.mark.parametrize(
    ("written", "sentence"),
    [
        ("./mlruns", r"allowed are sqlite:///FILE, postgresql"),
        ("file:///tmp/mlruns", r"allowed are sqlite:///FILE, postgresql"),
        ("http://[bad", r"is 'http://\[bad'; allowed are .* http\(s\)://HOST:PORT"),
        ("http://me:secret@[bad", r"is 'http://me:\*\*\*@\[bad'|contains a password"),
        ("http://host:99999", r"allowed are .* http\(s\)://HOST:PORT"),
        ("http://host:port", r"allowed are .* http\(s\)://HOST:PORT"),
        ("http://", r"allowed are .* http\(s\)://HOST:PORT"),
        ("postgresql://[host/db", r"allowed are sqlite:///FILE, postgresql"),
        ("sqlite:///", r"allowed are sqlite:///FILE"),
        ("sqlite://", r"allowed are sqlite:///FILE"),
        ("sqlite:///:memory:", r"allowed are sqlite:///FILE"),
        (
            "postgresql://user:secret@host/db",
            r"contains a password; set the environment variable MLFLOW_TRACKING_URI",
        ),
    ],
)
def test_uris_that_cannot_be_used_are_refused(written: str, sentence: str) -> None:
    with pytest.raises(UserError, match=sentence) as caught:
        resolve_uri(written)
    assert "secret" not in str(caught.value)


def test_the_environment_may_hold_the_uri_and_its_password(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "./runs")
    with pytest.raises(UserError, match=r"^the environment variable MLFLOW_TRACKING_URI is './runs'; allowed are"):
        resolve_uri("sqlite:///mlflow.db")
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "postgresql://user:secret@host/db")
    assert resolve_uri("sqlite:///mlflow.db") == "postgresql://user:secret@host/db"
    assert shown_uri(resolve_uri("")) == "postgresql://user:***@host/db"


def test_a_server_that_is_not_there_is_one_sentence() -> None:
    with pytest.raises(
        UserError, match=r"tracking server http://127\.0\.0\.1:9 cannot be used .*start it, or set"
    ) as caught:
        Tracker("http://127.0.0.1:9", "digits", "ours")
    assert "\n" not in str(caught.value)


CREATOR = "import sys; from mtlsweep.record.mlflow import Tracker; print('go', flush=True); Tracker(sys.argv[1], 'digits', 'ours')"


@pytest.mark.slow
def test_a_kill_while_the_database_is_made_leaves_none(tmp_path: Path) -> None:
    uri = f"sqlite:///{tmp_path / 'mlflow.db'}"
    with subprocess.Popen([sys.executable, "-c", CREATOR, uri], stdout=subprocess.PIPE) as creator:
        assert creator.stdout is not None
        creator.stdout.readline()
        while not list(tmp_path.glob(".mlflow.db.*")):
            time.sleep(0.01)
        time.sleep(0.1)
        creator.send_signal(signal.SIGKILL)
    assert not (tmp_path / "mlflow.db").exists()
    Tracker(uri, "digits", "ours")
    assert runs_of(uri) == []


@pytest.mark.slow
def test_two_first_users_at_once_both_succeed(tmp_path: Path) -> None:
    uri = f"sqlite:///{tmp_path / 'mlflow.db'}"
    both = [subprocess.Popen([sys.executable, "-c", CREATOR, uri], stdout=subprocess.DEVNULL) for _ in range(2)]
    assert [one.wait() for one in both] == [0, 0]
    assert os.listdir(tmp_path) == ["mlflow.db"]
