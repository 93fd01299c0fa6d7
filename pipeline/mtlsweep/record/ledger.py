"""The ledger: an append-only directory of finished and half-finished trials, the authoritative record.

`<root>/<suite>/ledger/<trial_key>/` holds

- `spec.json`           the trial, written when it first starts
- `result.json`         outcome, cause, curve, cost and provenance; its presence *is* "finished"
- `paused.json`         the same for a paused trial; removed when it finishes
- `best.safetensors`    weights of the epoch with the best score in the sweep (a cache)
- `hung`                an empty file: the trial exceeded its time limit
- `resume.pt`           the resume point; removed when the trial finishes, unless it is pruned

and `<root>/<suite>/ledger/ledger_id` is the ledger's random name. The root is a folder or an object store
(`mtlsweep.record.storage`), in which a file is always complete or absent, also after a crash.
Views (MLflow, tables, the Optuna study) are rebuilt from here.
"""

from __future__ import annotations

import json
import uuid
from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

from mtlsweep.addresses import StoreUri
from mtlsweep.errors import UserError
from mtlsweep.files import canonical_json
from mtlsweep.record.checkpoints import RESUME, Checkpoints
from mtlsweep.record.storage import open_storage
from mtlsweep.record.storage.folder import FolderStorage
from mtlsweep.record.trial_file import read_curve, read_end, read_record, to_bytes
from mtlsweep.trials.curve import StoredCurve, UnreadCurve, seconds_of
from mtlsweep.trials.state import (
    FinishedTrial,
    Outcome,
    Paused,
    PausedTrial,
    State,
    TrialRecord,
    finished_from_json,
)
from mtlsweep.trials.trial import Trial

RESULT = "result.json"
PAUSED = "paused.json"
SPEC = "spec.json"
LEDGER_ID = "ledger_id"

S = TypeVar("S", bound=State)


