"""Both ends of a project's way to a cluster: packed where the user is, deployed on the head, where `dvc repro` runs.

What travels is what git would give a stranger and what of it was changed since: tracked and new
files, never what `.gitignore` names (data, results, environments), and of git's history the one
commit that says in the results' provenance which code ran.

A Ray job's own directory is thrown away with the job. Ledger, data, MLflow record and tables must
outlive it, so the files that came with the job are laid over a directory that stays, and nothing in
it that git ignores is touched. The job is `python -m pipeline.sweep.package DIRECTORY [STAGE]`.
"""

from __future__ import annotations

import fcntl
import os
import shutil
import subprocess
import sys
from pathlib import Path

from pipeline.errors import UserError

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


def deploy(source: Path, directory: Path) -> int:
    """Make the project's files in `directory` those of `source`, and leave all else; return the held lock.

    The lock is a file descriptor that child processes inherit, so it is held until the last one ends.

    Raises:
        UserError: another job works there, or the directory holds something that no job put there.
    """
    if not (directory / LOCK).exists() and directory.exists() and any(directory.iterdir()):
        raise UserError(
            f"{directory} holds files that no submission put there, and they would be overwritten; "
            "name an empty or a new one with `--directory`."
        )
    (directory / LOCK).parent.mkdir(parents=True, exist_ok=True)
    lock = os.open(directory / LOCK, os.O_RDWR | os.O_CREAT, 0o600)
    os.set_inheritable(lock, True)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as error:
        os.close(lock)
        raise UserError(
            f"another job works in {directory}; wait for it, or end it with `ray job stop` (nothing is lost)."
        ) from error
    arriving = set(project_files(source))
    known = set(project_files(directory)) if (directory / ".git").exists() else set()
    for name in known - arriving - KEPT:
        (directory / name).unlink()
    for name in arriving:
        if name in KEPT and (directory / name).exists():
            continue
        (directory / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy2(source / name, directory / name)
    shutil.rmtree(directory / ".git", ignore_errors=True)
    shutil.copytree(source / ".git", directory / ".git")
    return lock


def main() -> None:
    """Deploy the directory this runs in, and become `dvc repro` there; exit with 2 where that cannot be."""
    directory, *stage = sys.argv[1:]
    home = Path(directory).expanduser().resolve()
    try:
        deploy(Path.cwd(), home)
    except UserError as error:
        print(f"submit: {error}", file=sys.stderr)
        sys.exit(2)
    print(f"{os.uname().nodename}:{home}", flush=True)
    os.environ["PATH"] = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    os.chdir(home)
    os.execv(sys.executable, [sys.executable, "-m", "dvc", "repro", *stage])


def _git(root: Path, *arguments: str) -> str:
    return subprocess.run(["git", *arguments], cwd=root, capture_output=True, text=True, check=True).stdout


if __name__ == "__main__":
    main()
