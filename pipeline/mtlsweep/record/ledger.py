"""The ledger: an append-only directory of finished and half-finished trials, the one truth.

`<root>/<suite>/ledger/<trial_key>/` holds

- `spec.json`           the trial, written when it first starts
- `result.json`         outcome, cause, curve, cost and provenance; its presence *is* "finished"
- `paused.json`         the same of a trial that a strategy stopped for now, removed when it finishes
- `best.safetensors`    weights of the best epoch by the sweep's own score (a cache)
- `hung`                an empty file: a process training it took longer than a trial may
- `resume.pt`           where to go on; removed when the trial finishes, but for a pruned one

Every file is written under a temporary name, synced and renamed, so a crash at any instruction
leaves it whole or absent. Views (MLflow, tables, the Optuna study) are rebuilt from here.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path

from mtlsweep.errors import UserError
from mtlsweep.files import canonical_json, write_atomically
from mtlsweep.record.checkpoints import BEST, HUNG, RESUME
from mtlsweep.trials.state import Execution, FinishedTrial, Outcome, TrialResult
from mtlsweep.trials.trial import Trial

RESULT = "result.json"
PAUSED = "paused.json"
SPEC = "spec.json"


class Ledger:
    """The finished and half-finished trials of one suite.

    Args:
        root: directory of all ledgers (`resources.ledger_root`).
        suite: name of the suite.
    """

    def __init__(self, root: Path, suite: str) -> None:
        self.directory = root.absolute() / suite / "ledger"  # some who write to it work in other directories

    def prepare(self) -> None:
        """Make the directory and prove that it can be written.

        Raises:
            UserError: it cannot.
        """
        try:
            write_atomically(self.directory / ".writable", b"")
        except OSError as error:
            raise UserError(
                f"ledger directory `{self.directory}` cannot be written ({error.strerror}); "
                "make it writable or set `resources.ledger_root` in params.yaml to a directory that is."
            ) from error

    def finished_keys(self) -> set[str]:
        """Return the keys of all finished trials."""
        return {path.parent.name for path in self.directory.glob(f"*/{RESULT}")}

    def read_half_finished(self) -> Iterator[Trial]:
        """Yield the trials that have a resume point and no result, in the order of keys."""
        finished = self.finished_keys()
        for path in sorted(self.directory.glob(f"*/{RESUME}")):
            if path.parent.name not in finished:
                yield Trial.from_json(json.loads(self._path(path.parent.name, SPEC).read_bytes()))

    def start(self, trial: Trial) -> None:
        """Record that `trial` was begun."""
        path = self._path(trial.key, SPEC)
        if not path.exists():
            write_atomically(path, canonical_json(trial.to_json()))

    def pause(self, paused: FinishedTrial) -> None:
        """Record how far a trial has got that may go on from its resume point."""
        write_atomically(self._path(paused.trial.key, PAUSED), _to_bytes(paused))

    def finish(self, finished: FinishedTrial) -> None:
        """Record a trial's end; only a pruned trial, which keeps its resume point, may end again."""
        write_atomically(self._path(finished.trial.key, RESULT), _to_bytes(finished))
        self._path(finished.trial.key, PAUSED).unlink(missing_ok=True)
        if finished.result.outcome is not Outcome.PRUNED:
            self._path(finished.trial.key, RESUME).unlink(missing_ok=True)

    def read(self, key: str) -> FinishedTrial:
        """Return the finished trial called `key`.

        Raises:
            UserError: there is none, or its file was damaged from outside.
        """
        path = self._path(key, RESULT)
        if not path.exists():
            raise UserError(f"trial `{key}` is not in the ledger {self.directory}; `mtlsweep status` lists what is.")
        return _read(path)

    def read_paused(self) -> Iterator[FinishedTrial]:
        """Yield every trial that a strategy stopped for now, in the order of keys."""
        finished = self.finished_keys()
        for path in sorted(self.directory.glob(f"*/{PAUSED}")):
            if path.parent.name not in finished:
                yield _read(path)

    def read_all(self) -> Iterator[FinishedTrial]:
        """Yield every finished trial, in the order of keys."""
        for key in sorted(self.finished_keys()):
            yield self.read(key)

    def save_resume(self, key: str, content: bytes) -> None:
        """Keep where `key` has got to, in place of any earlier point."""
        write_atomically(self._path(key, RESUME), content)

    def load_resume(self, key: str) -> bytes | None:
        """Return where to go on with `key`, or None."""
        path = self._path(key, RESUME)
        return path.read_bytes() if path.exists() else None

    def note_hang(self, key: str) -> None:
        """Remember that a process which trained `key` took longer than a trial may."""
        write_atomically(self._path(key, HUNG), b"")

    def has_hung(self, key: str) -> bool:
        """Whether `note_hang` was called for `key` since it was last forgotten."""
        return self._path(key, HUNG).exists()

    def drop_resume(self, key: str) -> int:
        """Drop where to go on with `key`; return the bytes freed."""
        path = self._path(key, RESUME)
        freed = path.stat().st_size if path.exists() else 0
        path.unlink(missing_ok=True)
        return freed

    def disk_bytes(self) -> int:
        """Return how much disk the ledger takes."""
        return sum(path.stat().st_size for path in self.directory.rglob("*") if path.is_file())

    def save_best(self, key: str, content: bytes) -> None:
        """Keep the weights of the best epoch of `key` (safetensors)."""
        write_atomically(self._path(key, BEST), content)

    def has_best(self, key: str) -> bool:
        """Whether the weights of the best epoch of `key` are kept."""
        return self._path(key, BEST).exists()

    def drop_best(self, key: str) -> None:
        """Drop the weights of the best epoch of `key`; whoever needs them trains it again."""
        self._path(key, BEST).unlink(missing_ok=True)

    def forget(self, key: str) -> None:
        """Drop all that is known of a trial, so that it counts as never run."""
        shutil.rmtree(self.directory / key, ignore_errors=True)

    def _path(self, key: str, name: str) -> Path:
        return self.directory / key / name


def _to_bytes(finished: FinishedTrial) -> bytes:
    content = {
        "trial": finished.trial.to_json(),
        "result": finished.result.to_json(),
        "execution": asdict(finished.execution),
    }
    return json.dumps(content, sort_keys=True, allow_nan=False).encode()


def _read(path: Path) -> FinishedTrial:
    try:
        content = json.loads(path.read_bytes())
        return FinishedTrial(
            Trial.from_json(content["trial"]),
            TrialResult.from_json(content["result"]),
            Execution(**content["execution"]),
        )
    except (ValueError, KeyError, TypeError) as error:
        raise UserError(
            f"{path}: damaged ({error}); remove its directory and run `dvc repro` to train the trial again."
        ) from error
