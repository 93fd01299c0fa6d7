"""Which rows of a table train, which validate and which test: by a column, a seeded share, a group or time."""

from __future__ import annotations

import hashlib
from typing import Annotated

import numpy as np
import pyarrow as pa
from pydantic import Field, model_validator

from mtlsweep.errors import UserError
from mtlsweep.params.section import Section
from mtlsweep.suites.datasets.dataset import SPLITS
from mtlsweep.suites.datasets.tables.values import categories, moments

Share = Annotated[float, Field(gt=0, lt=1)]


class Split(Section):
    """How rows are split.

    Attributes:
        column: of the table, with `train`, `val` or `test` in each row; or
        time: of the table: the earliest rows train, later ones validate, the latest test; rows of one time stay
            together; or neither: rows are drawn at random.
        group: of the table: rows of one group, such as a person, stay together. With `column` or `time` this is checked.
        val, test: shares of the rows, as nearly as what stays together allows.
        seed: of the draw.
    """

    column: str | None = None
    time: str | None = None
    group: str | None = None
    val: Share = 0.15
    test: Share = 0.15
    seed: int = Field(default=0, ge=0)

    @model_validator(mode="after")
    def _one_way(self) -> Split:
        if self.column is not None and self.time is not None:
            raise ValueError("give `column` or `time`, not both")
        if self.val + self.test >= 1:
            raise ValueError(f"`val` and `test` are {self.val:g} and {self.test:g}, which leaves nothing to train on")
        return self

    @property
    def columns(self) -> list[str]:
        """The columns of the table that the split needs."""
        return [name for name in (self.column, self.time, self.group) if name is not None]


def split_rows(table: pa.Table, split: Split) -> dict[str, np.ndarray]:
    """Return the row numbers of each split, ascending.

    Raises:
        UserError: a column does not fit, a split would be empty, or a group would be in two splits.
    """
    groups = None if split.group is None else categories(table[split.group], split.group)
    if split.column is not None:
        places = _by_column(table[split.column], split.column)
    elif split.time is not None:
        places = _by_share_of_order(moments(table[split.time], split.time), split)
    else:
        units = np.arange(table.num_rows) if groups is None else np.unique(groups, return_inverse=True)[1]
        places = _by_share_of_order(_shuffled(units, split.seed), split)
    rows = {name: np.flatnonzero(places == number) for number, name in enumerate(SPLITS)}
    for name, chosen in rows.items():
        if not len(chosen):
            raise UserError(
                f"the table's split leaves no row for `{name}` ({table.num_rows} rows in all): change `split`, or add rows."
            )
    if groups is not None:
        _check_groups(groups, places, split)
    return rows


def _by_column(column: pa.ChunkedArray, name: str) -> np.ndarray:
    found = categories(column, name)
    wrong = ~np.isin(found.astype(str), SPLITS)
    if wrong.any():
        row = int(wrong.argmax())
        raise UserError(
            f"column `{name}` holds {found[row]!r} in row {row}; allowed: {', '.join(SPLITS)}, which split the rows."
        )
    return np.array([SPLITS.index(value) for value in found])


def _shuffled(units: np.ndarray, seed: int) -> np.ndarray:
    """Give each unit a place in a random order, the same on every machine."""
    generator = np.random.default_rng(int.from_bytes(hashlib.sha256(f"table/split/{seed}".encode()).digest()))
    return generator.permutation(int(units.max()) + 1)[units]


def _by_share_of_order(order: np.ndarray, split: Split) -> np.ndarray:
    """Cut the distinct values of `order` where the shares of rows end; equal values stay together."""
    _, inverse, counts = np.unique(order, return_inverse=True, return_counts=True)
    before = np.cumsum(counts) - counts  # rows with a smaller value
    train, validation = (round(share * len(order)) for share in (1 - split.val - split.test, 1 - split.test))
    return ((before >= train).astype(int) + (before >= validation))[inverse.reshape(-1)]


def _check_groups(groups: np.ndarray, places: np.ndarray, split: Split) -> None:
    first: dict[str, int] = {}
    for group, place in zip(groups, places.tolist(), strict=True):
        if first.setdefault(group, place) != place:
            raise UserError(
                f"`{split.group}` {group} is in both `{SPLITS[first[group]]}` and `{SPLITS[place]}`, so that the splits are not "
                f"independent; split by `{split.group}` alone, or leave `group` out."
            )
