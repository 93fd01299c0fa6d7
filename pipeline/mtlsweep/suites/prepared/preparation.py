"""`prepare`: rows of a dataset -> one Arrow file per split, complete or absent.

Rows are gathered in shards, several at once. If preparation is stopped, finished shards are kept and
the next attempt uses them if the dataset has the same options and the same code. The shards become one file per
split, and the directory gets its name only when everything is in it.
"""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

from mtlsweep.errors import UserError
from mtlsweep.files import content_hash, file_hash
from mtlsweep.params.choice import Choice
from mtlsweep.params.source import is_own, module_identity, source_hash
from mtlsweep.suites.datasets.dataset import DATASETS, SPLITS, Dataset, check_tasks, create_dataset, stored_inputs
from mtlsweep.suites.prepared.arrow_files import write_store
from mtlsweep.suites.prepared.column_rules import check_same_shapes
from mtlsweep.suites.prepared.shards import write_shards

IDENTITY = "identity"
"""File with the hash of what the prepared data beside it was made from."""

DATASET_CODE = "mtlsweep.suites.datasets"
PREPARING_CODE = {
    "mtlsweep.suites.inputs",
    "mtlsweep.suites.prepared.arrow_files",
    "mtlsweep.suites.prepared.column_rules",
    "mtlsweep.suites.prepared.labels",
    "mtlsweep.suites.prepared.layout",
    "mtlsweep.suites.prepared.preparation",
    "mtlsweep.suites.prepared.rows",
    "mtlsweep.suites.prepared.shards",
}
"""What of this package decides what `prepare` writes, besides the modules of datasets that a dataset imports."""


def preparation_identity(choice: Choice) -> dict[str, Any]:
    """Return what prepared data is made from: the dataset with its options and the files that these name, and the code.

    Raises:
        UserError: an unknown dataset or option, or the source of own code is not found.
    """
    resolved = DATASETS.resolve(choice)
    module = DATASETS.module(choice.name)
    named = [value for value in resolved.options.values() if isinstance(value, str) and Path(value).is_file()]
    files = {path: file_hash(Path(path)) for path in named}
    return {
        "dataset": resolved.model_dump(mode="json"),
        **({"files": files} if files else {}),
        "module": module_identity(module),
        "code": source_hash([module, __name__], _prepares),
    }


def _prepares(module: str, file: Path) -> bool:
    return module.startswith(DATASET_CODE) or module in PREPARING_CODE or is_own(module, file)


def is_prepared(choice: Choice, directory: Path) -> bool:
    """Whether `directory` holds the data of the dataset that `choice` names, prepared with its present options and code.

    Raises:
        UserError: see `preparation_identity`.
    """
    try:
        return (directory / IDENTITY).read_text() == content_hash(preparation_identity(choice))
    except FileNotFoundError:
        return False


def prepare(choice: Choice, directory: Path) -> None:
    """Write the dataset that `choice` names into `directory`, replacing what is there.

    Writes train.arrow, val.arrow, test.arrow, summary.json, identity, and contact_sheet.png of images or columns.json of other
    data.

    Raises:
        UserError: an unknown dataset or option; names of tasks or metrics that are not allowed; raw data that is
            missing or damaged; a column that is not what its task needs; a split without any label of a task.
    """
    dataset = create_dataset(choice)
    check_tasks(dataset.tasks, stored_inputs(dataset))
    identity = content_hash(preparation_identity(choice))
    partial = directory.parent / f".{directory.name}.partial-{identity}"
    raw, shards, finished = (partial / name for name in ("raw", "shards", "finished"))
    shutil.rmtree(finished, ignore_errors=True)
    for folder in (raw, shards, finished):
        folder.mkdir(parents=True, exist_ok=True)
    dataset.begin(raw)
    _check_sizes(dataset)
    check_same_shapes(dataset)
    files = {split: write_shards(dataset, split, shards) for split in SPLITS}
    write_store(dataset, choice.name, files, finished)
    (finished / IDENTITY).write_text(identity)
    shutil.rmtree(directory, ignore_errors=True)
    finished.replace(directory)
    for attempt in directory.parent.glob(f".{directory.name}.partial-*"):  # of other options or code, too
        shutil.rmtree(attempt)


def _check_sizes(dataset: Dataset) -> None:
    sizes = dataset.sizes()
    if set(sizes) != set(SPLITS) or min(sizes.values()) < 1:
        raise UserError(f"dataset splits are {dict(sizes)}: `train`, `val` and `test` must each have a row or more.")
