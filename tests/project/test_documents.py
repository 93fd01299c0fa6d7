"""What the documents name is there: files, headings, modules and commands. Examples that run are tested beside what they show."""

from __future__ import annotations

import importlib
import importlib.util
import re
from pathlib import Path

import pytest
import typer

from mtlsweep.cli.main import app
from mtlsweep.suites.networks import NETWORKS

ROOT = Path(__file__).parents[2]
DOCUMENTS = [
    ROOT / "README.md",
    ROOT / "CONTRIBUTING.md",
    *sorted((ROOT / "docs").rglob("*.md")),
    *sorted((ROOT / "cluster").rglob("*.md")),
]
SOURCES = [path for folder in ("pipeline", "stages", "benchmarks", "cluster") for path in (ROOT / folder).rglob("*.py")]

PATH = re.compile(r"(?<![\w/.<>{}-])(?:pipeline|stages|tests|docs|benchmarks|cluster|\.dvc)/[\w./-]*\w")
MODULE = re.compile(r"(?<![\w./-])(?:mtlsweep|stages)(?:\.\w+)+(?::\w+)?")
LINK = re.compile(r"\]\(([^)\s]+)\)")
COMMAND = re.compile(r"(?<=`)mtlsweep ([a-z]+)(?: ([a-z]+))?|^(?:sudo )?mtlsweep ([a-z]+)", re.MULTILINE)


def name_of(path: Path) -> str:
    return str(path.relative_to(ROOT))


def resolves(dotted: str) -> bool:
    """Say whether `package.module`, `package.module.name` or `package.module:name` can be imported."""
    module, _, attribute = dotted.partition(":")
    names = [attribute] if attribute else []
    while importlib.util.find_spec(module.split(".")[0]) and not is_module(module):
        module, _, last = module.rpartition(".")
        names.insert(0, last)
    found: object = importlib.import_module(module)
    for name in names:
        if not hasattr(found, name):
            return False
        found = getattr(found, name)
    return True


def is_module(name: str) -> bool:
    try:
        return importlib.util.find_spec(name) is not None
    except ModuleNotFoundError:  # its parent is no package
        return False


def anchors(page: Path) -> set[str]:
    """Return the anchors of a page's headings, made as Git hosts make them."""
    headings = re.findall(r"^#+ (.*)$", page.read_text(), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


@pytest.mark.parametrize("page", DOCUMENTS, ids=name_of)
def test_every_path_of_a_document_exists(page: Path) -> None:
    missing = [path for path in PATH.findall(page.read_text()) if not (ROOT / path).exists()]
    assert not missing


@pytest.mark.parametrize("page", DOCUMENTS, ids=name_of)
def test_every_link_inside_the_project_leads_somewhere(page: Path) -> None:
    broken = []
    for link in LINK.findall(page.read_text()):
        if link.startswith("https://"):
            continue
        path, _, anchor = link.partition("#")
        target = (page.parent / path) if path else page
        if not target.exists() or (anchor and anchor not in anchors(target)):
            broken.append(link)
    assert not broken


@pytest.mark.parametrize("page", DOCUMENTS, ids=name_of)
def test_every_module_of_a_document_exists(page: Path) -> None:
    assert [name for name in MODULE.findall(page.read_text()) if not resolves(name)] == []


@pytest.mark.slow
def test_every_module_that_comments_and_strings_of_the_code_name_exists() -> None:
    named = {(name, name_of(path)) for path in SOURCES for name in MODULE.findall(path.read_text())}
    assert [(name, path) for name, path in sorted(named) if not resolves(name)] == []


@pytest.mark.parametrize("page", DOCUMENTS, ids=name_of)
def test_every_command_of_a_document_exists(page: Path) -> None:
    group = typer.main.get_command(app)
    assert isinstance(group, typer.core.TyperGroup)
    unknown = []
    for quoted, sub, alone in COMMAND.findall(page.read_text()):
        command = group.commands.get(quoted or alone)
        if command is None or (sub and hasattr(command, "commands") and sub not in command.commands):
            unknown.append(quoted or alone)
    assert not unknown


def test_a_wrong_name_would_be_found() -> None:
    text = "`pipeline/mtlsweep/gone.py`, `stages/report.py` and mtlsweep.sweep.gone.Name or mtlsweep.errors:Gone"
    assert [path for path in PATH.findall(text) if not (ROOT / path).exists()] == ["pipeline/mtlsweep/gone.py"]
    assert [name for name in MODULE.findall(text) if not resolves(name)] == [
        "mtlsweep.sweep.gone.Name",
        "mtlsweep.errors:Gone",
    ]
    assert resolves("mtlsweep.errors.UserError") and resolves("mtlsweep.errors:UserError")


def test_the_page_on_data_lists_every_network() -> None:
    table = (ROOT / "docs/data.md").read_text().partition("\n## Networks\n")[2].partition("\n\n**")[0]
    named = [
        name for row in table.splitlines() for name in re.findall(r"`(\w+)`", row.split("|")[1] if "|" in row else "")
    ]
    assert sorted(named) == NETWORKS.names()
