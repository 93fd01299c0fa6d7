"""The file of a trial in the ledger: written whole; read whole, or without the metrics of its curve.

These metrics are nearly all of a file, and most readers ask only what a trial was and how it ended.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict
from typing import Any, TypeVar

from mtlsweep.errors import UserError
from mtlsweep.trials.curve import StoredCurve
from mtlsweep.trials.state import Execution, Outcome, State, TrialRecord, state_to_json
from mtlsweep.trials.trial import Trial

CAUSE = b'"result": {"cause": '
END_OF_CAUSE = b', "detail": '
METRICS = b'"metrics": {'
END_OF_METRICS = b'}, "outcome": "'
"""Places in a file, whose keys are sorted; inside a JSON string these quotation marks would be escaped."""

S = TypeVar("S", bound=State)


def to_bytes(record: TrialRecord[State]) -> bytes:
    """Return the content of a trial's file."""
    content = {
        "trial": record.trial.to_json(),
        "result": state_to_json(record.state),
        "execution": asdict(record.execution),
    }
    return json.dumps(content, sort_keys=True, allow_nan=False).encode()


def read_record(
    place: str, stored: bytes, to_state: Callable[[Mapping[str, Any]], S], metrics: bool = True
) -> TrialRecord[S]:
    """Return the record in a file; without `metrics` the epochs of its curve have none.

    Args:
        place: path or URI of the file, for the message.
        stored: its content.
        to_state: makes the state of its JSON.
        metrics: see above.

    Raises:
        UserError: the file was damaged from outside.
    """
    with _damage_named(place):
        content = json.loads(stored if metrics else _without_metrics(stored))
        return TrialRecord(
            Trial.from_json(content["trial"]),
            to_state(content["result"]),
            Execution(**content["execution"]),
        )


def read_curve(place: str, stored: bytes) -> StoredCurve:
    """Return the curve in a file.

    Raises:
        UserError: the file was damaged from outside.
    """
    with _damage_named(place):
        return StoredCurve(json.loads(stored)["result"])


def read_end(place: str, stored: bytes) -> tuple[Outcome, str | None]:
    """Return outcome and cause of the trial in a file; nothing else is decoded, since `mtlsweep status` reads thousands.

    Raises:
        UserError: the file was damaged from outside.
    """
    with _damage_named(place):
        cause = stored.find(CAUSE)
        end_of_cause = stored.find(END_OF_CAUSE, cause)
        outcome = stored.find(END_OF_METRICS, end_of_cause)
        if min(cause, end_of_cause, outcome) < 0:
            result = json.loads(stored)["result"]
            return Outcome(result["outcome"]), result["cause"]
        outcome += len(END_OF_METRICS)
        word = stored[outcome : stored.index(b'"', outcome)].decode()
        return Outcome(word), json.loads(stored[cause + len(CAUSE) : end_of_cause])


def _without_metrics(stored: bytes) -> bytes:
    """Return the content of a file with no metrics; as it is if they are not found where `to_bytes` writes them."""
    cause = stored.find(CAUSE)
    start = stored.find(METRICS, cause)
    end = stored.find(END_OF_METRICS, start)
    return stored if min(cause, start, end) < 0 else stored[: start + len(METRICS)] + stored[end:]


@contextmanager
def _damage_named(place: str) -> Iterator[None]:
    """Say which file is damaged if the block cannot make sense of it."""
    try:
        yield
    except (ValueError, KeyError, TypeError) as error:
        raise UserError(
            f"{place}: damaged ({error}); remove its directory and run `dvc repro` to train the trial again."
        ) from error
