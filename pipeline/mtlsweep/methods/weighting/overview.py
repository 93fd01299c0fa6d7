"""All registered weightings with their conventions, as rows of a table."""

from __future__ import annotations

from dataclasses import dataclass

from mtlsweep.methods.weighting.registry import WEIGHTINGS


@dataclass(frozen=True)
class MethodRow:
    """One method as `mtlsweep methods` shows it.

    Attributes:
        name: as written in `params.yaml`.
        paper: authors, year, and where to find it.
        kind: `loss`, `gradient`, or `optimizer` (a weighting and optimizer in one).
        scale: the shared update as published.
        heads: what multiplies each head's own gradient, as published.
        cost: of one step, in backward passes.
    """

    name: str
    paper: str
    kind: str
    scale: str
    heads: str
    cost: str


def describe_methods() -> tuple[MethodRow, ...]:
    """Return a row for every registered weighting: loss methods first, by name within a kind."""
    order = ("loss", "gradient", "optimizer")
    methods = sorted(
        ((name, WEIGHTINGS.get(name)) for name in WEIGHTINGS.names()),
        key=lambda item: (order.index(item[1].kind), item[0]),
    )
    return tuple(
        MethodRow(name, method.facts.paper, method.kind, method.facts.scale, method.facts.heads, method.cost)
        for name, method in methods
    )
