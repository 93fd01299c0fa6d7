"""What a user did wrong, said in one sentence.

A `UserError` is the only exception that reaches a user's terminal, and it reaches it without a
traceback: it names the field or file, what was found there, what is allowed, and the next step.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable


class UserError(Exception):
    """A mistake or an outage the user can mend; its message is shown alone, the exit code is 2."""


def first_line(error: object) -> str:
    """Return the first line of what an error says (200 characters, no full stop); its type where it says nothing."""
    return (str(error).strip().splitlines() or [type(error).__name__])[0][:200].rstrip(".")


def nearest(name: str, allowed: Iterable[str]) -> str:
    """Return "; did you mean `x`?" for the closest allowed name, or a full stop when none is close."""
    matches = difflib.get_close_matches(name.lower(), list(allowed), n=1, cutoff=0.5)
    return f"; did you mean `{matches[0]}`?" if matches else "."
