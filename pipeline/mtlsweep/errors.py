"""Errors for users, in one sentence.

A `UserError` is the only exception that users see, and they see it without a traceback: it names the
field or file, what was found there, what is allowed, and the next step.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable


class UserError(Exception):
    """An error that the user can fix; only its message is shown, and the exit code is 2."""

    def _render_traceback_(self) -> list[str]:
        """Return the lines that a notebook shows in place of a traceback; IPython asks for them by this name."""
        return [f"mtlsweep: {self}"]


def first_line(error: object) -> str:
    """Return the first line of an error message (200 characters, no full stop), or its type if it is empty."""
    return (str(error).strip().splitlines() or [type(error).__name__])[0][:200].rstrip(".")


def nearest(name: str, allowed: Iterable[str]) -> str:
    """Return "; did you mean `x`?" for the closest allowed name, or a full stop when none is close."""
    names = {one.lower(): one for one in allowed}
    matches = difflib.get_close_matches(name.lower(), names, n=1, cutoff=0.5)
    return f"; did you mean `{names[matches[0]]}`?" if matches else "."
