"""A budget ends a sweep cleanly: it names the budget, and the next run continues."""

from __future__ import annotations

from pathlib import Path

import pytest

from .conftest import INLINE, TRIALS, Sweep

pytestmark = [pytest.mark.slow]


def test_a_budget_of_trials_stops_with_what_is_missing(baselines: Sweep, tmp_path: Path) -> None:
    sweep = baselines.copy(tmp_path / "study")
    sweep.resources = {**INLINE, "budget": {"trials": 3}}

    def begun() -> int:
        return len(list(sweep.ledger.glob("*/spec.json")))

    for _ in range(2):
        specs, results = begun(), sweep.results()
        done = sweep.run("sweep")
        assert done.returncode == 2
        assert "trials of `digits` sweep finished because `resources.budget.trials` (3) is used up; run" in done.stderr
        assert specs < begun() <= specs + 3 < TRIALS
        assert {key: when for key, when in sweep.results().items() if key in results} == results
