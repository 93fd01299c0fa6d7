"""Deploy a submission on the head: copy the project to a permanent directory, and run `dvc repro` there.

Ray deletes the directory of a job when the job ends. Ledger, data, MLflow record and tables must
remain, so the files of the job are copied to a permanent directory; files ignored by git stay
unchanged. The job is `python -m mtlsweep.cli.submit.deploy DIRECTORY [STAGE] [--watch]`.
"""

from __future__ import annotations

import fcntl
import os
import shutil
import subprocess
import sys
from pathlib import Path

from mtlsweep.cli.submit.package import KEPT, LOCK, project_files
from mtlsweep.errors import UserError
from mtlsweep.files import visible

WATCH = "--watch"


def deploy(source: Path, directory: Path) -> int:
    """Replace the project's files in `directory` with those of `source`, keep all others, and return the lock.

    The lock is a file descriptor that child processes inherit, so it lasts until the last one ends.

    Raises:
        UserError: another job uses the directory, or it contains files from outside.
    """
    if not (directory / LOCK).exists() and directory.exists() and any(visible(directory.iterdir())):
        raise UserError(
            f"{directory} contains files that no submission created; choose an empty or new directory with `--directory`."
        )
    (directory / LOCK).parent.mkdir(parents=True, exist_ok=True)
    lock = os.open(directory / LOCK, os.O_RDWR | os.O_CREAT, 0o600)
    os.set_inheritable(lock, True)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as error:
        os.close(lock)
        raise UserError(
            f"another job is running in {directory}; wait for it, or stop it with `ray job stop`."
        ) from error
    arriving = set(project_files(source))
    existing = set(project_files(directory)) if (directory / ".git").exists() else set()
    for name in existing - arriving - KEPT:
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
    """Deploy the current directory and run `dvc repro` there; exit with 2 on a user error."""
    directory, *rest = sys.argv[1:]
    home = Path(directory).expanduser().resolve()
    try:
        deploy(Path.cwd(), home)
    except UserError as error:
        print(f"submit: {error}", file=sys.stderr)
        sys.exit(2)
    print(f"{os.uname().nodename}:{home}", flush=True)
    os.environ["PATH"] = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    os.chdir(home)
    if WATCH in rest:  # it ends with the job, and says in the job's log how to reach it; it does not hold the lock
        subprocess.Popen([sys.executable, "-m", "mtlsweep.cli.main", "watch", "--port", "0", "--with-parent"])
    stage = [word for word in rest if word != WATCH]
    os.execv(sys.executable, [sys.executable, "-m", "dvc", "repro", *stage])


if __name__ == "__main__":
    main()