class Ledger:
    """The finished and half-finished trials of one suite.

    Args:
        root: directory of all ledgers (`resources.ledger_root`), or its URI in an object store.
        suite: name of the suite.

    Attributes:
        storage: has the files.
        checkpoints: those of them that training can create again.

    Raises:
        UserError: the package for object stores is not installed.
    """

    def __init__(self, root: Path | StoreUri, suite: str) -> None:
        self.storage = open_storage(root, suite)
        self.checkpoints = Checkpoints(self.storage)

    @property
    def directory(self) -> Path:
        """The folder of a ledger that is in one."""
        assert isinstance(self.storage, FolderStorage)
        return self.storage.directory

    def prepare(self) -> None:
        """Check that the ledger can be written.

        Raises:
            UserError: it cannot.
        """
        self.storage.prepare()

    @property
    def id(self) -> str:
        """A random name that tells this ledger from others of the suite; it is made once, and moves with the directory.

        Raises:
            UserError: it is to be made, and cannot be written.
        """
        return self.storage.write_first(LEDGER_ID, uuid.uuid4().hex.encode()).decode()

    def finished_keys(self) -> set[str]:
        """Return the keys of all finished trials."""
        return self.storage.keys_with(RESULT)[0]

    def read_half_finished(self) -> Iterator[Trial]:
        """Yield the trials with a resume point and without a result, ordered by key."""
        finished, resumable = self.storage.keys_with(RESULT, RESUME)
        for _, stored in self.storage.read_each(f"{key}/{SPEC}" for key in sorted(resumable - finished)):
            yield Trial.from_json(json.loads(stored))

    def start(self, trial: Trial) -> None:
        """Record that `trial` has started."""
        name = f"{trial.key}/{SPEC}"
        if not self.storage.has(name):
            self.storage.write(name, canonical_json(trial.to_json()))

    def pause(self, paused: PausedTrial) -> PausedTrial:
        """Record a paused trial, which may continue from its resume point; return it with its curve left in its file."""
        self.storage.write(f"{paused.trial.key}/{PAUSED}", to_bytes(paused))
        return self._with_unread_curve(paused.trial.key, paused)

    def finish(self, finished: FinishedTrial) -> FinishedTrial:
        """Record a finished trial; return it with its curve left in its file.

        Only a pruned trial, which keeps its resume point, may finish again.
        """
        self.storage.write(f"{finished.trial.key}/{RESULT}", to_bytes(finished))
        self.storage.remove(f"{finished.trial.key}/{PAUSED}")
        if finished.state.outcome is not Outcome.PRUNED:
            self.checkpoints.drop_resume(finished.trial.key)
        return self._with_unread_curve(finished.trial.key, finished)

    def read(self, key: str) -> FinishedTrial:
        """Return the finished trial called `key`.

        Raises:
            UserError: the trial is missing, or its file is damaged.
        """
        return next(self.read_those([key]))

    def read_those(self, keys: Iterable[str]) -> Iterator[FinishedTrial]:
        """Yield the named finished trials, in this order.

        Raises:
            UserError: a trial is missing, or its file is damaged.
        """
        names = [f"{key}/{RESULT}" for key in keys]
        found = self.storage.read_each(names)
        for name in names:
            there, stored = next(found, ("", b""))
            if there != name:
                raise self._missing(name.partition("/")[0])
            yield read_record(self._path(name), stored, finished_from_json)

    def read_ends(self, keys: Iterable[str]) -> Iterator[tuple[str, Outcome, str | None]]:
        """Yield key, outcome and cause of those of the named trials that are finished, without reading their curves.

        Raises:
            UserError: a file was damaged from outside.
        """
        for name, stored in self.storage.read_each(f"{key}/{RESULT}" for key in keys):
            yield name.partition("/")[0], *read_end(self._path(name), stored)

    def read_paused(self) -> Iterator[PausedTrial]:
        """Yield every paused trial, ordered by key; its curve is read when somebody looks at it."""
        finished, paused = self.storage.keys_with(RESULT, PAUSED)
        for name, stored in self.storage.read_each(f"{key}/{PAUSED}" for key in sorted(paused - finished)):
            record = read_record(self._path(name), stored, _paused_from_json, metrics=False)
            yield self._with_unread_curve(name.partition("/")[0], record)

    def read_all(self) -> Iterator[FinishedTrial]:
        """Yield every finished trial, ordered by key; its curve is read when somebody looks at it."""
        for name, stored in self.storage.read_each(f"{key}/{RESULT}" for key in sorted(self.finished_keys())):
            record = read_record(self._path(name), stored, finished_from_json, metrics=False)
            yield self._with_unread_curve(name.partition("/")[0], record)

    def disk_bytes(self) -> int:
        """Return how much disk the ledger takes."""
        return self.storage.bytes_used()

    def forget(self, key: str) -> None:
        """Delete all files of a trial, so that it counts as never run."""
        self.storage.remove_key(key)

    def _with_unread_curve(self, key: str, record: TrialRecord[S]) -> TrialRecord[S]:
        """Return the record of the trial called `key` with a curve that stays in its file, and takes no memory."""
        seconds = seconds_of(record.state.curve)
        curve = UnreadCurve(seconds, partial(self._read_curve, key, len(seconds)))
        return replace(record, state=replace(record.state, curve=curve))

    def _read_curve(self, key: str, epochs: int) -> StoredCurve:
        """Return a trial's curve of at least so many epochs; a trial that was paused may have finished meanwhile."""
        storage = self.storage
        for file, read in ((RESULT, storage.recall), (PAUSED, storage.recall), (RESULT, storage.read)):
            with suppress(FileNotFoundError):
                name = f"{key}/{file}"
                curve = read_curve(self._path(name), read(name))
                if len(curve) >= epochs:
                    return curve
        raise self._missing(key)

    def _missing(self, key: str) -> UserError:
        return UserError(f"trial `{key}` is not in the ledger {self.storage.place}; run `dvc repro` to train it.")

    def _path(self, name: str) -> str:
        return f"{self.storage.place}/{name}"


def _paused_from_json(value: Mapping[str, Any]) -> Paused:
    return Paused(StoredCurve(value))
