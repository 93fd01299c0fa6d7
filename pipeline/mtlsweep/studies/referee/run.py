"""The study `referee`: fixed task weights, searched as every weighting is, and what they attain.

Trials are trained as those of the sweep, in the same ledger: weights spread over the simplex first, then weights where the front of
the first is thin. A stopped run continues where it stopped, since the same results give the same weights.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from mtlsweep import paths
from mtlsweep.analysis.baselines import select_baselines
from mtlsweep.analysis.objectives import Objective, counted, read_objectives, tasks_of
from mtlsweep.analysis.selection import select_learning_rates, without_compared
from mtlsweep.analysis.trial_table import measure_trials, trial_table, with_delta_m
from mtlsweep.files import indented_json, write_atomically
from mtlsweep.methods.optimizers import OPTIMIZERS
from mtlsweep.methods.weighting import WEIGHTINGS
from mtlsweep.params.params import Params
from mtlsweep.params.studies import find_section
from mtlsweep.params.suite import Method, Stage
from mtlsweep.record.tables.outcomes import read_outcomes
from mtlsweep.record.tables.parquet import read_table, write_table
from mtlsweep.record.tables.schema import CURVES
from mtlsweep.studies.referee.params import Referee
from mtlsweep.studies.referee.simplex import refined_weights
from mtlsweep.studies.referee.sweeps import (
    FIRST,
    REFINED,
    count_weights,
    first_stage,
    scalar,
    task_names,
    with_methods,
    write_refined,
)
from mtlsweep.studies.referee.verdicts import FIXED, is_fixed, judge
from mtlsweep.sweep.plan.settings import without_axes
from mtlsweep.sweep.stage import run_stage
from mtlsweep.trials.metric_names import column_of, delta_m_of

TABLES = ("verdicts", "fixed_weights", "surfaces", "trials")
ABOUT = "about.json"


def run(params: Params, suite: str) -> str:
    """Train what is missing in the ledger and write tables under `results/<suite>/referee/`; return where they are.

    Raises:
        UserError: the suite is not analysed, its sweep gives methods no equal budgets, or as `run_stage`.
    """
    section, directory = find_section(params.suite(suite).studies, Referee), paths.results(suite) / FIRST
    if not section.enabled:
        _write(directory, {name: pd.DataFrame() for name in TABLES}, {})
        return "not enabled"
    swept = read_table(paths.results(suite) / "trials.parquet").query("role == 'mtl'").assign(stage="sweep")
    first = first_stage(params, suite)
    run_stage(first, suite, FIRST)
    objectives = read_objectives(paths.stage_tables(suite, FIRST) / "metrics.json")
    own = _read_trials(suite, FIRST, objectives)
    tried = [*params.suite(suite).sweep.weightings, *(method.weighting for method in first.suite(suite).sweep.methods)]
    refined = _refine(params, suite, own, tasks_of(counted(objectives)), count_weights(params, suite)[1], tried)
    write_refined(params, suite, refined)
    if refined:
        run_stage(with_methods(params, suite, refined), suite, REFINED)
        own = pd.concat([own, _read_trials(suite, REFINED, objectives)], ignore_index=True)
    tasks = tasks_of(counted(objectives))
    weights = _weights_by_label(params, suite, [*tried, *(method.weighting for method in refined)], tasks)
    trials = pd.concat([swept, own], ignore_index=True).drop_duplicates("trial_key")  # equal weights are in both
    verdicts, fixed, surfaces = judge(trials, tasks, section.margin, weights)
    tables = dict(zip(TABLES, (verdicts, fixed, surfaces, own), strict=True))
    _write(directory, tables, {"tasks": tasks, "margin": section.margin})
    return f"{len(verdicts)} methods against {len(fixed)} of fixed weights -> {directory}"


def _read_trials(suite: str, stage: Stage, objectives: Sequence[Objective]) -> pd.DataFrame:
    """Return the trials of a stage at their chosen epochs, as `analyse` makes `trials.parquet`."""
    baselines = select_baselines(*_raw_tables(suite, "baselines"), objectives)
    measured = measure_trials(*_raw_tables(suite, stage), baselines, objectives)
    return trial_table(with_delta_m(measured, baselines, objectives), objectives).assign(stage=stage)


def _raw_tables(suite: str, stage: Stage) -> tuple[pd.DataFrame, pd.DataFrame]:
    directory = paths.stage_tables(suite, stage)
    curves = read_table(directory / "curves.parquet", CURVES.names, ("split", "task", "metric"))
    return curves, read_outcomes(directory / "outcomes.parquet")


def _refine(
    params: Params, suite: str, trials: pd.DataFrame, tasks: Sequence[str], count: int, tried: Sequence[Any]
) -> list[Method]:
    """Return the methods of the second stage: for each optimizer, weights where the front on validation is thin."""
    fixed = select_learning_rates(trials)
    fixed = fixed[is_fixed(fixed)]
    columns = [column_of("val", delta_m_of(task)) for task in tasks]
    results = trials.groupby("cell_key", observed=True)[columns].mean()
    names = task_names(params, suite)
    weights = _weights_by_label(params, suite, tried, names)
    found = fixed.assign(label=without_compared(fixed["weighting"]), base=without_compared(fixed["optimizer"])).join(
        results, on="cell_key"
    )
    sweep = params.suite(suite).sweep
    methods = []
    for optimizer in sweep.optimizers:
        base = OPTIMIZERS.label(without_axes(OPTIMIZERS.resolve(optimizer), "optimizer", sweep.axes))
        own = found[(found["base"] == base) & found["label"].isin(weights)].groupby("label", sort=True)[columns].mean()
        own = own[np.isfinite(own).all(axis=1)]
        if len(own) > 1:
            known = np.array([weights[label] for label in own.index])
            methods += [
                Method(weighting=scalar(names, row), optimizer=optimizer)
                for row in refined_weights(known, own.to_numpy(), count).tolist()
            ]
    return methods


def _weights_by_label(
    params: Params, suite: str, choices: Sequence[Any], tasks: Sequence[str]
) -> dict[str, list[float]]:
    """Return the weights of `tasks` by the label of every choice with fixed weights."""
    axes = params.suite(suite).sweep.axes
    resolved = [WEIGHTINGS.resolve(choice) for choice in choices]
    return {
        WEIGHTINGS.label(without_axes(choice, "weighting", axes)): [choice.options.get(task, 1.0) for task in tasks]
        for choice in resolved
        if choice.name in FIXED
    }


def _write(directory: Path, tables: Mapping[str, pd.DataFrame], about: Mapping[str, Any]) -> None:
    for name, table in tables.items():
        write_table(directory / f"{name}.parquet", table)
    write_atomically(directory / ABOUT, indented_json(about))
