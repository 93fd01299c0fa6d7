"""Code and machine that produced a result; recorded with results, but not part of their identity."""

from __future__ import annotations

import hashlib
import importlib.metadata
import platform
from typing import Any

from mtlsweep.errors import first_line
from mtlsweep.git import GitError, git

PACKAGES = (
    "mtlsweep",
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
    """Return git sha, hash of uncommitted changes (None if clean), package versions and machine.

    Where git does not tell the commit, the sha is None and `git_problem` says why, and what to do.
    """
    sha, problem = _git("rev-parse", "HEAD")
    changes, _ = _git("diff", "HEAD")
    return {
        "git_sha": sha,
        **({} if problem is None else {"git_problem": problem}),
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


def _git(*arguments: str) -> tuple[str | None, str | None]:
    """Return the output of git (None if empty), and None; or None, and why git gives no answer."""
    try:
        return git(*arguments).strip() or None, None
    except GitError as error:
        return None, _explain(str(error))


def _explain(message: str) -> str:
    """Return in one line what git says; of a clone that another user owns, or without a commit, with the command that mends it."""
    mend = next((line.strip() for line in message.splitlines() if "--add safe.directory" in line), None)
    if mend is not None:
        return f"git refuses this clone, because another user owns it; run `{mend}`"
    if "unknown revision" in message:
        return "the repository has no commit; run `git add --all && git commit`"
    return first_line(message.removeprefix("fatal: "))
