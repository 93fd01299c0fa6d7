"""The Optuna study of a suite: a view of the plan and the ledger, rebuilt whenever a sweep starts.

One Optuna trial is one cell, told the mean over its seeds; its objectives are the validation
Delta_m of each task at the epochs with the lowest validation Delta_m. So Optuna's importance and
Pareto plots, and its dashboard, work on any sweep.
"""

from __future__ import annotations

import math
import warnings
from collections import defaultdict
from collections.abc import Iterable, Sequence
from pathlib import Path

import optuna
from optuna.distributions import BaseDistribution, CategoricalDistribution, FloatDistribution
from optuna.storages import JournalStorage
from optuna.storages.journal import JournalFileBackend
from optuna.trial import TrialState, create_trial

from pipeline.analysis.objectives import tasks_of
from pipeline.files import content_hash
from pipeline.sweep.reference import Reference
from pipeline.trials import Cell, FinishedTrial, Outcome

optuna.logging.set_verbosity(optuna.logging.WARNING)


class CellStudy:
    """Asks Optuna for the next cell of a plan and tells it what came of each.

    Args:
        path: file of the study (an Optuna journal); an older one is replaced.
        cells: the cells of the sweep.
        replicates: number of seeds of each.
        reference: what Delta_m compares with.
    """

    def __init__(self, path: Path, cells: Sequence[Cell], replicates: int, reference: Reference) -> None:
        self._reference = reference
        self._tasks = tasks_of([objective for objective in reference.objectives if objective.in_delta_m])
        self._cells = {cell.key: cell for cell in cells}
        self._replicates = replicates
        self._results: dict[str, dict[str, FinishedTrial]] = defaultdict(dict)
        self._asked: dict[str, optuna.Trial] = {}
        self._distributions = _distributions([*self._cells.values()])
        path.parent.mkdir(parents=True, exist_ok=True)
        for stale in path.parent.glob(f"{path.name}*"):
            stale.unlink()
        self._study = optuna.create_study(
            storage=JournalStorage(JournalFileBackend(str(path))),
            study_name=content_hash([cell.key for cell in cells]),
            directions=["minimize"] * len(self._tasks),
            sampler=optuna.samplers.RandomSampler(seed=0),  # never asked: every cell of the plan is enqueued
        )
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
            self._study.set_metric_names([f"val delta_m {task}" for task in self._tasks])

    def restore(self, known: Iterable[FinishedTrial]) -> None:
        """Enter what the ledger holds already, and enqueue every cell that is not complete."""
        for one in known:
            self._results[one.trial.cell.key][one.trial.key] = one
        for key, cell in self._cells.items():
            state, values = self._state(key)
            if state is TrialState.WAITING:
                self._study.enqueue_trial(_cell_params(cell), user_attrs=_attributes(cell))
            else:
                self._study.add_trial(
                    create_trial(
                        state=state,
                        params=_cell_params(cell),
                        distributions=self._distributions,
                        values=values,
                        user_attrs=_attributes(cell),
                    )
                )

    def begin(self, cell: Cell) -> None:
        """Ask Optuna for `cell`, which is enqueued; others enqueued before it are held until they begin."""
        while cell.key not in self._asked:
            if not self._study.get_trials(deepcopy=False, states=(TrialState.WAITING,)):
                self._study.enqueue_trial(_cell_params(cell), user_attrs=_attributes(cell))  # goes on after it was cut
            asked = self._study.ask(self._distributions)
            self._asked[asked.user_attrs["cell_key"]] = asked

    def tell(self, finished: FinishedTrial) -> None:
        """Take one replicate; with the last one of its cell, or when the cell is cut, Optuna is told."""
        key = finished.trial.cell.key
        self._results[key][finished.trial.key] = finished
        state, values = self._state(key)
        if state is not TrialState.WAITING and key in self._asked:
            self._study.tell(self._asked.pop(key), values, state=state)

    def close(self) -> None:
        """Tell Optuna that the cells still open are not trained further: the sweep is complete without their replicates."""
        for asked in self._asked.values():
            self._study.tell(asked, state=TrialState.PRUNED)
        self._asked.clear()

    def _state(self, key: str) -> tuple[TrialState, list[float] | None]:
        """Return what Optuna shall think of a cell, and the mean objectives of a complete one."""
        results = self._results[key].values()
        if any(one.result.outcome is Outcome.PRUNED for one in results):
            return TrialState.PRUNED, None
        if len(results) < self._replicates:
            return TrialState.WAITING, None
        values = self._mean(key)
        return (TrialState.COMPLETE, values) if values else (TrialState.FAIL, None)

    def _mean(self, key: str) -> list[float] | None:
        """Return the mean objectives of a cell, or None unless every replicate is done and finite."""
        rows = []
        for finished in self._results[key].values():
            best = self._reference.best_epoch([record.metrics for record in finished.result.curve])
            if finished.result.outcome is not Outcome.DONE or best is None:
                return None
            rows.append([float(best[f"delta_m_{task}"]) for task in self._tasks])
        means = [sum(column) / len(rows) for column in zip(*rows, strict=True)]
        return means if all(map(math.isfinite, means)) else None


def _attributes(cell: Cell) -> dict[str, str]:
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
