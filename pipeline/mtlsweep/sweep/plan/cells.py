"""The cells that a stage of a suite may train, from its params."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from functools import partial
from typing import TypeVar

from mtlsweep.errors import UserError
from mtlsweep.files import content_hash
from mtlsweep.methods.combination import check_combination
from mtlsweep.methods.optimizers import OPTIMIZERS
from mtlsweep.methods.weighting import WEIGHTINGS
from mtlsweep.params.choice import Choice
from mtlsweep.params.registry import Registry
from mtlsweep.params.suite import Method, Stage, Suite
from mtlsweep.suites.datasets.dataset import DATASETS
from mtlsweep.suites.networks import NETWORKS
from mtlsweep.suites.tasks import Task
from mtlsweep.training.content import used_content
from mtlsweep.trials.cell import Cell, Content

T = TypeVar("T")

EQUAL_WEIGHTS = Choice(name="ew")
"""Weighting of a single-task trial: one task, weight 1."""


def plan_cells(name: str, suite: Suite, stage: Stage, tasks: Sequence[str], fingerprint: str) -> tuple[Cell, ...]:
    """Return the cells of one stage of a suite.

    Args:
        name: of the suite.
        suite: its params.
        stage: `baselines` or `sweep`.
        tasks: names of the dataset's tasks.
        fingerprint: of the prepared data.

    Raises:
        UserError: unknown weighting, optimizer or network, invalid option, or a combination
            that does not exist; the message names the field of params.yaml.
    """
    make_cells = _baseline_cells if stage == "baselines" else _grid_cells
    return tuple(make_cells(name, suite, tuple(tasks), fingerprint))


def add_content(name: str, cells: Sequence[Cell], tasks: Sequence[Task]) -> tuple[Cell, ...]:
    """Return the cells of suite `name` with hashes of the own code and the files that each uses.

    Raises:
        UserError: a file cannot be read, or the source of own code is not found.
    """
    known: dict[str, Content] = {}

    def content(cell: Cell) -> Content:
        parts = (cell.network, cell.weighting, cell.optimizer)
        key = content_hash([cell.tasks, *(part.model_dump(mode="json") for part in parts)])
        if key not in known:
            known[key] = used_content(*parts, [task for task in tasks if task.name in cell.tasks])
        return known[key]

    return _in_field(f"suites.{name}", lambda: tuple(replace(cell, content=content(cell)) for cell in cells))


def check_names(name: str, suite: Suite) -> None:
    """Check every name and option of a suite against the registries, without any data.

    Raises:
        UserError: as `plan_cells`.
    """
    path = f"suites.{name}"
    _resolve(DATASETS, suite.data.dataset, f"{path}.data.dataset")
    _resolve(NETWORKS, suite.network, f"{path}.network")
    _resolve(OPTIMIZERS, suite.baselines.optimizer, f"{path}.baselines.optimizer")
    list(_methods(path, suite))


def _baseline_cells(name: str, suite: Suite, tasks: tuple[str, ...], fingerprint: str) -> list[Cell]:
    path = f"suites.{name}"
    network = _resolve(NETWORKS, suite.network, f"{path}.network")
    optimizer = _resolve(OPTIMIZERS, suite.baselines.optimizer, f"{path}.baselines.optimizer")
    return [
        Cell(
            suite=name,
            role="stl",
            tasks=(task,),
            network=network,
            weighting=WEIGHTINGS.resolve(EQUAL_WEIGHTS),
            optimizer=optimizer,
            learning_rate=rate,
            training=suite.training,
            data_fingerprint=fingerprint,
            weighting_label="stl",
            optimizer_label=OPTIMIZERS.label(optimizer),
        )
        for task in tasks
        for rate in suite.baselines.learning_rates
    ]


def _grid_cells(name: str, suite: Suite, tasks: tuple[str, ...], fingerprint: str) -> list[Cell]:
    path = f"suites.{name}"
    network = _resolve(NETWORKS, suite.network, f"{path}.network")
    methods = list(_methods(path, suite))
    for field, method in methods:
        _in_field(field, partial(check_combination, method.weighting, method.optimizer, len(tasks)))
    return [
        Cell(
            suite=name,
            role="mtl",
            tasks=tasks,
            network=network,
            weighting=method.weighting,
            optimizer=method.optimizer,
            learning_rate=rate,
            training=suite.training,
            data_fingerprint=fingerprint,
            weighting_label=WEIGHTINGS.label(method.weighting),
            optimizer_label=OPTIMIZERS.label(method.optimizer),
        )
        for _, method in methods
        for rate in suite.sweep.learning_rates
    ]


def _methods(path: str, suite: Suite) -> Iterator[tuple[str, Method]]:
    """Yield (field of params.yaml, method with resolved choices)."""
    sweep = suite.sweep
    weightings = [
        (field, _resolve(WEIGHTINGS, choice, field))
        for position, choice in enumerate(sweep.weightings)
        for field in [f"{path}.sweep.weightings[{position}]"]
    ]
    optimizers = [
        _resolve(OPTIMIZERS, choice, f"{path}.sweep.optimizers[{position}]")
        for position, choice in enumerate(sweep.optimizers)
    ]
    for field, weighting in weightings:
        for optimizer in optimizers:
            yield field, Method(weighting=weighting, optimizer=optimizer)
    for position, method in enumerate(sweep.methods):
        field = f"{path}.sweep.methods[{position}]"
        yield (
            field,
            Method(
                weighting=_resolve(WEIGHTINGS, method.weighting, f"{field}.weighting"),
                optimizer=_resolve(OPTIMIZERS, method.optimizer, f"{field}.optimizer"),
            ),
        )


def _resolve(registry: Registry[object], choice: Choice, field: str) -> Choice:
    return _in_field(field, lambda: registry.resolve(choice))


def _in_field(field: str, check: Callable[[], T]) -> T:
    """Run `check`; put the field of params.yaml in front of the message of its `UserError`."""
    try:
        return check()
    except UserError as error:
        raise UserError(f"params.yaml: `{field}`: {error}") from error
