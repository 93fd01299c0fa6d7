"""What an error of an S3-compatible server means: somebody else wrote, the server is away, or it refuses."""

from __future__ import annotations

import re

_CONFLICT = 409
"""The status of two writes at once, beside 412 for one after the other."""

_NO_KEYS = re.compile(r"/latest/(api/token|meta-data)|Missing (AccessKeyId|SecretAccessKey)")
"""What an error says if the environment has no keys: a cloud machine's own are asked for then, from its metadata server."""


def status_of(error: Exception) -> int | None:
    """Return the HTTP status of an answer, or None if there was none."""
    found = re.search(r"status code: (\d{3})", str(error))
    return int(found[1]) if found else None


def is_conflict(error: Exception) -> bool:
    """Whether a conditional write found another object than it expected."""
    from obstore.exceptions import AlreadyExistsError, PreconditionError  # of an optional package

    return isinstance(error, AlreadyExistsError | PreconditionError) or status_of(error) == _CONFLICT


def is_outage(error: Exception) -> bool:
    """Whether there was no answer, or one that says to come again."""
    status = status_of(error)
    return status is None or status == 429 or status >= 500 or lacks_keys(error)


def lacks_keys(error: Exception) -> bool:
    """Whether no keys were at hand."""
    return _NO_KEYS.search(str(error)) is not None


def reason_of(error: Exception) -> str:
    """Return the server's own word for an error, or what the network said."""
    text = str(error)
    code, message = (re.search(rf"<{tag}>([^<]*)</{tag}>", text) for tag in ("Code", "Message"))
    if code is not None:
        return f"{code[1]}: {message[1]}" if message is not None and message[1] else code[1]
    status = re.search(r"status code: (\d{3}[^:\n]*)", text)
    if status is not None:
        return status[1].strip()
    return text.splitlines()[0].rsplit(": ", 1)[-1][:200] if text else type(error).__name__
