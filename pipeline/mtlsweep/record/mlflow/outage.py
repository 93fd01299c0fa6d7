"""Which errors of a tracking server pass by themselves, and which stay until somebody changes something."""

from __future__ import annotations

from mlflow.exceptions import MlflowException

TrackingError = (MlflowException, OSError)
"""What a tracking server raises that is down, full, unreachable or unwilling."""

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
"""Error codes with which a server that works says no. BAD_REQUEST is not among them: MLflow gives it to lost
connections of its database, and ENDPOINT_NOT_FOUND is what a proxy answers while the server behind it starts."""


def is_outage(error: BaseException) -> bool:
    """Return whether the same request may succeed later, with nobody changing it."""
    return isinstance(error, TrackingError) and getattr(error, "error_code", None) not in REFUSALS
