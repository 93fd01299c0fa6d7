"""A dataset of map-style `torch.utils.data.Dataset`s: torchvision's, Hugging Face's, or a user's own."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Protocol

import numpy as np
from PIL import Image
from torch import Tensor

from mtlsweep.errors import UserError
from mtlsweep.suites.datasets.dataset import Dataset, Given
from mtlsweep.suites.inputs import IMAGE
from mtlsweep.suites.tasks import Task

Item = Mapping[str, Any]
"""One row: for each input and each task its value."""


class MapStyle(Protocol):
    """What `torch.utils.data.DataLoader` calls map-style."""

    def __len__(self) -> int:
        """Return the number of rows."""

    def __getitem__(self, index: int, /) -> Any:
        """Return a row."""


def from_torch(
    train: MapStyle,
    val: MapStyle,
    test: MapStyle,
    tasks: Sequence[Task],
    *,
    columns: Callable[[Any], Item] | None = None,
    padded: Mapping[str, int] | None = None,
) -> Dataset:
    """Return a dataset whose rows are those of three map-style datasets, to be named in params.yaml through a function.

    A row is read once, when the data is prepared; it is stored and fingerprinted like that of every other dataset.

    Args:
        train, val, test: datasets of rows. A row is a mapping from names to values, in which the names of tasks are targets
            and all others inputs, or a sequence of an image and its targets (each, or
            all together, in the order of `tasks`, or a mapping by task). Values are tensors, arrays, numbers or PIL images.
        tasks: what is learnt.
        columns: turns a row into such a mapping, where a row is anything else.
        padded: for each input whose rows differ in length the longest length.

    Raises:
        UserError: a dataset is empty or has no length, a row is of another form, or reading it twice gives two values.
    """
    return TorchDataset({"train": train, "val": val, "test": test}, tasks, columns, padded or {})


class TorchDataset(Dataset):
    """See `from_torch`. Images of bytes are scaled to 0..1; anything else stays as it is."""

    def __init__(
        self,
        splits: Mapping[str, MapStyle],
        tasks: Sequence[Task],
        columns: Callable[[Any], Item] | None,
        padded: Mapping[str, int],
    ) -> None:
        self.tasks, self.padded = tuple(tasks), padded
        self._splits, self._columns = splits, columns
        self._targets = tuple(task.name for task in self.tasks)
        self._sizes = {split: _length(split, rows) for split, rows in splits.items()}
        self.inputs = ()  # known from the first row on
        first, again = self._read("train", 0), self._read("train", 0)
        self.inputs = tuple(name for name in first if name not in self._targets)
        _check_same(first, again)
        self.scales = {IMAGE: 1 / 255} if IMAGE in first and first[IMAGE].dtype == np.uint8 else {}

    def sizes(self) -> Mapping[str, int]:
        return self._sizes

    def rows(self, split: str, start: int, stop: int) -> Given:
        read = [self._read(split, row) for row in range(start, stop)]
        return {
            name: self._column(name, split, start, [row[name] for row in read])
            for name in (*self.inputs, *self._targets)
        }

    def _read(self, split: str, row: int) -> dict[str, np.ndarray]:
        item = self._splits[split][row]
        named = self._columns(item) if self._columns else _by_name(item, self.tasks)
        values = {
            name: as_array(value if name in self._targets else _with_colours(value)) for name, value in named.items()
        }
        missing = {*self.inputs, *self._targets} - set(values)
        if missing:
            raise UserError(
                f"row {row} of `{split}` has no `{min(missing)}`; it has {', '.join(f'`{name}`' for name in values)}: "
                "give every row the same names, or a function `columns` that makes them."
            )
        return values

    def _column(self, name: str, split: str, start: int, values: list[np.ndarray]) -> np.ndarray | list[np.ndarray]:
        if name in self.padded:
            return values
        for row, value in enumerate(values, start):
            if value.shape != values[0].shape:
                raise UserError(
                    f"`{name}` of row {row} of `{split}` has shape {value.shape}, and row {start} has {values[0].shape}: make them "
                    f"equal, or give the longest length as `padded={{'{name}': ...}}`."
                )
        return np.stack(values)


def _length(split: str, rows: MapStyle) -> int:
    remedy = "give a map-style dataset, which has `__len__` and `__getitem__`"
    if not hasattr(type(rows), "__getitem__"):
        raise UserError(f"`{split}` is {type(rows).__name__}, whose rows have no number: {remedy}.")
    try:
        length = len(rows)
    except (TypeError, NotImplementedError) as error:
        raise UserError(f"`{split}` is {type(rows).__name__}, which has no length: {remedy}.") from error
    if not length:
        raise UserError(f"`{split}` has no rows: give each of train, val and test at least one.")
    return length


def _by_name(item: Any, tasks: Sequence[Task]) -> Item:
    if isinstance(item, Mapping):
        return item
    if not isinstance(item, tuple | list) or len(item) < 2:
        found = f"a {type(item).__name__}"
    else:
        image, *given = item
        if len(given) == 1 and isinstance(given[0], Mapping):
            return {IMAGE: image, **given[0]}
        if len(given) == 1 and isinstance(given[0], tuple | list):
            given = list(given[0])
        if len(given) == len(tasks):
            return {IMAGE: image, **{task.name: target for task, target in zip(tasks, given, strict=True)}}
        found = f"an image with {len(given)} target(s) for {len(tasks)} task(s)"
    raise UserError(
        f"a row is {found}: rows must be mappings from names to values, or an image and its targets; "
        "give a function `columns` that turns a row into a mapping."
    )


def _with_colours(value: Any) -> Any:
    """Return an image of palette indices as colours; in a target the indices are classes."""
    return value.convert("RGB") if isinstance(value, Image.Image) and value.mode == "P" else value


def as_array(value: Any) -> np.ndarray:
    """Return a value of a row as an array; a PIL image as bytes [C, H, W].

    Raises:
        UserError: the value is not numeric, such as text.
    """
    if isinstance(value, Image.Image):
        pixels = np.asarray(value)
        return pixels[None] if pixels.ndim == 2 else pixels.transpose(2, 0, 1)
    array = value.detach().cpu().numpy() if isinstance(value, Tensor) else np.asarray(value)
    if array.dtype.kind not in "biuf":
        raise UserError(
            f"a row holds {value!r:.60}, which is not numeric: give numbers, tensors, arrays or PIL images; "
            "a function `columns` can convert them."
        )
    return array.astype(np.uint8) if array.dtype.kind == "b" else array


def _check_same(first: Mapping[str, np.ndarray], again: Mapping[str, np.ndarray]) -> None:
    for name, value in first.items():
        if not np.array_equal(value, again[name], equal_nan=value.dtype.kind == "f"):
            raise UserError(
                f"`{name}` of the first row differs each time it is read, so a random transform is at work, and a stored row would "
                "keep one draw for all epochs: remove it, and use `training.augmentation` instead."
            )
