"""Names of the files and metadata keys of prepared data."""

from __future__ import annotations

from pathlib import Path

SUMMARY = "summary.json"
CONTACT_SHEET = "contact_sheet.png"
COLUMNS = "columns.json"
FINGERPRINT_KEY = b"fingerprint"
SCALES_KEY = b"scales"
LABELLED = "labelled/"
"""Before the name of a task: the column that says which rows have a label of it, where some have none."""


def split_file(directory: Path, split: str) -> Path:
    """Return where a split is stored."""
    return directory / f"{split}.arrow"
