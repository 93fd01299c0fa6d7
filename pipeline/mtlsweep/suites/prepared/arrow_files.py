"""Shards into the Arrow files of a prepared suite, with statistics and fingerprint."""

from __future__ import annotations

import hashlib
import json
import math
import os
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from mtlsweep.errors import UserError
from mtlsweep.files import canonical_json
from mtlsweep.suites.datasets.dataset import SPLITS, Columns, Dataset, stored_inputs
from mtlsweep.suites.inputs import IMAGE
from mtlsweep.suites.prepared.column_summary import summarise_columns
from mtlsweep.suites.prepared.contact_sheet import contact_sheet
from mtlsweep.suites.prepared.labels import LabelCounts
from mtlsweep.suites.prepared.layout import COLUMNS, CONTACT_SHEET, FINGERPRINT_KEY, SCALES_KEY, SUMMARY, split_file
from mtlsweep.suites.prepared.shards import BATCH_BYTES, BATCH_ROWS, load_examples, regroup, row_bytes

EXAMPLES = 24


def write_store(dataset: Dataset, name: str, files: Mapping[str, list[Path]], directory: Path) -> None:
    """Write the Arrow file of every split, the summary that names their fingerprint, and a view of some content."""
    definitions = [task.definition() for task in dataset.tasks]
    first = load_examples(files["train"][0])
    inputs = _describe_inputs(dataset, first)
    labels = LabelCounts(dataset.tasks)
    fingerprint, statistics = _fingerprint(files, definitions, dataset.scales, inputs, labels)
    incomplete = labels.incomplete()
    for split in SPLITS:
        marks = partial(labels.columns, tasks=incomplete.get(split, {}))
        _write_arrow(files[split], split_file(directory, split), fingerprint, dataset.scales, marks)
    summary = {
        "dataset": name,
        "fingerprint": fingerprint,
        **inputs,
        "splits": {split: dataset.sizes()[split] for split in SPLITS},
        "tasks": definitions,
        **({"labelled_rows": incomplete} if incomplete else {}),
        "notes": {**dataset.notes(), "statistics": statistics},
    }
    (directory / SUMMARY).write_text(_as_json(summary) + "\n")
    if IMAGE in dataset.inputs:
        others = set(stored_inputs(dataset)) - {IMAGE}
        shown = {name: column[:EXAMPLES] for name, column in first.items() if name not in others}
        contact_sheet(shown).save(directory / CONTACT_SHEET)
    else:
        entries = summarise_columns(dataset, lambda: map(load_examples, files["train"]))
        (directory / COLUMNS).write_text(json.dumps(entries, indent=1, allow_nan=False) + "\n")


def _describe_inputs(dataset: Dataset, first: Columns) -> dict[str, Any]:
    """Return the inputs as the summary names them; images alone by their shape, as ever."""
    if tuple(dataset.inputs) == (IMAGE,) and not dataset.padded:
        return {"input_shape": list(first[IMAGE].shape[1:])}
    inputs = {}
    for name in stored_inputs(dataset):
        features = [[feature.name, feature.categories] for feature in dataset.features.get(name, ())]
        inputs[name] = {"shape": list(first[name].shape[1:])} | ({"features": features} if features else {})
    return {"inputs": inputs}


def _as_json(summary: dict[str, Any]) -> str:
    """Return a summary as JSON, which has no NaN and no infinity: both become null."""
    try:
        return json.dumps(_plain(summary), indent=2, allow_nan=False)
    except (TypeError, ValueError) as error:
        raise UserError(
            f"notes() of dataset `{summary['dataset']}` cannot be written as JSON ({error}): "
            "return numbers, text, lists, and mappings of names to these."
        ) from error


