"""Any table: numbers and categories in, targets out; nothing to write but params.yaml."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any

import numpy as np
from pydantic import Field

from mtlsweep.errors import UserError
from mtlsweep.params.choice import Choice
from mtlsweep.suites.datasets.dataset import DATASETS, Columns, Dataset
from mtlsweep.suites.datasets.tables.inputs import Kind, encode_inputs
from mtlsweep.suites.datasets.tables.read import read_columns
from mtlsweep.suites.datasets.tables.split import Split, split_rows
from mtlsweep.suites.datasets.tables.targets import encode_target

ROW = "row"


@DATASETS.register("table")
class Table(Dataset):
    """The rows of a CSV or Parquet file: one input `row` of numbers and codes of categories, and a task for each target.

    Options:
        file: path of the table, or `package:path` of one inside an installed package.
        inputs: by column `number` or `category`; see `encode_inputs`.
        targets: by column the kind of its task, such as `regression` or `{classification: {classes: 4}}`; a task has its
            column's name; see `encode_target`.
        split: see `Split`.
        rare: the fewest training rows of a category with a code of its own.
    """

    inputs = (ROW,)
    scales: Mapping[str, float] = {}

    def __init__(
        self,
        *,
        file: str,
        inputs: Annotated[Mapping[str, Kind], Field(min_length=1)],
        targets: Annotated[Mapping[str, Choice], Field(min_length=1)],
        split: Split = Split(),  # noqa: B008 - frozen
        rare: Annotated[int, Field(ge=1)] = 10,
    ) -> None:
        kinds = {name: Choice.model_validate(kind) for name, kind in targets.items()}
        way = Split.model_validate(split)
        _check_roles(inputs, kinds, way)
        table = read_columns(file, [*way.columns, *inputs, *kinds])
        self._rows = split_rows(table, way)
        train = self._rows["train"]
        encoded = encode_inputs(table, inputs, train, rare)
        self.features = {ROW: [feature for one in encoded for feature in one.features]}
        made = {name: encode_target(table[name], name, kind, train) for name, kind in kinds.items()}
        self.tasks = tuple(task for task, _, _ in made.values())
        self._columns: Columns = {ROW: np.concatenate([one.values for one in encoded], axis=1)}
        self._columns |= {name: values for name, (_, values, _) in made.items()}
        self._notes = {
            "inputs": {one.features[0].name: one.notes for one in encoded},
            "targets": {name: notes for name, (_, _, notes) in made.items()},
        }

    def sizes(self) -> Mapping[str, int]:
        return {split: len(rows) for split, rows in self._rows.items()}

    def rows(self, split: str, start: int, stop: int) -> Columns:
        chosen = self._rows[split][start:stop]
        return {name: column[chosen] for name, column in self._columns.items()}

    def notes(self) -> Mapping[str, Any]:
        return self._notes


def _check_roles(inputs: Mapping[str, Kind], targets: Mapping[str, Choice], split: Split) -> None:
    """Check that no column says what another part of the table should not know."""
    for name in targets:
        if name in inputs:
            raise UserError(
                f"column `{name}` is both an input and a target, so the input would give the answer: leave it out of one."
            )
        if name in split.columns:
            raise UserError(
                f"column `{name}` is both a target and the column that splits the rows: choose another split."
            )
    for splitting in (split.column, split.group):
        if splitting is not None and splitting in inputs:
            raise UserError(
                f"column `{splitting}` is both an input and the column that splits the rows, so training never sees its other values: "
                "leave it out of `inputs`."
            )
