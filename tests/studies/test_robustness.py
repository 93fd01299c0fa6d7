"""Robustness: delta_t by hand, clean metrics as recorded, and a stopped run that continues where it stopped."""

import json
from typing import Any, cast

import numpy as np
import pandas as pd
import pytest
import torch
from safetensors.torch import load

from mtlsweep import paths
from mtlsweep.errors import UserError
from mtlsweep.params.studies import find_section
from mtlsweep.record.ledger import Ledger
from mtlsweep.record.mlflow import Tracker
from mtlsweep.studies.finished_trials import ChosenTrial
from mtlsweep.studies.retraining import trained_network
from mtlsweep.studies.robustness import fine_tuning, measuring
from mtlsweep.studies.robustness.corrupted_sets import ChosenRows, evenly_spaced
from mtlsweep.studies.robustness.delta_t import SCORE_COLUMNS, delta_t, delta_t_by_corruption
from mtlsweep.studies.robustness.models import choose_models, study_trial
from mtlsweep.studies.robustness.params import Robustness
from mtlsweep.studies.robustness.run import run
from mtlsweep.suites.prepared.splits import Split
from mtlsweep.training.evaluation import evaluate

pytest.importorskip("imagecorruptions")
SUITE, CPU = "digits", torch.device("cpu")
STUDY = f"{SUITE}-robustness"
TABLES = ("scores.parquet", "delta_t.parquet", "by_corruption.parquet", "about.json")


def made_table(rows):
    """Return scores; a row is (trial, role, seed, metric, higher is better, corruption, severity, value)."""
    frame = pd.DataFrame(
        rows, columns=["trial_key", "role", "seed", "metric", "higher_is_better", "corruption", "severity", "value"]
    )
    frame = frame.assign(task="a", in_delta_t=True, lr=0.1, optimizer="adam")
    return frame.assign(weighting=np.where(frame["role"] == "stl", "stl", "ew"))[SCORE_COLUMNS]


def test_delta_t_is_what_the_formula_gives_by_hand():
    accuracy, error = ("accuracy", True), ("error", False)
    rows = [
        # accuracy: ratios multi 0.5 and 0.25, single 0.75 and 0.5 -> -(-0.25 - 0.25) / 2 = 0.25, worse
        ("m", "mtl", 0, *accuracy, "clean", 0, 0.8),
        ("m", "mtl", 0, *accuracy, "fog", 1, 0.4),
        ("m", "mtl", 0, *accuracy, "frost", 1, 0.2),
        ("s", "stl", 0, *accuracy, "clean", 0, 0.4),
        ("s", "stl", 0, *accuracy, "fog", 1, 0.3),
        ("s", "stl", 0, *accuracy, "frost", 1, 0.2),
        # error: ratios multi 2 and 3, single (two replicates) 3 and 5 -> (-1 - 2) / 2 = -1.5, better
        ("m", "mtl", 0, *error, "clean", 0, 1.0),
        ("m", "mtl", 0, *error, "fog", 1, 2.0),
        ("m", "mtl", 0, *error, "frost", 1, 3.0),
        ("s", "stl", 0, *error, "clean", 0, 1.0),
        ("s", "stl", 0, *error, "fog", 1, 2.0),
        ("s", "stl", 0, *error, "frost", 1, 4.0),
        ("t", "stl", 1, *error, "clean", 0, 2.0),
        ("t", "stl", 1, *error, "fog", 1, 8.0),
        ("t", "stl", 1, *error, "frost", 1, 12.0),
    ]
    by_corruption = delta_t_by_corruption(made_table(rows))
    figures = by_corruption.set_index(["metric", "corruption"])["delta_t"]
    assert figures["accuracy", "fog"] == pytest.approx(0.25) and figures["error", "frost"] == pytest.approx(-2.0)
    summary = delta_t(by_corruption).set_index(["task", "metric"])["delta_t"]
    assert summary["a", "accuracy"] == pytest.approx(0.25)
    assert summary["a", "error"] == pytest.approx(-1.5)
    assert summary["all", "mean"] == pytest.approx((0.25 - 1.5) / 2)


