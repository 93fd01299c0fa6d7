"""A budget ends a sweep cleanly: it says which budget and what is missing, and the next run goes on."""

from __future__ import annotations

from pathlib import Path

import pytest

from .conftest import TRIALS, Sweep

pytestmark = [pytest.mark.slow]


def test_a_budget_of_trials_stops_with_what_is_missing(baselines: Sweep, tmp_path: Path) -> None:
    sweep = baselines.copy(tmp_path / "study")
    before = sweep.results()
    for part in (1, 2):
        sweep.resources = {"budget": {"trials": 3}}
        done = sweep.run("sweep")
        assert done.returncode == 2
        assert (
            f"stopped with {3 * part} of {TRIALS} trials of `digits` sweep finished, "
            "since `resources.budget.trials` (3) is used up; run `dvc repro` again" in done.stderr
        )
        after = sweep.results()
        assert len(after) == len(before) + 3
        assert {key: after[key] for key in before} == before
        before = after
