"""A place that DVC refuses for outputs is refused before training, as DVC itself does it afterwards."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
import yaml

from mtlsweep.errors import UserError
from mtlsweep.record.outputs import check_outputs, kept_outputs

pytestmark = pytest.mark.slow

PROJECT = Path(__file__).parents[2]
PIPELINE = """
stages:
  sweep:
    foreach: ${active}
    do:
      cmd: mkdir -p results/${item} data/${item} && touch results/${item}/table data/${item}/rows
      outs:
        - results/${item}/table
        - data/${item}:
            cache: false
"""


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """A git repository with DVC and one stage."""
    root = tmp_path / "project"
    root.mkdir()
    (root / "dvc.yaml").write_text(PIPELINE)
    (root / "params.yaml").write_text("active: [tiny]\n")
    (root / ".gitignore").write_text("/results/\n/data/\n")
    run(root, "git", "init", "-q")
    run(root, sys.executable, "-m", "dvc", "init", "-q")
    (tmp_path / "scratch").mkdir()
    return root


def run(root: Path, *command: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(command, cwd=root, capture_output=True, text=True, check=False)


def link_results(root: Path) -> None:
    (root / "results").symlink_to(root.parent / "scratch")


def link_suite(root: Path) -> None:
    (root / "results").mkdir()
    (root / "results/tiny").symlink_to(root.parent / "scratch")


def track_output(root: Path) -> None:
    (root / "results/tiny").mkdir(parents=True)
    (root / "results/tiny/table").write_text("old")
    run(root, "git", "add", "-f", "results/tiny/table")


def link_data(root: Path) -> None:
    (root / "data").symlink_to(root.parent / "scratch")


def link_results_inside(root: Path) -> None:
    (root / "disk").mkdir()
    (root / "results").symlink_to("disk")


def track_something_else(root: Path) -> None:
    (root / "results/tiny").mkdir(parents=True)
    (root / "results/tiny/notes").write_text("mine")
    run(root, "git", "add", "-f", "results/tiny/notes")


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (link_results, "`results` is a symbolic link to .*scratch, outside of the git repository"),
        (link_suite, "`results/tiny` is a symbolic link to .*scratch"),
        (track_output, "`results/tiny/table` is tracked by git.*run `git rm -r --cached results/tiny/table`"),
    ],
)
def test_what_dvc_refuses_after_training_is_refused_before(
    project: Path, spoil: Callable[[Path], None], message: str
) -> None:
    check_outputs("tiny", project)
    spoil(project)
    with pytest.raises(UserError, match=message):
        check_outputs("tiny", project)
    refused = run(project, sys.executable, "-m", "dvc", "repro")
    assert refused.returncode != 0 and "Running stage 'sweep@tiny'" in refused.stdout


@pytest.mark.parametrize("arrange", [link_data, link_results_inside, track_something_else])
def test_what_dvc_takes_is_taken(project: Path, arrange: Callable[[Path], None]) -> None:
    arrange(project)
    check_outputs("tiny", project)
    taken = run(project, sys.executable, "-m", "dvc", "repro")
    assert taken.returncode == 0, taken.stderr


def test_a_project_without_dvc_or_git_writes_where_it_likes(project: Path, tmp_path: Path) -> None:
    bare = tmp_path / "bare"
    bare.mkdir()
    for root in (project, bare):
        link_results(root)
    (project / ".dvc").rename(project / "no-dvc")
    check_outputs("tiny", project)
    (bare / ".dvc").mkdir()
    (bare / "dvc.yaml").write_text(PIPELINE)
    check_outputs("tiny", bare)


def test_the_projects_own_outputs_are_those_of_its_stages() -> None:
    outputs = set(kept_outputs(yaml.safe_load((PROJECT / "dvc.yaml").read_text()), "tiny"))
    assert {"results/tiny/sweep/curves.parquet", "results/tiny/headline.json", "results/toy/iterations.csv"} <= outputs
    assert {"results/tiny/plots/scatter.csv", "reports/index.html"} <= outputs and "data/prepared/tiny" not in outputs
    assert not [output for output in outputs if "$" in output]


def test_a_stage_refuses_before_it_works(project: Path) -> None:
    link_results(project)
    stage = "from stages.command import run_for_suite; raise SystemExit(run_for_suite('sweep', '', lambda suite: print('trained')))"
    ended = run(project, sys.executable, "-c", f"import sys; sys.path.insert(0, {str(PROJECT)!r}); {stage}", "tiny")
    assert ended.returncode == 2 and ended.stdout == ""
    assert ended.stderr.startswith("sweep tiny: `results` is a symbolic link") and ended.stderr.count("\n") == 1