def _plain(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {key: _plain(inner) for key, inner in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(inner) for inner in value]
    if isinstance(value, (np.ndarray, np.generic)):
        return _plain(value.tolist())
    return None if isinstance(value, float) and not math.isfinite(value) else value


def _fingerprint(
    files: Mapping[str, list[Path]],
    definitions: list[dict[str, Any]],
    scales: Mapping[str, float],
    inputs: dict[str, Any],
    labels: LabelCounts,
) -> tuple[str, dict[str, Any]]:
    """Hash the bytes of every column with dtypes, shapes, scales, inputs and tasks; count labels and gather statistics."""
    hashes: dict[str, Any] = {}
    layout: dict[str, Any] = {}
    statistics: dict[str, _Statistics] = {}
    targets = {definition["name"] for definition in definitions}
    for split in SPLITS:
        for columns in map(load_examples, files[split]):
            labels.add(split, columns)
            for name, column in columns.items():
                key = f"{split}/{name}"
                hashes.setdefault(key, hashlib.sha256()).update(np.ascontiguousarray(column))
                layout[key] = [column.dtype.str, list(column.shape[1:])]
                if name in targets:
                    statistics.setdefault(key, _Statistics()).update(column)
    content = {
        "columns": {key: [*layout[key], value.hexdigest()] for key, value in hashes.items()},
        "scales": {name: float(scale) for name, scale in scales.items()},
        "tasks": definitions,
        **({"inputs": inputs["inputs"]} if "inputs" in inputs else {}),
    }
    fingerprint = hashlib.sha256(canonical_json(content)).hexdigest()
    return fingerprint, {key: value.summary() for key, value in statistics.items()}


class _Statistics:
    """Counts of each value of an 8-bit column; of any other, as stored, range and mean of the finite values."""

    def __init__(self) -> None:
        self._counts: np.ndarray = np.zeros(256, np.int64)
        self._minimum, self._maximum, self._sum, self._size, self._not_finite = np.inf, -np.inf, 0.0, 0, 0

    def update(self, column: np.ndarray) -> None:
        if column.dtype == np.uint8:
            self._counts += np.bincount(column.ravel(), minlength=256)
        else:
            finite = column[np.isfinite(column)]
            self._not_finite += column.size - finite.size
            if finite.size:
                self._minimum = min(self._minimum, float(finite.min()))
                self._maximum = max(self._maximum, float(finite.max()))
            self._sum += float(finite.sum(dtype=np.float64))
            self._size += finite.size

    def summary(self) -> dict[str, Any]:
        if self._counts.any():
            return {"counts": {str(value): int(count) for value, count in enumerate(self._counts) if count}}
        mean = self._sum / self._size if self._size else math.nan
        found = {"minimum": self._minimum, "maximum": self._maximum, "mean": mean}
        return found | ({"not_finite": self._not_finite} if self._not_finite else {})


def _write_arrow(
    shards: list[Path],
    path: Path,
    fingerprint: str,
    scales: Mapping[str, float],
    marks: Callable[[Columns], Columns],
) -> None:
    """Write the columns of a split, and those that `marks` makes of them."""
    first = load_examples(shards[0])
    low, high = BATCH_ROWS
    rows = int(np.clip(BATCH_BYTES // row_bytes(first), low, high))
    schema = pa.schema(
        [pa.field(name, _arrow_column(column).type) for name, column in (first | marks(first)).items()],
        metadata={FINGERPRINT_KEY: fingerprint.encode(), SCALES_KEY: canonical_json(dict(scales))},
    )
    with pa.OSFile(str(path), "wb") as sink, pa.ipc.new_file(sink, schema) as writer:
        for columns in regroup(map(load_examples, shards), rows):
            arrays = [_arrow_column(column) for column in (columns | marks(columns)).values()]
            writer.write_batch(pa.record_batch(arrays, schema=schema))
    with path.open("rb+") as file:
        os.fsync(file.fileno())


def _arrow_column(column: np.ndarray) -> pa.Array:
    if column.ndim == 1:
        return pa.array(column)
    return pa.FixedShapeTensorArray.from_numpy_ndarray(np.ascontiguousarray(column))
