"""Distinguish temporary errors of a tracking server from refusals, which need a change by the user."""

from __future__ import annotations

from mlflow.exceptions import MlflowException

TrackingError = (MlflowException, OSError)
"""Errors when a tracking server is down, full, unreachable, or refuses a request."""

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


def is_outage(error: BaseException) -> bool:
    """Return whether the same request may succeed later."""
    return isinstance(error, TrackingError) and getattr(error, "error_code", None) not in REFUSALS
