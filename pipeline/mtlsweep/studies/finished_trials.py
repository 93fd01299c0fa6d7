"""The finished trials that a study uses: the cells selected on validation, their replicates, their tasks."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import pandas as pd

from mtlsweep.errors import UserError, nearest
from mtlsweep.params.choice import Choice
from mtlsweep.params.suite import NamedCell
from mtlsweep.record.ledger import Ledger
from mtlsweep.record.tables.parquet import read_table
from mtlsweep.trials.metric_names import of_split
from mtlsweep.trials.state import Finished
from mtlsweep.trials.trial import Trial

_TRIALS = ["trial_key", "cell_key", "role", "task", "weighting", "optimizer", "lr", "seed", "outcome", "best_epoch"]
_RESULTS = ["weighting", "optimizer", "lr", "cell_key", "val_delta_m_mean"]


@dataclass(frozen=True)
class ChosenTrial:
    """A finished trial and its best epoch.

    Attributes:
        best_epoch: chosen on validation by the analysis; 1 for the first.
        state: what the ledger recorded.
    """

    trial: Trial
    best_epoch: int
    state: Finished

    def recorded(self, split: str) -> dict[str, float]:
        """Return the metrics of `val` or `test` as recorded at the best epoch."""
        return of_split(self.state.curve[self.best_epoch - 1].metrics, split)


@dataclass(frozen=True)
class FinishedSuite:
    """What the stage `analyse` wrote about a suite.

    Attributes:
        trials: a row per trial.
        results: a row per method with its selected cell, best validation Delta_m first.
        baselines: task and cell_key of each single-task baseline.
    """

    trials: pd.DataFrame
    results: pd.DataFrame
    baselines: pd.DataFrame

    @classmethod
    def read(cls, directory: Path) -> FinishedSuite:
        """Read the tables under `results/<suite>/`.

        Raises:
            UserError: a table is missing or damaged.
        """
        return cls(
            read_table(directory / "trials.parquet", _TRIALS),
            read_table(directory / "analysis" / "results.parquet", _RESULTS),
            read_table(directory / "analysis" / "baselines.parquet", ["task", "cell_key"]).drop_duplicates(),
        )

    def best_equal_weights(self) -> str:
        """Return the `cell_key` of the equal-weights (EW) method with the lowest validation Delta_m.

        Raises:
            UserError: no EW method finished.
        """
        plain = self.results["weighting"].str.partition("(")[0] == "ew"
        if not plain.any():
            raise UserError(
                "no equal-weights cell has finished with every seed, so there is none to measure; "
                "add `ew` to `sweep.weightings` or name cells in `studies.gradients.cells`."
            )
        return str(self.results[plain].sort_values("val_delta_m_mean").iloc[0]["cell_key"])

    def named(self, cell: NamedCell) -> str:
        """Return the `cell_key` of `cell`.

        Raises:
            UserError: there is none, or not with every seed done.
        """
        usable = (
            self.trials[self.trials["role"] == "mtl"]
            .groupby("cell_key")
            .filter(lambda own: (own["outcome"] == "done").all())
        )
        own = usable[(usable["weighting"] == cell.weighting) & (usable["optimizer"] == cell.optimizer)]
        if own.empty:
            known = sorted(set(usable["weighting"] + " " + usable["optimizer"]))
            method = f"{cell.weighting} {cell.optimizer}"
            raise UserError(
                f"no finished method is called `{method}`{nearest(method, known)} Allowed: {', '.join(known)}."
            )
        if cell.learning_rate is None:
            selected = self.results[
                (self.results["weighting"] == cell.weighting) & (self.results["optimizer"] == cell.optimizer)
            ]
            return str(selected.iloc[0]["cell_key"])
        rates = own[own["lr"] == cell.learning_rate]
        if rates.empty:
            finished = ", ".join(f"{rate:g}" for rate in sorted(set(own["lr"])))
            raise UserError(
                f"method `{cell.weighting} {cell.optimizer}` has not finished at learning rate {cell.learning_rate:g}; choose one at which it has: {finished}."
            )
        if rates["cell_key"].nunique() > 1:
            raise UserError(
                f"method `{cell.weighting} {cell.optimizer}` has finished with several settings at learning rate "
                f"{cell.learning_rate:g}; leave `learning_rate` out to take the selected one."
            )
        return str(rates.iloc[0]["cell_key"])

    def replicates(self, cell_key: str, count: int, ledger: Ledger, network: Choice) -> list[ChosenTrial]:
        """Return the first `count` replicates of a cell, by seed.

        Args:
            network: the suite's network; its files are read where they are now, not where they were.

        Raises:
            UserError: the ledger has lost one.
        """
        own = self.trials[self.trials["cell_key"] == cell_key].sort_values("seed").head(count)
        chosen = []
        for row in own.itertuples():
            finished = ledger.read(str(row.trial_key))
            cell = finished.trial.cell
            trial = Trial(cell.with_paths_of(replace(cell, network=network)), finished.trial.seed)
            chosen.append(ChosenTrial(trial, int(row.best_epoch), finished.state))
        return chosen

    def selected_methods(self, weightings: Sequence[str], optimizers: Sequence[str]) -> pd.DataFrame:
        """Return the rows of the results with the named weightings and optimizers; no name means all.

        Raises:
            UserError: a name that is in no result.
        """
        results = self.results
        for column, wanted in (("weighting", weightings), ("optimizer", optimizers)):
            known = sorted(set(self.results[column]))
            for name in wanted:
                if name not in known:
                    raise UserError(
                        f"`studies.robustness.{column}s` names `{name}`{nearest(name, known)} Finished methods have: {', '.join(known)}."
                    )
            results = results[results[column].isin(wanted)] if wanted else results
        return results
