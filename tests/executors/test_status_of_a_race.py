"""A race trains a part of its plan. Once it is complete, nobody is told that trials are missing."""

from __future__ import annotations

import shutil
from pathlib import Path

from mtlsweep.params.params import Params
from mtlsweep.record.ledger import Ledger
from mtlsweep.studies.training_stages import training_stages
from mtlsweep.sweep.control.status import read_status
from mtlsweep.sweep.plan.planned_keys import read_planned_keys, write_plans
from mtlsweep.sweep.stage import run_stage

from .conftest import SUITE, Write


def counts(params: Params) -> tuple[int, int, int]:
    """Return how many trials of the sweep are finished, how many it needs, and how many of its plan it does not."""
    stage = read_status(training_stages(params, SUITE), SUITE)["stages"]["sweep"]
    return sum(stage["outcomes"].values()), stage["planned"], stage["not_needed"]


def test_status_says_which_trials_a_complete_race_did_not_need(study: Write) -> None:
    params = study()
    write_plans(training_stages(params, SUITE), SUITE)
    assert counts(params) == (0, 8, 0)
    run_stage(params, SUITE, "sweep")
    finished, needed, not_needed = counts(params)
    assert finished == needed == 8 - not_needed and not_needed > 0

    changed = study(seeds=[0, 1, 2])
    write_plans(training_stages(changed, SUITE), SUITE)
    assert counts(changed) == (finished, 12, 0), "the plan is another one"

    params = study()
    write_plans(training_stages(params, SUITE), SUITE)
    assert counts(params) == (finished, needed, not_needed)
    ledger = Ledger(Path("results"), SUITE)
    planned = read_planned_keys(params, SUITE, "sweep") or []
    shutil.rmtree(ledger.directory / next(key for key, *_ in ledger.read_ends(planned)))
    assert counts(params) == (finished - 1, 8, 0), "a result is missing"
