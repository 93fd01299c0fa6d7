"""What `mtlsweep plan` says: what would run, by method, and what it will cost."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from typing import Any

import torch

from pipeline import paths
from pipeline.params import Params
from pipeline.sweep.context import forecast_stage, open_plan, open_stage, unobserved_examples
from pipeline.sweep.forecast import read_past, timed_costs
from pipeline.sweep.plan import Stage, check_names, count_by_method
from pipeline.sweep.progress import format_seconds
from pipeline.training.trial import choose_device

STAGES: tuple[Stage, ...] = ("baselines", "sweep")


def read_plan(params: Params, suite: str) -> dict[str, Any]:
    """Return the plan of a suite as plain data.

    Raises:
        UserError: unknown suite, wrong params, or raw data that is missing.
    """
    check_names(suite, params.suite(suite))
    return {"suite": suite, "stages": {stage: _read_stage(params, suite, stage) for stage in STAGES}}


def _read_stage(params: Params, suite: str, stage: Stage) -> dict[str, Any]:
    plan = open_plan(params, suite, stage)
    rows = count_by_method(plan.trials, plan.ledger.finished_keys())
    content: dict[str, Any] = {
        "methods": {row.method: {"planned": row.planned, "finished": row.finished} for row in rows},
        "strategy": params.suite(suite).sweep.strategy.name if stage == "sweep" else "grid",
        "forecast": None,
        "past_errors": [past.error for past in read_past(plan.ledger, stage)],
    }
    baselines = paths.stage_tables(suite, "baselines") / "curves.parquet"
    if paths.prepared(suite).exists() and (stage == "baselines" or baselines.exists()):
        context = open_stage(params, suite, stage)
        known = plan.read_known()
        device = torch.device(choose_device(params.resources.device))
        threads = max(1, int(params.resources.cpus_per_trial))
        timed = timed_costs(unobserved_examples(context, known), context.data, device, threads)
        cost = forecast_stage(context, known, timed)
        slots = params.resources.concurrency or max(1, int((os.cpu_count() or 1) / params.resources.cpus_per_trial))
        content["forecast"] = {
            "trials_wanted_now": cost.trials,
            "epochs": cost.epochs,
            "epochs_of_the_grid": sum(trial.cell.training.epochs for trial in plan.trials),
            "device_hours": cost.device_seconds / 3600,
            "wall_clock_hours": cost.device_seconds / 3600 / slots,
            "slots": slots,
            "observed_share": cost.observed_share,
        }
    return content


def plan_lines(plan: Mapping[str, Any]) -> Iterator[str]:
    """Yield what `read_plan` found as lines for people."""
    yield f"plan of {plan['suite']}"
    for stage, content in plan["stages"].items():
        methods = content["methods"]
        width = max(len(method) for method in methods)
        yield f"  {stage} (strategy {content['strategy']})"
        for method, count in methods.items():
            yield f"    {method:<{width}}  {count['planned']:5d} planned  {count['finished']:5d} finished"
        left = sum(count["planned"] - count["finished"] for count in methods.values())
        cost = content["forecast"]
        if cost is not None and not cost["trials_wanted_now"]:
            yield "    complete: nothing to run"
        else:
            at_most = "at most " if content["strategy"] == "race" else ""
            yield f"    {at_most}{left} trials to run" + (f"; {_cost(cost)}" if cost is not None else "")
        if content["past_errors"]:
            yield "    past forecasts were off by " + ", ".join(
                f"{error:+.0%}" for error in content["past_errors"][-5:]
            )


def _cost(cost: Mapping[str, Any]) -> str:
    source = (
        "observed costs" if cost["observed_share"] == 1 else f"{cost['observed_share']:.0%} observed, the rest timed"
    )
    share = f"{cost['epochs'] / cost['epochs_of_the_grid']:.0%} of the full grid's epochs"
    return (
        f"about {format_seconds(3600 * cost['wall_clock_hours'])} at {cost['slots']} trials at once, "
        f"{cost['device_hours']:.2f} device-hours ({share}; {source})"
    )
