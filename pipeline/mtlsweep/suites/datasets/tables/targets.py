"""From a column of a table to a task and its targets."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import pyarrow as pa

from mtlsweep.errors import UserError
from mtlsweep.params.choice import Choice
from mtlsweep.suites.datasets.standardise import standardise
from mtlsweep.suites.datasets.tables.values import categories, numbers
from mtlsweep.suites.tasks import Task, task_from_definition

MOST_CLASSES = 255


def encode_target(
    column: pa.ChunkedArray, name: str, kind: Choice, train: np.ndarray
) -> tuple[Task, np.ndarray, Mapping[str, Any]]:
    """Return the task that `column` is the target of, its targets [rows], and how they were made, for `summary.json`.

    Numbers of a `regression` are standardised by the training split. Values of a `classification` and of an `attribute`
    are counted from 0 in their order; `classes` may be left out. Any other kind takes the numbers as they are.

    Raises:
        UserError: the kind or an option is unknown, or a value is missing or not what the kind takes.
    """
    missing = column.is_null().to_numpy()
    if missing.any():
        raise UserError(
            f"target `{name}` is missing in row {int(missing.argmax())} ({int(missing.sum())} rows in all): leave these rows out."
        )
    if kind.name in ("classification", "attribute"):
        values, notes = _classes(column, name, kind, train)
        if kind.name == "classification":
            kind = Choice(name=kind.name, options={"classes": len(notes["classes"]), **kind.options})
        task = _task(name, kind)
        target = task.target
        if target is not None and target.classes is not None and len(notes["classes"]) > target.classes:
            raise UserError(
                f"target `{name}` holds {len(notes['classes'])} different values, but {kind.name} has {target.classes} classes here."
            )
        return task, values, notes
    task = _task(name, kind)
    if task.dense:
        raise UserError(f"target `{name}` cannot be a {kind.name}, which is of images: choose another kind of task.")
    values = numbers(column, name)
    if kind.name == "regression":
        values, notes = standardise(values, name, train)
        return task, values.astype(np.float32), notes
    return task, values.astype(np.float32), {}


def _classes(column: pa.ChunkedArray, name: str, kind: Choice, train: np.ndarray) -> tuple[np.ndarray, dict[str, Any]]:
    values = categories(column, name).astype(str)
    names = sorted(set(values.tolist()), key=_in_order)
    if len(names) == 1:
        raise UserError(f"target `{name}` is {names[0]!r} in every row: a {kind.name} needs two classes or more.")
    whole = pa.types.is_integer(column.type) or not pa.types.is_floating(column.type) or all(map(_is_whole, names))
    if not whole or len(names) > MOST_CLASSES:
        raise UserError(
            f"target `{name}` holds {len(names)} different values such as {names[0]}, as of a quantity: allowed for {kind.name} "
            f"are up to {MOST_CLASSES} classes, text or whole numbers; choose `regression` for numbers."
        )
    absent = sorted(set(names) - set(values[train].tolist()), key=_in_order)
    if absent:
        raise UserError(
            f"target `{name}` is {absent[0]!r} in no training row, so that it cannot be learnt: split in another way, or leave "
            "its rows out."
        )
    codes = {value: code for code, value in enumerate(names)}
    return np.array([codes[value] for value in values.tolist()], np.uint8), {"classes": names}


def _task(name: str, kind: Choice) -> Task:
    try:
        return task_from_definition({"kind": kind.name, "name": name, "options": kind.options})
    except UserError as error:
        raise UserError(f"target `{name}`: {error}") from error


def _in_order(value: str) -> tuple[int, float, str]:
    """Numbers by size, then text by letters."""
    try:
        return 0, float(value), value
    except ValueError:
        return 1, 0.0, value


def _is_whole(value: str) -> bool:
    return float(value).is_integer()
