"""All registered weightings with their sources and conventions, as rows of a table."""

from __future__ import annotations

import re
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
        year: of the paper, as in `paper`; None if it gives none.
        arxiv: the paper's id at arXiv, as in `paper`; None if it gives none.
        code: address of the authors' own code; empty if none is known.
    """

    name: str
    paper: str
    kind: str
    scale: str
    heads: str
    cost: str
    year: int | None
    arxiv: str | None
    code: str


def describe_methods() -> tuple[MethodRow, ...]:
    """Return a row for every registered weighting: loss methods first, by name within a kind."""
    rows = (_describe(name) for name in WEIGHTINGS.names())
    order = ("loss", "gradient", "optimizer")
    return tuple(sorted(rows, key=lambda row: (order.index(row.kind), row.name)))


def _describe(name: str) -> MethodRow:
    method = WEIGHTINGS.get(name)
    facts = method.facts
    year, arxiv = re.search(r"\b(?:19|20)\d\d\b", facts.paper), re.search(r"arXiv (\d{4}\.\d{4,5})", facts.paper)
    return MethodRow(
        name=name,
        paper=facts.paper,
        kind=method.kind,
        scale=facts.scale,
        heads=facts.heads,
        cost=method.cost,
        year=int(year[0]) if year else None,
        arxiv=arxiv[1] if arxiv else None,
        code=facts.code,
    )
