"""The tables of the study: every weighting with its verdict, the fixed weights, and their attainment surfaces."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from mtlsweep.analysis.fronts.attainment import attainment
from mtlsweep.analysis.selection import METHOD, eligible_cells, without_compared
from mtlsweep.studies.referee.attained import leads
from mtlsweep.studies.referee.noise import search_variance
from mtlsweep.trials.metric_names import DELTA_M, column_of, delta_m_of

FIXED = ("ew", "scalar")
"""Weightings whose weights are fixed: they are the reference and are not judged."""

VERDICT_COLUMNS = [
    *METHOD,
    "lr",
    "cell_key",
    "seeds",
    "val_delta_m",
    "test_delta_m",
    "lead",
    "low",
    "high",
    "verdict",
    "nearest",
]
SURFACE_COLUMNS = ["x", "y", "optimizer", "level", "x_value", "y_value"]
DRAWN_TASKS = 3
"""Surfaces are made for pairs of at most so many tasks."""


@dataclass(frozen=True)
class _Selected:
    """The selected cells of some methods with one optimizer.

    Attributes:
        rows: a row per cell: method, lr, cell_key, seeds, mean Delta_m of both splits, and mean test Delta_m of each task.
        values: [cells, seeds, tasks], test Delta_m of each task. seeds: [seeds].
        search: [cells, tasks], see `search_variance`.
    """

    rows: pd.DataFrame
    values: NDArray[np.float64]
    seeds: NDArray[np.int64]
    search: NDArray[np.float64]


def is_fixed(trials: pd.DataFrame) -> pd.Series:
    """Return which trials have fixed weights."""
    return without_compared(trials["weighting"]).str.partition("(")[0].isin(FIXED)


def judge(
    trials: pd.DataFrame, tasks: Sequence[str], margin: float, weights: Mapping[str, Sequence[float]]
) -> tuple[pd.DataFrame, pd.DataFrame, pd.DataFrame]:
    """Compare the selected cell of every weighting with those of the fixed weights that have the same optimizer.

    Args:
        trials: multi-task trials at their chosen epochs, of the sweep and of this study, with the column `stage`.
        tasks: those that count in Delta_m.
        margin: see `Leads.verdicts`.
        weights: of each label of fixed weights, in the order of the tasks.

    Returns:
        A row per weighting and optimizer (`VERDICT_COLUMNS`); a row per fixed weights and optimizer, with `weight_<task>`;
        and the attainment surfaces of the fixed weights (`SURFACE_COLUMNS`), in points of Delta_m.
    """
    cells = eligible_cells(trials, METHOD, column_of("val", DELTA_M))
    verdicts, fixed, surfaces = [], [], []
    for optimizer in sorted(trials["optimizer"].unique()):
        own = trials[trials["optimizer"] == optimizer]
        reference = _select(own[is_fixed(own)], cells, tasks)
        judged = _select(own[~is_fixed(own)], cells, tasks)
        if reference.rows.empty:
            continue
        fixed.append(reference.rows)
        surfaces.append(_surfaces(reference, tasks).assign(optimizer=optimizer))
        if judged.rows.empty:
            continue
        found = leads(judged.values, reference.values, judged.search, reference.search)
        nearest = reference.rows["weighting"].to_numpy()[found.nearest]
        bounds = {"low": np.where(np.isfinite(found.low), found.low, np.nan)}
        bounds["high"] = np.where(np.isfinite(found.high), found.high, np.nan)
        verdicts.append(judged.rows.assign(lead=found.lead, **bounds, verdict=found.verdicts(margin), nearest=nearest))
    task_columns = [column_of("test", delta_m_of(task)) for task in tasks]
    return (
        _joined(verdicts, [*VERDICT_COLUMNS, *task_columns]),
        _joined(fixed, [*VERDICT_COLUMNS[:7], *task_columns]).pipe(_with_weights, trials, tasks, weights),
        _joined(surfaces, SURFACE_COLUMNS),
    )


def _select(trials: pd.DataFrame, cells: pd.DataFrame, tasks: Sequence[str]) -> _Selected:
    """Return the selected cell of each method in `trials`; a method without a finite result does not appear."""
    figures = {"val": column_of("val", DELTA_M), "test": column_of("test", DELTA_M)}
    columns = [column_of("test", delta_m_of(task)) for task in tasks]
    seeds = np.sort(trials["seed"].unique())
    by_cell = {key: own.sort_values("seed") for key, own in trials.groupby("cell_key", observed=True)}
    rows, values, search = [], [], []
    for method, own in cells[cells["cell_key"].isin(by_cell)].groupby(METHOD, observed=True):
        tables = [by_cell[key] for key in own["cell_key"]]  # best first
        scores = np.stack([table[figures["val"]].to_numpy(dtype=float) for table in tables])
        results = np.stack([table[columns].to_numpy(dtype=float) for table in tables])
        if not np.isfinite(results[0]).all():
            continue
        means = np.nan_to_num(results.mean(axis=1), nan=0.0)
        row = dict(zip(METHOD, method, strict=True)) | {"lr": own["lr"].iloc[0], "cell_key": own["cell_key"].iloc[0]}
        row |= {
            "seeds": len(seeds),
            **{column: float(tables[0][column].mean()) for column in (*figures.values(), *columns)},
        }
        rows.append(row)
        values.append(results[0])
        search.append(search_variance(scores, means))
    shape = (len(rows), len(seeds), len(tasks))
    return _Selected(pd.DataFrame(rows), np.reshape(values, shape), seeds, np.reshape(search, (shape[0], shape[2])))


def _surfaces(reference: _Selected, tasks: Sequence[str]) -> pd.DataFrame:
    """Return the attainment surfaces of the fixed weights, for each pair of the first tasks."""
    rows = []
    seeds = np.tile(reference.seeds, len(reference.rows))
    for x, y in combinations(range(min(len(tasks), DRAWN_TASKS)), 2):
        for level, surface in attainment(reference.values[:, :, [x, y]].reshape(-1, 2), seeds).items():
            surface = surface[np.argsort(surface[:, 0], kind="stable")]
            rows += [(tasks[x], tasks[y], level, *map(float, point)) for point in surface]
    return pd.DataFrame(rows, columns=[column for column in SURFACE_COLUMNS if column != "optimizer"])


def _with_weights(
    fixed: pd.DataFrame, trials: pd.DataFrame, tasks: Sequence[str], weights: Mapping[str, Sequence[float]]
) -> pd.DataFrame:
    unknown = [np.nan] * len(tasks)
    known = np.array([weights.get(str(label), unknown) for label in without_compared(fixed["weighting"])])
    columns = {f"weight_{task}": known.reshape(-1, len(tasks))[:, position] for position, task in enumerate(tasks)}
    stage = trials.drop_duplicates("cell_key").set_index("cell_key")["stage"]
    return fixed.assign(stage=fixed["cell_key"].map(stage), **columns)


def _joined(tables: Sequence[pd.DataFrame], columns: list[str]) -> pd.DataFrame:
    return pd.concat(tables, ignore_index=True)[columns] if tables else pd.DataFrame(columns=columns)
