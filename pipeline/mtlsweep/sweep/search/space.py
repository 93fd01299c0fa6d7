"""The cells a sweep may choose from: the cells listed in params.yaml, and ranges for an adaptive search."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any

from optuna.distributions import BaseDistribution
from optuna.trial import BaseTrial, FixedTrial
from pydantic import TypeAdapter

from mtlsweep.errors import UserError, nearest
from mtlsweep.files import content_hash
from mtlsweep.methods.optimizers import OPTIMIZERS
from mtlsweep.methods.weighting import WEIGHTINGS
from mtlsweep.params.choice import Choice
from mtlsweep.params.registry import Registry
from mtlsweep.sweep.search.ranges import LEARNING_RATE, Range, Ranges, Values, allows, propose
from mtlsweep.trials.cell import LABELS, Cell


class Space:
    """Cells as Optuna parameters: `weighting`, `optimizer`, `lr`, tuned axes and ranged options.

    The space is conditional: an option exists only if its weighting or optimizer is chosen. If the
    learning rate has no range, a proposed rate is replaced by the nearest listed rate on a logarithmic
    scale.

    Args:
        cells: listed cells; at least one.
        ranges: see `Ranges`; a range replaces the value in the listed cells.

    Raises:
        UserError: a range names an unknown weighting, optimizer or option, or contains an invalid value.
    """

    def __init__(self, cells: Sequence[Cell], ranges: Mapping[str, Any] = {}) -> None:
        self._ranges: Ranges = TypeAdapter(dict[str, Range | Values]).validate_python(dict(ranges))
        rates = sorted({cell.learning_rate for cell in cells})
        self._check(cells)
        unique = {(self._fixed_part(cell), self._fixed_rate(cell)): cell for cell in reversed(cells)}
        self._listed = frozenset(unique)
        self.cells: tuple[Cell, ...] = tuple(self._label_without_ranged(cell) for cell in reversed(unique.values()))
        """The listed cells without ranged options in their labels; cells that differ only in these occur once."""
        self._by_fixed_part = {self._fixed_part(cell): cell for cell in self.cells}
        methods = {(cell.weighting_label, cell.optimizer_label): cell for cell in self.cells}
        self._methods = methods
        self._tuned = {axis: tuple(_values(cells, axis)) for axis in sorted({a for cell in cells for a in cell.tuned})}
        self._by_setting = {(cell.method, *cell.tuned.values()): cell for cell in self.cells}
        self._weightings = sorted({weighting for weighting, _ in methods})
        self._optimizers = _optimizer_parameters(methods)
        chosen = self._ranges.get(LEARNING_RATE)
        self._rate_ends = (chosen.low, chosen.high) if isinstance(chosen, Range) else (rates[0], rates[-1])
        self._rates_of = {
            name: sorted({cell.learning_rate for cell in cells if cell.optimizer.name == name})
            for name in {cell.optimizer.name for cell in cells}
        }

    @property
    def key(self) -> str:
        """Content hash: equal spaces have equal keys."""
        ranges = TypeAdapter(dict[str, Range | Values]).dump_python(dict(self._ranges), mode="json")
        return content_hash([[cell.key for cell in self.cells], ranges])

    def __contains__(self, cell: Cell) -> bool:
        """Whether a cell equals a listed cell except for ranged options, and those are within their ranges."""
        if (self._fixed_part(cell), self._fixed_rate(cell)) not in self._listed:
            return False
        low, high = self._rate_ends
        return low <= cell.learning_rate <= high and all(
            allows(self._ranges[key], value) for key, value in self._ranged_options(cell).items()
        )

    def relabel(self, cell: Cell) -> Cell:
        """Return a cell of the space with the labels of the space, and its files where they are now."""
        listed = self._by_fixed_part[self._fixed_part(cell)]
        labels: Any = {name: getattr(listed, name) for name in LABELS}
        return replace(cell, **labels).with_paths_of(listed)

    def describe(self, cell: Cell) -> tuple[dict[str, Any], dict[str, BaseDistribution]]:
        """Return the Optuna parameters of a cell and their distributions."""
        cell = self.relabel(cell)
        trial = FixedTrial(self.start(cell) | dict(cell.tuned) | self._ranged_options(cell))
        self.suggest(trial)
        return trial.params, trial.distributions

    def start(self, cell: Cell) -> dict[str, Any]:
        """Return the Optuna parameters of a cell's method and learning rate alone."""
        name, _ = self._optimizers[cell.weighting_label]
        return {"weighting": cell.weighting_label, name: cell.optimizer_label, "lr": cell.learning_rate}

    def has_optimizer(self, optimizer: str) -> bool:
        """Whether some cell has the optimizer of this registered name."""
        return optimizer in self._rates_of

    def nearest_rate(self, optimizer: str, rate: float) -> float | None:
        """Return the learning rate of an optimizer that is nearest to `rate`; None if `rate` is outside of all of them."""
        listed = self._rates_of[optimizer]
        low, high = self._rate_ends if LEARNING_RATE in self._ranges else (listed[0], listed[-1])
        return self._allowed_rate(optimizer, rate) if low <= rate <= high else None

    def suggest(self, trial: BaseTrial) -> Cell:
        """Return the cell that Optuna's sampler proposes for `trial`."""
        weighting = str(trial.suggest_categorical("weighting", self._weightings))
        cell = self._methods[weighting, str(trial.suggest_categorical(*self._optimizers[weighting]))]
        setting = [str(trial.suggest_categorical(axis, self._tuned[axis])) for axis in cell.tuned]
        cell = self._by_setting[(cell.method, *setting)]
        rate = self._allowed_rate(cell.optimizer.name, trial.suggest_float("lr", *self._rate_ends, log=True))
        proposed = {key: propose(trial, key, self._ranges[key]) for key in self._ranged_keys(cell)}
        return replace(
            cell,
            learning_rate=rate,
            weighting=_with_options(cell.weighting, proposed, WEIGHTINGS),
            optimizer=_with_options(cell.optimizer, proposed, OPTIMIZERS),
        )

    def _allowed_rate(self, optimizer: str, rate: float) -> float:
        """Return `rate`, or if rates are listed the listed one nearest to it on a logarithmic scale."""
        if LEARNING_RATE in self._ranges:
            return rate
        return min(self._rates_of[optimizer], key=lambda one: abs(math.log(one) - math.log(rate)))

    def _ranged_keys(self, cell: Cell) -> list[str]:
        """Return the ranged options of a cell's weighting and optimizer."""
        names = (cell.weighting.name, cell.optimizer.name)
        return [key for key in self._ranges if key != LEARNING_RATE and key.rpartition(".")[0] in names]

    def _ranged_options(self, cell: Cell) -> dict[str, Any]:
        values: dict[str, Any] = {}
        for key in self._ranged_keys(cell):
            name, _, option = key.rpartition(".")
            values[key] = (cell.weighting if cell.weighting.name == name else cell.optimizer).options[option]
        return values

    def _fixed_rate(self, cell: Cell) -> float:
        return 0.0 if LEARNING_RATE in self._ranges else cell.learning_rate

    def _fixed_part(self, cell: Cell) -> str:
        """Return a hash of a cell's identity without its learning rate and ranged options."""
        identity = {name: value for name, value in cell.identity.items() if name != LEARNING_RATE}
        for kind in ("weighting", "optimizer"):
            fixed = self._without_ranged(identity[kind]["name"], identity[kind]["options"])
            identity[kind] = {"name": identity[kind]["name"], "options": fixed}
        return content_hash(identity)

    def _without_ranged(self, name: str, options: Mapping[str, Any]) -> dict[str, Any]:
        return {option: value for option, value in options.items() if f"{name}.{option}" not in self._ranges}

    def _label_without_ranged(self, cell: Cell) -> Cell:
        """Return a listed cell labelled without its ranged options."""

        def label(registry: Registry[object], choice: Choice, listed: str) -> str:
            fixed = self._without_ranged(choice.name, choice.options)
            return listed if fixed == choice.options else registry.label(Choice(name=choice.name, options=fixed))

        return replace(
            cell,
            weighting_label=label(WEIGHTINGS, cell.weighting, cell.weighting_label),
            optimizer_label=label(OPTIMIZERS, cell.optimizer, cell.optimizer_label),
        )

    def _check(self, cells: Sequence[Cell]) -> None:
        axes = {
            f"{getattr(cell, axis.partition('.')[0]).name}{axis[axis.index('.') :]}"
            for cell in cells
            for axis in cell.axes
            if not axis.startswith("training.")
        }
        names: dict[str, tuple[Registry[object], Choice]] = {
            cell.weighting.name: (WEIGHTINGS, cell.weighting) for cell in cells
        }
        names |= {cell.optimizer.name: (OPTIMIZERS, cell.optimizer) for cell in cells}
        for key, chosen in self._ranges.items():
            ends = (chosen.low, chosen.high) if isinstance(chosen, Range) else chosen
            if key == LEARNING_RATE:
                if not isinstance(chosen, Range) or chosen.low <= 0:
                    raise UserError(
                        "`space.learning_rate` must be {low: ..., high: ...} with positive values; list single rates in `learning_rates`."
                    )
                continue
            if key in axes:
                raise UserError(f"`space.{key}` is an axis of the sweep, too; keep it in `sweep.axes` or in `space`.")
            name, _, option = key.rpartition(".")
            if name not in names:
                known = [*names, LEARNING_RATE]
                raise UserError(
                    f"`space.{key}` does not name a weighting or an optimizer of the sweep{nearest(name, known)} "
                    f"Allowed: {LEARNING_RATE}, or an option of {', '.join(names)} (such as `cagrad.c`)."
                )
            registry, choice = names[name]
            for value in ends:
                try:
                    registry.resolve(Choice(name=name, options={**choice.options, option: value}))
                except UserError as error:
                    raise UserError(f"`space.{key}`: {error}") from error


