"""The Optuna study of a suite: a view of the ledger, rebuilt whenever a sweep starts.

One Optuna trial is one cell, told the mean over its seeds; its objectives are `Targets`. A grid or
a race enters the cells it runs, an adaptive search has them suggested; either way Optuna's
importance and Pareto plots, and its dashboard, work on any sweep.
"""

from __future__ import annotations

import warnings
from collections import defaultdict
from collections.abc import Iterable
from pathlib import Path

import optuna
from optuna.storages import JournalStorage
from optuna.storages.journal import JournalFileBackend
from optuna.trial import TrialState, create_trial

from mtlsweep.sweep.search.objective_values import Targets
from mtlsweep.sweep.search.space import Space
from mtlsweep.trials.cell import Cell
from mtlsweep.trials.state import FinishedTrial, Outcome

optuna.logging.set_verbosity(optuna.logging.WARNING)


MOST_REPETITIONS = 300
"""Suggestions in a row that are known already, after which a space counts as exhausted."""


class CellStudy:
    """Enters every cell into Optuna, suggests new ones, and tells what came of each.

    Args:
        path: file of the study (an Optuna journal); an older one is replaced.
        space: what a cell may be.
        replicates: number of seeds of each cell.
        targets: what Optuna is told.
        sampler: suggests cells; None when the strategy chooses them itself.
        known: what the ledger holds of the sweep.
    """

    def __init__(
        self,
        path: Path,
        space: Space,
        replicates: int,
        targets: Targets,
        sampler: optuna.samplers.BaseSampler | None,
        known: Iterable[FinishedTrial],
    ) -> None:
        self._space = space
        self._replicates = replicates
        self._targets = targets
        self._results: dict[str, dict[str, FinishedTrial]] = defaultdict(dict)
        self._open: dict[str, list[optuna.Trial]] = {}
        path.parent.mkdir(parents=True, exist_ok=True)
        for stale in path.parent.glob(f"{path.name}*"):
            stale.unlink()
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
            self._study = optuna.create_study(
                storage=JournalStorage(JournalFileBackend(str(path))),
                study_name=space.key,
                directions=targets.directions,
                sampler=sampler or optuna.samplers.RandomSampler(seed=0),
            )
            self._study.set_metric_names(targets.names)
        self._restore(known)

    def begin(self, cell: Cell) -> None:
        """Enter a cell that starts, unless it was suggested or began before."""
        if cell.key in self._open:
            return
        params, distributions = self._space.describe(cell)
        self._study.enqueue_trial(params)
        trial = self._study.ask(distributions)
        self._note(trial, cell)

    def suggest(self) -> Cell | None:
        """Return a cell that is neither known nor running, or None when the sampler finds no more."""
        for _ in range(MOST_REPETITIONS):
            trial = self._study.ask()
            cell = self._space.suggest(trial)
            self._note(trial, cell)
            if cell.key not in self._results and len(self._open[cell.key]) == 1:
                return cell
            self._tell(cell.key)  # known already: the sampler hears of it at once, or when it ends
        return None

    def tell(self, finished: FinishedTrial) -> None:
        """Take one replicate; with the last one of its cell, or when the cell is cut, Optuna is told."""
        key = finished.trial.cell.key
        self._results[key][finished.trial.key] = finished
        self._tell(key)

    def close(self) -> None:
        """Tell Optuna that the cells still open are not trained further: the sweep is complete without their replicates."""
        for trials in self._open.values():
            for trial in trials:
                self._study.tell(trial, state=TrialState.PRUNED)
        self._open.clear()

    def _restore(self, known: Iterable[FinishedTrial]) -> None:
        """Enter the cells that are complete; half-finished ones begin again."""
        cells: dict[str, Cell] = {}
        for one in known:
            cells[one.trial.cell.key] = one.trial.cell
            self._results[one.trial.cell.key][one.trial.key] = one
        for key, cell in sorted(cells.items()):
            state, values = self._state(key)
            if state is TrialState.RUNNING:
                self.begin(cell)
                continue
            params, distributions = self._space.describe(cell)
            attributes = _attributes(cell)
            self._study.add_trial(
                create_trial(
                    state=state, params=params, distributions=distributions, values=values, user_attrs=attributes
                )
            )

    def _note(self, trial: optuna.Trial, cell: Cell) -> None:
        for name, value in _attributes(cell).items():
            trial.set_user_attr(name, value)
        self._open.setdefault(cell.key, []).append(trial)

    def _tell(self, key: str) -> None:
        state, values = self._state(key)
        if state is not TrialState.RUNNING:
            for trial in self._open.pop(key, []):
                self._study.tell(trial, values, state=state)

    def _state(self, key: str) -> tuple[TrialState, list[float] | None]:
        """Return what Optuna shall think of a cell, and the mean values of a complete one."""
        results = list(self._results[key].values()) if key in self._results else []
        if any(one.state.outcome is Outcome.PRUNED for one in results):
            return TrialState.PRUNED, None
        if len(results) < self._replicates:
            return TrialState.RUNNING, None
        values = self._targets.mean(results)
        return (TrialState.COMPLETE, values) if values else (TrialState.FAIL, None)


def _attributes(cell: Cell) -> dict[str, str]:
    return {"cell_key": cell.key, "method": cell.method}
