"""Settings: what a method tries. A setting is a learning rate with a value of each tuned axis.

A compared axis makes a method of each of its values. An axis of the optimizer or the weighting concerns the methods
whose optimizer or weighting has that option, so methods may have different numbers of settings. Methods that try more
look better by luck alone, so the numbers must be equal: `sweep.settings` gives each method as many of its own.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from functools import partial
from itertools import combinations, product
from typing import Any

from pydantic import ValidationError

from mtlsweep.errors import UserError, nearest
from mtlsweep.files import content_hash
from mtlsweep.methods.optimizers import OPTIMIZERS
from mtlsweep.methods.weighting import WEIGHTINGS
from mtlsweep.params.choice import Choice
from mtlsweep.params.registry import Registry
from mtlsweep.params.suite import Axes, Training
from mtlsweep.suites.networks import NETWORKS
from mtlsweep.sweep.plan.fields import in_field
from mtlsweep.trials.cell import Cell

_REGISTRIES: Mapping[str, Registry[object]] = {
    "network": NETWORKS,
    "optimizer": OPTIMIZERS,
    "weighting": WEIGHTINGS,
}


def all_settings(method: Cell, rates: Sequence[float], axes: Axes, field: str) -> list[Cell]:
    """Return the cells of a method: every compared value x every learning rate x every tuned value.

    Args:
        method: a cell of the method; its learning rate does not matter.
        rates: learning rates.
        axes: of the sweep; those of options that the method does not have are passed over.
        field: of `axes` in params.yaml.

    Raises:
        UserError: a value is not allowed for its option; the message names the axis.
    """
    values = {name: _values(method, name, axis.values, field) for name, axis in axes.items() if _has(method, name)}
    compared = [name for name in values if axes[name].compared]
    tuned = [name for name in values if axes[name].tuned]
    cells = []
    for chosen in product(*(values[name] for name in compared)):
        named = _with_compared(method, dict(zip(compared, chosen, strict=True)))
        for rate, *setting in product(rates, *(values[name] for name in tuned)):
            texts = {name: text for name, (text, _) in zip(tuned, setting, strict=True)}
            cell = replace(named, learning_rate=rate, tuned=texts)
            for name, (_, value) in zip(tuned, setting, strict=True):
                cell = _with(cell, name, value)
            cells.append(cell)
    return cells


def check_axes(axes: Axes, methods: Iterable[Cell], field: str) -> None:
    """Check that each axis is an option of some method.

    Raises:
        UserError: it is not; the message names the options there are.
    """
    methods = list(methods)
    for name in axes:
        part, _, option = name.partition(".")
        if any(_has(method, name) for method in methods):
            continue
        options = sorted({option for method in methods for option in getattr(method, part).options})
        raise UserError(
            f"params.yaml: `{field}.{name}`: no {part} of the sweep has the option `{option}`{nearest(option, options)} "
            f"Allowed: {', '.join(options) or 'none'}."
        )


def equal_budgets(methods: Mapping[str, Sequence[Cell]], most: int | None) -> list[Cell]:
    """Return the cells that are tried: of each method all, or `most` that are spread over its settings.

    Args:
        methods: the cells of each method, by its name.
        most: `sweep.settings`.

    Raises:
        UserError: methods have different numbers of settings, or one has fewer than `most`.
    """
    fewest = min(methods, key=lambda method: len(methods[method]))
    largest = max(methods, key=lambda method: len(methods[method]))
    least = len(methods[fewest])
    if most is None and least != len(methods[largest]):
        raise UserError(
            f"`{fewest}` has {least} settings to try and `{largest}` has {len(methods[largest])}; results are comparable when "
            f"every method tries equally many: add `settings: {least}` (or fewer), or make the axis `compared`."
        )
    if most is not None and most > least:
        raise UserError(
            f"`settings` is {most}, but `{fewest}` has {least} settings: use at most {least}, or list more values."
        )
    return [cell for cells in methods.values() for cell in (cells if most is None else _spread(cells, most))]


def _spread(cells: Sequence[Cell], most: int) -> list[Cell]:
    """Return `most` of a method's cells, in which each value and each pair of values occurs about equally often.

    One after the other is chosen whose values occurred least so far, then whose pairs of values did; the rest is decided
    by a hash of the setting. So methods with equal axes try the same settings, and a larger number adds to a smaller one.
    """
    settings = [
        (f"lr={cell.learning_rate:g}", *(f"{name}={text}" for name, text in cell.tuned.items())) for cell in cells
    ]
    levels = [len(set(values)) for values in zip(*settings, strict=True)]
    order = [content_hash(list(setting)) for setting in settings]
    seen: Counter[Any] = Counter()
    left, chosen = set(range(len(cells))), set()

    def occurred(position: int) -> tuple[int, int, str]:
        setting = settings[position]
        single = sum(seen[value] * level for value, level in zip(setting, levels, strict=True))
        return single, sum(seen[pair] for pair in combinations(setting, 2)), order[position]

    for _ in range(most):
        best = min(left, key=occurred)
        left.remove(best)
        chosen.add(best)
        seen.update([*settings[best], *combinations(settings[best], 2)])
    return [cell for position, cell in enumerate(cells) if position in chosen]


def without_axes(choice: Choice, part: str, axes: Axes) -> Choice:
    """Return a choice without the options that are axes: what a method is called by."""
    return Choice(name=choice.name, options={o: v for o, v in choice.options.items() if f"{part}.{o}" not in axes})


def _has(cell: Cell, name: str) -> bool:
    """Whether an axis is an option of a cell; a wrong option of the network or the protocol is refused by its value."""
    part, _, option = name.partition(".")
    return part in ("network", "training") or option in getattr(cell, part).options


def _values(cell: Cell, name: str, values: Iterable[Any], field: str) -> list[tuple[str, Any]]:
    """Return each value as text and as the option holds it."""

    def resolve(value: Any) -> Any:
        part, _, option = name.partition(".")
        if part == "training":
            return _of_training(_training_with(cell.training, option, value), option)
        choice = getattr(cell, part)
        return (
            _REGISTRIES[part]
            .resolve(Choice(name=choice.name, options={**choice.options, option: value}))
            .options[option]
        )

    resolved = [in_field(f"{field}.{name}", partial(resolve, value)) for value in values]
    return [(_text(value), value) for value in resolved]


def _with(cell: Cell, name: str, value: Any) -> Cell:
    part, _, option = name.partition(".")
    if part == "training":
        return replace(cell, training=_training_with(cell.training, option, value))
    choice: Choice = getattr(cell, part)
    changed: Any = {part: Choice(name=choice.name, options={**choice.options, option: value})}
    return replace(cell, **changed)


def _with_compared(cell: Cell, chosen: Mapping[str, tuple[str, Any]]) -> Cell:
    """Return a cell with compared values, and labels that show them: the weighting's its own, the optimizer's the others."""
    shown: dict[bool, list[str]] = {True: [], False: []}
    for name, (text, value) in chosen.items():
        part, _, option = name.partition(".")
        shown[part == "weighting"].append(f"{option}={text}")
        cell = _with(cell, name, value)
    return replace(
        cell,
        compared={name: text for name, (text, _) in chosen.items()},
        weighting_label=_bracketed(cell.weighting_label, shown[True]),
        optimizer_label=_bracketed(cell.optimizer_label, shown[False]),
    )


def _bracketed(label: str, shown: Sequence[str]) -> str:
    return f"{label} [{', '.join(shown)}]" if shown else label


def _training_with(training: Training, option: str, value: Any) -> Training:
    """Return a protocol with another value of `option`; `schedule.kind` is the kind of its schedule."""
    content = _every_option(training)
    *sections, last = option.split(".")
    inner: Any = content
    for section in sections:
        inner = inner.get(section)
        if not isinstance(inner, dict):
            raise UserError(
                f"`training` has no section `{section}`; an axis is an option such as `training.batch_size`."
            )
    inner[last] = value
    try:
        return Training.model_validate(content)
    except ValidationError as error:
        first = error.errors()[0]
        if first["type"] == "extra_forbidden":
            del inner[last]
            raise UserError(f"there is no such option{nearest(last, inner)} Allowed: {', '.join(inner)}.") from error
        raise UserError(f"{value!r} is not allowed: {first['msg'][0].lower()}{first['msg'][1:]}.") from error


def _of_training(training: Training, option: str) -> Any:
    value: Any = _every_option(training)
    for part in option.split("."):
        value = value[part]
    return value


def _every_option(training: Training) -> dict[str, Any]:
    """Return the options of a protocol as plain data, those that are off included."""
    given = training.model_dump(mode="json")
    return {name: given.get(name, False) for name in Training.model_fields}


def _text(value: Any) -> str:
    if value is None or isinstance(value, bool):
        return {None: "null", True: "true", False: "false"}[value]
    return f"{value:g}" if isinstance(value, float) else str(value)
