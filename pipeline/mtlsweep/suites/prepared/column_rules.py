"""What inputs and targets must be, checked while they are written. Otherwise training would fail much later."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from mtlsweep.errors import UserError
from mtlsweep.suites.datasets.dataset import SPLITS, Columns, Dataset, stored_inputs
from mtlsweep.suites.inputs import IMAGE
from mtlsweep.suites.prepared.rows import read_rows
from mtlsweep.suites.tasks import Task

STORED = ("uint8", "int8", "uint16", "int16", "int32", "int64", "float16", "float32", "float64")
MOST_CHANNELS = 4
"""An image with more channels is taken for one whose channels come last, if its last dimension is no larger than this."""


def check_layout(dataset: Dataset, split: str, columns: Columns) -> None:
    """Check names, types and shapes of the columns of some rows.

    Raises:
        UserError: a column is missing or not expected, or has a type or shape that its task does not take.
    """
    inputs = stored_inputs(dataset)
    expected = {*inputs, *(task.name for task in dataset.tasks)}
    if set(columns) != expected:
        raise UserError(f"dataset columns of split `{split}` are {sorted(columns)}; expected: {sorted(expected)}.")
    for name, column in columns.items():
        if not isinstance(column, np.ndarray):
            raise _wrong(name, split, f"is a {type(column).__name__}", "a NumPy array with a row for each example")
        if column.dtype.name not in STORED or not column.dtype.isnative:
            raise _wrong(name, split, f"is of type {column.dtype}", ", ".join(STORED))
    for name in inputs:
        if name == IMAGE:
            _check_image_layout(split, columns[IMAGE])
        else:
            _check_input_layout(dataset, name, split, columns[name])
    for task in dataset.tasks:
        _check_target_layout(task, split, columns, scaled=task.name in dataset.scales)


def check_same_shapes(dataset: Dataset) -> None:
    """Check the layout of the first row of each split, and that each input has one shape in all of them.

    Raises:
        UserError: see `check_layout`; or two splits differ.
    """
    shapes: dict[str, tuple[int, ...]] = {}
    for split in SPLITS:
        first = read_rows(dataset, split, 0, 1)
        check_layout(dataset, split, first)
        for name in stored_inputs(dataset):
            shape = first[name].shape[1:]
            if shape != shapes.setdefault(name, shape):
                found = f"has {'images' if name == IMAGE else 'rows'} of the shape {_shape(shape)}"
                raise _wrong(name, split, found, f"{_shape(shapes[name])}, as in split `{SPLITS[0]}`")


def check_values(dataset: Dataset, split: str, columns: Columns, start: int) -> None:
    """Check every value of the rows from `start` on, whose layout was checked.

    Raises:
        UserError: a value is not finite or not allowed for its task; the message names column, row and value.
    """
    for name in stored_inputs(dataset):
        values = columns[name]
        _refuse(name, split, start, values, np.logical_not(np.isfinite(values)), "finite numbers")
        for position, feature in enumerate(dataset.features.get(name, ())):
            if feature.categories:
                codes, allowed = values[:, position], f"0 to {feature.categories - 1} for `{feature.name}`"
                _refuse(name, split, start, codes, ~np.isin(codes, np.arange(feature.categories)), allowed)
    if IMAGE in columns:
        _check_image_scale(split, columns[IMAGE], dataset.scales.get(IMAGE, 1.0))
    for task in dataset.tasks:
        if task.target is not None:
            values = columns[task.name]
            _refuse(task.name, split, start, values, task.target.wrong(values), task.target.allowed)


def _check_image_scale(split: str, image: np.ndarray, scale: float) -> None:
    if image.dtype.kind == "f" and np.isclose(scale, 1 / 255) and image.max() <= 1:
        found = f"is {image.dtype} with no value above 1, and its scale is 1/255"
        raise _wrong(IMAGE, split, found, "uint8 from 0 to 255, or floats with `scales = {}` in the dataset")


def _check_input_layout(dataset: Dataset, name: str, split: str, column: np.ndarray) -> None:
    if column.ndim == 0 or 0 in column.shape:
        raise _wrong(name, split, f"has the shape {_shape(column.shape)}", "[rows, ...] with no size of 0")
    features = dataset.features.get(name)
    if features is not None and column.shape[1:] != (len(features),):
        allowed = f"[rows, {len(features)}], as the dataset's `features` say"
        raise _wrong(name, split, f"has the shape {_shape(column.shape)}", allowed)


def _check_image_layout(split: str, image: np.ndarray) -> None:
    allowed = "[rows, channels, height, width]"
    if image.ndim != 4 or 0 in image.shape:
        raise _wrong(IMAGE, split, f"has the shape {_shape(image.shape)}", allowed)
    if image.shape[1] > MOST_CHANNELS >= image.shape[3]:
        found = f"has the shape {_shape(image.shape)}, with the channels last"
        raise _wrong(IMAGE, split, found, f"{allowed}: `image.transpose(0, 3, 1, 2)`")


def _check_target_layout(task: Task, split: str, columns: Columns, *, scaled: bool) -> None:
    target, column = task.target, columns[task.name]
    if target is None:
        return
    if IMAGE not in columns and any(isinstance(size, str) for size in target.layout):
        raise UserError(
            f"task `{task.name}` ({task.kind}) has a value at every pixel, but the dataset has no input `{IMAGE}`: "
            "choose another kind of task, or give the images."
        )
    sizes = dict(zip("HW", columns[IMAGE].shape[2:], strict=True)) if IMAGE in columns else {}
    wanted = [sizes[size] if isinstance(size, str) else size for size in target.layout]
    if list(column.shape[1:]) != wanted:
        raise _wrong(
            task.name, split, f"has the shape {_shape(column.shape)}", f"{_shape(['rows', *wanted])} for {task.kind}"
        )
    if target.classes is not None and (column.dtype.kind == "f" or scaled):
        found = "has a scale" if scaled else f"is of type {column.dtype}"
        raise _wrong(task.name, split, found, f"an integer type without a scale for {task.kind}, such as uint8")


def _refuse(name: str, split: str, start: int, values: np.ndarray, wrong: np.ndarray, allowed: str) -> None:
    if wrong.any():
        place = tuple(np.argwhere(wrong)[0])
        raise UserError(
            f"column `{name}` of split `{split}` holds {values[place]} in row {start + place[0]}; allowed: {allowed}."
        )


def _wrong(name: str, split: str, found: str, allowed: str) -> UserError:
    return UserError(f"column `{name}` of split `{split}` {found}; allowed: {allowed}.")


def _shape(sizes: Sequence[Any]) -> str:
    return f"[{', '.join(map(str, sizes))}]"
