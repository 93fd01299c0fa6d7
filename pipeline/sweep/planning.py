"""What `mtlsweep plan` says: what would run, by method, and what it will cost."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from typing import Any

import torch

from pipeline import paths
from pipeline.params import Params
from pipeline.sweep.context import open_plan, open_stage
from pipeline.sweep.forecast import forecast, read_past, timed_costs, unobserved_examples
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
    held = plan.read()
    finished, known = held.finished, held.known
    planned = plan.count_planned(len(finished))
    listed = not plan.chosen_as_it_goes
    rows = count_by_method(plan.trials if listed else [], [one.trial for one in finished])
    content: dict[str, Any] = {
        "methods": {row.method: {"planned": row.planned if listed else None, "finished": row.finished} for row in rows},
        "strategy": plan.strategy.name,
        "planned": planned,
        "finished": len(finished),
        "forecast": None,
        "past_errors": [past.error for past in read_past(plan.ledger, stage)],
    }
    baselines = paths.stage_tables(suite, "baselines") / "curves.parquet"
    if paths.prepared(suite).exists() and (stage == "baselines" or baselines.exists()):
        context = open_stage(params, suite, stage)
        strategy = context.make_strategy(known)
        device = torch.device(choose_device(params.resources.device))
        unobserved = unobserved_examples(strategy, known, plan.trials)
        timed = timed_costs(unobserved, context.data, device, params.resources.threads)
        cost = forecast(strategy, known, timed)
        slots = params.resources.concurrency or max(1, int((os.cpu_count() or 1) / params.resources.cpus_per_trial))
        content["forecast"] = {
            "trials_wanted_now": cost.trials,
            "epochs": cost.epochs,
            "epochs_without_cuts": planned * plan.cells[0].training.epochs,
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
        width = max((len(method) for method in methods), default=0)
        yield f"  {stage} (strategy {content['strategy']})"
        for method, count in methods.items():
            planned = "" if count["planned"] is None else f"{count['planned']:5d} planned  "
            yield f"    {method:<{width}}  {planned}{count['finished']:5d} finished"
        left = content["planned"] - content["finished"]
        cost = content["forecast"]
        if cost is not None and not cost["trials_wanted_now"]:
            yield "    complete: nothing to run"
        else:
            at_most = "" if content["strategy"] == "grid" else "at most "
            yield f"    {at_most}{left} trials to run" + (f"; {_cost(cost)}" if cost is not None else "")
        if content["past_errors"]:
            yield "    past forecasts were off by " + ", ".join(
                f"{error:+.0%}" for error in content["past_errors"][-5:]
            )


def _cost(cost: Mapping[str, Any]) -> str:
    source = (
        "observed costs" if cost["observed_share"] == 1 else f"{cost['observed_share']:.0%} observed, the rest timed"
    )
    share = f"{cost['epochs'] / cost['epochs_without_cuts']:.0%} of the epochs without cuts"
    return (
        f"about {format_seconds(3600 * cost['wall_clock_hours'])} at {cost['slots']} trials at once, "
        f"{cost['device_hours']:.2f} device-hours ({share}; {source})"
    )
