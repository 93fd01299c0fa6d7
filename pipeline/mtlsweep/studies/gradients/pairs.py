"""Pairs of gradients and the sums that their measures are made of."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

import torch
from torch import Tensor

MEASURES = ("cosine", "magnitude_similarity", "conflicting_share", "conflicting_share_of_active", "scalar_product")
"""`conflicting_share`, the paper's, counts coordinates of opposite sign among all coordinates, so it falls where ReLU
sets gradients to zero; `conflicting_share_of_active` counts among those where both gradients are non-zero."""


@dataclass(frozen=True)
class Pairs:
    """One measurement of one kind of pairs: for each measure, one value per pair.

    Attributes:
        kind: `inter-task` (two tasks, one sample) or `inter-sample` (two samples, one task).
        averaged: whether tasks are compared on the whole batch, or samples over the mean of the drawn tasks.
        layer: name of a parameter, or `all`.
        values: by measure, [pairs], float64; a pair with a zero gradient is left out. NaN in
            `conflicting_share_of_active` if no coordinate of a pair is non-zero in both.
    """

    kind: str
    averaged: bool
    layer: str
    values: dict[str, Tensor]


@dataclass
class PairSums:
    """Sums over coordinates of B groups of K gradients, compared within each group."""

    products: Tensor = field(default_factory=lambda: torch.zeros(()))
    opposite: Tensor = field(default_factory=lambda: torch.zeros(()))
    active: Tensor = field(default_factory=lambda: torch.zeros(()))
    coordinates: int = 0

    def add(self, rows: Tensor) -> None:
        """Add some more coordinates C of the gradients `rows` [B, K, C], float64."""
        self.products = self.products.to(rows.device) + rows @ rows.mT
        signs = rows.sign().float()  # exact: a piece has fewer than 2^24 coordinates
        magnitudes = signs.abs()
        both = magnitudes @ magnitudes.mT
        self.active = self.active.to(rows.device) + both.double()
        self.opposite = self.opposite.to(rows.device) + (both - signs @ signs.mT).double() / 2
        self.coordinates += rows.shape[-1]

    def __add__(self, other: PairSums) -> PairSums:
        return PairSums(
            self.products + other.products,
            self.opposite + other.opposite,
            self.active + other.active,
            self.coordinates + other.coordinates,
        )

    def measures(self) -> dict[str, Tensor]:
        """Return each measure of all pairs within groups, group after group."""
        squares = self.products.diagonal(dim1=-2, dim2=-1)
        first, second = torch.triu_indices(squares.shape[-1], squares.shape[-1], offset=1)
        products = self.products[:, first, second].flatten()
        one, other = squares[:, first].flatten(), squares[:, second].flatten()
        compared = (one > 0) & (other > 0)
        products, one, other = products[compared], one[compared], other[compared]
        lengths = (one * other).sqrt()
        opposite, active = (counts[:, first, second].flatten()[compared] for counts in (self.opposite, self.active))
        return {
            "cosine": products / lengths,
            "magnitude_similarity": 2 * lengths / (one + other),
            "conflicting_share": opposite / self.coordinates,
            "conflicting_share_of_active": opposite / active,
            "scalar_product": products,
        }


def draw(count: int, of: int, generator: torch.Generator) -> Tensor:
    """Return `count` different numbers below `of` (all of them when there are no more), in ascending order."""
    return torch.randperm(of, generator=generator)[:count].sort().values


def split_by_sign(values: dict[str, Tensor]) -> Iterator[tuple[str, dict[str, Tensor]]]:
    """Yield all pairs, those that conflict (negative cosine) and those that support each other."""
    yield "all", values
    for name, chosen in (("conflicting", values["cosine"] < 0), ("supporting", values["cosine"] >= 0)):
        yield name, {measure: each[chosen] for measure, each in values.items()}


def join(measured: Sequence[Pairs]) -> dict[tuple[str, bool, str], dict[str, Tensor]]:
    """Return the values of many measurements by (kind, averaged, layer)."""
    groups = itertools.groupby(sorted(measured, key=_group), _group)
    return {group: _join(list(pairs)) for group, pairs in groups}


def _group(pairs: Pairs) -> tuple[str, bool, str]:
    return pairs.kind, pairs.averaged, pairs.layer


def _join(pairs: list[Pairs]) -> dict[str, Tensor]:
    return {measure: torch.cat([each.values[measure] for each in pairs]) for measure in MEASURES}
