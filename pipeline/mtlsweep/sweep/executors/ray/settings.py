"""Ray's environment variables, which must be set before ray is imported; this is the only place that sets them.

`mtlsweep.sweep` applies them when it is imported, which is before a stage imports ray or a module of the user's that may.
"""

from __future__ import annotations

import os

SETTINGS = {
    "RAY_USAGE_STATS_ENABLED": "0",
    "RAY_AUTH_MODE": "token",
    "TUNE_DISABLE_AUTO_CALLBACK_LOGGERS": "1",
    "TUNE_DISABLE_SIGINT_HANDLER": "1",
    "TUNE_GLOBAL_CHECKPOINT_S": "inf",  # a sweep continues from the ledger, never from Tune's own state
    "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "0",
    "RAY_AIR_NEW_OUTPUT": "0",
    "RAY_CHDIR_TO_TRIAL_DIR": "0",  # relative paths in user code work as in `mtlsweep run`
}


def apply_ray_settings() -> None:
    """Set the variables that the user's environment does not set."""
    for name, value in SETTINGS.items():
        os.environ.setdefault(name, value)
