"""What another version of the package has changed for a project that `mtlsweep new` made. No file is changed here.

A project knows the version that it was made with: it is in the first line of its dvc.yaml. That line is part of the
differences shown, so whoever takes them over updates it, too.
"""

from __future__ import annotations

import difflib
import importlib.metadata
import re
from collections.abc import Iterator
from pathlib import Path

from mtlsweep import paths
from mtlsweep.errors import UserError
from mtlsweep.files import indented_json, write_if_changed
from mtlsweep.params.followed import package_hash
from mtlsweep.project.creation import SCHEMA, common_files, version

_DVC_FILE = Path("dvc.yaml")
_MADE_BY = re.compile(r"\A# From mtlsweep (\S+);")


def write_package() -> None:
    """Write the version and the code of the installed package, on which all that is computed from trials depends."""
    write_if_changed(paths.PACKAGE, indented_json({"version": version(), "code": package_hash()}))


def outdated(folder: Path = Path()) -> str | None:
    """Return a sentence if the project's dvc.yaml is of another version than the installed one."""
    made = _made_by(folder)
    if made in (None, version()):
        return None
    return (
        f"dvc.yaml is of mtlsweep {made}, and {version()} is installed: `mtlsweep new --upgrade` shows what has changed"
    )


def describe_upgrade(folder: Path) -> Iterator[str]:
    """Yield what has changed since the project was made: the changelog, and differences of its files in git's form.

    `params.yaml` and Python files are the user's: `mtlsweep plan` says what no longer fits in them.

    Raises:
        UserError: the folder is no project of `mtlsweep new`.
    """
    made = _made_by(folder)
    if made is None:
        raise UserError(
            f"`{folder / _DVC_FILE}` does not begin with `# From mtlsweep VERSION;`: run this in a project that `mtlsweep new` made."
        )
    yield f"made with mtlsweep {made}; {version()} is installed"
    if made != version():
        yield from changes_since(made, _description())
    templates = common_files()
    changed = [path for path, content in templates.items() if _content(folder / path) != content]
    differences = [line for path in changed if path != SCHEMA for line in _difference(folder, path, templates[path])]
    if differences:
        yield ""
        yield "- is this project's, + is the installed version's; keep what is yours. To take over everything, from the root of the"
        yield "git repository: mtlsweep new --upgrade > changes.patch && git apply changes.patch"
        yield from differences
    if SCHEMA in changed:
        yield ""
        yield f"{SCHEMA} differs: `mtlsweep schema > {SCHEMA}` writes that of the installed version"
    if not changed:
        yield "no file differs from the installed version's"


def changes_since(made: str, description: str) -> Iterator[str]:
    """Yield the sections of the changelog in a package's description above that of the version `made`; all if it has none."""
    changelog = description.partition("\n# Changelog\n")[2]
    for section in re.split(r"^(?=## )", changelog, flags=re.MULTILINE)[1:]:
        heading, _, body = section.partition("\n")
        if heading.split()[1] == made:
            return
        yield from ("", heading, *body.strip().splitlines())


def _description() -> str:
    """Return the installed package's description: README and changelog (pyproject.toml)."""
    try:
        return str(importlib.metadata.metadata("mtlsweep").json.get("description", ""))
    except importlib.metadata.PackageNotFoundError:
        return ""


def _made_by(folder: Path) -> str | None:
    found = _MADE_BY.match(_content(folder / _DVC_FILE).decode(errors="replace"))
    return found[1] if found else None


def _content(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError:
        return b""


def _difference(folder: Path, path: Path, content: bytes) -> list[str]:
    """Return the difference of a file as lines that `git apply` takes."""
    new = not (folder / path).exists()
    ours, theirs = (text.decode(errors="replace").splitlines() for text in (_content(folder / path), content))
    before = "/dev/null" if new else f"a/{path}"
    heading = [f"diff --git a/{path} b/{path}", *(["new file mode 100644"] if new else [])]
    return heading + list(difflib.unified_diff(ours, theirs, before, f"b/{path}", lineterm=""))