def test_equally_robust_networks_have_delta_t_zero_whatever_their_level():
    rows = [
        (trial, role, 0, "accuracy", True, corruption, severity, level * share)
        for trial, role, level in (("m", "mtl", 0.9), ("s", "stl", 0.6))
        for corruption, severity, share in (("clean", 0, 1.0), ("fog", 1, 0.7), ("fog", 2, 0.5))
    ]
    assert delta_t(delta_t_by_corruption(made_table(rows)))["delta_t"].tolist() == pytest.approx([0.0, 0.0])


def test_a_missing_figure_is_not_averaged_away():
    rows = [
        ("m", "mtl", 0, "accuracy", True, "clean", 0, 0.8),
        ("m", "mtl", 0, "accuracy", True, "fog", 1, float("nan")),
        ("m", "mtl", 0, "accuracy", True, "fog", 2, 0.4),
        ("s", "stl", 0, "accuracy", True, "clean", 0, 0.8),
        ("s", "stl", 0, "accuracy", True, "fog", 1, 0.4),
        ("s", "stl", 0, "accuracy", True, "fog", 2, 0.4),
    ]
    assert delta_t(delta_t_by_corruption(made_table(rows)))["delta_t"].isna().all()


@pytest.mark.slow
def test_clean_metrics_before_fine_tuning_are_those_the_trial_recorded(mini_suite):
    chosen = ChosenTrial(mini_suite.multi.trial, 2, mini_suite.multi.state)
    network = trained_network(chosen, mini_suite.data, mini_suite.ledger, CPU)
    rows = ChosenRows(mini_suite.data.splits["test"], evenly_spaced(40, None))
    assert evaluate(network, cast(Split, rows), mini_suite.data.tasks, 32, CPU, "test") == chosen.recorded("test")


@pytest.mark.slow
def test_the_study_from_end_to_end(mini_suite):
    run(mini_suite.params, SUITE, workers=1)
    directory = paths.results(SUITE) / "robustness"
    scores = pd.read_parquet(directory / "scores.parquet")
    assert list(scores.columns) == SCORE_COLUMNS
    assert len(scores) == (4 + 4) * (
        2 * 2 + 1
    )  # metrics of the multi-task network and of three single-task ones, conditions
    assert not scores["value"].isna().any() and set(scores["corruption"]) == {"clean", "contrast", "gaussian_noise"}
    summary = pd.read_parquet(directory / "delta_t.parquet")
    assert set(summary["metric"]) == {"accuracy", "mae", "mean"} and summary["delta_t"].notna().all()

    # Only heads have moved.
    (model,) = [
        one
        for one in choose_models(mini_suite.params, SUITE, section(mini_suite), mini_suite.data)
        if one.trial.cell.role == "mtl"
    ]
    before = load(mini_suite.weights)
    after = load(
        (
            mini_suite.ledger.directory.parent / "robustness" / "ledger" / model.trial.key / "best.safetensors"
        ).read_bytes()
    )
    assert all(torch.equal(before[name], after[name]) == name.startswith("backbone.") for name in before)

    # MLflow shows one run per model, severities as steps.
    ledger = Ledger(mini_suite.ledger.directory.parent, "robustness")
    tracker = Tracker(mini_suite.params.resources.tracking_uri, STUDY, ledger.id)
    assert list(tracker.outcomes().values()) == ["done"] * 4
    rows = tracker.history([model.trial.key]).read([model.trial.key]).to_pylist()
    logged = {(row["step"], row["name"]): row["value"] for row in rows}
    own = scores[(scores["role"] == "mtl") & (scores["corruption"] == "contrast") & (scores["task"] == "left")]
    for row in own.itertuples():
        assert logged[row.severity, f"contrast/left/{row.metric}"] == row.value

    # Again: nothing is measured twice, and the tables have the same bytes.
    first = {name: (directory / name).read_bytes() for name in TABLES}
    run(mini_suite.params, SUITE, workers=1)
    assert first == {name: (directory / name).read_bytes() for name in TABLES}


