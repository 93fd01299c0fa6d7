"""The Optuna study of a suite: a view of the ledger, rebuilt when a sweep starts.

One Optuna trial is one cell; its values are the means of `Targets` over its seeds. A grid or a race
adds the cells it runs; an adaptive search lets Optuna suggest them. Optuna's importance and Pareto
plots and its dashboard work with any strategy.
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
"""Number of known suggestions in a row after which the space counts as exhausted."""


class CellStudy:
    """Adds every cell to Optuna, suggests new cells, and reports their results.

    Args:
        path: file of the study (an Optuna journal); an older one is replaced.
        space: allowed cells.
        replicates: number of seeds of each cell.
        targets: objective values reported to Optuna.
        sampler: suggests cells; None when the strategy chooses them itself.
        known: finished trials in the ledger.
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
        """Add a cell that starts, unless it is open already."""
        if cell.key in self._open:
            return
        params, distributions = self._space.describe(cell)
        self._study.enqueue_trial(params)
        trial = self._study.ask(distributions)
        self._add_open(trial, cell)

    def suggest(self, start: Cell | None = None) -> Cell | None:
        """Return a cell that is neither known nor running, or None if the sampler finds no more.

        Args:
            start: the cell has its method and learning rate, unless there is no new one with these; the sampler chooses the rest.
        """
        if start is not None:
            self._study.enqueue_trial(self._space.start(start))
        for _ in range(MOST_REPETITIONS):
            trial = self._study.ask()
            cell = self._space.suggest(trial)
            self._add_open(trial, cell)
            if cell.key not in self._results and len(self._open[cell.key]) == 1:
                return cell
            self._report(cell.key)  # known already: report it now, or when it ends
        return None

    def tell(self, finished: FinishedTrial) -> None:
        """Add one replicate; report the cell to Optuna when it is complete or pruned."""
        key = finished.trial.cell.key
        self._results[key][finished.trial.key] = finished
        self._report(key)

    def close(self) -> None:
        """Report open cells to Optuna as pruned: the sweep is complete without their other replicates."""
        for trials in self._open.values():
            for trial in trials:
                self._study.tell(trial, state=TrialState.PRUNED)
        self._open.clear()

    def _restore(self, known: Iterable[FinishedTrial]) -> None:
        """Add the complete cells; reopen cells with missing replicates."""
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

    def _add_open(self, trial: optuna.Trial, cell: Cell) -> None:
        for name, value in _attributes(cell).items():
            trial.set_user_attr(name, value)
        self._open.setdefault(cell.key, []).append(trial)

    def _report(self, key: str) -> None:
        state, values = self._state(key)
        if state is not TrialState.RUNNING:
            for trial in self._open.pop(key, []):
                self._study.tell(trial, values, state=state)

    def _state(self, key: str) -> tuple[TrialState, list[float] | None]:
        """Return the Optuna state of a cell, and the mean values if it is complete."""
        results = list(self._results[key].values()) if key in self._results else []
        if any(one.state.outcome is Outcome.PRUNED for one in results):
            return TrialState.PRUNED, None
        if len(results) < self._replicates:
            return TrialState.RUNNING, None
        values = self._targets.mean(results)
        return (TrialState.COMPLETE, values) if values else (TrialState.FAIL, None)


def _attributes(cell: Cell) -> dict[str, str]:
    return {"cell_key": cell.key, "method": cell.method}
