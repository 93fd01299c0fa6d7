"""Data for `mtlsweep plan`: trials by method, and their forecast cost."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from contextlib import suppress
from typing import Any

import torch

from mtlsweep import paths
from mtlsweep.environment import usable_cpus
from mtlsweep.params.params import Params
from mtlsweep.params.suite import Stage
from mtlsweep.record.outputs import check_outputs
from mtlsweep.sweep.devices.figures import FigureStore
from mtlsweep.sweep.devices.planned import plan_devices
from mtlsweep.sweep.forecast import forecast, read_past_forecasts, timed_costs, unobserved_examples
from mtlsweep.sweep.plan.cells import check_names
from mtlsweep.sweep.plan.counts import count_by_method
from mtlsweep.sweep.plan.fields import in_field
from mtlsweep.sweep.plan.outdated import count_outdated
from mtlsweep.sweep.plan.plan import Plan, open_plan
from mtlsweep.sweep.plan.planned_keys import write_plan
from mtlsweep.sweep.plan.stage_inputs import open_stage
from mtlsweep.training.device import choose_device


def read_plan(trained: Mapping[Stage, Params], suite: str) -> dict[str, Any]:
    """Return the plan of a suite as plain data.

    Args:
        trained: the stages of the suite that train, with the params of each.
        suite: its name.

    Raises:
        UserError: unknown suite, invalid params, missing raw data, or a place of results that DVC refuses.
    """
    check_names(suite, trained["sweep"].suite(suite))
    check_outputs(suite)
    plans = {stage: open_plan(own, suite, stage) for stage, own in trained.items()}
    for stage, plan in plans.items():
        with suppress(OSError):  # such as: the data is not prepared
            write_plan(trained[stage], suite, stage, plan)
    return {
        "suite": suite,
        "stages": {stage: read_stage(trained[stage], suite, stage, plan) for stage, plan in plans.items()},
    }


def _settings(plan: Plan) -> dict[str, Any]:
    """Return the tuned axes of a plan and how many settings each method (in `baselines`: each task) tries, all equally many."""
    axes = sorted({axis for cell in plan.cells for axis in cell.tuned})
    if not axes or plan.is_adaptive:
        return {}
    methods = Counter((cell.method, cell.tasks) for cell in plan.cells)
    return {"settings": {"axes": axes, "each_method": max(methods.values())}}


def _prior(suite: str, stage: Stage, plan: Plan) -> dict[str, Any]:
    """Return what an adaptive search takes from which earlier ledgers."""
    prior = in_field(f"suites.{suite}.{stage}.strategy", plan.read_prior)
    return {} if prior is None else {"prior": prior.describe()}


def read_stage(params: Params, suite: str, stage: Stage, plan: Plan) -> dict[str, Any]:
    """Return one stage of the plan of a suite as plain data; writes nothing.

    Raises:
        UserError: as `read_plan`.
    """
    recorded = plan.read()
    finished, known = recorded.finished, recorded.known
    planned = plan.count_planned(len(finished))
    listed = not plan.is_adaptive
    rows = count_by_method(plan.trials if listed else [], [one.trial for one in finished])
    content: dict[str, Any] = {
        "methods": {row.method: {"planned": row.planned if listed else None, "finished": row.finished} for row in rows},
        "strategy": plan.strategy.name,
        "planned": planned,
        "finished": len(finished),
        "outdated": count_outdated(
            plan.trials if listed else [], (one.trial for one in finished), (one.trial for one in recorded.others)
        ),
        "forecast": None,
        "devices": [],
        "past_errors": [past.error for past in read_past_forecasts(plan.ledger, stage)],
        **_settings(plan),
        **_prior(suite, stage, plan),
    }
    baselines = paths.stage_tables(suite, "baselines") / "curves.parquet"
    if paths.prepared(suite).exists() and (stage == "baselines" or baselines.exists()):
        context = open_stage(params, suite, stage)
        strategy = context.make_strategy(known)
        device = torch.device(choose_device(params.resources.device))
        unobserved = unobserved_examples(strategy, known, plan.trials)
        timed = timed_costs(unobserved, context.data, device, params.resources.threads)
        cost = forecast(strategy, known, timed)
        store = FigureStore.of(plan.ledger, stage, plan.cells, plan.seeds[0])
        devices, together = (
            plan_devices(params.resources, store, context.data, cost.trials) if cost.trials else ([], None)
        )
        fitting = together or max(1, int(usable_cpus() / params.resources.cpus_per_trial))
        slots = params.resources.concurrency or fitting
        content["devices"] = devices
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
