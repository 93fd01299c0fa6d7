"""The table of curves: read from MLflow, checked against the ledger, written, all some trials at a time."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa

from mtlsweep.errors import UserError
from mtlsweep.record.ledger import Ledger
from mtlsweep.record.mlflow import Tracker
from mtlsweep.record.mlflow.history import Portion
from mtlsweep.record.tables.parquet import open_table
from mtlsweep.record.tables.schema import CURVES
from mtlsweep.trials.curve import by_column
from mtlsweep.trials.metric_names import MetricName
from mtlsweep.trials.state import FinishedTrial


def write_curves(path: Path, tracker: Tracker, ledger: Ledger, keys: Iterable[str]) -> None:
    """Write every recorded value of the named trials, as MLflow has it, sorted.

    Raises:
        UserError: a trial has no complete run, or MLflow and the ledger differ; the message names the
            first difference.
    """
    keys = sorted(keys)
    history = tracker.history(keys)
    with open_table(path, CURVES) as table:
        for finished in _in_portions(ledger.read_those(keys), history.portion):
            trials = [one.trial.key for one in finished]
            table.write(_checked(history.read(trials), finished))


def _in_portions(finished: Iterable[FinishedTrial], portion: Portion) -> Iterator[list[FinishedTrial]]:
    held: list[FinishedTrial] = []
    rows = 0
    for one in finished:
        held.append(one)
        rows += len(one.state.curve) * len(by_column(one.state.curve).metrics)
        if rows >= portion.rows or len(held) >= portion.trials:
            yield held
            held, rows = [], 0
    if held:
        yield held


_NO_PLACE = np.array([], np.int64)


@dataclass(frozen=True)
class _Rows:
    """Values of some trials in the order of the table: one entry a row in each array.

    Attributes:
        trial: position in a sorted list of trial keys.
        epoch: 1 for the first.
        name: position in a list of metric names: those of the table, sorted by split, task and metric, then others.
        value: what was measured.
    """

    trial: np.ndarray
    epoch: np.ndarray
    name: np.ndarray
    value: np.ndarray

    def equal(self, other: _Rows) -> bool:
        """Whether both hold the same places with the same values; NaN equals NaN."""
        places = zip((self.trial, self.epoch, self.name), (other.trial, other.epoch, other.name), strict=True)
        return all(np.array_equal(*pair) for pair in places) and np.array_equal(self.value, other.value, equal_nan=True)

    def by_place(self, keys: Sequence[str], names: Sequence[str]) -> dict[tuple[str, int, str], float]:
        """Return each value by trial key, epoch and name."""
        rows = zip(self.trial.tolist(), self.epoch.tolist(), self.name.tolist(), self.value.tolist(), strict=True)
        return {(keys[trial], epoch, names[name]): value for trial, epoch, name, value in rows}


def _checked(recorded: pa.Table, finished: Sequence[FinishedTrial]) -> pa.Table:
    """Return MLflow's rows of some trials as a piece of the table, in the order of `finished`."""
    keys = [one.trial.key for one in finished]
    known = {name for one in finished for name in by_column(one.state.curve).metrics}
    known.update(_encoded(recorded, "name").dictionary.to_pylist())
    in_table = sorted(filter(None, map(MetricName.parse, known)), key=lambda name: (name.split, name.task, name.metric))
    names = [str(name) for name in in_table]
    names += sorted(known.difference(names))
    theirs, ours = _rows_of_mlflow(recorded, keys, names, len(in_table)), _rows_of_ledger(finished, names)
    if not theirs.equal(ours):
        raise _difference(theirs.by_place(keys, names), ours.by_place(keys, names), finished[0].trial.cell.suite)
    columns = [_decoded(theirs.trial, keys), pa.array(theirs.epoch, pa.int32())]
    for part in ("split", "task", "metric"):
        columns.append(_decoded(theirs.name, [getattr(name, part) for name in in_table]))
    values = pa.array(theirs.value, from_pandas=True)  # NaN becomes null
    return pa.Table.from_arrays([*columns, values], schema=CURVES)


def _rows_of_mlflow(recorded: pa.Table, keys: Sequence[str], names: Sequence[str], in_table: int) -> _Rows:
    """Return the rows of the first `in_table` names; of two rows at one place the one logged first."""
    trial, name = _positions(recorded, "trial_key", keys), _positions(recorded, "name", names)
    step, timestamp, value = (recorded[column].to_numpy() for column in ("step", "timestamp", "value"))
    order = np.lexsort((value, timestamp, name, step, trial))
    order = order[name[order] < in_table]
    places = np.stack([trial[order], step[order], name[order]])
    is_first = np.ones(len(order), bool)
    is_first[1:] = (places[:, 1:] != places[:, :-1]).any(axis=0)
    trial, step, name = places[:, is_first]
    return _Rows(trial, step, name, value[order][is_first])


def _rows_of_ledger(finished: Sequence[FinishedTrial], names: Sequence[str]) -> _Rows:
    position = {name: number for number, name in enumerate(names)}
    pieces = [(_NO_PLACE, _NO_PLACE, _NO_PLACE, np.array([], np.float64))]
    for trial, one in enumerate(finished):
        curve = by_column(one.state.curve)
        if not curve.metrics:
            continue
        stored = list(curve.metrics.values())
        values = np.array(stored, np.float64)  # of None, of NaN and of its text it makes NaN
        has_value = ~np.isnan(values)
        if not has_value.all():
            has_value = np.array([[value is not None for value in column] for column in stored])
        metric, row = np.nonzero(has_value)
        places = np.array([position[name] for name in curve.metrics], np.int64)
        epoch = np.array(curve.epoch, np.int64)
        pieces.append((np.full_like(row, trial), epoch[row], places[metric], values[metric, row]))
    trials, epochs, metrics, all_values = (np.concatenate(column) for column in zip(*pieces, strict=True))
    order = np.lexsort((metrics, epochs, trials))
    return _Rows(trials[order], epochs[order], metrics[order], all_values[order])


def _difference(
    recorded: Mapping[tuple[str, int, str], float], expected: Mapping[tuple[str, int, str], float], suite: str
) -> UserError:
    """Return the error that names the first place at which the two differ."""
    for place in sorted(expected.keys() | recorded.keys()):
        ours, theirs = expected.get(place), recorded.get(place)
        if ours is None or theirs is None or not (ours == theirs or (math.isnan(ours) and math.isnan(theirs))):
            break
    key, epoch, name = place
    return UserError(
        f"MLflow and the ledger differ for trial {key}: `{name}` at epoch {epoch} is {theirs} in MLflow and {ours} in the "
        f"ledger; run `mtlsweep mlflow rebuild {suite}`, which makes MLflow again from the ledger."
    )


def _encoded(table: pa.Table, column: str) -> pa.DictionaryArray:
    return table[column].combine_chunks()


def _positions(table: pa.Table, column: str, among: Sequence[str]) -> np.ndarray:
    """Return the position in `among` of each entry of a dictionary column."""
    encoded = _encoded(table, column)
    positions = {entry: number for number, entry in enumerate(among)}
    of_code = np.array([positions[entry] for entry in encoded.dictionary.to_pylist()], np.int64)
    return of_code[encoded.indices.to_numpy()]


def _decoded(positions: np.ndarray, entries: Sequence[str]) -> pa.Array:
    return pa.DictionaryArray.from_arrays(
        pa.array(positions, pa.int32()), pa.array(entries, pa.string())
    ).dictionary_decode()
