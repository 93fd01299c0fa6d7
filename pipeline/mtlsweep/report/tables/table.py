"""What a table is, and how its numbers are written: the same on the page, in LaTeX and in CSV."""

from __future__ import annotations

import math
from contextlib import suppress
from dataclasses import dataclass

import numpy as np
import pandas as pd
from scipy import stats

from mtlsweep.analysis.conclusions.statistics import pooled_variance
from mtlsweep.analysis.selection import axis_columns


@dataclass(frozen=True)
class Cell:
    """One cell: its text, whether it is (or ties with) the best of its column, and what it sorts by."""

    text: str
    bold: bool = False
    sort: float | str = ""


@dataclass(frozen=True)
class Column:
    """A heading over cells; numbers are aligned right."""

    heading: str
    cells: tuple[Cell, ...]
    numeric: bool = True


@dataclass(frozen=True)
class Table:
    """A table to show.

    Attributes:
        name: its file name. caption: what it holds and how to read it.
        data: the numbers behind it, for CSV and Parquet.
    """

    name: str
    caption: str
    columns: tuple[Column, ...]
    data: pd.DataFrame

    @property
    def rows(self) -> list[tuple[Cell, ...]]:
        """The cells, row by row."""
        return list(zip(*(column.cells for column in self.columns), strict=True))


def from_frame(name: str, caption: str, frame: pd.DataFrame) -> Table:
    """Return any small table of names and numbers as it is."""
    columns = [
        numbers(frame, column, str(column), ".4g")
        if pd.api.types.is_numeric_dtype(frame[column])
        else names(frame, column)[0]
        for column in frame.columns
    ]
    return Table(name, caption, tuple(columns), frame)


def names(frame: pd.DataFrame, *columns: str) -> list[Column]:
    """Return text columns under their own names."""
    return [
        Column(
            column.replace("_", " "), tuple(Cell(str(value), sort=str(value)) for value in frame[column]), numeric=False
        )
        for column in columns
    ]


def settings(frame: pd.DataFrame) -> list[Column]:
    """Return a column for each axis in `frame`; a method that does not have the option has a dash."""
    return [
        Column(axis, tuple(_setting(value) for value in frame[axis]), numeric=False) for axis in axis_columns(frame)
    ]


def _setting(value: str | float) -> Cell:
    if pd.isna(value):
        return Cell("–", sort=math.inf)
    with suppress(ValueError):
        return Cell(str(value), sort=float(value))
    return Cell(str(value), sort=str(value))


def numbers(frame: pd.DataFrame, column: str, heading: str, form: str) -> Column:
    """Word a column of numbers; `~` is the shortest form; a missing number is a dash and sorts last."""
    words = ["–" if pd.isna(v) else f"{v:g}" if form == "~" else format(float(v), form) for v in frame[column]]
    sorts = [math.inf if pd.isna(value) else float(value) for value in frame[column]]
    return Column(heading, tuple(Cell(word, sort=value) for word, value in zip(words, sorts, strict=True)))


def means(results: pd.DataFrame, figure: str, heading: str, higher_is_better: bool, digits: int) -> Column:
    """Word `<figure>_mean` ± `<figure>_std`; bold is the best, and what differs from it by no more than noise."""
    values, deviations = results[f"{figure}_mean"], results[f"{figure}_std"]
    best = values.max() if higher_is_better else values.min()
    ties = (values - best).abs() <= _least_significant_difference(deviations, results["seeds"].astype(float))
    cells = zip(values, deviations, ties | (values == best), strict=True)
    return Column(heading, tuple(with_spread(mean, deviation, digits, bold) for mean, deviation, bold in cells))


def _least_significant_difference(deviations: pd.Series, seeds: pd.Series) -> float:
    """Return by how much two means must differ for their 95 % interval to exclude zero, with the rows' common seed noise."""
    counts = seeds.to_numpy(dtype=float)
    pooled = pooled_variance(deviations.to_numpy(dtype=float), counts)
    if pooled is None:
        return -1.0
    variance, degrees = pooled
    count = float(np.median(counts[deviations.notna() & (counts > 1)]))
    return float(stats.t.ppf(0.975, degrees) * math.sqrt(2 * variance / count))


def with_spread(mean: float, deviation: float, digits: int, bold: bool = False) -> Cell:
    """Word one mean ± standard deviation; a missing mean is a dash and sorts last."""
    if pd.isna(mean):
        return Cell("–", sort=math.inf)
    spread = "" if pd.isna(deviation) else f" ± {deviation:.{digits}f}"
    return Cell(f"{mean:.{digits}f}{spread}", bold=bold, sort=float(mean))


def digits_of(values: pd.Series) -> int:
    """Return how many decimals show four significant digits of the largest value."""
    largest = values.abs().max()
    return 4 if pd.isna(largest) or largest < 1 else max(0, 3 - math.floor(math.log10(largest)))


def time_unit(seconds: float) -> tuple[str, float]:
    """Return the unit in which a duration is easiest to read, and its seconds."""
    return ("hours", 3600.0) if seconds >= 2 * 3600 else ("minutes", 60.0)


def p_value(p: float) -> str:
    """Word a p value."""
    return "< 0.001" if p < 0.001 else f"{p:.3f}"
