"""Every row of a table is sound: names, numbers, seeds, and no run twice."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd

from mtlsweep.analysis.external.metrics import REQUIRED, SEED
from mtlsweep.analysis.selection import METHOD
from mtlsweep.errors import UserError

MISSING = frozenset({"", "nan", "none", "null", "na", "<na>"})
"""What programs write, in upper or lower case, for a number that they do not have."""


def as_numbers(column: pd.Series) -> tuple[pd.Series, pd.Series]:
    """Return the numbers of a column, NaN where there is none, and which cells are neither a number nor missing."""
    text = column.astype(str).str.strip()
    missing = column.isna() | text.str.lower().isin(MISSING)
    numbers = pd.to_numeric(column.where(~missing).astype(object), errors="coerce")
    return numbers, numbers.isna() & ~missing


def check_rows(runs: pd.DataFrame, metrics: Sequence[str], baseline: str, source: str) -> pd.DataFrame:
    """Return the table with names as text and all else as numbers.

    Rows are counted from 1 in messages, without the header. An empty metric is one that a run does not have.

    Args:
        runs: a row per run.
        metrics: the columns of metrics.
        baseline: the weighting of the baseline, which may have several rows of one seed, each for other metrics.
        source: what the table is called.

    Raises:
        UserError: a cell is not what its column needs, or a run occurs twice; the message names row and column.
    """
    runs = runs.reset_index(drop=True)
    runs = runs.assign(**{column: _names(runs[column], source) for column in METHOD})
    runs = runs.assign(**{column: _numbers(runs[column], source) for column in ("lr", *metrics)})
    _refuse(runs["lr"], runs["lr"] <= 0, "a learning rate is above 0", source)
    if SEED in runs:
        seeds = _numbers(runs[SEED], source)
        _refuse(
            runs[SEED], seeds.isna() | (seeds % 1 != 0), "every run needs a whole number, or remove the column", source
        )
        runs = runs.assign(seed=seeds.astype("int64"))
        is_baseline = runs["weighting"] == baseline
        _refuse_copies(runs[~is_baseline], source)
        for metric in metrics:
            _refuse_copies(runs[is_baseline & runs[metric].notna()], source)
    return runs


def _names(column: pd.Series, source: str) -> pd.Series:
    names = column.astype(str).str.strip()
    _refuse(column, column.isna() | names.str.lower().isin({"", "nan"}), "every run needs a name", source)
    spellings: dict[str, int] = {}
    for row, name in enumerate(names):
        first = spellings.setdefault(name.lower(), row)
        if names[first] != name:
            raise UserError(
                f"{source}: column `{column.name}` holds `{names[first]}` in row {first + 1} and `{name}` in row {row + 1}; "
                "spell it in one way."
            )
    return names


def _numbers(column: pd.Series, source: str) -> pd.Series:
    numbers, wrong = as_numbers(column)
    advice = "is not a number; remove the column or correct the value (a decimal point, no comma, no unit)"
    if wrong.any():
        row = int(np.flatnonzero(wrong)[0])
        raise UserError(f"{source}: row {row + 1}: column `{column.name}` holds {column[row]!r}, which {advice}.")
    numbers = numbers.astype(float)
    _refuse(column, np.isinf(numbers), "write a finite number, or nothing where a run has no result", source)
    return numbers


def _refuse(column: pd.Series, wrong: pd.Series, allowed: str, source: str) -> None:
    if wrong.any():
        row = int(np.flatnonzero(wrong)[0])
        value = "" if pd.isna(column[row]) else str(column[row])
        found = f"is `{value}`" if value else "is empty"
        raise UserError(f"{source}: row {row + 1}: column `{column.name}` {found}; {allowed}.")


def _refuse_copies(runs: pd.DataFrame, source: str) -> None:
    run = [*REQUIRED, SEED]
    again = runs.index[runs.duplicated(run)]
    if len(again):
        row = runs.loc[again[0]]
        same = (runs[run].astype(str) == row[run].astype(str)).all(axis=1)
        first = int(runs.index[same][0])
        raise UserError(
            f"{source}: rows {first + 1} and {again[0] + 1} are the same run: weighting `{row['weighting']}`, "
            f"optimizer `{row['optimizer']}`, lr {row['lr']:g}, seed {row['seed']}; keep one row per run."
        )
