"""The code on the pages of the site runs as it is shown."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.documents.pages import blocks
from tests.forks import run_module

DOCS = Path(__file__).parents[2] / "docs"
PAGES = [DOCS / "concepts.md", DOCS / "tutorial.md", *sorted((DOCS / "howto").glob("*.md"))]
ELSEWHERE = {
    "in params.yaml",
    "in a project with DVC",
    "in a clone of the repository",
    "on your machine",
    "where the sweep starts",
}
"""Titles of blocks that no test runs: parts of a file, and what needs a whole study, a cluster or a server."""


@pytest.mark.slow
@pytest.mark.parametrize("page", [page for page in PAGES if blocks(page.read_text())], ids=lambda page: page.stem)
def test_the_code_of_a_page_runs(page: Path, tmp_path: Path) -> None:
    done = run_module(tmp_path, "tests.documents.pages", str(page))
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_a_block_is_a_file_or_runs_or_says_where(page: Path) -> None:
    titles = {block.title for block in blocks(page.read_text()) if block.title and not block.file}
    assert titles <= ELSEWHERE
    assert page.read_text().count("```") == 2 * len(blocks(page.read_text()))


def test_every_page_with_a_task_runs_something() -> None:
    silent = {page.stem for page in PAGES if not any(block.runs for block in blocks(page.read_text()))}
    assert silent == {"index", "clusters"}
