"""`docs/glossary.md` explains every name of the schemas once, and no name that is in none of them."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, get_args

import pytest
import yaml
from pydantic import BaseModel

from mtlsweep.params.choice import Choice
from mtlsweep.params.params import params_model
from mtlsweep.params.studies import StudySection
from mtlsweep.record.mlflow.entries import end_tags, params_of
from mtlsweep.record.mlflow.experiment import LEDGER_ID
from mtlsweep.record.tables.schema import COSTS, CURVES, OUTCOMES
from mtlsweep.trials.cell import Role
from mtlsweep.trials.state import FinishedTrial, Outcome

PAGE = (Path(__file__).parents[2] / "docs/glossary.md").read_text()
WORDS, SETTINGS = PAGE.split("## Settings")


def cells(text: str) -> Iterator[list[str]]:
    """Yield the cells of every row of the tables in `text`, without heads."""
    for row in re.findall(r"^\|(.*)\|$", text, re.MULTILINE):
        columns = [cell.strip() for cell in row.split("|")]
        if columns[0] not in ("word", "written") and not columns[0].startswith("---"):
            yield columns


def code(cell: str) -> list[str]:
    return re.findall(r"`([^`]+)`", cell)


def written() -> list[str]:
    """The names that the page explains."""
    names = [name for row in cells(WORDS) for name in code(row[2])]
    return names + [name for row in cells(SETTINGS) for name in code(row[0])]


def models_in(annotation: Any) -> list[type[BaseModel]]:
    """Return the sections of params.yaml that a field's type holds, itself or inside a mapping, tuple or union."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return [] if issubclass(annotation, (Choice, StudySection)) else [annotation]
    return [model for inner in get_args(annotation) for model in models_in(inner)]


def keys_of(model: type[BaseModel], place: str = "") -> Iterator[tuple[str, Any]]:
    """Yield the dotted place of every key of params.yaml with its default; keys of a suite by their place in it."""
    for name, field in model.model_fields.items():
        default = None if field.is_required() else field.get_default(call_default_factory=True)
        yield f"{place}{name}", default
        for inner in models_in(field.annotation):
            yield from keys_of(inner, "" if name == "suites" else f"{place}{name}.")


@pytest.fixture
def schema(make_finished: Callable[..., FinishedTrial]) -> set[str]:
    finished = make_finished(outcome=Outcome.FAILED)
    options = ("network.", "weighting.", "optimizer.", "training.")
    return {
        "defaults",
        *(place for place, _ in keys_of(params_model())),
        *CURVES.names,
        *OUTCOMES.names,
        *COSTS.names,
        *Outcome,
        *get_args(Role),
        *(name for name in params_of(finished.trial) if not name.startswith(options)),
        *(name for name in end_tags(finished) if not name.startswith("mlflow.")),
        "reference",
        "kind",
        LEDGER_ID,
    }


def test_every_name_of_the_schemas_is_explained(schema: set[str]) -> None:
    assert schema - set(written()) == set()


def test_every_name_that_is_explained_is_in_a_schema(schema: set[str]) -> None:
    assert set(written()) - schema == set()


def test_a_name_and_a_word_have_one_meaning() -> None:
    words = [row[0].lower() for row in cells(WORDS)]
    assert {name: count for name, count in Counter(written()).items() if count > 1} == {}
    assert {word: count for word, count in Counter(words).items() if count > 1} == {}


def test_defaults_are_those_of_the_schema() -> None:
    defaults = {place: default for place, default in keys_of(params_model()) if not isinstance(default, BaseModel)}
    told = {code(row[0])[0]: yaml.safe_load(code(row[1])[0]) for row in cells(SETTINGS) if row[1]}
    assert told == {
        place: str(defaults[place]) if isinstance(value, str) else defaults[place] for place, value in told.items()
    }


def test_words_of_the_project_are_there() -> None:
    """The words that the design settles; the schemas do not know all of them."""
    words = {row[0] for row in cells(WORDS)}
    assert words >= {
        "task",
        "suite",
        "weighting",
        "cell",
        "trial",
        "method",
        "plan",
        "key",
        "ledger",
        "baseline",
        "outcome",
    }
    assert words >= {"replicate", "rung", "slot", "lease", "assignment", "state", "paused", "finished", "reference"}
    assert words >= {"front", "objective", "strategy", "study", "executor", "view"}
