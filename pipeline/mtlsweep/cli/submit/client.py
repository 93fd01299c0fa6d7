"""`mtlsweep submit`: send the project's current files to a Ray cluster, and run `dvc repro` there as a Ray job.

On the head the project is copied to a directory that is kept after the job (`mtlsweep.cli.submit.deploy`),
so a second submission continues where the first one stopped. The job does not need this command: after a lost
connection, or on another machine, `attach` follows it again.
"""

from __future__ import annotations

import logging
import os
import sys
import tempfile
from pathlib import Path

from ray.exceptions import AuthenticationError
from ray.job_submission import JobSubmissionClient

from mtlsweep.addresses import split_address
from mtlsweep.cli.submit.follow import follow
from mtlsweep.cli.submit.package import pack_project
from mtlsweep.cli.submit.submission import OUR_CODE, describe, new_submission
from mtlsweep.errors import UserError, first_line

for name in ("ray.dashboard.modules.job.sdk", "ray.dashboard.modules.dashboard_sdk"):
    logging.getLogger(name).setLevel(logging.WARNING)  # hide messages about uploads and normal disconnects


def submit(address: str, stage: str | None = None, directory: str | None = None, watch: bool = False) -> int:
    """Run `dvc repro` (or one stage and its dependencies) on a cluster, show its log, and return its exit code.

    Args:
        address: of the cluster's job server, such as `http://127.0.0.1:8265`. `RAY_ADDRESS` does not
            override it.
        stage: name of a DVC stage; None means all.
        directory: where the project, its ledger and its results live on the head; None means
            `~/mtlsweep/<name of this directory>` there.
        watch: whether the job serves the live view on the head's loopback.

    Raises:
        UserError: this is not a git checkout, `directory` is not absolute, the job server does not
            answer, or it refuses the token.
    """
    submission = new_submission(Path.cwd(), stage, directory, watch)
    client = _connect(address)
    with tempfile.TemporaryDirectory(prefix="mtlsweep-") as temporary:
        package = pack_project(submission.root, Path(temporary))
        try:
            environment = {"working_dir": str(package), "py_modules": [str(OUR_CODE)]}
            job = client.submit_job(entrypoint=submission.command, runtime_env=environment)
        except (RuntimeError, ValueError) as error:
            raise UserError(f"{address} refused the project ({first_line(error)}).") from error
    print(f"job {job} at {address}: `{submission.repro}` in {submission.directory}", flush=True)
    return _follow(client, address, job)


def attach(address: str, job: str) -> int:
    """Show the log of a job that runs or has ended, from its first line, and return the job's exit code.

    Raises:
        UserError: the job server does not answer, refuses the token, or does not know the job.
    """
    return _follow(_connect(address), address, job)


def dry_run(address: str, stage: str | None = None, directory: str | None = None, watch: bool = False) -> None:
    """Print what `submit` would send, without connecting to the cluster.

    Raises:
        UserError: this is not a git checkout, or an argument is malformed.
    """
    _check_address(address)
    submission = new_submission(Path.cwd(), stage, directory, watch)
    with tempfile.TemporaryDirectory(prefix="mtlsweep-") as temporary:
        for line in describe(submission, pack_project(submission.root, Path(temporary))):
            print(line)
    print(f"dry run: nothing was sent to {address}")


def _follow(client: JobSubmissionClient, address: str, job: str) -> int:
    again = f"mtlsweep submit --address {address} --attach {job}"
    try:
        return follow(client, job, again)
    except KeyboardInterrupt:
        print(f"\nthe job continues; follow it with `{again}`, stop it with `ray job stop {job}`", file=sys.stderr)
        return 130


def _check_address(address: str) -> None:
    parts = split_address(address)
    if "://" not in address or parts is None or not parts.hostname:
        raise UserError(f"`{address}` is not the address of a job server; use one such as `http://HEAD:8265`.")


def _connect(address: str) -> JobSubmissionClient:
    _check_address(address)
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
