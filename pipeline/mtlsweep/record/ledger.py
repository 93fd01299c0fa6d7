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
import re
import shutil
import uuid
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import asdict
from pathlib import Path
from typing import Any, TypeVar

from mtlsweep.errors import UserError
from mtlsweep.files import canonical_json, write_atomically
from mtlsweep.record.checkpoints import RESUME, Checkpoints
from mtlsweep.trials.curve import StoredCurve
from mtlsweep.trials.state import (
    Execution,
    FinishedTrial,
    Outcome,
    Paused,
    PausedTrial,
    State,
    TrialRecord,
    finished_from_json,
    state_to_json,
)
from mtlsweep.trials.trial import Trial

RESULT = "result.json"
PAUSED = "paused.json"
SPEC = "spec.json"
LEDGER_ID = "ledger_id"

CAUSE = re.compile(rb'"result": {"cause": (null|"[^"\\\\]*")')
OUTCOME = re.compile(rb'}, "outcome": ("[a-z]+")')
"""Where a record's JSON says how its trial ended; inside a JSON string these quotation marks would be escaped."""

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

    def pause(self, paused: PausedTrial) -> None:
        """Record a paused trial, which may continue from its resume point."""
        write_atomically(self._path(paused.trial.key, PAUSED), _to_bytes(paused))

    def finish(self, finished: FinishedTrial) -> None:
        """Record a finished trial; only a pruned trial, which keeps its resume point, may finish again."""
        write_atomically(self._path(finished.trial.key, RESULT), _to_bytes(finished))
        self._path(finished.trial.key, PAUSED).unlink(missing_ok=True)
        if finished.state.outcome is not Outcome.PRUNED:
            self.checkpoints.drop_resume(finished.trial.key)

    def read(self, key: str) -> FinishedTrial:
        """Return the finished trial called `key`.

        Raises:
            UserError: the trial is missing, or its file is damaged.
        """
        path = self._path(key, RESULT)
        if not path.exists():
            raise UserError(f"trial `{key}` is not in the ledger {self.directory}; run `dvc repro` to train it.")
        return _read(path, finished_from_json)

    def read_ends(self, keys: Iterable[str]) -> Iterator[tuple[str, Outcome, str | None]]:
        """Yield key, outcome and cause of those of the named trials that are finished, without reading their curves.

        Raises:
            UserError: a file was damaged from outside.
        """
        for key in keys:
            path = self._path(key, RESULT)
            try:
                content = path.read_bytes()
            except FileNotFoundError:
                continue
            with _damage_named(path):
                outcome, cause = _end_in(content)
            yield key, outcome, cause

    def read_paused(self) -> Iterator[PausedTrial]:
        """Yield every paused trial, ordered by key."""
        finished = self.finished_keys()
        for path in sorted(self.directory.glob(f"*/{PAUSED}")):
            if path.parent.name not in finished:
                yield _read(path, _paused_from_json)

    def read_all(self) -> Iterator[FinishedTrial]:
        """Yield every finished trial, ordered by key."""
        for key in sorted(self.finished_keys()):
            yield self.read(key)

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

    def _path(self, key: str, name: str) -> Path:
        return self.directory / key / name


def _to_bytes(record: TrialRecord[State]) -> bytes:
    content = {
        "trial": record.trial.to_json(),
        "result": state_to_json(record.state),
        "execution": asdict(record.execution),
    }
    return json.dumps(content, sort_keys=True, allow_nan=False).encode()


def _paused_from_json(value: Mapping[str, Any]) -> Paused:
    return Paused(StoredCurve(value))


def _read(path: Path, to_state: Callable[[Mapping[str, Any]], S]) -> TrialRecord[S]:
    with _damage_named(path):
        content = json.loads(path.read_bytes())
        return TrialRecord(
            Trial.from_json(content["trial"]),
            to_state(content["result"]),
            Execution(**content["execution"]),
        )


def _end_in(content: bytes) -> tuple[Outcome, str | None]:
    """Return outcome and cause of a record; its curve, which is nearly all of it, is not decoded."""
    cause, outcome = CAUSE.search(content), OUTCOME.search(content)
    if cause is None or outcome is None:
        result = json.loads(content)["result"]
        return Outcome(result["outcome"]), result["cause"]
    return Outcome(json.loads(outcome[1])), json.loads(cause[1])


@contextmanager
def _damage_named(path: Path) -> Iterator[None]:
    """Say which file is damaged if the block cannot make sense of it."""
    try:
        yield
    except (ValueError, KeyError, TypeError) as error:
        raise UserError(
            f"{path}: damaged ({error}); remove its directory and run `dvc repro` to train the trial again."
        ) from error


def _disk_bytes(directory: str) -> int:
    """Return the bytes of all files in a directory; a file may vanish meanwhile. `Path.rglob` takes five times as long."""
    total = 0
    with os.scandir(directory) as entries:
        for entry in entries:
            with suppress(FileNotFoundError):
                total += _disk_bytes(entry.path) if entry.is_dir(follow_symlinks=False) else entry.stat().st_size
    return total
