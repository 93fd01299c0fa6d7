"""The commit of the code that made a result, and why it is unknown where it is."""

import subprocess
from pathlib import Path

import pytest

from mtlsweep.record.provenance import read_provenance


@pytest.fixture
def in_directory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("GIT_CONFIG_GLOBAL", "/dev/null")
    monkeypatch.setenv("GIT_CEILING_DIRECTORIES", str(tmp_path.parent))
    return tmp_path


def commit() -> None:
    for arguments in (
        ["init", "-q"],
        ["-c", "user.name=ada", "-c", "user.email=ada@example.org", "commit", "-q", "--allow-empty", "-m", "first"],
    ):
        subprocess.run(["git", *arguments], check=True)


def test_a_clone_of_ones_own_has_a_commit_and_no_problem(in_directory: Path) -> None:
    commit()
    provenance = read_provenance()
    assert len(provenance["git_sha"]) == 40 and "git_problem" not in provenance


def test_a_clone_of_another_owner_says_why_and_how_to_mend_it(
    in_directory: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    commit()
    monkeypatch.setenv("GIT_TEST_ASSUME_DIFFERENT_OWNER", "1")
    provenance = read_provenance()
    assert provenance["git_sha"] is None
    assert provenance["git_problem"] == (
        "git refuses this clone, because another user owns it; "
        f"run `git config --global --add safe.directory {in_directory}`"
    )


def test_no_repository_and_no_git(in_directory: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert read_provenance()["git_problem"].startswith("not a git repository")
    monkeypatch.setenv("PATH", "")
    assert read_provenance()["git_problem"] == "git is not installed"
