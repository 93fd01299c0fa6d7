"""From a column of a table to a task and its targets."""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from typing import Any

import numpy as np
import pyarrow as pa

from mtlsweep.errors import UserError
from mtlsweep.params.choice import Choice
from mtlsweep.suites.datasets.standardise import standardise
from mtlsweep.suites.datasets.tables.values import categories, numbers
from mtlsweep.suites.tasks import TASKS, Task, task_from_definition
from mtlsweep.suites.tasks.attribute import Attribute
from mtlsweep.suites.tasks.classification import Classification

MOST_CLASSES = 255
STANDARDISED = ("regression", "quantity")


def encode_target(
    column: pa.ChunkedArray, name: str, kind: Choice, train: np.ndarray
) -> tuple[Task, np.ndarray, Mapping[str, Any]]:
    """Return the task that `column` is the target of, its targets [rows], and how they were made, for `summary.json`.

    A row where the target is missing has no label of the task. Numbers of a `regression` or a `quantity` are
    standardised by the training split's labels; the deviation of a quantity, in whose unit it is reported, is theirs.
    Values of a `classification`, of an `attribute` and of kinds derived from them are counted from 0 in their order; `classes` may
    be left out.
    Any other kind takes the numbers as they are.

    Raises:
        UserError: the kind or an option is unknown, a value is not what the kind takes, or one is missing and the kind has
            no mark for that.
    """
    missing = column.is_null(nan_is_null=True).to_numpy()
    if _is(kind, Classification) or _is(kind, Attribute):
        codes, notes = _classes(column, missing, name, kind, train)
        if _is(kind, Classification):
            kind = Choice(name=kind.name, options={"classes": len(notes["classes"]), **kind.options})
        task = _task(name, kind)
        target = task.target
        if target is not None and target.classes is not None and len(notes["classes"]) > target.classes:
            raise UserError(
                f"target `{name}` holds {len(notes['classes'])} different values, but {kind.name} has {target.classes} classes here."
            )
        codes = np.where(missing, _mark(task, missing), codes)
        return task, codes.astype(np.uint8 if codes.min() >= 0 else np.int16), notes | _count(missing)
    notes = {}
    values = numbers(column, name) if kind.name in STANDARDISED else None
    if values is not None:
        values, notes = standardise(values, name, train)
    if kind.name == "quantity":
        kind = _with_deviation(name, kind, notes["deviation"])
    task = _task(name, kind)
    if task.dense:
        raise UserError(f"target `{name}` cannot be a {kind.name}, which needs images: choose another kind of task.")
    if values is None:
        values = np.where(missing, _mark(task, missing), numbers(column, name))
    return task, values.astype(np.float32), notes | _count(missing)


def _is(kind: Choice, base: type[Task]) -> bool:
    """Whether a kind is `base` or derived from it; an unknown kind is none, and is refused where its task is made."""
    try:
        made = TASKS.get(kind.name)
    except UserError:
        return False
    return inspect.isclass(made) and issubclass(made, base)


def _count(missing: np.ndarray) -> dict[str, int]:
    """Return the note on missing targets, if any is."""
    return {"missing": int(missing.sum())} if missing.any() else {}


def _mark(task: Task, missing: np.ndarray) -> float:
    """Return the value that marks a missing target; 0 if none is missing and the task has no mark."""
    mark = None if task.target is None else task.target.mark
    if mark is None and missing.any():
        raise UserError(
            f"target `{task.name}` is missing in row {int(missing.argmax())} ({int(missing.sum())} rows in all), and {task.kind} "
            "has no mark for that: leave these rows out, or give the kind a `target` with a `mark`."
        )
    return 0.0 if mark is None else mark


def _with_deviation(name: str, kind: Choice, deviation: float) -> Choice:
    if "deviation" in kind.options:
        raise UserError(
            f"target `{name}`: the deviation of a quantity is that of the training split, {deviation:g}; leave the option out."
        )
    return Choice(name=kind.name, options={"deviation": deviation, **kind.options})


def _classes(
    column: pa.ChunkedArray, missing: np.ndarray, name: str, kind: Choice, train: np.ndarray
) -> tuple[np.ndarray, dict[str, Any]]:
    """Return the number of each row's class, 0 where it is missing, and the classes."""
    values = categories(column, name).astype(str)
    names = sorted(set(values[~missing].tolist()), key=_in_order)
    if len(names) == 1:
        raise UserError(f"target `{name}` is {names[0]!r} in every row: a {kind.name} needs two classes or more.")
    whole = pa.types.is_integer(column.type) or not pa.types.is_floating(column.type) or all(map(_is_whole, names))
    if not whole or len(names) > MOST_CLASSES:
        raise UserError(
            f"target `{name}` holds {len(names)} different values such as {names[0]}, like a quantity: allowed for {kind.name} "
            f"are up to {MOST_CLASSES} classes, text or whole numbers; choose `regression` for numbers."
        )
    absent = sorted(set(names) - set(values[train][~missing[train]].tolist()), key=_in_order)
    if absent:
        raise UserError(
            f"target `{name}` has the value {absent[0]!r}, but in no training row, so it cannot be learnt: split in another "
            "way, or leave the rows with it out."
        )
    codes = {value: code for code, value in enumerate(names)}
    found = [0 if gone else codes[value] for value, gone in zip(values.tolist(), missing.tolist(), strict=True)]
    return np.array(found), {"classes": names}


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
