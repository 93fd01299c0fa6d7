"""How far a long loop has come: a bar on a terminal, nothing in a log."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import TypeVar

from rich.console import Console
from rich.progress import track

T = TypeVar("T")


def progress(items: Iterable[T], title: str, total: int) -> Iterator[T]:
    """Yield `items`, of which there are `total`, and show how many have come."""
    console = Console(stderr=True)
    yield from track(items, title, total, console=console, transient=True, disable=not console.is_terminal)
