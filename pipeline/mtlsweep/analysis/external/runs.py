"""The analysis of a table of runs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np
import pandas as pd

from mtlsweep.analysis.conclusions.cuts import no_cuts
from mtlsweep.analysis.conclusions.leads import no_leads
from mtlsweep.analysis.delta_m import delta_m
from mtlsweep.analysis.external.checks import check_rows
from mtlsweep.analysis.external.metrics import REQUIRED, SEED, metrics_of
from mtlsweep.analysis.objectives import Objective
from mtlsweep.analysis.selection import METHOD
from mtlsweep.analysis.suite import SuiteAnalysis, conclude
from mtlsweep.errors import UserError, nearest
from mtlsweep.files import content_hash
from mtlsweep.trials.metric_names import column_of


def analyse_runs(
    runs: pd.DataFrame, higher: Sequence[str], baseline: str, source: str, lower: Sequence[str] = ()
) -> SuiteAnalysis:
    """Compare the runs of a table with its baseline rows and conclude as for a sweep of our own.

    Args:
        runs: a row per run, see above; `delta_m` and `delta_m_std` are assumed to be printed results and ignored.
        higher, lower: metrics for which higher, or lower, is better; other columns count if their names are well known.
        baseline: the weighting whose rows are the single-task baseline; replicates are averaged.
        source: what the table is called in error messages.

    Raises:
        UserError: a column or the baseline is missing, a row is not sound, or a baseline is zero.
    """
    metrics = metrics_of([str(column) for column in runs.columns], higher, lower, source).objectives
    objectives = tuple(metrics.values())
    identity = [column for column in (*REQUIRED, SEED) if column in runs]
    runs = check_rows(runs[[*identity, *metrics]], list(metrics), baseline, source)
    runs = runs.rename(columns={column: objective.name for column, objective in metrics.items()})
    reference = runs[runs["weighting"] == baseline]
    if reference.empty:
        weightings = sorted(set(runs["weighting"]))
        raise UserError(
            f"{source}: no row has the baseline weighting `{baseline}`{nearest(baseline, weightings)} "
            f"Found: {', '.join(weightings)}; name yours with --baseline."
        )
    values = {objective.name: _baseline_value(reference, objective, baseline, source) for objective in objectives}
    rivals = runs[runs["weighting"] != baseline].reset_index(drop=True)
    if rivals.empty:
        raise UserError(f"{source}: every row is the baseline `{baseline}`; there is nothing to compare with it.")
    trials = _as_trials(rivals, objectives, values, Path(source).stem)
    cells = trials.groupby([*METHOD, "lr", "cell_key"], as_index=False, dropna=False).agg(seeds=("seed", "size"))
    analysis = conclude(
        trials=trials,
        selected=cells.assign(mean=np.nan),
        baselines=_baseline_table(reference, objectives, values),
        sensitivity=pd.DataFrame(
            columns=["weighting", "optimizer", "best_lr", "low_lr", "high_lr", "decades", "tried", "open_end"]
        ),
        curves=pd.DataFrame(columns=["weighting", "optimizer", "epoch", "quantity", "task", "mean", "std"]),
        cuts=no_cuts(),
        leads=no_leads(),
        repeated=None,
        objectives=objectives,
    )
    return replace(analysis, results=analysis.results.sort_values(["test_delta_m_mean", *METHOD], ignore_index=True))


def _baseline_value(reference: pd.DataFrame, objective: Objective, baseline: str, source: str) -> float:
    measured = reference[reference[objective.name].notna()]
    cells = measured[["optimizer", "lr"]].drop_duplicates()
    if len(cells) != 1:
        found = "no value" if measured.empty else f"{len(cells)} different settings"
        raise UserError(
            f"{source}: the baseline `{baseline}` has {found} of `{objective.label}`; "
            f"keep the rows of one optimizer and learning rate."
        )
    return float(measured[objective.name].mean())


def _as_trials(
    runs: pd.DataFrame, objectives: Sequence[Objective], values: dict[str, float], suite: str
) -> pd.DataFrame:
    cell = ["weighting", "optimizer", "lr"]
    trials = runs[cell].copy()
    replicate = runs.groupby(cell, dropna=False).cumcount()
    trials["seed"] = runs["seed"] if "seed" in runs else replicate.astype("int64")
    trials["cell_key"] = [content_hash([*row[:2], repr(row[2])]) for row in trials[cell].itertuples(index=False)]
    trials["trial_key"] = [
        content_hash([key, int(seed), int(copy)])
        for key, seed, copy in zip(trials["cell_key"], trials["seed"], replicate, strict=True)
    ]
    trials = trials.assign(suite=suite, role="mtl", task=None, outcome="done", best_epoch=None)
    metrics = runs[[objective.name for objective in objectives]]
    figures = pd.concat([metrics, delta_m(metrics, values, objectives)], axis=1).rename(
        columns=partial(column_of, "test")
    )
    return pd.concat([trials, figures], axis=1)


def _baseline_table(reference: pd.DataFrame, objectives: Sequence[Objective], values: dict[str, float]) -> pd.DataFrame:
    rows = []
    for objective in objectives:
        measured = reference[reference[objective.name].notna()]
        row = {"task": objective.task, "metric": objective.metric, "lr": float(measured["lr"].iloc[0]), "cell_key": ""}
        row |= {"seeds": len(measured), "val_loss": np.nan, "val_mean": np.nan, "val_std": np.nan}
        rows.append(row | {"test_mean": values[objective.name], "test_std": measured[objective.name].std(ddof=1)})
    return pd.DataFrame(rows)
