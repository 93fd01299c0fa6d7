"""`mtlsweep submit --dry-run` says what would be sent and sends nothing; `--attach` follows a job that was sent before."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from typer.testing import CliRunner

from mtlsweep.cli.main import app
from mtlsweep.cli.submit import client
from mtlsweep.cli.submit.deploy import main as deploy
from mtlsweep.errors import UserError

NOWHERE = "http://127.0.0.1:1"
SECRETS = {
    "RAY_AUTH_TOKEN": "token-of-mine",
    "MLFLOW_TRACKING_URI": "https://me:pass-of-mine@server",
    "MY_KEY": "key-of-mine",
}


@pytest.fixture
def project(in_directory: Path) -> Path:
    """One commit; then one file changed, one new, one ignored."""
    for name, content in {".gitignore": "/results/\n", "params.yaml": "a", "kept.py": "x" * 1234}.items():
        (in_directory / name).write_text(content)
    for command in (["init", "-q"], ["add", "-A"], ["commit", "-q", "-m", "first"]):
        subprocess.run(["git", "-c", "user.name=t", "-c", "user.email=t@localhost", *command], check=True)
    (in_directory / "params.yaml").write_text("changed")
    (in_directory / "new.py").write_text("new")
    (in_directory / "results").mkdir()
    (in_directory / "results/ledger").write_text("not sent")
    return in_directory


@pytest.fixture(autouse=True)
def secrets(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in SECRETS.items():
        monkeypatch.setenv(name, value)


def call(*arguments: str) -> tuple[int, str]:
    result = CliRunner().invoke(app, ["submit", "--address", NOWHERE, *arguments])
    return result.exit_code, result.output


def test_a_dry_run_names_every_file_with_its_size_and_says_which_are_not_committed(project: Path) -> None:
    code, output = call("--dry-run")
    assert code == 0, "nothing answers at this address, so nothing was asked"
    files = dict(re.findall(r"^ +([\d,]+) (.*)$", output, re.MULTILINE))
    assert files == {
        "10": ".gitignore",
        "1,234": "kept.py",
        "7": "params.yaml  (not committed)",
        "3": "new.py  (not committed)",
    }
    assert "project: 4 files, 0.00 MB" in output and "2 of them not committed" in output


def test_a_dry_run_in_a_repository_without_a_commit_says_what_to_do(in_directory: Path) -> None:
    subprocess.run(["git", "init", "-q"], check=True)
    Path("params.yaml").write_text("a")
    code, output = call("--dry-run")
    assert code == 2 and "it needs a git repository with a commit; run `git add --all && git commit`." in output


def test_a_dry_run_shows_the_command_that_the_job_would_run(
    project: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    _, output = call("--dry-run", "--stage", "sweep@digits", "--directory", "/data/my study")
    command = "python -m mtlsweep.cli.submit.deploy '/data/my study' sweep@digits"
    assert f"command: {command}  (in the end `dvc repro sweep@digits`)" in output
    monkeypatch.setattr("sys.argv", ["deploy", str(tmp_path / "study"), "sweep@digits"])
    executed: list[list[str]] = []
    monkeypatch.setattr("os.execv", lambda program, arguments: executed.append(arguments))
    deploy()
    assert executed[0][1:] == ["-m", "dvc", "repro", "sweep@digits"], "what a deployment runs in the end"


def test_with_watch_the_job_serves_the_live_view_as_long_as_it_runs(
    project: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    _, output = call("--dry-run", "--stage", "sweep@digits", "--watch")
    assert re.search(r"command: \S+ -m mtlsweep.cli.submit.deploy \S+ sweep@digits --watch ", output)
    monkeypatch.setattr("sys.argv", ["deploy", str(tmp_path / "study"), "sweep@digits", "--watch"])
    started: list[list[str]] = []
    executed: list[list[str]] = []
    monkeypatch.setattr("mtlsweep.cli.submit.deploy.subprocess", SimpleNamespace(Popen=started.append))
    monkeypatch.setattr("os.execv", lambda program, arguments: executed.append(arguments))
    deploy()
    assert [words[1:] for words in started] == [["-m", "mtlsweep.cli.main", "watch", "--port", "0", "--with-parent"]]
    assert executed[0][1:] == ["-m", "dvc", "repro", "sweep@digits"]


def test_a_dry_run_names_variables_and_never_their_values(project: Path) -> None:
    _, output = call("--dry-run")
    assert "variables: none; the job has those of the cluster" in output
    named = set(re.search(r"not sent: (.*)", output)[1].split(", "))  # type: ignore[index]
    assert {"MLFLOW_TRACKING_URI", "RAY_AUTH_TOKEN"} <= named
    assert "RAY_AIR_NEW_OUTPUT" not in named, "which the package sets"
    assert "of-mine" not in output


def test_a_submission_sends_no_variable(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    sent: dict[str, Any] = {}

    class Server:
        def submit_job(self, **arguments: Any) -> str:
            sent.update(arguments)
            return "job-1"

    monkeypatch.setattr(client, "_connect", lambda address: Server())
    monkeypatch.setattr(client, "follow", lambda *arguments: 0)
    assert call()[0] == 0
    assert set(sent) == {"entrypoint", "runtime_env"}
    assert set(sent["runtime_env"]) == {"working_dir", "py_modules"}
    assert "of-mine" not in str(sent)


def test_attach_follows_the_job_and_sends_nothing(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    server = object()
    followed: list[tuple[object, str]] = []

    def follow(there: object, job: str, again: str) -> int:
        followed.append((there, job))
        return 3

    monkeypatch.setattr(client, "_connect", lambda address: server)
    monkeypatch.setattr(client, "follow", follow)
    assert call("--attach", "job-1")[0] == 3, "the job's exit code"
    assert followed == [(server, "job-1")]


def test_an_interrupted_command_says_how_to_attach_again(
    project: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def interrupted(*arguments: object) -> int:
        raise KeyboardInterrupt

    monkeypatch.setattr(client, "_connect", lambda address: object())
    monkeypatch.setattr(client, "follow", interrupted)
    assert client.attach(NOWHERE, "job-1") == 130
    assert f"`mtlsweep submit --address {NOWHERE} --attach job-1`" in capsys.readouterr().err


@pytest.mark.parametrize("option", [["--stage", "sweep"], ["--directory", "/data"], ["--dry-run"]])
def test_attach_refuses_what_it_would_ignore(option: list[str]) -> None:
    code, output = call("--attach", "job-1", *option)
    assert code == 2
    assert "`--attach` sends nothing; use it without" in output


def test_a_dry_run_refuses_what_a_submission_would(project: Path) -> None:
    with pytest.raises(UserError, match="is not the address of a job server"):
        client.dry_run("head:8265")
    with pytest.raises(UserError, match="is not an absolute path"):
        client.dry_run(NOWHERE, directory="results")
