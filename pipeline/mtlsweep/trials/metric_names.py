"""Names of metrics: the one place where they are put together and taken apart.

A recorded metric is called `val/left/accuracy` (split, task, metric), in the ledger and in MLflow. In
a table it is the column `val_left_accuracy`: the split, then the name of the *figure*. A figure is a
metric of a task (`left_accuracy`) or is derived from several (`delta_m`, `delta_m_left`). A column is
made and never parsed, since `a_b_c` may be metric `b_c` of task `a` or metric `c` of task `a_b`; names
with which that happens are refused where tasks are declared.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import combinations

from mtlsweep.errors import UserError

LOSS = "loss"
"""The metric that every task has."""

COSINE = "cosine"
"""Stands for the task in the names of cosines between task gradients (`train/cosine/mean`)."""

DELTA_M = "delta_m"
DELTA_M_TASK_MEAN = "delta_m_task_mean"
OWN_DELTA_M = "own_delta_m"
"""Delta_m against single-task training with the method's own optimizer."""

_LONGEST = 100  # MLflow takes 250 characters: those of a split and two tasks
_TASK = re.compile(r"\w[\w-]*", re.ASCII)
_METRIC = re.compile(r"\w[\w.: -]*", re.ASCII)  # what MLflow takes, but for `/`


@dataclass(frozen=True, slots=True)
class MetricName:
    """A recorded metric; `str` gives its name, such as `val/left/accuracy`.

    Attributes:
        split: `train`, `val` or `test`; in the study of robustness a corruption.
        task: name of the task.
        metric: `loss`, or what the task calls it.
    """

    split: str
    task: str
    metric: str

    def __str__(self) -> str:
        return f"{self.split}/{self.task}/{self.metric}"

    @property
    def column(self) -> str:
        """The column of tables, such as `val_left_accuracy`."""
        return column_of(self.split, figure_of(self.task, self.metric))

    @classmethod
    def parse(cls, text: str) -> MetricName | None:
        """Undo `str`; None for what is no metric of a task (`val/delta_m`, `system/cpu_utilization_percentage`)."""
        return _parse(text)


@lru_cache(maxsize=2**16)
def _parse(text: str) -> MetricName | None:
    parts = text.split("/")
    return MetricName(*parts) if len(parts) == 3 and all(parts) else None


def of_split(metrics: Mapping[str, float], split: str) -> dict[str, float]:
    """Return those of the recorded `metrics` that were measured on `split`."""
    return {text: value for text, value in metrics.items() if (name := _parse(text)) and name.split == split}


def cosine(statistic: str) -> MetricName:
    """Return the name of a statistic over the cosines between task gradients, such as `train/cosine/mean`."""
    return MetricName("train", COSINE, statistic)


def cosine_between(first: str, second: str) -> MetricName:
    """Return the name of the mean cosine between the gradients of two tasks, such as `train/cosine/left-right`."""
    return cosine(f"{first}-{second}")


SKIPPED = MetricName("train", "steps", "skipped")
"""How many steps of an epoch had no label of any task; recorded where there is one."""


def live_delta_m(split: str) -> str:
    """Return the name under which MLflow shows Delta_m while a sweep runs, such as `val/delta_m`."""
    return f"{split}/{DELTA_M}"


def at_best(column: str) -> str:
    """Return the name under which MLflow shows a figure of the epoch that counts, such as `best/test_left_accuracy`."""
    return f"best/{column}"


def figure_of(task: str, metric: str) -> str:
    """Return the name of a task's metric in tables, such as `left_accuracy`."""
    return f"{task}_{metric}"


def delta_m_of(task: str) -> str:
    """Return the name of a task's own Delta_m in tables, such as `delta_m_left`."""
    return f"{DELTA_M}_{task}"


def column_of(split: str, figure: str) -> str:
    """Return the column that holds a figure of a split, such as `test_delta_m_left`."""
    return f"{split}_{figure}"


def check_recorded(metrics: Mapping[str, Sequence[str]]) -> None:
    """Check the names of tasks and metrics as they are recorded.

    Args:
        metrics: by task, the names of the metrics it declares; `loss` is not among them.

    Raises:
        UserError: MLflow does not take a name, or it is taken.
    """
    for task, own in metrics.items():
        _check_name("task", task, _TASK, "`_` and `-`")
        for metric in own:
            _check_name("metric", metric, _METRIC, "`_`, `-`, `.`, `:` and spaces")
        if task in (DELTA_M, COSINE):
            raise UserError(f"a task is called `{task}`, a name that figures over all tasks have: rename it.")
        if LOSS in own:
            raise UserError(f"task `{task}` declares a metric `{LOSS}`, which every task has already: rename it.")
    pairs = combinations(metrics, 2)
    _check_distinct((str(cosine_between(*pair)), "the cosine of tasks `{}` and `{}`".format(*pair)) for pair in pairs)


def check_columns(metrics: Mapping[str, Sequence[str]]) -> None:
    """Check that no two figures of these tasks have the same name in tables.

    Args:
        metrics: by task, the names of its metrics.

    Raises:
        UserError: a name is empty or holds a `/`, or two figures share a name.
    """
    for name in (name for task, own in metrics.items() for name in (task, *own)):
        if not name or "/" in name:
            raise UserError(f"a task or metric is called {name!r}: give it a name without `/`.")
    derived = [(DELTA_M, "Delta_m"), (DELTA_M_TASK_MEAN, "the mean of Delta_m over tasks")]
    derived += [(OWN_DELTA_M, "Delta_m against single-task training with a method's own optimizer")]
    derived += [(delta_m_of(task), f"Delta_m of task `{task}`") for task in metrics]
    measured = [
        (figure_of(task, metric), f"metric `{metric}` of task `{task}`")
        for task, own in metrics.items()
        for metric in own
    ]
    _check_distinct([*derived, *measured])


def _check_name(kind: str, name: str, allowed: re.Pattern[str], signs: str) -> None:
    if not allowed.fullmatch(name) or len(name) > _LONGEST:
        raise UserError(
            f"a {kind} is called {name!r}: use 1 to {_LONGEST} letters, digits, {signs}; the first is a letter, a digit or `_`."
        )


def _check_distinct(names: Iterable[tuple[str, str]]) -> None:
    """Check that no two of the pairs (name, what bears it) have the same name."""
    owners: dict[str, str] = {}
    for name, owner in names:
        if name in owners:
            raise UserError(f"{owners[name]} and {owner} would both be called `{name}`: rename one of them.")
        owners[name] = owner
