"""The tool of `make mutation` changes what it says, one thing at a time, and knows no survivor that is no longer there."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

from tests import mutation

SOURCE = '''
"""Docstrings stay."""
from math import inf

def chosen(values: list[float], most: int = 3) -> list[float]:
    """Return some values."""
    if not values or most > 2:
        raise ValueError("too many")
    values.sort()
    return [value + 1 for value in values if value in (0.5, inf)]
'''


@pytest.fixture
def module(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    (tmp_path / "chosen.py").write_text(SOURCE)
    monkeypatch.setattr(mutation, "PACKAGE", tmp_path)
    return "chosen"


def test_every_operator_condition_constant_and_call_is_changed_and_nothing_else(module: str) -> None:
    assert [one.change for one in mutation.mutants(module)] == [
        "if not values or most > 2: raise ValueError('too many') -> if not (not values or most > 2): raise ValueError('too many')",
        "not values or most > 2 -> not values and most > 2",
        "most > 2 -> most >= 2",
        "2 -> 3",
        "not values -> not not values",
        "values.sort() -> removed",
        "return [value + 1 for value in values if value in (0.5, inf)] -> return None",
        "for value in values if value in (0.5, inf) -> for value in values",
        "value in (0.5, inf) -> value not in (0.5, inf)",
        "0.5 -> 1.5",
        "value + 1 -> value - 1",
        "1 -> 2",
    ]


def test_a_mutant_differs_from_the_module_in_one_place(module: str) -> None:
    whole = ast.unparse(ast.parse(SOURCE)).splitlines()
    for one in mutation.mutants(module):
        changed = ast.unparse(one.tree).splitlines()
        assert len(changed) == len(whole)
        assert sum(new != old for new, old in zip(changed, whole, strict=True)) == 1, one.change


@pytest.mark.slow
def test_every_explained_survivor_is_a_mutant_of_today() -> None:
    there = {
        (one.function, one.change)
        for modules, _ in mutation.TARGETS.values()
        for module in modules
        for one in mutation.mutants(module)
    }
    assert set(mutation.EQUIVALENT) <= there