def section(mini_suite):
    return find_section(mini_suite.params.suites[SUITE].studies, Robustness)


@pytest.mark.slow
def test_two_runs_from_scratch_give_equal_bytes_and_a_stopped_one_goes_on(mini_suite, monkeypatch, tmp_path):
    run(mini_suite.params, SUITE, workers=1)
    directory = paths.results(SUITE) / "robustness"
    first = {name: (directory / name).read_bytes() for name in TABLES}
    (directory / "ledger").rename(tmp_path / "ledger of the first run")

    tuned: list[Any] = []
    measured: list[str] = []
    fine_tune, measure = fine_tuning.fine_tune, measuring.RobustnessMeter._evaluate

    def counted_tuning(network, *arguments):
        tuned.append(network)
        return fine_tune(network, *arguments)

    def stopping(self, network, model, rows, corruption):
        if len(measured) == 4 + 8 + 3:  # clean, all of contrast, then in the middle of gaussian_noise
            raise KeyboardInterrupt
        measured.append(corruption)
        return measure(self, network, model, rows, corruption)

    monkeypatch.setattr(measuring, "fine_tune", counted_tuning)
    monkeypatch.setattr(measuring.RobustnessMeter, "_evaluate", stopping)
    with pytest.raises(KeyboardInterrupt):
        run(mini_suite.params, SUITE, workers=1)
    assert len(tuned) == 4 and measured.count("contrast") == 8

    measured_later = []

    def counting(self, network, model, rows, corruption):
        measured_later.append(corruption)
        return measure(self, network, model, rows, corruption)

    monkeypatch.setattr(measuring.RobustnessMeter, "_evaluate", counting)
    run(mini_suite.params, SUITE, workers=1)
    assert (
        len(tuned) == 4 and set(measured_later) == {"gaussian_noise"} and len(measured_later) == 2 * 3
    )  # one model had finished it
    assert first == {name: (directory / name).read_bytes() for name in TABLES}


@pytest.mark.slow
def test_without_keeping_sets_the_disk_is_left_as_it_was_and_figures_are_the_same(mini_suite):
    run(mini_suite.params, SUITE, workers=1)
    kept = paths.results(SUITE) / "robustness"
    scores = (kept / "scores.parquet").read_bytes()
    for path in (mini_suite.data.directory.parents[1] / "corrupted").rglob("*.npy"):
        path.unlink()
    for path in (kept / "ledger").glob("*/result.json"):
        path.unlink()
    run(mini_suite.params_with("robustness", keep_corrupted=False), SUITE, workers=1)
    left = [path.name for path in (mini_suite.data.directory.parents[1] / "corrupted").rglob("test-*.npy")]
    assert left == [] and (kept / "scores.parquet").read_bytes() == scores


def test_a_models_key_feels_what_changes_its_result_and_nothing_else(mini_suite):
    chosen = ChosenTrial(mini_suite.multi.trial, 2, mini_suite.multi.state)
    base = section(mini_suite)

    def key(**changes):
        return study_trial(chosen, SUITE, base.model_copy(update=changes), mini_suite.data.fingerprint).key

    assert key() == key(keep_corrupted=False) == key(weightings=("ew",)) == key(seeds=2)
    assert len({key(), key(seed=1), key(severities=(1,)), key(corruptions=()), key(test_samples=7)}) == 5


def test_an_unknown_method_is_an_error_and_a_disabled_study_writes_empty_tables(mini_suite):
    with pytest.raises(UserError, match="names `pcgrad`"):
        run(mini_suite.params_with("robustness", weightings=("pcgrad",)), SUITE, workers=1)
    run(mini_suite.params_with("robustness", enabled=False), SUITE, workers=1)
    directory = paths.results(SUITE) / "robustness"
    assert (
        pd.read_parquet(directory / "delta_t.parquet").empty
        and json.loads((directory / "about.json").read_text()) == {}
    )
