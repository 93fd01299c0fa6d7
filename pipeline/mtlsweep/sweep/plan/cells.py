"""The cells that a stage of a suite may train, from its params."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from functools import partial

from mtlsweep.errors import UserError, nearest
from mtlsweep.files import content_hash
from mtlsweep.methods.combination import check_combination, check_sharing
from mtlsweep.methods.optimizers import OPTIMIZERS
from mtlsweep.methods.weighting import WEIGHTINGS
from mtlsweep.params.choice import Choice
from mtlsweep.params.registry import Registry
from mtlsweep.params.section import RatesByOptimizer
from mtlsweep.params.suite import Method, Stage, Suite, Sweep, rates_of
from mtlsweep.suites.datasets.dataset import DATASETS
from mtlsweep.suites.inputs import IMAGE
from mtlsweep.suites.networks import NETWORKS
from mtlsweep.suites.networks.multitask import has_one_representation, taken_inputs
from mtlsweep.suites.tasks import Task
from mtlsweep.sweep.plan.fields import in_field
from mtlsweep.sweep.plan.settings import all_settings, check_axes, equal_budgets, without_axes
from mtlsweep.sweep.strategies.strategy import is_adaptive
from mtlsweep.training.content import used_content
from mtlsweep.trials.cell import Cell, Content

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
    cells = make_cells(name, suite, tuple(tasks), fingerprint)
    _check_channels_last(name, cells)
    return tuple(cells)


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

    return in_field(f"suites.{name}", lambda: tuple(replace(cell, content=content(cell)) for cell in cells))


def check_names(name: str, suite: Suite) -> None:
    """Check every name and option of a suite against the registries, without any data.

    Raises:
        UserError: as `plan_cells`.
    """
    _resolve(DATASETS, suite.data.dataset, f"suites.{name}.data.dataset")
    cells = _baseline_cells(name, suite, ("task",), "")
    cells += _tried(f"suites.{name}", suite, [cell for _, cell in _methods(name, suite, (), "")])
    _check_channels_last(name, cells)


def _check_channels_last(name: str, cells: Sequence[Cell]) -> None:
    for network in {cell.network.name for cell in cells if cell.training.channels_last}:
        if IMAGE not in taken_inputs(network):
            raise UserError(
                f"params.yaml: `suites.{name}.training.channels_last` is true, but network `{network}` takes no images, and "
                "only images have channels: leave it out."
            )


def _baseline_cells(name: str, suite: Suite, tasks: tuple[str, ...], fingerprint: str) -> list[Cell]:
    path = f"suites.{name}"
    network = _resolve(NETWORKS, suite.network, f"{path}.network")
    several = suite.baselines.optimizers
    listed = [(f"optimizers[{position}]", choice) for position, choice in enumerate(several)]
    optimizers = [
        _resolve(OPTIMIZERS, choice, f"{path}.baselines.{field}")
        for field, choice in listed or [("optimizer", suite.baselines.optimizer)]
    ]
    axes = suite.baselines.axes
    _check_rates_of(suite.baselines.learning_rates_of, optimizers, f"{path}.baselines")
    methods = [
        Cell(
            suite=name,
            role="stl",
            tasks=(task,),
            network=network,
            weighting=WEIGHTINGS.resolve(EQUAL_WEIGHTS),
            optimizer=optimizer,
            learning_rate=rates_of(suite.baselines, optimizer)[0],
            training=suite.training,
            data_fingerprint=fingerprint,
            weighting_label="stl",
            optimizer_label=OPTIMIZERS.label(without_axes(optimizer, "optimizer", axes)),
        )
        for task in tasks
        for optimizer in optimizers
    ]
    check_axes(axes, methods, f"{path}.baselines.axes")
    return [
        cell
        for method in methods
        for cell in all_settings(method, rates_of(suite.baselines, method.optimizer), axes, f"{path}.baselines.axes")
    ]


def _grid_cells(name: str, suite: Suite, tasks: tuple[str, ...], fingerprint: str) -> list[Cell]:
    methods = list(_methods(name, suite, tasks, fingerprint))
    for field, cell in methods:
        in_field(field, partial(check_combination, cell.weighting, cell.optimizer, len(tasks)))
        shares = has_one_representation(cell.network.name)
        in_field(field, partial(check_sharing, cell.weighting, cell.network.name, shares))
    return _tried(f"suites.{name}", suite, [cell for _, cell in methods])


def _tried(path: str, suite: Suite, methods: Sequence[Cell]) -> list[Cell]:
    """Return the cells that the methods try."""
    sweep, field = suite.sweep, f"{path}.sweep.axes"
    check_axes(sweep.axes, methods, field)
    _check_rates_of(sweep.learning_rates_of, [method.optimizer for method in methods], f"{path}.sweep")
    cells = [
        cell
        for method in methods
        for cell in all_settings(method, rates_of(sweep, method.optimizer), sweep.axes, field)
    ]
    if not sweep.axes and sweep.settings is None:
        return cells
    _refuse_twins(cells, field)
    if in_field(f"{path}.sweep.strategy", lambda: is_adaptive(sweep.strategy)):
        if sweep.settings is not None:
            raise UserError(
                f"params.yaml: `{path}.sweep.settings`: an adaptive search uses `cells_tried` instead; remove `settings`."
            )
        return cells
    by_method: dict[str, list[Cell]] = {}
    for cell in cells:
        by_method.setdefault(cell.method, []).append(cell)
    return in_field(field, lambda: equal_budgets(by_method, sweep.settings))


def _check_rates_of(own: RatesByOptimizer, optimizers: Iterable[Choice], path: str) -> None:
    """Check that learning rates of some optimizers name optimizers that there are."""
    known = list(dict.fromkeys(optimizer.name for optimizer in optimizers))
    for name in own:
        if name not in known:
            raise UserError(
                f"params.yaml: `{path}.learning_rates_of.{name}`: no optimizer there is called `{name}`{nearest(name, known)} "
                f"Allowed: {', '.join(known)}."
            )


def _refuse_twins(cells: Sequence[Cell], field: str) -> None:
    """Refuse two methods that are one: an axis takes the place of a value that a weighting or optimizer is listed with."""
    known: dict[str, Cell] = {}
    for cell in cells:
        twin = known.setdefault(cell.key, cell)
        if twin is not cell:
            raise UserError(
                f"params.yaml: `{field}`: the sweep lists `{twin.method}` twice: the two differ only in an option that an axis "
                "replaces; list it once."
            )


def _methods(name: str, suite: Suite, tasks: tuple[str, ...], fingerprint: str) -> Iterator[tuple[str, Cell]]:
    """Yield (field of params.yaml, a cell of the method); an option that is an axis is not in its labels."""
    path, axes = f"suites.{name}", suite.sweep.axes
    network = _resolve(NETWORKS, suite.network, f"{path}.network")
    for field, method in _pairs(path, suite.sweep):
        yield (
            field,
            Cell(
                suite=name,
                role="mtl",
                tasks=tasks,
                network=network,
                weighting=method.weighting,
                optimizer=method.optimizer,
                learning_rate=rates_of(suite.sweep, method.optimizer)[0],
                training=suite.training,
                data_fingerprint=fingerprint,
                weighting_label=WEIGHTINGS.label(without_axes(method.weighting, "weighting", axes)),
                optimizer_label=OPTIMIZERS.label(without_axes(method.optimizer, "optimizer", axes)),
            ),
        )


def _pairs(path: str, sweep: Sweep) -> Iterator[tuple[str, Method]]:
    """Yield (field of params.yaml, method with resolved choices)."""
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
    return in_field(field, lambda: registry.resolve(choice))
