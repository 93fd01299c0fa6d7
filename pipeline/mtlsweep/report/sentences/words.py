"""Numbers in words, the same in every sentence."""

from __future__ import annotations

from mtlsweep.report.tables.table import p_value


def times(count: int, noun: str) -> str:
    """Return `1 run`, `2 runs`."""
    return f"{count} {noun}" if count == 1 else f"{count} {noun}s"


def p_of(p: float) -> str:
    """Return `p = 0.012` or `p < 0.001`."""
    words = p_value(p)
    return f"p {words}" if words.startswith("<") else f"p = {words}"


def listed(words: list[str]) -> str:
    """Return `a`, `a and b`, `a, b and c`."""
    return " and ".join([", ".join(words[:-1]), words[-1]] if len(words) > 1 else words)