def _values(cells: Iterable[Cell], axis: str) -> Iterable[str]:
    """Return the values of a tuned axis, in the order of the plan."""
    return dict.fromkeys(cell.tuned[axis] for cell in cells if axis in cell.tuned)


def _with_options(choice: Choice, proposed: Mapping[str, Any], registry: Registry[object]) -> Choice:
    own = {
        option: value
        for key, value in proposed.items()
        for name, _, option in [key.rpartition(".")]
        if name == choice.name
    }
    resolved: Choice = registry.resolve(Choice(name=choice.name, options={**choice.options, **own})) if own else choice
    return resolved


def _optimizer_parameters(methods: Iterable[tuple[str, str]]) -> dict[str, tuple[str, tuple[str, ...]]]:
    """Return, by weighting, the name and the choices of the parameter that selects the optimizer.

    Optuna allows one set of choices for each parameter name, so a weighting with other choices uses another name.
    """
    choices: dict[str, tuple[str, ...]] = {}
    for weighting, optimizer in sorted(methods):
        choices[weighting] = (*choices.get(weighting, ()), optimizer)
    shared = max(choices.values(), key=lambda own: (len(own), own))
    return {
        weighting: ("optimizer" if own == shared else f"optimizer of {weighting}", own)
        for weighting, own in choices.items()
    }
