"""What a tracking server could not do, as one sentence: an outage, which passes, or a refusal, which needs a change."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import ClassVar

from mlflow.exceptions import MlflowException
from sqlalchemy.exc import SQLAlchemyError

from mtlsweep.errors import UserError, first_line
from mtlsweep.record.mlflow.server import shown_uri

RAISED = (MlflowException, OSError, SQLAlchemyError)
"""What MLflow's client, HTTP and the database raise when a tracking server is down, full, unreachable, or refuses."""

MOST_NAMED = 3

REFUSALS = frozenset(
    {
        "CUSTOMER_UNAUTHORIZED",
        "INVALID_PARAMETER_VALUE",
        "NOT_IMPLEMENTED",
        "PERMISSION_DENIED",
        "RESOURCE_ALREADY_EXISTS",
        "RESOURCE_DOES_NOT_EXIST",
        "UNAUTHENTICATED",
    }
)
"""Error codes of refusals by a working server. BAD_REQUEST is not included: MLflow returns it for lost database
connections. ENDPOINT_NOT_FOUND is not included: a proxy returns it while its server starts."""


class TrackingError(UserError):
    """The tracking server did not do what it was asked to do.

    Attributes:
        reason: the first line of its own message, or of its database driver's.
    """

    happened: ClassVar[str]
    next_step: ClassVar[str]

    def __init__(self, uri: str, error: Exception) -> None:
        cause = error if isinstance(error, SQLAlchemyError) else error.__cause__
        self.reason = first_line(getattr(cause, "orig", None) or error)  # `orig`: without SQLAlchemy's words around it
        super().__init__(
            f"tracking server {shown_uri(uri)} {self.happened} ({self.reason}); every result is safe in the ledger: "
            f"{self.next_step}, then run the same command again."
        )


class OutageError(TrackingError):
    """The same request may succeed later."""

    happened = "cannot be used"
    next_step = "start it or wait until it works"


class RefusalError(TrackingError):
    """The server works, and will refuse the same request again."""

    happened = "refused a request"
    next_step = "fix the cause"


@contextmanager
def server_errors(uri: str) -> Iterator[None]:
    """Turn whatever the tracking server at `uri` raises inside the block into an `OutageError` or a `RefusalError`."""
    try:
        yield
    except RAISED as error:
        raise (OutageError if is_outage(error) else RefusalError)(uri, error) from error


def refusals(reasons: Mapping[str, str]) -> str:
    """Return the beginning of a sentence that names refused trials: their keys with the server's reasons."""
    named = [f"trial {key} ({reason})" for key, reason in list(reasons.items())[:MOST_NAMED]]
    more = f" and {len(reasons) - MOST_NAMED} more" if len(reasons) > MOST_NAMED else ""
    return f"the tracking server refused {', '.join(named)}{more}; every result is safe in the ledger"


def is_outage(error: BaseException) -> bool:
    """Return whether the same request may succeed later."""
    return isinstance(error, RAISED) and getattr(error, "error_code", None) not in REFUSALS
