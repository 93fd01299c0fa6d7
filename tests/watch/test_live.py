"""The live view shows the facts of `mtlsweep status` and of the analysis, reads each trial once, and follows the ledger."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pandas as pd
import pytest

from mtlsweep.analysis.fronts.pareto_set import nondominated
from mtlsweep.analysis.selection import select_learning_rates
from mtlsweep.analysis.trial_table import measure_trials, with_delta_m
from mtlsweep.params.params import load_params
from mtlsweep.record.ledger import Ledger
from mtlsweep.record.tables.outcomes import build_outcomes
from mtlsweep.studies.training_stages import training_stages
from mtlsweep.sweep.control import seen_trials
from mtlsweep.sweep.control.findings import find_baselines
from mtlsweep.sweep.control.live import LiveSuite
from mtlsweep.sweep.control.status import read_status
from mtlsweep.trials.state import FinishedTrial, Outcome
from tests.watch.watched_study import EPOCHS, SECONDS, SUITE, done, failed, finish, objectives, sweeping, trials_of

pytestmark = pytest.mark.slow


def look(live: LiveSuite, seconds: float = 60.0) -> dict[str, Any]:
    return live.look(training_stages(load_params(), SUITE), seconds)


def long_curves(finished: list[FinishedTrial]) -> pd.DataFrame:
    rows = [
        (one.trial.key, record.epoch, *name.split("/"), value)
        for one in finished
        for record in one.state.curve
        for name, value in record.metrics.items()
    ]
    return pd.DataFrame(rows, columns=["trial_key", "epoch", "split", "task", "metric", "value"])


def test_in_the_middle_of_a_sweep_it_says_what_status_says_and_what_runs_where(ledger: Ledger) -> None:
    live = LiveSuite(SUITE, ledger)
    with sweeping(ledger, finished=20, running=3):
        seen = look(live)
        status = read_status(training_stages(load_params(), SUITE), SUITE)
    assert (seen["holder"], seen["stages"]) == (status["holder"], status["stages"])
    sweep = seen["stages"]["sweep"]
    assert (sweep["planned"], sweep["outcomes"], sweep["eta_seconds"] is not None) == (36, {"done": 20}, True)
    assert [(one["host"], one["epoch"], one["epochs"]) for one in sweep["running"]] == [
        ("gpu-1", 1, EPOCHS),
        ("gpu-2", 2, EPOCHS),
        ("gpu-1", 3, EPOCHS),
    ]


def test_a_running_race_counts_the_trials_that_it_expects_to_need_as_its_driver_does(ledger: Ledger) -> None:
    with sweeping(ledger, finished=20, running=3) as progress:
        progress.planned = 28
        ledger.storage.note("progress-sweep.json", json.dumps(progress.to_json()).encode())
        running = look(LiveSuite(SUITE, ledger))["stages"]["sweep"]["planned"]
    ended = look(LiveSuite(SUITE, ledger))["stages"]["sweep"]["planned"]
    assert (running, ended) == (28, 36), "the whole plan counts where no driver knows more"


def test_hours_are_those_of_finished_running_and_paused_trials_and_of_the_drivers_forecast(ledger: Ledger) -> None:
    with sweeping(ledger, finished=20, running=3):
        costs = look(LiveSuite(SUITE, ledger))["costs"]
    epoch = SECONDS / 3600
    assert costs["price"] == 0.8
    assert costs["stages"]["sweep"]["spent"] == pytest.approx(20 * EPOCHS * epoch)
    assert costs["unfinished"] == pytest.approx((1 + 2 + 3) * epoch)
    assert costs["spent"] == pytest.approx((3 * EPOCHS + 20 * EPOCHS + 6) * epoch)
    assert costs["left"] == pytest.approx((16 * EPOCHS - 6) * epoch), "the driver wrote it"


def test_what_a_driver_said_of_running_trials_is_no_cost_once_it_is_gone(ledger: Ledger) -> None:
    with sweeping(ledger, finished=20, running=3):
        pass
    assert look(LiveSuite(SUITE, ledger))["costs"]["unfinished"] == 0


def test_a_driver_of_an_earlier_version_says_neither_hosts_nor_device_seconds(ledger: Ledger) -> None:
    with sweeping(ledger, finished=20, running=3) as progress:
        content = progress.to_json()
        del content["device_seconds_unfinished"]
        for trial in content["running"]:
            del trial["host"]
        ledger.storage.note("progress-sweep.json", json.dumps(content).encode())
        seen = look(LiveSuite(SUITE, ledger))
    assert [one["host"] for one in seen["stages"]["sweep"]["running"]] == ["", "", ""]
    assert seen["costs"]["unfinished"] == 0


def test_of_a_finished_study_the_best_cells_and_the_front_are_those_of_the_analysis(ledger: Ledger) -> None:
    finished = [done(trial) for trial in finish(ledger, "sweep")]
    found = look(LiveSuite(SUITE, ledger))["found"]
    baselines = find_baselines([done(trial) for trial in trials_of("baselines")], objectives())
    table = measure_trials(long_curves(finished), build_outcomes(finished), baselines, objectives())
    table = with_delta_m(table, baselines, objectives())
    selected = select_learning_rates(table).sort_values("mean")
    assert [(m["weighting"], m["optimizer"], m["learning_rate"], m["seeds"]) for m in found["methods"]] == list(
        selected[["weighting", "optimizer", "lr", "seeds"]].itertuples(index=False, name=None)
    )
    assert [m["delta_m"] for m in found["methods"]] == pytest.approx(selected["mean"].tolist())
    counted = [one for one in objectives() if one.in_delta_m]
    signs = [-1 if one.higher_is_better else 1 for one in counted]
    members = nondominated(table[[one.of("val").column for one in counted]].to_numpy() * signs)
    assert (found["front"]["trials"], found["front"]["members"]) == (36, members.sum())
    assert sum(found["front"]["by_method"].values()) == members.sum()


def test_failures_are_grouped_by_cause_each_with_the_command_that_repeats_one(ledger: Ledger) -> None:
    for number, trial in enumerate(trials_of("sweep")[:7]):
        ledger.finish(failed(trial, number))
    failures = look(LiveSuite(SUITE, ledger))["failures"]
    assert [(one["count"], one["outcome"], one["cause"]) for one in failures["causes"]] == [
        (3, "failed", "code"),
        (2, "diverged", "nan"),
        (2, "failed", "oom"),
    ]
    keys = {trial.key for trial in trials_of("sweep")[:7]}
    assert all(one["repeat"].removeprefix("mtlsweep run ") in keys for one in failures["causes"])
    assert failures["causes"][0]["detail"] == "RuntimeError: shapes (3,) and (2,) do not match"
    assert f"mtlsweep retry {SUITE}" in failures["retry"]


def test_a_large_ledger_is_read_in_pieces_and_no_trial_twice(ledger: Ledger, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(seen_trials, "TRIALS_AT_ONCE", 5)
    read: list[str] = []
    original = Ledger.read_those

    def counting(self: Ledger, keys: Any) -> Any:
        keys = list(keys)
        read.extend(keys)
        return original(self, keys)

    finish(ledger, "sweep", slice(20))
    monkeypatch.setattr(Ledger, "read_those", counting)
    live = LiveSuite(SUITE, ledger)
    unread = [look(live, seconds=1e-9)["unread"]]
    while unread[-1]:
        unread.append(look(live, seconds=1e-9)["unread"])
    assert unread == [18, 13, 8, 3, 0]
    assert look(live)["stages"]["sweep"]["outcomes"] == {"done": 20}
    multi_task = [key for key in read if key in {trial.key for trial in trials_of("sweep")}]
    assert len(multi_task) == len(set(multi_task)) == 20


def test_a_trial_that_is_retried_or_continued_is_not_shown_as_it_was(ledger: Ledger) -> None:
    first, second, *_ = trials_of("sweep")
    ledger.finish(failed(first, 0))
    ledger.finish(done(second, Outcome.PRUNED, epochs=2))
    live = LiveSuite(SUITE, ledger)
    assert look(live)["stages"]["sweep"]["outcomes"] == {"failed": 1, "pruned": 1}
    ledger.forget(first.key)
    ledger.finish(done(second))
    with sweeping(ledger, finished=2, running=1):
        look(live)
        assert look(live)["stages"]["sweep"]["outcomes"] == {"done": 2}
    assert not look(live)["failures"]["causes"]


def test_without_complete_baselines_it_says_so_and_reads_again_when_they_are_complete(ledger: Ledger) -> None:
    (lost, *_), baselines = trials_of("baselines"), trials_of("baselines")
    record = ledger.read(lost.key)
    record = replace(record, state=replace(record.state, curve=tuple(record.state.curve)))
    ledger.forget(lost.key)
    finish(ledger, "sweep", slice(4))
    live = LiveSuite(SUITE, ledger)
    seen = look(live)
    assert seen["found"]["methods"] == []
    assert f"task `{lost.cell.tasks[0]}` has no baseline" in seen["baselines"]["missing"]
    ledger.finish(record)
    seen = look(live)
    assert seen["found"]["methods"]
    assert len(seen["baselines"]["trials"]) == len(baselines)
