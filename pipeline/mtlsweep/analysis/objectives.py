"""What is measured: the metrics of a suite's tasks, their direction, and whether Delta_m counts them."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from mtlsweep.errors import UserError
from mtlsweep.trials.metric_names import MetricName, figure_of


@dataclass(frozen=True)
class Objective:
    """One metric of one task: a column of the tables and an axis of the Pareto front."""

    task: str
    metric: str
    higher_is_better: bool
    in_delta_m: bool = True

    @property
    def name(self) -> str:
        """What tables call it, such as `left_accuracy`; the column of a split is `of(split).column`."""
        return figure_of(self.task, self.metric)

    def of(self, split: str) -> MetricName:
        """Return the recorded metric of a split."""
        return MetricName(split, self.task, self.metric)

    @property
    def label(self) -> str:
        """The name people read: `left accuracy`, `semseg mIoU` as the task calls it."""
        return f"{self.task} {self.metric}".replace("_", " ")


def read_objectives(path: Path) -> tuple[Objective, ...]:
    """Read the `metrics.json` that a sweep writes beside its curves.

    Raises:
        UserError: the file is missing, damaged, or declares no metric that Delta_m counts.
    """
    try:
        objectives = tuple(Objective(**entry) for entry in json.loads(path.read_text()))
    except FileNotFoundError as error:
        raise UserError(f"`{path}` is missing; run `dvc repro` to make it.") from error
    except (ValueError, TypeError) as error:
        raise UserError(f"`{path}` is damaged ({error}); delete it and run `dvc repro`.") from error
    if not any(objective.in_delta_m for objective in objectives):
        raise UserError(f"`{path}` has no metric that counts in Delta_m; a task must declare at least one.")
    return objectives


def tasks_of(objectives: Iterable[Objective]) -> list[str]:
    """Return the task names in the order in which they first appear."""
    return list(dict.fromkeys(objective.task for objective in objectives))


def counted(objectives: Sequence[Objective]) -> list[Objective]:
    """Return the objectives that enter Delta_m."""
    return [objective for objective in objectives if objective.in_delta_m]


def scatter_axes(objectives: Sequence[Objective]) -> tuple[Objective, Objective]:
    """Return what a two-task scatter shows: the first metric of the first two tasks, or of the only one twice."""
    firsts = {objective.task: objective for objective in reversed(counted(objectives))}
    ordered = [firsts[task] for task in tasks_of(counted(objectives))]
    return ordered[0], ordered[1] if len(ordered) > 1 else counted(objectives)[-1]
