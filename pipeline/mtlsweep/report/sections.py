"""Sections that a user's own study adds to the page: the study writes files, this room shows them.

Such a study writes a directory with `section.json`:

    {"title": "...", "sentences": ["..."],
     "tables": [{"name": "...", "caption": "...", "file": "x.csv"}],
     "figures": [{"name": "...", "caption": "...", "file": "y.json", "alt": "..."}]}

Tables are CSV files; figures are Vega-Lite specifications with their data inside, `alt` says in words
what is seen in them (the caption if it is missing). A study that has not run has no such file and no section.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import altair as alt
import pandas as pd

from mtlsweep.errors import UserError, first_line
from mtlsweep.report.figures.figure import Figure
from mtlsweep.report.tables.table import Table, from_frame


@dataclass(frozen=True)
class Section:
    """The section of one study."""

    name: str
    title: str
    sentences: tuple[str, ...]
    tables: tuple[Table, ...]
    figures: tuple[Figure, ...]


def read_sections(directory: Path) -> tuple[Section, ...]:
    """Read the sections that `*/section.json` under `directory` describe, by name.

    Raises:
        UserError: a section is damaged, or names a missing file.
    """
    return tuple(_read_section(path.parent, path.parent.name) for path in sorted(directory.glob("*/section.json")))


def _read_section(directory: Path, name: str) -> Section:
    path = directory / "section.json"
    try:
        content: dict[str, Any] = json.loads(path.read_text())
        return Section(
            name=name,
            title=content["title"],
            sentences=tuple(content["sentences"]),
            tables=tuple(
                from_frame(entry["name"], entry["caption"], pd.read_csv(directory / entry["file"]))
                for entry in content["tables"]
            ),
            figures=tuple(
                Figure(
                    entry["name"],
                    entry["caption"],
                    (alt.Chart.from_json((directory / entry["file"]).read_text()),),
                    seen=entry.get("alt", entry["caption"]),
                )
                for entry in content["figures"]
            ),
        )
    except FileNotFoundError as error:
        raise UserError(f"`{path}` names `{error.filename}`, which is missing; run `dvc repro` to make it.") from error
    except (ValueError, KeyError, TypeError) as error:
        raise UserError(
            f"`{path}` is damaged ({' '.join(str(error).split())[:200]}); delete it and run `dvc repro`."
        ) from error


def read_csv(path: Path) -> pd.DataFrame:
    """Read a table of a study.

    Raises:
        UserError: the file is missing or damaged.
    """
    try:
        return pd.read_csv(path)
    except FileNotFoundError as error:
        raise UserError(f"`{path}` is missing; run `dvc repro` to make it.") from error
    except ValueError as error:
        raise UserError(f"`{path}` is damaged ({first_line(error)}); delete it and run `dvc repro`.") from error


def read_json(path: Path) -> Any:
    """Read a file that says how a study was run.

    Raises:
        UserError: the file is missing or damaged.
    """
    try:
        return json.loads(path.read_text())
    except FileNotFoundError as error:
        raise UserError(f"`{path}` is missing; run `dvc repro` to make it.") from error
    except ValueError as error:
        raise UserError(f"`{path}` is damaged ({error}); delete it and run `dvc repro`.") from error
