"""The curve of a trial: one record for each epoch, in order."""

from __future__ import annotations

from array import array
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, overload

from mtlsweep.files import encode_float


@dataclass(frozen=True)
class EpochRecord:
    """Measurements of one epoch of a trial.

    Attributes:
        epoch: 1-based number.
        metrics: values by name, `train/<task>/<metric>`, `val/...` and `test/...`.
        finished_at: Unix time in seconds.
        seconds: time the epoch took, training and evaluation.
    """

    epoch: int
    metrics: Mapping[str, float]
    finished_at: float
    seconds: float


Curve = Sequence[EpochRecord]
"""One record for each epoch, in order; equal curves are equal whatever their types."""


class StoredCurve(Sequence[EpochRecord]):
    """A curve as the ledger stores it, by column; the record of an epoch is made when it is asked for.

    Most curves of a ledger are read for their length or for one column, and a record for each epoch takes
    longer than parsing the file.

    Args:
        stored: what `curve_to_json` returned, after its way through a file.
    """

    def __init__(self, stored: Mapping[str, Any]) -> None:
        self.epoch: list[int] = stored["epoch"]
        self.finished_at: list[float] = stored["finished_at"]
        self.seconds: list[float] = stored["seconds"]
        self.metrics: Mapping[str, list[float | str | None]] = stored["metrics"]
        lengths = {len(column) for column in (self.finished_at, self.seconds, *self.metrics.values())}
        if lengths != {len(self.epoch)}:
            raise ValueError(f"a curve of {len(self.epoch)} epochs has columns of another length")

    def __len__(self) -> int:
        return len(self.epoch)

    @overload
    def __getitem__(self, place: int) -> EpochRecord: ...
    @overload
    def __getitem__(self, place: slice) -> tuple[EpochRecord, ...]: ...
    def __getitem__(self, place: int | slice) -> EpochRecord | tuple[EpochRecord, ...]:
        if isinstance(place, slice):
            return tuple(map(self._record, range(*place.indices(len(self)))))
        return self._record(range(len(self))[place])

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Sequence) and tuple(self) == tuple(other)

    __hash__ = None  # type: ignore[assignment]  # as its records, which hold dictionaries

    def values(self, name: str) -> list[float | None]:
        """Return the values of a metric by epoch; None where the epoch lacks it."""
        return [None if value is None else float(value) for value in self.metrics[name]]  # a NaN is stored as a string

    def _record(self, row: int) -> EpochRecord:
        row_of_metrics = ((name, column[row]) for name, column in self.metrics.items())
        metrics = {name: float(value) for name, value in row_of_metrics if value is not None}
        return EpochRecord(self.epoch[row], metrics, self.finished_at[row], self.seconds[row])


class UnreadCurve(Sequence[EpochRecord]):
    """A curve that stays in its file, and is read anew each time somebody looks at its records.

    The curves of a study may be larger than its driver's memory, and few are looked at more than once.

    Args:
        seconds: time that each epoch took.
        read: returns what the file has now: these epochs, and perhaps later ones, since a curve only grows.
    """

    def __init__(self, seconds: Sequence[float], read: Callable[[], StoredCurve]) -> None:
        self.seconds: Sequence[float] = array("d", seconds)
        self._read = read

    def __len__(self) -> int:
        return len(self.seconds)

    @overload
    def __getitem__(self, place: int) -> EpochRecord: ...
    @overload
    def __getitem__(self, place: slice) -> tuple[EpochRecord, ...]: ...
    def __getitem__(self, place: int | slice) -> EpochRecord | tuple[EpochRecord, ...]:
        rows = range(len(self))[place]
        stored = self._read()
        return stored[rows] if isinstance(rows, int) else tuple(stored[row] for row in rows)

    def __iter__(self) -> Iterator[EpochRecord]:
        return iter(self[:])

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Sequence) and tuple(self) == tuple(other)

    __hash__ = None  # type: ignore[assignment]  # as its records, which hold dictionaries


def seconds_of(curve: Curve) -> Sequence[float]:
    """Return the time that each epoch took, in seconds; no curve is read for it."""
    return curve.seconds if isinstance(curve, StoredCurve | UnreadCurve) else [record.seconds for record in curve]


def curve_to_json(curve: Curve) -> dict[str, Any]:
    """Return a curve by column, as JSON holds it: NaN and infinities as strings, None where an epoch lacks a metric."""
    records = tuple(curve)  # once: an `UnreadCurve` reads its file for each look
    names = sorted({name for record in records for name in record.metrics})
    return {
        "epoch": [record.epoch for record in records],
        "finished_at": [record.finished_at for record in records],
        "seconds": [record.seconds for record in records],
        "metrics": {
            name: [encode_float(record.metrics[name]) if name in record.metrics else None for record in records]
            for name in names
        },
    }


def by_column(curve: Curve) -> StoredCurve:
    """Return the curve by column."""
    return curve if isinstance(curve, StoredCurve) else StoredCurve(curve_to_json(curve))
