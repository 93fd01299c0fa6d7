"""The Optuna study of a suite: a view of the plan and the ledger, rebuilt whenever a sweep starts.

One Optuna trial is one cell, told the mean over its seeds; its objectives are the validation
Delta_m of each task at the epochs with the lowest validation Delta_m. So Optuna's importance and
Pareto plots, and its dashboard, work on any sweep.
"""

from __future__ import annotations

import math
import warnings
from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path

import optuna
from optuna.distributions import BaseDistribution, CategoricalDistribution, FloatDistribution
from optuna.storages import JournalStorage
from optuna.storages.journal import JournalFileBackend
from optuna.trial import TrialState, create_trial

from pipeline.analysis.objectives import tasks_of
from pipeline.files import content_hash
from pipeline.sweep.reference import Reference
from pipeline.trials import Cell, FinishedTrial, Outcome, Trial

optuna.logging.set_verbosity(optuna.logging.WARNING)


class CellStudy:
    """Asks Optuna for the next cell of a plan and tells it what came of each.

    Args:
        path: file of the study (an Optuna journal); an older one is replaced.
        plan: the trials of the sweep.
        reference: what Delta_m compares with.
    """

    def __init__(self, path: Path, plan: Sequence[Trial], reference: Reference) -> None:
        self._reference = reference
        self._tasks = tasks_of([objective for objective in reference.objectives if objective.in_delta_m])
        self._cells = {trial.cell.key: trial.cell for trial in plan}
        self._replicates: dict[str, int] = defaultdict(int)
        for trial in plan:
            self._replicates[trial.cell.key] += 1
        self._results: dict[str, list[FinishedTrial]] = defaultdict(list)
        self._asked: dict[str, optuna.Trial] = {}
        self._distributions = _distributions([*self._cells.values()])
        path.parent.mkdir(parents=True, exist_ok=True)
        for stale in path.parent.glob(f"{path.name}*"):
            stale.unlink()
        self._study = optuna.create_study(
            storage=JournalStorage(JournalFileBackend(str(path))),
            study_name=content_hash([trial.key for trial in plan]),
            directions=["minimize"] * len(self._tasks),
            sampler=optuna.samplers.RandomSampler(seed=0),  # never asked: every cell of the plan is enqueued
        )
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
            self._study.set_metric_names([f"val delta_m {task}" for task in self._tasks])

    def restore(self, finished: Sequence[FinishedTrial]) -> None:
        """Enter what the ledger holds already, and enqueue every cell that is not complete."""
        for one in finished:
            self._results[one.trial.cell.key].append(one)
        for key, cell in self._cells.items():
            if len(self._results[key]) == self._replicates[key]:
                values = self._mean(key)
                self._study.add_trial(
                    create_trial(
                        state=TrialState.COMPLETE if values else TrialState.FAIL,
                        params=_cell_params(cell),
                        distributions=self._distributions,
                        values=values,
                        user_attrs=self._attributes(cell),
                    )
                )
            else:
                self._study.enqueue_trial(_cell_params(cell), user_attrs=self._attributes(cell))

    def next_cell(self) -> str | None:
        """Ask for the next cell and return its key, or None when all were asked for."""
        if not self._study.get_trials(deepcopy=False, states=(TrialState.WAITING,)):
            return None
        asked = self._study.ask(self._distributions)
        key: str = asked.user_attrs["cell_key"]
        self._asked[key] = asked
        return key

    def tell(self, finished: FinishedTrial) -> None:
        """Take one replicate; with the last one of its cell Optuna is told the mean."""
        key = finished.trial.cell.key
        self._results[key].append(finished)
        if len(self._results[key]) == self._replicates[key] and key in self._asked:
            values = self._mean(key)
            state = TrialState.COMPLETE if values else TrialState.FAIL
            self._study.tell(self._asked.pop(key), values, state=state)

    def _mean(self, key: str) -> list[float] | None:
        """Return the mean objectives of a cell, or None unless every replicate is done and finite."""
        rows = []
        for finished in self._results[key]:
            best = self._reference.best_epoch([record.metrics for record in finished.result.curve])
            if finished.result.outcome is not Outcome.DONE or best is None:
                return None
            rows.append([float(best[f"delta_m_{task}"]) for task in self._tasks])
        means = [sum(column) / len(rows) for column in zip(*rows, strict=True)]
        return means if all(map(math.isfinite, means)) else None

    def _attributes(self, cell: Cell) -> dict[str, str]:
        return {"cell_key": cell.key, "method": cell.method}


def _cell_params(cell: Cell) -> dict[str, str | float]:
    return {"weighting": cell.weighting_label, "optimizer": cell.optimizer_label, "lr": cell.learning_rate}


def _distributions(cells: Sequence[Cell]) -> dict[str, BaseDistribution]:
    rates = [cell.learning_rate for cell in cells]
    return {
        "weighting": CategoricalDistribution(sorted({cell.weighting_label for cell in cells})),
        "optimizer": CategoricalDistribution(sorted({cell.optimizer_label for cell in cells})),
        "lr": FloatDistribution(min(rates), max(rates), log=True),
    }
