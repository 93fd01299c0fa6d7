"""Where stages may write, checked before anything is trained; `test_outputs.py` holds it against DVC itself."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from mtlsweep.errors import UserError
from mtlsweep.record.outputs import check_outputs, kept_outputs

PIPELINE = """
stages:
  sweep:
    foreach: ${active}
    do:
      outs:
        - results/${item}/table
        - data/${item}: {cache: false}
  study:
    plots: [results/figure.csv]
"""


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """A git repository with a folder of DVC's, and a folder outside of it."""
    root = tmp_path / "project"
    (root / ".dvc").mkdir(parents=True)
    (root / "dvc.yaml").write_text(PIPELINE)
    subprocess.run(["git", "init", "-q", root], check=True)
    (tmp_path / "scratch").mkdir()
    return root


def test_of_all_outputs_those_count_that_dvc_keeps() -> None:
    stages = {
        "sweep": {
            "foreach": "${active}",
            "do": {"outs": ["results/${item}/table", {"data/${item}": {"cache": False}}]},
        },
        "study": {
            "metrics": [{"summary.json": {"cache": False}}],
            "plots": ["figure.csv", {"curve.csv": {"x": "epoch"}}],
        },
    }
    assert list(kept_outputs({"stages": stages}, "tiny")) == ["results/tiny/table", "figure.csv", "curve.csv"]


def test_a_link_out_of_the_repository_is_refused_and_one_inside_of_it_is_not(project: Path) -> None:
    check_outputs("tiny", project)
    (project / "other").mkdir()
    (project / "results").symlink_to(project / "other")
    check_outputs("tiny", project)
    (project / "results").unlink()
    scratch = project.parent / "scratch"
    (project / "results").symlink_to(scratch)
    with pytest.raises(
        UserError, match=rf"`results` is a symbolic link to {scratch}, outside .* set `resources\.ledger_root`"
    ):
        check_outputs("tiny", project)


def test_what_git_tracks_is_refused_with_the_command_that_helps(project: Path) -> None:
    (project / "results/tiny").mkdir(parents=True)
    (project / "results/tiny/table").write_text("")
    check_outputs("tiny", project)
    subprocess.run(["git", "add", "results/tiny/table"], cwd=project, check=True)
    with pytest.raises(
        UserError, match=r"`results/tiny/table` is tracked by git.*run `git rm -r --cached results/tiny/table` and"
    ):
        check_outputs("tiny", project)


def test_without_git_or_dvc_nothing_is_checked(project: Path) -> None:
    (project / "results").symlink_to(project.parent / "scratch")
    (project / ".dvc").rmdir()
    check_outputs("tiny", project)
    check_outputs("tiny", project.parent)
