"""`mtlsweep submit`: send the project's current files to a Ray cluster, and run `dvc repro` there as a Ray job.

On the head the project is copied to a directory that is kept after the job (`mtlsweep.cli.submit.deploy`),
so a second submission continues where the first one stopped.
"""

from __future__ import annotations

import logging
import os
import shlex
import sys
import tempfile
from pathlib import Path

from ray.exceptions import AuthenticationError
from ray.job_submission import JobSubmissionClient

import mtlsweep
from mtlsweep.addresses import split_address
from mtlsweep.cli.submit.follow import follow
from mtlsweep.cli.submit.package import pack_project
from mtlsweep.errors import UserError, first_line

for name in ("ray.dashboard.modules.job.sdk", "ray.dashboard.modules.dashboard_sdk"):
    logging.getLogger(name).setLevel(logging.WARNING)  # hide messages about uploads and normal disconnects


def submit(address: str, stage: str | None = None, directory: str | None = None) -> int:
    """Run `dvc repro` (or one stage and its dependencies) on a cluster, show its log, and return its exit code.

    Args:
        address: of the cluster's job server, such as `http://127.0.0.1:8265`. `RAY_ADDRESS` does not
            override it.
        stage: name of a DVC stage; None means all.
        directory: where the project, its ledger and its results live on the head; None means
            `~/mtlsweep/<name of this directory>` there.

    Raises:
        UserError: this is not a git checkout, `directory` is not absolute, the job server does not
            answer, or it refuses the token.
    """
    root = Path.cwd()
    if directory is not None and not directory.startswith(("/", "~")):
        raise UserError(f"`{directory}` is not an absolute path; use one such as `/data/mtlsweep` or `~/mtlsweep`.")
    client = _connect(address)
    target = directory or f"~/mtlsweep/{root.name}"
    entrypoint = ["python", "-m", "mtlsweep.cli.submit.deploy", target, *([stage] if stage else [])]
    with tempfile.TemporaryDirectory(prefix="mtlsweep-") as temporary:
        package = pack_project(root, Path(temporary))
        try:
            environment = {"working_dir": str(package), "py_modules": [str(Path(mtlsweep.__file__).parent)]}
            job = client.submit_job(entrypoint=shlex.join(entrypoint), runtime_env=environment)
        except (RuntimeError, ValueError) as error:
            raise UserError(f"{address} refused the project ({first_line(error)}).") from error
    print(f"job {job} at {address}: `dvc repro{f' {stage}' if stage else ''}` in {target}", flush=True)
    try:
        return follow(client, job)
    except KeyboardInterrupt:
        print(
            f"\nthe job continues; show it with `ray job logs --follow {job}`, stop it with `ray job stop {job}`",
            file=sys.stderr,
        )
        return 130


def _connect(address: str) -> JobSubmissionClient:
    parts = split_address(address)
    if "://" not in address or parts is None or not parts.hostname:
        raise UserError(f"`{address}` is not the address of a job server; use one such as `http://HEAD:8265`.")
    for name in ("RAY_ADDRESS", "RAY_API_SERVER_ADDRESS"):  # they would override the command line
        os.environ.pop(name, None)
    try:
        return JobSubmissionClient(address)
    except AuthenticationError as error:
        raise UserError(
            f"{address} requires a token; set RAY_AUTH_TOKEN, or RAY_AUTH_TOKEN_PATH to the file with the token."
        ) from error
    except (ConnectionError, RuntimeError) as error:
        raise UserError(f"no job server answers at {address} ({first_line(error)}).") from error
