"""Addresses of servers, as people write them."""

from __future__ import annotations

import re
from dataclasses import dataclass
from urllib.parse import SplitResult, urlsplit


def split_address(address: str) -> SplitResult | None:
    """Return the parts of `scheme://host:port/...` or `host:port`, or None if host or port is malformed."""
    try:
        parts = urlsplit(address if "://" in address else f"//{address}")
        _ = parts.port
    except ValueError:
        return None
    return parts


@dataclass(frozen=True)
class StoreUri:
    """A folder of an S3-compatible object store: `s3://BUCKET/FOLDER/...`.

    Attributes:
        bucket: its name.
        folder: names of folders, joined by `/`; empty for the whole bucket.
    """

    bucket: str
    folder: str

    @classmethod
    def parse(cls, text: str) -> StoreUri | None:
        """Return the URI, or None if `text` is not a URI."""
        folder = r"/(?!\.\.?(?:/|$))[A-Za-z0-9_.=-]+"  # no `.` and no `..`
        found = re.fullmatch(rf"s3://([a-z0-9][a-z0-9.-]{{1,61}}[a-z0-9])((?:{folder})*)/?", text)
        if found is None:
            return None
        return cls(found[1], found[2].removeprefix("/"))

    def __truediv__(self, folder: str) -> StoreUri:
        return StoreUri(self.bucket, "/".join(filter(None, (self.folder, folder))))

    def __str__(self) -> str:
        return f"s3://{self.bucket}/{self.folder}".rstrip("/")
