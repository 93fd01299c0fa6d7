"""A submitted job is followed across lost connections: every line is printed once, and its exit code is returned."""

from __future__ import annotations

from collections.abc import AsyncIterator
from types import SimpleNamespace
from typing import Any

import pytest
from ray.exceptions import AuthenticationError
from ray.job_submission import JobStatus

from mtlsweep.cli.submit import follow as module
from mtlsweep.cli.submit.follow import follow
from mtlsweep.errors import UserError

LINES = [f"line {number}\n" for number in range(6)]
AGAIN = "mtlsweep submit --address http://head:8265 --attach job"


class Cluster:
    """A job server; `tails` says after how many lines each connection to the log breaks, `answers` what status calls do."""

    def __init__(self, tails: list[int | None], answers: list[Exception | JobStatus], code: int = 0) -> None:
        self.tails, self.answers, self.code = tails, answers, code

    async def tail_job_logs(self, job: str) -> AsyncIterator[str]:
        broken = self.tails.pop(0)
        for line in LINES[:broken]:
            yield line
        if broken is not None:
            raise RuntimeError("WebSocket connection closed unexpectedly with close code 1006")

    def get_job_info(self, job: str) -> Any:
        answer = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
        if isinstance(answer, Exception):
            raise answer
        return SimpleNamespace(status=answer, driver_exit_code=self.code, message="")

    def get_job_logs(self, job: str) -> str:
        return "".join(LINES)


@pytest.fixture(autouse=True)
def no_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("time.sleep", lambda seconds: None)


@pytest.mark.parametrize(
    "cluster",
    [
        Cluster([None], [JobStatus.SUCCEEDED]),
        Cluster([2, 0, None], [JobStatus.RUNNING, JobStatus.RUNNING, JobStatus.SUCCEEDED]),
        Cluster([2], [ConnectionError("refused"), RuntimeError("status code 503: starting"), JobStatus.SUCCEEDED]),
    ],
    ids=["undisturbed", "the log's connection breaks", "the server is away when the job ends"],
)
def test_every_line_is_printed_once(cluster: Any, capsys: pytest.CaptureFixture[str]) -> None:
    assert follow(cluster, "job", AGAIN) == 0
    assert capsys.readouterr().out == "".join(LINES)


def test_the_patience_begins_with_the_interruption(monkeypatch: pytest.MonkeyPatch) -> None:
    """An interruption after hours of a good connection gets the full waiting time."""
    now = 0.0

    class Long(Cluster):
        async def tail_job_logs(self, job: str) -> AsyncIterator[str]:
            nonlocal now
            now += 3600
            async for line in super().tail_job_logs(job):
                yield line

    monkeypatch.setattr("time.monotonic", lambda: now)
    cluster: Any = Long([1, None], [ConnectionError("refused"), JobStatus.RUNNING, JobStatus.SUCCEEDED])
    assert follow(cluster, "job", AGAIN) == 0


def test_the_jobs_exit_code_is_ours(capsys: pytest.CaptureFixture[str]) -> None:
    cluster: Any = Cluster([None], [JobStatus.FAILED], code=2)
    assert follow(cluster, "job", AGAIN) == 2
    assert capsys.readouterr().err == "job job failed: exit code 2\n"


@pytest.mark.parametrize(
    ("error", "sentence"),
    [
        (ConnectionError("refused"), "the cluster is not reachable (refused)"),
        (RuntimeError("Request failed with status code 500: down."), "the cluster is not reachable"),
    ],
)
def test_a_lasting_outage_is_one_sentence(error: Exception, sentence: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "PATIENCE_SECONDS", 0.1)
    cluster: Any = Cluster([1], [error])
    with pytest.raises(UserError) as caught:
        follow(cluster, "job", AGAIN)
    assert sentence in str(caught.value)
    assert f"the job continues without this command; follow it with `{AGAIN}`" in str(caught.value)


@pytest.mark.parametrize(
    "error",
    [
        RuntimeError("Request failed with status code 404: job job does not exist."),
        AuthenticationError("the token is wrong"),
    ],
)
def test_a_refusal_is_not_repeated(error: Exception) -> None:
    cluster: Any = Cluster([1], [error, AssertionError("asked again")])
    with pytest.raises(UserError, match="the cluster gives no information about job job"):
        follow(cluster, "job", AGAIN)
