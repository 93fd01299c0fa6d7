"""The rules of the house that no linter knows: short files, small folders, private names that stay at home."""

from __future__ import annotations

import ast
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PACKAGE = ROOT / "pipeline/mtlsweep"
FILES = sorted([*PACKAGE.rglob("*.py"), *(ROOT / "stages").rglob("*.py"), ROOT / "docs/draw_rooms.py"])

MOST_LINES = 300
MOST_FILES = 13
ONE_FILE_EACH = {"methods/weighting/gradient", "methods/weighting/loss", "suites/datasets", "suites/networks"}
"""Folders of one file a method, dataset or network: they grow with what there is to choose from."""


def private_names(tree: ast.Module) -> Iterator[str]:
    """Yield the private names that a module takes from another module of the project."""
    imported = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and is_ours(node.module or ""):
            imported |= {alias.asname or alias.name for alias in node.names}
            yield from (
                name for name in [*(node.module or "").split("."), *(a.name for a in node.names)] if is_private(name)
            )
        if isinstance(node, ast.Import):
            ours = [alias for alias in node.names if is_ours(alias.name)]
            imported |= {(alias.asname or alias.name).split(".")[0] for alias in ours}
            yield from (part for alias in ours for part in alias.name.split(".") if is_private(part))
    for node in ast.walk(tree):
        if isinstance(node, ast.Attribute) and is_private(node.attr) and root_of(node) in imported:
            yield node.attr


def root_of(node: ast.expr) -> str:
    """Return the leftmost name of `a.b.c`; of anything else ''."""
    while isinstance(node, ast.Attribute):
        node = node.value
    return node.id if isinstance(node, ast.Name) else ""


def is_ours(module: str) -> bool:
    return module.split(".")[0] in ("mtlsweep", "stages")


def is_private(name: str) -> bool:
    return name.startswith("_") and not name.startswith("__")


def test_a_file_fits_in_one_reading() -> None:
    lines = {path: len(path.read_text().splitlines()) for path in FILES}
    assert {str(path.relative_to(ROOT)): count for path, count in lines.items() if count > MOST_LINES} == {}


def test_a_folder_has_few_files() -> None:
    counts = Counter(str(path.parent.relative_to(PACKAGE)) for path in PACKAGE.rglob("*.py"))
    assert {
        folder: count for folder, count in counts.items() if count > MOST_FILES and folder not in ONE_FILE_EACH
    } == {}


def test_folders_that_may_grow_exist() -> None:
    assert all((PACKAGE / folder / "__init__.py").exists() for folder in ONE_FILE_EACH)


@pytest.mark.slow
def test_private_names_stay_in_their_module() -> None:
    taken = {str(path.relative_to(ROOT)): list(private_names(ast.parse(path.read_text()))) for path in FILES}
    assert {path: names for path, names in taken.items() if names} == {}


@pytest.mark.parametrize(
    "source",
    [
        "from mtlsweep.files import _read",
        "from mtlsweep._files import read",
        "import mtlsweep._files",
        "from mtlsweep import files\nfiles._read()",
        "import mtlsweep.files\nmtlsweep.files._read()",
        "from mtlsweep.record.ledger import Ledger\nLedger._read",
    ],
)
def test_a_private_name_of_another_module_is_found(source: str) -> None:
    assert list(private_names(ast.parse(source)))


def test_own_private_names_and_those_of_libraries_are_free() -> None:
    source = "from __future__ import annotations\nimport torch._dynamo\nfrom mtlsweep.files import read\n_own = read()\n_own._x"
    assert list(private_names(ast.parse(source))) == []
