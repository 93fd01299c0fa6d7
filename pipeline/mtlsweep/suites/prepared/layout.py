"""Names of the files and metadata keys of prepared data."""

from __future__ import annotations

from pathlib import Path

SUMMARY = "summary.json"
CONTACT_SHEET = "contact_sheet.png"
FINGERPRINT_KEY = b"fingerprint"
SCALES_KEY = b"scales"


def split_file(directory: Path, split: str) -> Path:
    """Return where a split is stored."""
    return directory / f"{split}.arrow"
