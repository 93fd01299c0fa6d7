"""Why trials are trained again: finished trials that differ from a planned one only in what they were made from."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable

from mtlsweep.files import content_hash
from mtlsweep.training.content import changed_content
from mtlsweep.trials.cell import Cell
from mtlsweep.trials.trial import Trial

VERSIONS = {
    "schema": "version of keys",
    "trainer": "version of training",
    "data": "prepared data",
    "last_batch": "last batch",
    "targets": "missing labels",
}


def count_outdated(planned: Iterable[Trial], finished: Iterable[Trial], others: Iterable[Trial]) -> dict[str, int]:
    """Count planned trials that were trained before with other data, code, files or metrics, by what has changed.

    Args:
        planned: the trials of a plan.
        finished: those of them that are finished.
        others: finished trials that are not in the plan.
    """
    done = {trial.key for trial in finished}
    waiting = {_question(trial): trial for trial in planned if trial.key not in done}
    reasons: dict[str, set[str]] = {}  # an often edited method has been trained many times
    for trial in others:
        wanted = waiting.get(_question(trial))
        if wanted is not None:
            reasons.setdefault(wanted.key, set()).add(", ".join(_changes(trial.cell, wanted.cell)))
    return dict(Counter(min(found, key=lambda reason: (reason.count(","), reason)) for found in reasons.values()))


def _question(trial: Trial) -> str:
    """Hash what params.yaml says of a trial."""
    said = {name: value for name, value in trial.cell.identity.items() if name not in (*VERSIONS, "content")}
    return content_hash([said, trial.seed])


def _changes(before: Cell, after: Cell) -> list[str]:
    versions = [word for name, word in VERSIONS.items() if before.identity.get(name) != after.identity.get(name)]
    return [*versions, *changed_content(before.content, after.content)]
