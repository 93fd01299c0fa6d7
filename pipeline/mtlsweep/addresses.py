"""Addresses of servers, as people write them."""

from __future__ import annotations

from urllib.parse import SplitResult, urlsplit


def split_address(address: str) -> SplitResult | None:
    """Return the parts of `scheme://host:port/...` or `host:port`, or None if host or port is malformed."""
    try:
        parts = urlsplit(address if "://" in address else f"//{address}")
        _ = parts.port
    except ValueError:
        return None
    return parts
