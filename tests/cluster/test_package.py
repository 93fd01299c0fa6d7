"""A project on its way to a cluster: what travels, and what the directory it comes to keeps."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import pytest

from mtlsweep.cli.submit.client import submit
from mtlsweep.cli.submit.deploy import deploy
from mtlsweep.cli.submit.package import pack_project, project_files
from mtlsweep.errors import UserError


def git(root: Path, *arguments: str) -> str:
    identity = ["-c", "user.name=test", "-c", "user.email=test@localhost"]
    return subprocess.run(["git", *identity, *arguments], cwd=root, check=True, capture_output=True, text=True).stdout


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """Two commits, then work that is not committed: one file changed, one removed, one new."""
    root = tmp_path / "project"
    files = {
        ".gitignore": "/results/\n",
        ".dvc/.gitignore": "/tmp\n",
        "params.yaml": "a",
        "old.py": "",
        "pipeline/x.py": "",
    }
    for name, content in files.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(content)
    git(root, "init", "--quiet")
    git(root, "add", "--all")
    git(root, "commit", "--quiet", "--message", "first")
    git(root, "commit", "--quiet", "--allow-empty", "--message", "second")
    (root / "params.yaml").write_text("b")
    (root / "old.py").unlink()
    (root / "ours.py").write_text("new")
    (root / "results").mkdir()
    (root / "results" / "big").write_text("not sent")
    return root


def unpack(project: Path, target: Path) -> Path:
    """Return where a Ray job would find the project."""
    target.mkdir()
    shutil.unpack_archive(pack_project(project, target), target / "job")
    return target / "job"


def test_what_git_would_give_and_what_was_changed_since_travels(project: Path, tmp_path: Path) -> None:
    job = unpack(project, tmp_path / "sent")
    assert set(map(str, project_files(job))) == {
        ".gitignore",
        ".dvc/.gitignore",
        "params.yaml",
        "ours.py",
        "pipeline/x.py",
    }
    assert (job / "params.yaml").read_text() == "b"
    assert not (job / "results").exists()


def test_results_name_the_commit_and_the_changes_that_ran(project: Path, tmp_path: Path) -> None:
    job = unpack(project, tmp_path / "sent")
    assert git(job, "rev-parse", "HEAD") == git(project, "rev-parse", "HEAD")
    assert git(job, "diff", "HEAD") == git(project, "diff", "HEAD") != ""
    assert len(git(job, "rev-list", "HEAD").split()) == 1, "history is not sent"
    assert git(job, "remote") == "", "nor is the path it came from"


def test_a_second_submission_changes_files_and_keeps_what_was_computed(project: Path, tmp_path: Path) -> None:
    home = tmp_path / "head" / "home"
    os.close(deploy(unpack(project, tmp_path / "first"), home))
    (home / "results").mkdir()
    (home / "results" / "ledger").write_text("all that was computed")
    (home / "dvc.lock").write_text("what ran here")
    (project / "ours.py").rename(project / "theirs.py")
    (project / "params.yaml").write_text("c")
    (project / "dvc.lock").write_text("what ran there")
    os.close(deploy(unpack(project, tmp_path / "second"), home))
    assert (home / "params.yaml").read_text() == "c"
    assert (home / "theirs.py").exists() and not (home / "ours.py").exists()
    assert (home / "results" / "ledger").read_text() == "all that was computed"
    assert (home / "dvc.lock").read_text() == "what ran here"


def test_one_job_at_a_time_in_a_directory(project: Path, tmp_path: Path) -> None:
    job, home = unpack(project, tmp_path / "sent"), tmp_path / "home"
    lock = deploy(job, home)
    with pytest.raises(UserError, match="another job is running in"):
        deploy(job, home)
    os.close(lock)
    os.close(deploy(job, home))


def test_a_directory_of_the_users_own_is_not_overwritten(project: Path, tmp_path: Path) -> None:
    home = tmp_path / "checkout"
    home.mkdir()
    (home / "params.yaml").write_text("work of a week")
    with pytest.raises(UserError, match="that no submission created"):
        deploy(unpack(project, tmp_path / "sent"), home)
    assert (home / "params.yaml").read_text() == "work of a week"


def test_what_cannot_be_packed_is_said(project: Path, tmp_path: Path) -> None:
    (tmp_path / "bare").mkdir()
    with pytest.raises(UserError, match="not a git repository"):
        pack_project(tmp_path / "bare", tmp_path)
    with pytest.raises(UserError, match="not the root"):
        pack_project(project / "pipeline", tmp_path)


@pytest.mark.parametrize(
    ("address", "directory", "message"),
    [
        ("10.0.0.1:8265", None, "is not the address of a job server"),
        ("http://[bad", None, "is not the address of a job server"),
        ("http://head:99999", None, "is not the address of a job server"),
        ("http://head:port", None, "is not the address of a job server"),
        ("http://", None, "is not the address of a job server"),
        ("http://127.0.0.1:1", None, "no job server answers"),
        ("http://127.0.0.1:1", "results", "is not an absolute path"),
    ],
)
def test_a_wrong_address_or_directory_is_said(
    address: str, directory: str | None, message: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("RAY_AUTH_TOKEN", "secret")
    with pytest.raises(UserError, match=message):
        submit(address, directory=directory)
