"""`mtlsweep submit`: the project as it lies here to a Ray cluster, and `dvc repro` of it there as a Ray job.

On the head the project goes into a directory that outlives the job (`mtlsweep.cli.submit.deploy`), so a
second submission goes on where the first one was.
"""

from __future__ import annotations

import asyncio
import logging
import os
import shlex
import sys
import tempfile
import time
from pathlib import Path

import aiohttp
from ray.exceptions import AuthenticationError
from ray.job_submission import JobStatus, JobSubmissionClient

import mtlsweep
from mtlsweep.cli.submit.package import pack_project
from mtlsweep.errors import UserError

for name in ("ray.dashboard.modules.job.sdk", "ray.dashboard.modules.dashboard_sdk"):
    logging.getLogger(name).setLevel(logging.WARNING)  # of uploads and of connections that end as they should


PATIENCE_SECONDS = 120.0
"""How long the cluster may be out of reach while a job's log is followed."""


def submit(address: str, stage: str | None = None, directory: str | None = None) -> int:
    """Run `dvc repro` (or one stage and what it needs) on a cluster, show its log, and return its exit code.

    Args:
        address: of the cluster's job server, such as `http://127.0.0.1:8265`. `RAY_ADDRESS` does not
            override it.
        stage: name of a DVC stage; None means all.
        directory: where the project, its ledger and its results live on the head; None means
            `~/mtlsweep/<name of this directory>` there.

    Raises:
        UserError: this is no git checkout, `directory` is not absolute, no job server answers, or it
            refuses the token.
    """
    root = Path.cwd()
    if directory is not None and not directory.startswith(("/", "~")):
        raise UserError(
            f"`{directory}` is no absolute path on the head; it looks like `/data/mtlsweep` or `~/mtlsweep`."
        )
    client = _connect(address)
    target = directory or f"~/mtlsweep/{root.name}"
    entrypoint = ["python", "-m", "mtlsweep.cli.submit.deploy", target, *([stage] if stage else [])]
    with tempfile.TemporaryDirectory(prefix="mtlsweep-") as temporary:
        package = pack_project(root, Path(temporary))
        try:
            environment = {"working_dir": str(package), "py_modules": [str(Path(mtlsweep.__file__).parent)]}
            job = client.submit_job(entrypoint=shlex.join(entrypoint), runtime_env=environment)
        except (RuntimeError, ValueError) as error:
            raise UserError(f"{address} did not take the project ({_first_line(error)}).") from error
    print(f"job {job} at {address}: `dvc repro{f' {stage}' if stage else ''}` in {target}", flush=True)
    try:
        return _follow(client, job)
    except KeyboardInterrupt:
        print(
            f"\nthe job goes on; `ray job logs --follow {job}` shows it, `ray job stop {job}` ends it", file=sys.stderr
        )
        return 130


def _connect(address: str) -> JobSubmissionClient:
    if "://" not in address:
        raise UserError(f"`{address}` is no job server's address; it looks like `http://HEAD:8265`.")
    for name in ("RAY_ADDRESS", "RAY_API_SERVER_ADDRESS"):  # either would override what the user typed
        os.environ.pop(name, None)
    try:
        return JobSubmissionClient(address)
    except AuthenticationError as error:
        raise UserError(
            f"{address} asks for its token: set RAY_AUTH_TOKEN, or RAY_AUTH_TOKEN_PATH to a file that holds it."
        ) from error
    except (ConnectionError, RuntimeError) as error:
        raise UserError(f"no job server answers at {address} ({_first_line(error)}).") from error


def _follow(client: JobSubmissionClient, job: str) -> int:
    """Print a job's log until it ends, over interruptions of the connection, and return its exit code."""
    printed = 0
    reached_at = time.monotonic()
    while True:
        try:
            printed = asyncio.run(_print_log(client, job, printed))
            info = client.get_job_info(job)
            reached_at = time.monotonic()
        except (OSError, RuntimeError, aiohttp.ClientError) as error:  # requests' errors are OSErrors
            if time.monotonic() - reached_at > PATIENCE_SECONDS:
                raise UserError(
                    f"the cluster is out of reach ({_first_line(error)}); the ledger on its head has every finished trial, "
                    "and another `mtlsweep submit` goes on from there."
                ) from error
            time.sleep(2)
            continue
        if info.status.is_terminal():
            break
        time.sleep(1)
    if info.status is JobStatus.SUCCEEDED:
        return 0
    code = info.driver_exit_code
    reason = f"exit code {code}" if code else _first_line(info.message)
    print(f"job {job} {info.status.lower()}: {reason}", file=sys.stderr)
    return code or 1


async def _print_log(client: JobSubmissionClient, job: str, skip: int) -> int:
    """Print what the log has beyond its first `skip` characters; return how many it has now."""
    seen = 0
    async for chunk in client.tail_job_logs(job):
        print(chunk[max(0, skip - seen) :], end="", flush=True)
        seen += len(chunk)
    return max(seen, skip)


def _first_line(message: object) -> str:
    return (str(message).strip().splitlines() or ["no reason is given"])[0].rstrip(".")
