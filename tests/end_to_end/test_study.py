"""A fresh clone and `dvc repro`: the whole study, once, with nothing lost and nothing trained twice."""

from __future__ import annotations

import copy
import json
import os
import random
import re
import shutil
import signal
import time
from pathlib import Path

import pandas as pd
import psutil
import pytest
from mlflow import MlflowClient

from .conftest import BASELINES, SUITE, TINY, TRIALS, Clone, make_clone

pytestmark = [pytest.mark.end_to_end, pytest.mark.slow]

EXPECTED = {"trial_key", "cell_key", "suite", "role", "weighting", "optimizer", "lr", "seed", "outcome", "best_epoch"}


def trials_of(clone: Clone) -> pd.DataFrame:
    return pd.read_parquet(clone.results / "trials.parquet")


def stages_run(output: str) -> list[str]:
    """Return the stages that `dvc repro` ran, by what it printed."""
    return re.findall(r"Running stage '([^']+)'", output)


ALWAYS = [f"dataset@{SUITE}", f"plan@{SUITE}"]
"""The stages of a suite that run each time."""


def check_every_trial_once(clone: Clone, expected: int) -> None:
    """In the ledger, in MLflow and in the table: each planned trial once, and no run left open."""
    client = MlflowClient(tracking_uri=f"sqlite:///{clone.root / 'mlflow.db'}")
    experiment = client.get_experiment_by_name(SUITE)
    assert experiment is not None
    runs = [run for run in client.search_runs([experiment.experiment_id]) if "trial_key" in run.data.tags]
    keys = sorted(run.data.tags["trial_key"] for run in runs)
    assert len(keys) == expected
    assert keys == sorted(trials_of(clone)["trial_key"]) == sorted(clone.ledger_times())
    assert {run.info.status for run in runs} <= {"FINISHED", "FAILED"}


def test_a_fresh_clone_gives_the_whole_study(finished_study: Clone) -> None:
    check_every_trial_once(finished_study, BASELINES + TRIALS)
    trials = trials_of(finished_study)
    assert set(trials.columns) >= EXPECTED
    scores = {
        f"{split}_{name}" for split in ("val", "test") for name in ("left_accuracy", "mass_mae", "mass_r2", "delta_m")
    }
    assert set(trials.columns) >= scores
    assert (trials["role"] == "mtl").sum() == TRIALS
    done = trials[(trials["outcome"] == "done") & (trials["role"] == "mtl")]
    assert done["test_delta_m"].notna().all()
    page = (finished_study.root / "reports" / "index.html").read_text()
    assert "pcgrad" in page
    summary = json.loads((finished_study.results / "summary.json").read_text())
    assert summary["outcomes"]["failed"] == 0


def test_metrics_and_plots_are_declared_to_dvc(finished_study: Clone) -> None:
    shown = finished_study.run("dvc", "metrics", "show", "--json").stdout
    assert "delta_m" in shown
    plots = finished_study.run("dvc", "plots", "show", "--out", str(finished_study.root / "plots-page")).stdout
    assert "index.html" in plots


def test_a_second_repro_runs_nothing(study: Clone) -> None:
    before = study.ledger_times()
    assert stages_run(study.run("dvc", "repro").stdout) == [*ALWAYS, "methods"]
    assert study.ledger_times() == before


def test_a_new_learning_rate_runs_exactly_its_trials(study: Clone) -> None:
    before = study.ledger_times()
    params = copy.deepcopy(TINY)
    params["suites"][SUITE]["sweep"]["learning_rates"] = [0.003, 0.001]
    study.write_params(params)
    output = study.run("dvc", "repro").stdout
    after = study.ledger_times()
    assert {key: after[key] for key in before} == before
    assert len(after) == len(before) + TRIALS
    follow = {f"{stage}@{SUITE}" for stage in ("sweep", "analyse", "gradients", "robustness", "referee")}
    assert sorted(stages_run(output)) == sorted(follow | {"report", "methods", *ALWAYS})
    check_every_trial_once(study, BASELINES + 2 * TRIALS)


def test_resources_are_no_part_of_the_study(study: Clone) -> None:
    study.write_params({**TINY, "resources": {"concurrency": 1, "checkpoint_seconds": 5}})
    assert stages_run(study.run("dvc", "repro").stdout) == [*ALWAYS, "methods"]


def test_mlflow_and_tables_are_views_of_the_ledger(study: Clone) -> None:
    table = (study.results / "trials.parquet").read_bytes()
    ledger = study.ledger_times()
    (study.root / "mlflow.db").unlink()
    assert f"{BASELINES + TRIALS} runs written" in study.run("mtlsweep.cli.main", "mlflow", "rebuild").stdout
    check_every_trial_once(study, BASELINES + TRIALS)
    for name in ("baselines", "sweep", "analysis", "plots"):
        shutil.rmtree(study.results / name)
    (study.results / "trials.parquet").unlink()
    shutil.rmtree(study.root / ".dvc" / "cache")
    study.run("dvc", "repro", "--force", f"analyse@{SUITE}")
    assert (study.results / "trials.parquet").read_bytes() == table
    assert study.ledger_times() == ledger


def test_two_clean_runs_give_the_same_bytes_on_ray_and_in_one_process(finished_study: Clone, tmp_path: Path) -> None:
    other = make_clone(tmp_path / "other")
    other.write_params({**TINY, "resources": {"executor": "inline"}})
    other.run("dvc", "repro", f"analyse@{SUITE}")
    assert (other.results / "trials.parquet").read_bytes() == (finished_study.results / "trials.parquet").read_bytes()


def workers_of(session: int) -> list[str]:
    """Return the living processes of a session that could still train or write: driver, raylet, Ray workers."""
    found = []
    for process in psutil.process_iter():
        try:
            command = " ".join(process.cmdline())
            if os.getsid(process.pid) == session and process.status() != psutil.STATUS_ZOMBIE:
                found += [command] * any(
                    name in command
                    for name in ("stages.", "raylet/raylet", "ray::ImplicitFunc", "ray::LedgerCheckpoints")
                )
        except (ProcessLookupError, psutil.NoSuchProcess):
            continue
    return found


def test_a_kill_of_dvc_at_any_moment_loses_nothing_and_repeats_nothing(
    trained_baselines: Clone, finished_study: Clone, tmp_path: Path
) -> None:
    """SIGKILL of `dvc repro`, again and again at random moments; then a run to the end. `tests/faults` kills the driver."""
    moments = random.Random("dvc")
    study = trained_baselines.copy(tmp_path / "study")
    seen = study.ledger_times()
    for _ in range(3):
        with study.start("dvc", "repro") as process:
            time.sleep(moments.uniform(2, 20))
            process.send_signal(signal.SIGKILL)
        deadline = time.monotonic() + 60
        while workers_of(process.pid) and time.monotonic() < deadline:
            time.sleep(0.5)
        assert not workers_of(process.pid), "the sweep outlived its driver"
        times = study.ledger_times()
        assert {key: times[key] for key in seen} == seen, "a finished trial was trained again"
        seen = times
        for stale in study.root.glob(".dvc/tmp/*lock"):
            stale.unlink()
    study.run("dvc", "repro", f"analyse@{SUITE}")
    assert {key: study.ledger_times()[key] for key in seen} == seen
    check_every_trial_once(study, BASELINES + TRIALS)
    assert (study.results / "trials.parquet").read_bytes() == (finished_study.results / "trials.parquet").read_bytes()
