"""Read the file of a table: CSV with `,`, `;` or tabs, or Parquet."""

from __future__ import annotations

import csv
import io
from pathlib import Path

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from mtlsweep.analysis.external.checks import as_numbers
from mtlsweep.analysis.selection import METHOD
from mtlsweep.errors import UserError
from mtlsweep.files import read_text

SEPARATORS = ",;\t"


def read_runs(path: Path) -> pd.DataFrame:
    """Read a CSV or Parquet table of runs; every column holds either numbers only or text.

    Raises:
        UserError: the file is missing, of another kind, unreadable or empty.
    """
    if path.suffix.lower() not in (".csv", ".parquet"):
        raise UserError(f"`{path}` is neither .csv nor .parquet; save the table as one of these.")
    try:
        runs = _read_csv(path) if path.suffix.lower() == ".csv" else _read_parquet(path)
    except FileNotFoundError as error:
        raise UserError(f"there is no file `{path}`; check the path.") from error
    except (ValueError, OSError, csv.Error, pa.ArrowInvalid) as error:
        raise UserError(f"`{path}` cannot be read as a table: {' '.join(str(error).split())}.") from error
    if runs.empty:
        raise UserError(f"`{path}` has no rows; it needs a row per run.")
    return runs


def _read_csv(path: Path) -> pd.DataFrame:
    """Read cell by cell: pandas would call a method `None` missing, and shift or fill rows of another length."""
    text = read_text(path)
    first = text.partition("\n")[0]
    separator = max(SEPARATORS, key=first.count)
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=separator, strict=True, skipinitialspace=True)
    lines = [(reader.line_num, [cell.strip() for cell in cells]) for cells in reader if any(map(str.strip, cells))]
    if not lines:
        raise ValueError("it is empty")
    header = [name or f"column {number} (no name)" for number, name in enumerate(lines[0][1], 1)]
    for line, cells in lines[1:]:
        if len(cells) != len(header):
            raise UserError(
                f"`{path}`: line {line} has {len(cells)} cells separated by {separator!r}, but the first line has {len(header)}."
            )
    cells_by_column = list(zip(*(cells for _, cells in lines[1:]), strict=True))
    columns = [_typed(pd.Series(cells), name) for name, cells in zip(header, cells_by_column, strict=False)]
    return pd.concat(columns, axis=1, keys=range(len(columns))).set_axis(header, axis=1) if columns else pd.DataFrame()


def _read_parquet(path: Path) -> pd.DataFrame:
    table = pq.read_table(path).to_pandas(ignore_metadata=True)  # an index of pandas is a column like any other
    return table.set_axis([str(name) for name in table.columns], axis=1)


def _typed(column: pd.Series, name: str) -> pd.Series:
    numbers, wrong = as_numbers(column)
    return column if name in METHOD or wrong.any() else numbers
