"""The ledger: an append-only directory of finished and half-finished trials, the authoritative record.

`<root>/<suite>/ledger/<trial_key>/` holds

- `spec.json`           the trial, written when it first starts
- `result.json`         outcome, cause, curve, cost and provenance; its presence *is* "finished"
- `paused.json`         the same for a paused trial; removed when it finishes
- `best.safetensors`    weights of the epoch with the best score in the sweep (a cache)
- `hung`                an empty file: the trial exceeded its time limit
- `resume.pt`           the resume point; removed when the trial finishes, unless it is pruned

and `<root>/<suite>/ledger/ledger_id` is the ledger's random name.

Every file is written under a temporary name, synced and renamed, so after a crash
it is complete or absent. Views (MLflow, tables, the Optuna study) are rebuilt from here.
"""

from __future__ import annotations

import json
import os
import shutil
import uuid
from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

from mtlsweep.errors import UserError
from mtlsweep.files import canonical_json, write_atomically
from mtlsweep.record.checkpoints import RESUME, Checkpoints
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
        root: directory of all ledgers (`resources.ledger_root`).
        suite: name of the suite.
    """

    def __init__(self, root: Path, suite: str) -> None:
        self.directory = root.absolute() / suite / "ledger"  # some writers use another working directory
        self.checkpoints = Checkpoints(self.directory)

    def prepare(self) -> None:
        """Create the directory and check that it is writable.

        Raises:
            UserError: it is not writable.
        """
        self._write(".writable", b"")

    @property
    def id(self) -> str:
        """A random name that tells this ledger from others of the suite; it is made once, and moves with the directory.

        Raises:
            UserError: it is to be made, and the directory is not writable.
        """
        path = self.directory / LEDGER_ID
        if not path.exists():
            self._write(LEDGER_ID, uuid.uuid4().hex.encode())
        return path.read_text()

    def finished_keys(self) -> set[str]:
        """Return the keys of all finished trials."""
        return {path.parent.name for path in self.directory.glob(f"*/{RESULT}")}

    def read_half_finished(self) -> Iterator[Trial]:
        """Yield the trials with a resume point and without a result, ordered by key."""
        finished = self.finished_keys()
        for path in sorted(self.directory.glob(f"*/{RESUME}")):
            if path.parent.name not in finished:
                yield Trial.from_json(json.loads(self._path(path.parent.name, SPEC).read_bytes()))

    def start(self, trial: Trial) -> None:
        """Record that `trial` has started."""
        path = self._path(trial.key, SPEC)
        if not path.exists():
            write_atomically(path, canonical_json(trial.to_json()))

    def pause(self, paused: PausedTrial) -> PausedTrial:
        """Record a paused trial, which may continue from its resume point; return it with its curve left in its file."""
        write_atomically(self._path(paused.trial.key, PAUSED), to_bytes(paused))
        return self._with_unread_curve(paused.trial.key, paused)

    def finish(self, finished: FinishedTrial) -> FinishedTrial:
        """Record a finished trial; return it with its curve left in its file.

        Only a pruned trial, which keeps its resume point, may finish again.
        """
        write_atomically(self._path(finished.trial.key, RESULT), to_bytes(finished))
        self._path(finished.trial.key, PAUSED).unlink(missing_ok=True)
        if finished.state.outcome is not Outcome.PRUNED:
            self.checkpoints.drop_resume(finished.trial.key)
        return self._with_unread_curve(finished.trial.key, finished)

    def read(self, key: str) -> FinishedTrial:
        """Return the finished trial called `key`.

        Raises:
            UserError: the trial is missing, or its file is damaged.
        """
        return read_record(self._result(key), finished_from_json)

    def read_ends(self, keys: Iterable[str]) -> Iterator[tuple[str, Outcome, str | None]]:
        """Yield key, outcome and cause of those of the named trials that are finished, without reading their curves.

        Raises:
            UserError: a file was damaged from outside.
        """
        for key in keys:
            with suppress(FileNotFoundError):
                yield key, *read_end(f"{self.directory}/{key}/{RESULT}")

    def read_paused(self) -> Iterator[PausedTrial]:
        """Yield every paused trial, ordered by key; its curve is read when somebody looks at it."""
        finished = self.finished_keys()
        for path in sorted(self.directory.glob(f"*/{PAUSED}")):
            if path.parent.name not in finished:
                yield self._with_unread_curve(path.parent.name, read_record(path, _paused_from_json, metrics=False))

    def read_all(self) -> Iterator[FinishedTrial]:
        """Yield every finished trial, ordered by key; its curve is read when somebody looks at it."""
        for key in sorted(self.finished_keys()):
            yield self._with_unread_curve(key, read_record(self._result(key), finished_from_json, metrics=False))

    def disk_bytes(self) -> int:
        """Return how much disk the ledger takes."""
        return _disk_bytes(str(self.directory)) if self.directory.exists() else 0

    def forget(self, key: str) -> None:
        """Delete all files of a trial, so that it counts as never run."""
        shutil.rmtree(self.directory / key, ignore_errors=True)

    def _write(self, name: str, content: bytes) -> None:
        """Write a file of the ledger itself."""
        try:
            write_atomically(self.directory / name, content)
        except OSError as error:
            raise UserError(
                f"ledger directory `{self.directory}` cannot be written ({error.strerror}); "
                "make it writable, or set `resources.ledger_root` in params.yaml to a writable directory."
            ) from error

    def _with_unread_curve(self, key: str, record: TrialRecord[S]) -> TrialRecord[S]:
        """Return the record of the trial called `key` with a curve that stays in its file, and takes no memory."""
        seconds = seconds_of(record.state.curve)
        curve = UnreadCurve(seconds, partial(self._read_curve, key, len(seconds)))
        return replace(record, state=replace(record.state, curve=curve))

    def _read_curve(self, key: str, epochs: int) -> StoredCurve:
        """Return a trial's curve of at least so many epochs; a trial that was paused may have finished meanwhile."""
        for name in (RESULT, PAUSED, RESULT):
            with suppress(FileNotFoundError):
                curve = read_curve(self._path(key, name))
                if len(curve) >= epochs:
                    return curve
        raise self._missing(key)

    def _result(self, key: str) -> Path:
        path = self._path(key, RESULT)
        if not path.exists():
            raise self._missing(key)
        return path

    def _missing(self, key: str) -> UserError:
        return UserError(f"trial `{key}` is not in the ledger {self.directory}; run `dvc repro` to train it.")

    def _path(self, key: str, name: str) -> Path:
        return self.directory / key / name


def _paused_from_json(value: Mapping[str, Any]) -> Paused:
    return Paused(StoredCurve(value))


def _disk_bytes(directory: str) -> int:
    """Return the bytes of all files in a directory; a file may vanish meanwhile. `Path.rglob` takes five times as long."""
    total = 0
    with os.scandir(directory) as entries:
        for entry in entries:
            with suppress(FileNotFoundError):
                total += _disk_bytes(entry.path) if entry.is_dir(follow_symlinks=False) else entry.stat().st_size
    return total
