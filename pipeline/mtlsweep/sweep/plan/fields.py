"""Puts the name of a field of params.yaml in front of the sentence that says what is wrong with it."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

from mtlsweep.errors import UserError

T = TypeVar("T")


def in_field(field: str, check: Callable[[], T]) -> T:
    """Run `check`; put the field of params.yaml in front of the message of its `UserError`."""
    try:
        return check()
    except UserError as error:
        raise UserError(f"params.yaml: `{field}`: {error}") from error
