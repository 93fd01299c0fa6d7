"""A project packed for its way to a cluster.

What travels is what git would give a stranger and what of it was changed since: tracked and new
files, never what `.gitignore` names (data, results, environments), and of git's history the one
commit that says in the results' provenance which code ran.
"""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

from mtlsweep.errors import UserError

LOCK = Path(".dvc/tmp/submission.lock")
"""Held while a job works in the directory; its presence says that the directory is ours to write."""

KEPT = frozenset({Path("dvc.lock")})
"""Not ignored by git, yet it tells what ran here, not what ran where the project came from."""


def project_files(root: Path) -> list[Path]:
    """Return the files under `root`, relative to it, that git tracks or would: all that is not ignored."""
    names = _git(root, "ls-files", "-z", "--cached", "--others", "--exclude-standard").split("\0")
    return [Path(name) for name in names if name and (root / name).is_file()]


def pack_project(root: Path, temporary: Path) -> Path:
    """Put the project's files and its current commit into a zip file in `temporary`, and return its path.

    Raises:
        UserError: `root` is not the root of a git repository with a commit.
    """
    staged = temporary / "project"
    try:
        if Path(_git(root, "rev-parse", "--show-toplevel").strip()) != root.resolve():
            raise UserError(f"{root} is not the root of its git repository; run `mtlsweep submit` from there.")
        _git(root, "clone", "--quiet", "--depth=1", "--no-checkout", root.resolve().as_uri(), str(staged))
        _git(staged, "reset", "--quiet")
        _git(staged, "config", "core.fileMode", "false")  # a zip file keeps no modes
        _git(staged, "remote", "remove", "origin")
    except subprocess.CalledProcessError as error:
        raise UserError(
            f"{root} cannot be packed, since git says `{error.stderr.strip()}`; "
            "a project is sent from a git repository with at least one commit."
        ) from error
    for name in project_files(root):
        (staged / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy2(root / name, staged / name)
    return Path(shutil.make_archive(str(temporary / "package"), "zip", staged))


def _git(root: Path, *arguments: str) -> str:
    return subprocess.run(["git", *arguments], cwd=root, capture_output=True, text=True, check=True).stdout
