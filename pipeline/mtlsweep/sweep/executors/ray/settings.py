"""Ray's settings, which it reads from the environment when it is imported or started: set here and nowhere else.

The packages that import ray apply them in their `__init__`, so before any of their modules imports ray.
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
    "RAY_CHDIR_TO_TRIAL_DIR": "0",  # a user's own code finds its files as `mtlsweep run` does
}


def apply_ray_settings() -> None:
    """Set what the user's environment does not."""
    for name, value in SETTINGS.items():
        os.environ.setdefault(name, value)
