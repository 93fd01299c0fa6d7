"""Follow a job on a cluster to its end: print its log, and return its exit code."""

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
"""Maximum time without a connection to the cluster while following a job."""

Answer = TypeVar("Answer")


def follow(client: JobSubmissionClient, job: str, again: str) -> int:
    """Print a job's log until it ends, reconnect if needed, and return its exit code.

    Args:
        client: of the job server.
        job: its id there.
        again: the command that follows the job again, for messages.

    Raises:
        UserError: the cluster is not reachable, or refuses to give information about the job.
    """
    log = _Log(client, job)
    while True:
        cut_off = not log.follow()
        info = _ask(client.get_job_info, job, again)
        if info.status.is_terminal():
            break
        time.sleep(1)
    if cut_off:
        log.show(_ask(client.get_job_logs, job, again), start=0)
    if info.status is JobStatus.SUCCEEDED:
        return 0
    code = info.driver_exit_code
    reason = f"exit code {code}" if code else first_line(info.message or "no reason is given")
    print(f"job {job} {info.status.lower()}: {reason}", file=sys.stderr)
    return code or 1


@dataclass
class _Log:
    """A job's log and the number of characters printed so far."""

    client: JobSubmissionClient
    job: str
    printed: int = 0

    def follow(self) -> bool:
        """Print new text until the server ends the log; return False if the connection broke."""
        try:
            asyncio.run(self._tail())
        except (OSError, RuntimeError, aiohttp.ClientError):  # the caller checks the cluster next
            return False
        return True

    async def _tail(self) -> None:
        seen = 0
        async for chunk in self.client.tail_job_logs(self.job):  # starts at the first line of the log
            self.show(chunk, seen)
            seen += len(chunk)

    def show(self, text: str, start: int) -> None:
        """Print the new part of `text`, which is the log from character `start`."""
        print(text[max(0, self.printed - start) :], end="", flush=True)
        self.printed = max(self.printed, start + len(text))


def _ask(question: Callable[[str], Answer], job: str, again: str) -> Answer:
    """Ask the job server about a job; retry while it is not reachable.

    Raises:
        UserError: it stays unreachable, or refuses to answer.
    """
    patient = Retrying(
        retry=retry_if_exception(_is_temporary),
        wait=wait_fixed(2),
        stop=stop_after_delay(PATIENCE_SECONDS),
        reraise=True,
    )
    try:
        return patient(question, job)
    except (OSError, RuntimeError, AuthenticationError) as error:
        if _is_temporary(error):
            problem, step = "is not reachable", f"the job continues without this command; follow it with `{again}`."
        else:
            problem = f"gives no information about job {job}"
            step = "`ray job list` shows its jobs; finished trials are safe, continue with another `mtlsweep submit`."
        raise UserError(f"the cluster {problem} ({first_line(error)}); {step}") from error


def _is_temporary(error: BaseException) -> bool:
    """Return whether a retry may help: no connection or a server error (5xx), but not a refusal (4xx)."""
    return isinstance(error, OSError) or (isinstance(error, RuntimeError) and "status code 5" in str(error))
