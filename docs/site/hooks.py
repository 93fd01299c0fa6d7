"""What the site shows beside the files of `docs`: pages from other folders, and tables made from the code.

MkDocs calls the functions that begin with `on_`. A page of `docs` is written for readers of the repository, so its links
are those of files; here a link to a file that is not on the site becomes plain text.
"""

from __future__ import annotations

import posixpath
import re
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files
from mkdocs.structure.pages import Page

ROOT = Path(__file__).parents[2]
FROM_ELSEWHERE = ("CHANGELOG.md", "CONTRIBUTING.md", "cluster/**/*.md")

_LINK = re.compile(r"(!?)\[([^\]]*)\]\(([^)\s]+)\)")
_MADE = re.compile(r"<!-- made: (\w+) -->")


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Add the pages that lie outside of `docs`."""
    for pattern in FROM_ELSEWHERE:
        for path in sorted(ROOT.glob(pattern)):
            files.append(File.generated(config, str(path.relative_to(ROOT)), abs_src_path=str(path)))
    return files


def on_page_markdown(markdown: str, page: Page, config: MkDocsConfig, files: Files) -> str:
    """Fill in tables, and lead links to where their page is on the site."""
    markdown = _MADE.sub(lambda found: MADE[found[1]](), markdown)
    place = page.file.src_uri
    in_repository = place if (ROOT / place).exists() else f"docs/{place}"

    def lead(found: re.Match[str]) -> str:
        image, text, link = found.groups()
        path, hash_sign, anchor = link.partition("#")
        if not path or re.match(r"[a-z]+:", link):
            return found[0]
        target = posixpath.normpath(posixpath.join(posixpath.dirname(in_repository), path))
        on_site = target.removeprefix("docs/")
        if files.get_file_from_path(on_site) is None:
            return text
        relative = posixpath.relpath(on_site, posixpath.dirname(place) or ".")
        return f"{image}[{text}]({relative}{hash_sign}{anchor})"

    return _LINK.sub(lead, markdown)


def weightings() -> str:
    """Return a table of all weightings, with what `mtlsweep methods` prints."""
    from mtlsweep.methods.weighting import describe_methods

    rows = [
        (
            f"[`{row.name}`](../methods.md#{_anchor(row.name)})",
            row.kind,
            row.scale,
            row.heads,
            row.cost,
            row.paper,
            _code(row.code),
        )
        for row in describe_methods()
    ]
    return _table(("name", "kind", "shared update as published", "heads", "backward passes", "paper", "code"), rows)


def optimizers() -> str:
    """Return a table of all optimizers with their options and defaults."""
    from mtlsweep.methods.optimizers import OPTIMIZERS

    rows = []
    for name in OPTIMIZERS.names():
        about = (OPTIMIZERS.get(name).__doc__ or "").partition("\n\n")[0]
        options = ", ".join(f"`{option}` {default}" for option, default in OPTIMIZERS.resolve_defaults(name).items())
        rows.append((f"`{name}`", " ".join(about.split()), options))
    return _table(("name", "what it does", "options and their defaults"), rows)


def params() -> str:
    """Return a section for each part of params.yaml, from its JSON schema."""
    from mtlsweep.project.params_schema import params_schema

    schema = params_schema()
    parts = {"params.yaml": schema} | {
        name: part for name, part in schema["$defs"].items() if part.get("properties") and "__" not in name
    }
    return "\n".join(_part(name, part) for name, part in sorted(parts.items(), key=lambda one: one[0] != "params.yaml"))


MADE: Mapping[str, Callable[[], str]] = {"weightings": weightings, "optimizers": optimizers, "params": params}


def _part(name: str, part: Mapping[str, Any]) -> str:
    about = part.get("description", "").partition("\n\nAttributes:")[0]
    required = part.get("required", ())
    rows = [
        (
            f"`{field}`",
            _type(of),
            "needed" if field in required else _default(of),
            " ".join(of.get("description", "").split()),
        )
        for field, of in part["properties"].items()
    ]
    return f"## {name}\n\n{about}\n\n{_table(('field', 'value', 'default', 'meaning'), rows)}\n"


def _type(of: Mapping[str, Any]) -> str:
    if "$ref" in of:
        name = of["$ref"].rpartition("/")[2]
        if "__" in name:
            return "a mapping"
        return f"[{name}](#{name.lower()})" if name[0].isupper() and name not in ("Choice", "Axis") else f"a {name}"
    if "enum" in of:
        return " or ".join(f"`{value}`" for value in of["enum"])
    if "const" in of:
        return f"`{of['const']}`"
    if "anyOf" in of:
        return " or ".join(dict.fromkeys(_type(one) for one in of["anyOf"]))
    words = {
        "null": "`null`",
        "string": "text",
        "boolean": "`true` or `false`",
        "integer": "a whole number",
        "number": "a number",
    }
    if of.get("type") == "array":
        return f"list of {_type(of['items'])}" if of.get("items") else "a list"
    return words.get(of.get("type", ""), "a mapping") + _range(of)


def _range(of: Mapping[str, Any]) -> str:
    words = {"minimum": "from", "exclusiveMinimum": "above", "maximum": "to", "exclusiveMaximum": "below"}
    return "".join(f" {word} {of[name]:g}" for name, word in words.items() if name in of)


def _default(of: Mapping[str, Any]) -> str:
    if "default" not in of:
        return ""
    value = of["default"]
    return (
        f"`{value}`"
        if not isinstance(value, bool | None)
        else f"`{ {True: 'true', False: 'false', None: 'null'}[value] }`"
    )


def _anchor(name: str) -> str:
    """Return the anchor of a method's section in methods.md."""
    heading = re.search(rf"^### `{name}`.*$", (ROOT / "docs/methods.md").read_text(), re.MULTILINE)
    assert heading, name
    return re.sub(r"[^\w\- ]", "", heading[0].removeprefix("### ").lower()).replace(" ", "-")


def _code(address: str) -> str:
    return f"[authors]({address})" if address.startswith("https://") else address


def _table(head: tuple[str, ...], rows: Sequence[tuple[str, ...]]) -> str:
    lines = [head, tuple("---" for _ in head), *rows]
    return "\n".join(f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in line)} |" for line in lines) + "\n"
