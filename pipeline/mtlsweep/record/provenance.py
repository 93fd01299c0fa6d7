"""Code and machine that produced a result; recorded with results, but not part of their identity."""

from __future__ import annotations

import hashlib
import importlib.metadata
import platform
import subprocess
from typing import Any

PACKAGES = (
    "torch",
    "torchjd",
    "ray",
    "optuna",
    "mlflow-skinny",
    "pyarrow",
    "numpy",
    "pandas",
    "moocore",
    "torchmetrics",
    "dvc",
)


def read_provenance() -> dict[str, Any]:
    """Return git sha, hash of uncommitted changes (None if clean), package versions and machine."""
    changes = _git("diff", "HEAD")
    return {
        "git_sha": _git("rev-parse", "HEAD"),
        "dirty": hashlib.sha256(changes.encode()).hexdigest()[:16] if changes else None,
        "versions": {"python": platform.python_version(), **_versions()},
        "machine": f"{platform.system()} {platform.machine()}",
    }


def _versions() -> dict[str, str]:
    found = {}
    for package in PACKAGES:
        try:
            found[package] = importlib.metadata.version(package)
        except importlib.metadata.PackageNotFoundError:
            continue
    return found


def _git(*arguments: str) -> str | None:
    """Return the output of git, or None without git or outside a checkout."""
    try:
        return subprocess.run(["git", *arguments], capture_output=True, text=True, check=True).stdout.strip() or None
    except (OSError, subprocess.CalledProcessError):
        return None
