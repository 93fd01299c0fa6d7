"""Raw data that a person has to download: what is missing, where to get it and where to put it, in one sentence."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path

from mtlsweep.errors import UserError


@dataclass(frozen=True)
class Download:
    """Something to download by hand.

    Attributes:
        inside: the path, in the dataset's root, that exists after the download is unpacked.
        name: what it is called, with its size.
        page: the page that links to it.
    """

    inside: str
    name: str
    page: str


def require_downloads(root: Path, downloads: Sequence[Download]) -> None:
    """Check that everything has been downloaded.

    Raises:
        UserError: something is missing in `root`.
    """
    missing = [download for download in downloads if not (root / download.inside).exists()]
    if missing:
        raise absent(root, missing)


def absent(root: Path, missing: Sequence[Download]) -> UserError:
    """Return the sentence that asks for what is missing in `root`; downloads from the same page are listed together."""
    places = _listed([download.inside for download in missing])
    wanted = _listed(
        [
            f"{_listed(list(dict.fromkeys(download.name for download in group)))} from {page}"
            for page, group in groupby(missing, lambda download: download.page)
        ]
    )
    them, paths = ("it", "this path is") if len(missing) == 1 else ("them", "these paths are")
    return UserError(
        f"there is no raw data: {root} has no {places}. Download {wanted}, and unpack {them} so that {paths} there, "
        f"or set the dataset's option `root`."
    )


def _listed(words: Sequence[str]) -> str:
    return " and ".join([", ".join(words[:-1]), words[-1]] if len(words) > 1 else words)
