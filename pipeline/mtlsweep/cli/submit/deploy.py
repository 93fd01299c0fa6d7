"""The head's end of a submission: lay the project over a directory that stays, and run `dvc repro` there.

A Ray job's own directory is thrown away with the job. Ledger, data, MLflow record and tables must
outlive it, so the files that came with the job are laid over a directory that stays, and nothing in
it that git ignores is touched. The job is `python -m mtlsweep.cli.submit.deploy DIRECTORY [STAGE]`.
"""

from __future__ import annotations

import fcntl
import os
import shutil
import sys
from pathlib import Path

from mtlsweep.cli.submit.package import KEPT, LOCK, project_files
from mtlsweep.errors import UserError


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


if __name__ == "__main__":
    main()
