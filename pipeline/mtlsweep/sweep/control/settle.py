"""Data for `mtlsweep plan --settle`: the seeds that would decide the open comparisons, and the plan with them."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import count
from typing import Any

from mtlsweep import paths
from mtlsweep.analysis.conclusions.settling import MOST_SEEDS, POWER, settling_steps
from mtlsweep.params.params import Params
from mtlsweep.record.tables.parquet import read_table
from mtlsweep.sweep.control.plan_overview import read_stage
from mtlsweep.sweep.plan.plan import open_plan


def read_settling(params: Params, suite: str) -> dict[str, Any]:
    """Return how many seeds would decide the open comparisons of an analysed suite, and what they cost.

    The plan is that of `sweep.seeds` in params.yaml with further seeds at its end: an extension like any other. The
    baselines keep their seeds, since a difference of two methods has the same baselines on both sides.

    Raises:
        UserError: the suite is not analysed yet, or as `read_plan`.
    """
    comparisons = read_table(paths.results(suite) / "analysis" / "comparisons.parquet")
    settling = settling_steps(comparisons)
    present = params.suite(suite).sweep.seeds
    wanted = max(settling.steps, default=0)
    seeds = with_further_seeds(present, wanted)
    plan = None
    if len(seeds) > len(present):
        extended = params.with_sweep(suite, seeds=seeds)
        plan = {
            "suite": suite,
            "stages": {"sweep": read_stage(extended, suite, "sweep", open_plan(extended, suite, "sweep"))},
        }
    return {
        "suite": suite,
        "decided": settling.decided,
        "open": settling.open,
        "open_for_good": settling.open - max(settling.steps.values(), default=0),
        "seeds_now": settling.seeds,
        "power": POWER,
        "most_seeds": MOST_SEEDS,
        "steps": [{"seeds": number, "decides": decides} for number, decides in settling.steps.items()],
        "seeds": list(seeds),
        "plan": plan,
    }


def with_further_seeds(present: Sequence[int], number: int) -> tuple[int, ...]:
    """Return the present seeds and, behind them, the lowest other numbers, until there are `number`."""
    others = (seed for seed in count() if seed not in present)
    return (*present, *(next(others) for _ in range(number - len(present))))
