"""Raw tables come from MLflow, agree with the ledger, and are byte-equal for equal results."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from mlflow import MlflowClient

from mtlsweep.errors import UserError
from mtlsweep.record.mlflow import Tracker
from mtlsweep.record.tables.curves import build_curves
from mtlsweep.record.tables.outcomes import build_costs, build_outcomes
from mtlsweep.record.tables.parquet import write_table
from mtlsweep.record.tables.schema import CURVES, OUTCOMES
from mtlsweep.trials.state import FinishedTrial, Outcome


@pytest.fixture(scope="module")
def database(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    path = tmp_path_factory.mktemp("mlflow") / "mlflow.db"
    Tracker(f"sqlite:///{path}", "unused")
    return path.read_bytes()


@pytest.fixture
def tracker(tmp_path: Path, database: bytes) -> Tracker:
    (tmp_path / "mlflow.db").write_bytes(database)
    return Tracker(f"sqlite:///{tmp_path / 'mlflow.db'}", "digits")


def test_curves_hold_every_value_sorted(tracker: Tracker, make_finished: Callable[..., FinishedTrial]) -> None:
    finished = [make_finished(seed) for seed in (1, 0)]
    for one in finished:
        tracker.finish(one, {})
    curves = build_curves(tracker, finished)
    assert len(curves) == 2 * 3 * 4
    assert list(curves.itertuples(index=False)) == sorted(curves.itertuples(index=False))
    assert set(curves["task"]) == {"left", "right"}


def test_equal_results_give_equal_bytes(
    tracker: Tracker, make_finished: Callable[..., FinishedTrial], tmp_path: Path
) -> None:
    finished = [make_finished(seed, outcome=outcome) for seed, outcome in enumerate([Outcome.DONE, Outcome.DIVERGED])]
    for one in finished:
        tracker.finish(one, {})
    for number, order in enumerate((finished, finished[::-1])):
        write_table(tmp_path / f"curves{number}", build_curves(tracker, order), CURVES)
        write_table(tmp_path / f"outcomes{number}", build_outcomes(order), OUTCOMES)
    for name in ("curves", "outcomes"):
        assert (tmp_path / f"{name}0").read_bytes() == (tmp_path / f"{name}1").read_bytes()


def test_times_and_hosts_stay_out_of_the_outs(make_finished: Callable[..., FinishedTrial]) -> None:
    assert not {"seconds", "host", "started"} & {*CURVES.names, *OUTCOMES.names}
    assert {"seconds", "host", "started", "attempts"} <= set(build_costs([make_finished()]).columns)


def test_an_altered_record_is_found(
    tracker: Tracker, make_finished: Callable[..., FinishedTrial], tmp_path: Path
) -> None:
    finished = make_finished()
    tracker.finish(finished, {})
    client = MlflowClient(tracking_uri=f"sqlite:///{tmp_path / 'mlflow.db'}")
    experiment = client.get_experiment_by_name("digits")
    assert experiment is not None
    (run,) = client.search_runs([experiment.experiment_id])
    client.log_metric(run.info.run_id, "val/left/accuracy", 0.99, timestamp=1, step=9)
    with pytest.raises(
        UserError, match=r"MLflow and the ledger differ for trial .*`val/left/accuracy` at epoch 9 is 0\.99 in MLflow"
    ):
        build_curves(tracker, [finished])
