"""Which hyperparameter matters: Optuna's functional ANOVA over the cells of a suite."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

import numpy as np
import optuna
import pandas as pd
from optuna.distributions import BaseDistribution, CategoricalDistribution, FloatDistribution
from optuna.importance import FanovaImportanceEvaluator, get_param_importances
from optuna.trial import create_trial

from mtlsweep.analysis.objectives import Objective, counted, tasks_of
from mtlsweep.analysis.selection import METHOD, axis_columns, without_compared
from mtlsweep.trials.metric_names import column_of, delta_m_of

optuna.logging.set_verbosity(optuna.logging.WARNING)


PARAMETERS = ("weighting", "optimizer", "lr")
_COLUMNS = ["hyperparameter", "target", "importance"]
_FEWEST_CELLS = 4  # with fewer, a forest of regression trees has nothing to split
_MOST_TASKS = 6  # forty attributes would need forty forests and give an unreadable figure
_MOST_CELLS = 2000  # with more, a fixed sample is used: the forest would take minutes and give the same result


def hyperparameter_importance(trials: pd.DataFrame, objectives: Sequence[Objective]) -> pd.DataFrame:
    """Return the share of the variance of validation Delta_m that each hyperparameter explains alone (Hutter et al. 2014).

    The study is rebuilt from the trial table: one Optuna trial per cell, with the mean over its done
    replicates. Cells without a done replicate are left out; the sweep's own study records them as FAIL. An axis is a
    hyperparameter of its own, so compared values are taken out of the names of weightings and optimizers; a method
    that does not have the option of an axis has "none" as its value.

    Args:
        trials: the table that `analyse` puts out (trials.parquet).
        objectives: every metric of every task.

    Returns:
        (hyperparameter, target, importance): target is "all tasks" or, in suites of up to six tasks, a task. Empty with fewer than
        four cells, or when no hyperparameter takes two values.
    """
    tasks = tasks_of(counted(objectives))
    shown = tasks if len(tasks) <= _MOST_TASKS else []
    targets = {"all tasks": "val_delta_m", **{task: column_of("val", delta_m_of(task)) for task in shown}}
    done = trials[(trials["role"] == "mtl") & (trials["outcome"] == "done") & np.isfinite(trials["val_delta_m"])]
    parameters = [*PARAMETERS, *axis_columns(trials)]
    done = done.fillna(dict.fromkeys(axis_columns(trials), "none"))
    cells = done.groupby(["cell_key", *parameters], as_index=False)[list(targets.values())].mean()
    for name in METHOD if axis_columns(trials) else []:
        cells[name] = without_compared(cells[name])
    cells = cells.sample(n=min(len(cells), _MOST_CELLS), random_state=0)
    varied = [name for name in parameters if cells[name].nunique() > 1]
    if len(cells) < _FEWEST_CELLS or not varied:
        return pd.DataFrame(columns=_COLUMNS).astype({"importance": float})
    study = _study(cells, varied, list(targets.values()))
    evaluator = FanovaImportanceEvaluator(n_trees=24, max_depth=12, seed=0)  # a fifth of the time of 64 deep trees
    rows = []
    for position, target in enumerate(targets):
        shares = get_param_importances(study, evaluator=evaluator, params=varied, target=partial(_value, position))
        rows += [(name, target, shares[name]) for name in varied]
    return pd.DataFrame(rows, columns=_COLUMNS)


def _value(position: int, trial: optuna.trial.FrozenTrial) -> float:
    return float(trial.values[position])


def _study(cells: pd.DataFrame, varied: list[str], targets: list[str]) -> optuna.Study:
    distributions: dict[str, BaseDistribution] = {
        name: FloatDistribution(cells[name].min(), cells[name].max(), log=True)
        if name == "lr"
        else CategoricalDistribution(sorted(cells[name].unique()))
        for name in varied
    }
    study = optuna.create_study(directions=["minimize"] * len(targets))
    study.add_trials(
        [
            create_trial(
                params={name: cell[name] for name in varied},
                distributions=distributions,
                values=[cell[target] for target in targets],
            )
            for cell in cells.to_dict("records")
        ]
    )
    return study
