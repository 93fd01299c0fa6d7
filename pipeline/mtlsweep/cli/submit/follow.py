"""A job on a cluster, followed to its end: its log on the screen, its exit code as ours."""

from __future__ import annotations

import asyncio
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeVar

import aiohttp
from ray.exceptions import AuthenticationError
from ray.job_submission import JobStatus, JobSubmissionClient
from tenacity import Retrying, retry_if_exception, stop_after_delay, wait_fixed

from mtlsweep.errors import UserError, first_line

PATIENCE_SECONDS = 120.0
"""How long the cluster may be out of reach while a job is followed."""

Answer = TypeVar("Answer")


def follow(client: JobSubmissionClient, job: str) -> int:
    """Print a job's log until it ends, over interruptions of the connection, and return its exit code.

    Raises:
        UserError: the cluster is out of reach, or does not tell us of the job.
    """
    log = _Log(client, job)
    while True:
        cut_off = not log.follow()
        info = _ask(client.get_job_info, job)
        if info.status.is_terminal():
            break
        time.sleep(1)
    if cut_off:
        log.show(_ask(client.get_job_logs, job), start=0)
    if info.status is JobStatus.SUCCEEDED:
        return 0
    code = info.driver_exit_code
    reason = f"exit code {code}" if code else first_line(info.message or "no reason is given")
    print(f"job {job} {info.status.lower()}: {reason}", file=sys.stderr)
    return code or 1


@dataclass
class _Log:
    """A job's log and how many characters of it are on the screen."""

    client: JobSubmissionClient
    job: str
    printed: int = 0

    def follow(self) -> bool:
        """Print what is new until the server ends the log; return False where the connection broke before."""
        try:
            asyncio.run(self._tail())
        except (OSError, RuntimeError, aiohttp.ClientError):  # whether the cluster is there is asked next
            return False
        return True

    async def _tail(self) -> None:
        seen = 0
        async for chunk in self.client.tail_job_logs(self.job):  # from the log's first line on
            self.show(chunk, seen)
            seen += len(chunk)

    def show(self, text: str, start: int) -> None:
        """Print what is new in `text`, which is the log from its character `start` on."""
        print(text[max(0, self.printed - start) :], end="", flush=True)
        self.printed = max(self.printed, start + len(text))


def _ask(question: Callable[[str], Answer], job: str) -> Answer:
    """Ask the job server about a job, again and again while it is out of reach.

    Raises:
        UserError: it stays out of reach, or refuses to answer.
    """
    patient = Retrying(
        retry=retry_if_exception(_passes),
        wait=wait_fixed(2),
        stop=stop_after_delay(PATIENCE_SECONDS),
        reraise=True,
    )
    try:
        return patient(question, job)
    except (OSError, RuntimeError, AuthenticationError) as error:
        trouble = "is out of reach" if _passes(error) else f"does not tell of job {job}"
        raise UserError(
            f"the cluster {trouble} ({first_line(error)}); the ledger on its head has every finished trial, "
            "and another `mtlsweep submit` goes on from there."
        ) from error


def _passes(error: BaseException) -> bool:
    """Return whether asking again may help: no connection, or a server in trouble, but not a refusal (4xx)."""
    return isinstance(error, OSError) or (isinstance(error, RuntimeError) and "status code 5" in str(error))
