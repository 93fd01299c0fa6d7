"""The identity of code follows what it does: its own file and what it imports, not comments, places or strangers."""

from __future__ import annotations

import textwrap
from collections.abc import Callable
from pathlib import Path

import pytest

from mtlsweep.errors import UserError
from mtlsweep.params.choice import Choice
from mtlsweep.params.source import module_identity
from mtlsweep.suites.networks import NETWORKS

MINE = '''
"""What it is for."""
import math
import torch
from helpers_of_mine.numbers import third
from mtlsweep.suites.networks import MultiTaskNetwork

class Mine(MultiTaskNetwork):
    """About it."""
    width = 2 * third(9)
'''

Write = Callable[[str, str], None]


@pytest.fixture
def write(in_directory: Path, monkeypatch: pytest.MonkeyPatch) -> Write:
    """Write a file of the project in the working directory, which modules are imported from."""
    monkeypatch.syspath_prepend(in_directory)

    def write_file(name: str, content: str) -> None:
        path = in_directory / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(textwrap.dedent(content))

    write_file("mine_of_source.py", MINE)
    write_file("helpers_of_mine/__init__.py", "")
    write_file("helpers_of_mine/numbers.py", "from . import deeper\ndef third(x):\n    return x / deeper.THREE\n")
    write_file("helpers_of_mine/deeper.py", "THREE = 3\n")
    write_file("helpers_of_mine/stranger.py", "FOUR = 4\n")
    return write_file


def identity() -> str | None:
    return module_identity("mine_of_source")


@pytest.mark.parametrize(
    ("file", "content"),
    [
        ("mine_of_source.py", MINE.replace("2 * third(9)", "3 * third(9)")),
        ("helpers_of_mine/numbers.py", "from . import deeper\ndef third(x):\n    return x / (deeper.THREE + 1)\n"),
        ("helpers_of_mine/deeper.py", "THREE = 3.0\n"),
        ("helpers_of_mine/__init__.py", "import warnings\nwarnings.simplefilter('ignore')\n"),
    ],
)
def test_a_change_of_a_module_or_of_what_it_imports_is_another_identity(write: Write, file: str, content: str) -> None:
    before = identity()
    write(file, content)
    assert identity() != before


@pytest.mark.parametrize(
    ("file", "content"),
    [
        ("mine_of_source.py", MINE.replace("About it.", "All about it.").replace("import math", "import math  # why")),
        ("helpers_of_mine/deeper.py", '"""The number."""\n\nTHREE = (\n    3\n)\n'),
        ("helpers_of_mine/stranger.py", "FOUR = 5\n"),
        ("unrelated.py", "import mine_of_source\n"),
    ],
)
def test_comments_formatting_docstrings_and_other_files_change_nothing(write: Write, file: str, content: str) -> None:
    before = identity()
    write(file, content)
    assert identity() == before


def test_imports_inside_functions_and_circles_are_followed(write: Write) -> None:
    write("mine_of_source.py", "def later():\n    from helpers_of_mine import stranger\n    return stranger.FOUR\n")
    write("helpers_of_mine/stranger.py", "import mine_of_source\nFOUR = 4\n")
    before = identity()
    write("helpers_of_mine/stranger.py", "import mine_of_source\nFOUR = 5\n")
    assert identity() != before


def test_the_identity_is_pinned(write: Write) -> None:
    """It may depend neither on the place nor on the version of Python: else every own trial is trained again."""
    assert identity() == "b10817935402d599"


def test_nothing_is_executed_to_find_it(write: Write) -> None:
    write("mine_of_source.py", "import helpers_of_mine.deeper\nraise SystemExit\n")
    write("helpers_of_mine/__init__.py", "raise SystemExit\n")
    assert identity() is not None


def test_an_installed_package_is_its_name_and_version() -> None:
    from importlib.metadata import version

    assert module_identity("torchjd.aggregation") == f"torchjd=={version('torchjd')}"


@pytest.mark.parametrize("module", ["mtlsweep.suites.networks.lenet", "fractions"])
def test_this_package_and_pythons_library_have_versions_of_their_own(module: str) -> None:
    assert module_identity(module) is None


def test_code_of_a_notebook_is_refused_in_a_sentence() -> None:
    with pytest.raises(UserError, match=r"source of module `__main__` was not found.* file next to `params.yaml`"):
        module_identity("__main__")


def test_a_built_in_name_has_no_content_and_an_own_one_its_source(write: Write) -> None:
    assert NETWORKS.content(Choice(name="lenet")) == {}
    assert NETWORKS.content(Choice(name="mine_of_source:Mine", options={})) == {"source code": identity()}
