"""What a submission sends to a cluster, and what it says about that before it sends anything.

A submission never contains a variable of the user's environment: Ray shows a job's runtime environment to
everybody who can read its list of jobs. The job has the variables with which the cluster was started.
"""

from __future__ import annotations

import os
import shlex
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import mtlsweep
from mtlsweep.cli.submit.deploy import WATCH
from mtlsweep.cli.submit.package import changed_files, commit_of, project_files
from mtlsweep.errors import UserError
from mtlsweep.sweep.executors.ray.settings import SETTINGS

OUR_CODE = Path(mtlsweep.__file__).parent
"""Sent beside the project, because it has priority over a copy that is installed on a host."""

_TELLING_PREFIXES = ("AWS_", "CUDA_", "GOOGLE_", "MLFLOW_", "OMP_", "RAY_")
_NOT_THE_USERS = {*SETTINGS, "RAY_CLIENT_MODE"}  # which this package and ray set when they are imported


@dataclass(frozen=True)
class Submission:
    """A project on its way to a directory of a cluster's head.

    Attributes:
        root: of the project here.
        stage: the DVC stage to run with all that it depends on; None means all stages.
        directory: of the project on the head.
        watch: whether the job serves the live view on the head's loopback.
    """

    root: Path
    stage: str | None
    directory: str
    watch: bool = False

    @property
    def command(self) -> str:
        """The job's command, for a shell."""
        rest = [*([self.stage] if self.stage else []), *([WATCH] if self.watch else [])]
        return shlex.join(["python", "-m", "mtlsweep.cli.submit.deploy", self.directory, *rest])

    @property
    def repro(self) -> str:
        """What the job runs in the end."""
        return f"dvc repro {self.stage}" if self.stage else "dvc repro"


def new_submission(root: Path, stage: str | None, directory: str | None, watch: bool = False) -> Submission:
    """Return the submission of the project at `root`; it goes to `~/mtlsweep/<name>` unless `directory` says where.

    Raises:
        UserError: `directory` is not absolute.
    """
    if directory is not None and not directory.startswith(("/", "~")):
        raise UserError(f"`{directory}` is not an absolute path; use one such as `/data/mtlsweep` or `~/mtlsweep`.")
    return Submission(root, stage, directory or f"~/mtlsweep/{root.name}", watch)


def describe(submission: Submission, package: Path) -> Iterator[str]:
    """Yield lines that say what would be sent: every file with its size, the command, and names of variables.

    Args:
        submission: what to describe.
        package: the packed project (`pack_project`), for its size.
    """
    root = submission.root
    files = sorted(((root / name).stat().st_size, str(name)) for name in project_files(root))
    changed = changed_files(root)
    yield from (f"  {size:>12,} {name}{'  (not committed)' if name in changed else ''}" for size, name in files)
    total = sum(size for size, _ in files)
    yield (
        f"project: {len(files)} files, {_megabytes(total)}, at commit {commit_of(root)[:10]}, {len(changed)} of them "
        f"not committed; {_megabytes(package.stat().st_size)} in a zip file"
    )
    ours = [path.stat().st_size for path in OUR_CODE.rglob("*") if path.is_file() and "__pycache__" not in path.parts]
    yield f"mtlsweep: {len(ours)} files, {_megabytes(sum(ours))}, from {OUR_CODE}"
    yield f"directory on the head: {submission.directory}"
    yield f"command: {submission.command}  (in the end `{submission.repro}`)"
    here = sorted(name for name in os.environ if name.startswith(_TELLING_PREFIXES) and name not in _NOT_THE_USERS)
    yield f"variables: none; the job has those of the cluster. Set here and not sent: {', '.join(here) or 'none'}"


def _megabytes(size: int) -> str:
    return f"{size / 1e6:.2f} MB"
