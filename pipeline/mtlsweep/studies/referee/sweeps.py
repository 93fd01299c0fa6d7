"""The stages that the referee trains: sweeps of the same suite whose weightings are fixed weights.

The second stage exists once the results of the first are known: they say where its weights lie.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from math import prod
from pathlib import Path
from typing import Any

from mtlsweep import paths
from mtlsweep.errors import UserError
from mtlsweep.params.choice import Choice
from mtlsweep.params.followed import read_followed, write_followed
from mtlsweep.params.params import Params
from mtlsweep.params.studies import find_section
from mtlsweep.params.suite import Method, Stage, rates_of
from mtlsweep.studies.referee.params import Referee
from mtlsweep.studies.referee.simplex import spread_weights

FIRST: Stage = "referee"
REFINED: Stage = "referee_refined"


def stages(params: Params, suite: str) -> dict[Stage, Params]:
    """Return the stages known now, with the params under whose `sweep` they train.

    Raises:
        UserError: the sweep gives its methods no equal budgets.
    """
    first = first_stage(params, suite)
    methods = read_followed(_path(suite), _values(first, suite)) or []
    refined = [Method(**{part: Choice(**choice) for part, choice in method.items()}) for method in methods]
    return {FIRST: first} | ({REFINED: with_methods(params, suite, refined)} if refined else {})


def later(params: Params, suite: str) -> list[str]:
    """Say what the second stage will be, as long as it is not known."""
    optimizers, known = params.suite(suite).sweep.optimizers, REFINED in stages(params, suite)
    spread, refined = count_weights(params, suite)
    if known or not refined:
        return []
    return [
        f"{REFINED}: up to {refined} more fixed weights for each of {len(optimizers)} optimizers, where the front of "
        f"those of {FIRST} is thin; about {refined / spread:.0%} of the cost of {FIRST}"
    ]


def count_weights(params: Params, suite: str) -> tuple[int, int]:
    """Return how many fixed weights each optimizer gets: spread over the simplex, and refined."""
    own = params.suite(suite)
    section = find_section(own.studies, Referee)
    spread = max(1, len(own.sweep.weightings)) if section.weights is None else section.weights
    return spread, spread // 2 if section.refined is None else section.refined


def first_stage(params: Params, suite: str) -> Params:
    """Return the params of the first stage: equal weights, and weights spread over the simplex, with every optimizer.

    Trials of equal weights are those of the sweep, where it has them.

    Raises:
        UserError: the sweep gives its methods no equal budgets.
    """
    own = params.suite(suite)
    if _chooses_cells(own.sweep.strategy):
        raise UserError(
            f"params.yaml: `suites.{suite}.studies.referee` needs equally many settings for every method, and `{own.sweep.strategy.name}` "
            "tries more of some; use the strategy `race` or `grid`, or set `enabled: false`."
        )
    tasks = task_names(params, suite)
    spread = spread_weights(len(tasks), count_weights(params, suite)[0])
    weightings = [Choice(name="ew"), *(scalar(tasks, weights) for weights in spread.tolist())]
    methods = [Method(weighting=w, optimizer=optimizer) for w in weightings for optimizer in own.sweep.optimizers]
    return with_methods(params, suite, methods)


def write_refined(params: Params, suite: str, methods: Sequence[Method]) -> None:
    """Write the methods of the second stage beside the plans; they hold for this first stage only."""
    content = [method.model_dump(mode="json") for method in methods]
    write_followed(_path(suite), content, _values(first_stage(params, suite), suite))


def with_methods(params: Params, suite: str, methods: Sequence[Method]) -> Params:
    """Return params in which the sweep of a suite has these methods in place of its own, and as many settings for each."""
    own = params.suite(suite)
    axes = {name: axis for name, axis in own.sweep.axes.items() if not name.startswith("weighting.")}
    settings = own.sweep.settings
    if settings is not None and len(axes) < len(own.sweep.axes):  # fixed weights have no options to tune
        tuned = (len(axis.tuned) for name, axis in axes.items() if axis.tuned and not name.startswith("optimizer."))
        rates = min(len(rates_of(own.sweep, method.optimizer)) for method in methods)
        settings = min(settings, rates * prod(tuned))
    optimizers = {method.optimizer.name for method in methods}
    return params.with_sweep(
        suite,
        weightings=(),
        methods=tuple(methods),
        axes=axes,
        settings=settings,
        learning_rates_of={
            name: own_rates for name, own_rates in own.sweep.learning_rates_of.items() if name in optimizers
        },
    )


def scalar(tasks: Sequence[str], weights: Sequence[float]) -> Choice:
    """Return the weighting with these fixed weights."""
    return Choice(name="scalar", options=dict(zip(tasks, weights, strict=True)))


def task_names(params: Params, suite: str) -> list[str]:
    """Return the names of a suite's tasks, from its prepared data or, before that, from its dataset."""
    summary = paths.prepared_summary(suite)
    if summary.exists():
        return [task["name"] for task in json.loads(summary.read_bytes())["tasks"]]
    from mtlsweep.suites.datasets.dataset import create_dataset  # imports torch, which takes seconds

    return [task.name for task in create_dataset(params.suite(suite).data.dataset).tasks]


def _chooses_cells(strategy: Choice) -> bool:
    """Whether a strategy tries more settings of one method than of another."""
    if strategy.name in ("grid", "race"):
        return False
    from mtlsweep.sweep.strategies.strategy import is_adaptive  # imports optuna, which takes a second

    return is_adaptive(strategy)


def _values(first: Params, suite: str) -> list[Any]:
    """Return what the weights of the second stage depend on, beside the results."""
    own = first.suite(suite)
    return [suite, own.model_dump(mode="json", include={"data", "network", "training", "sweep", "studies"})]


def _path(suite: str) -> Path:
    return paths.plan(suite) / "refined_weights.json"
