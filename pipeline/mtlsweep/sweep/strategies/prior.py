"""A prior of a search: the learning rates that survived in earlier ledgers, and how far to trust them.

The prior is a list of settings (a method with a learning rate) that are tried before others. The first cell of a search,
and then a share of them, does not follow it. The cells that follow it are compared with the better half of those that do not,
and the less they win, the fewer follow. So a wrong prior costs a few cells.

The prior depends only on the ledgers and the space. Which of its settings are tried depends on the results so far as well. So a
search that continues tries the same settings.
"""

from __future__ import annotations

import math
import random
from collections import defaultdict
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Annotated, Any

from pydantic import AfterValidator, BaseModel, ConfigDict, Field

from mtlsweep.errors import UserError
from mtlsweep.params.section import Folder, without_repeats
from mtlsweep.record.ledger import Ledger
from mtlsweep.sweep.search.space import Space
from mtlsweep.sweep.strategies.survivors import Survivor, find_survivors
from mtlsweep.trials.cell import Cell

Ledgers = Annotated[tuple[Folder, ...], Field(min_length=1), AfterValidator(without_repeats)]
Setting = tuple[str, float]
"""A method and a learning rate."""

Votes = dict[float, float]
"""By learning rate."""


class EarlierLedgers(BaseModel):
    """Where a prior comes from.

    Attributes:
        ledgers: folders such as `results/SUITE/ledger`.
        share: of the cells, how many at most follow the prior.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")
    ledgers: Ledgers
    share: Annotated[float, Field(gt=0, lt=1)] = 0.75


@dataclass(frozen=True)
class Prior:
    """The settings that a search tries before others.

    Attributes:
        starts: one cell for each setting, in the order in which they are tried; only method and rate count.
        share: of the cells, how many at most follow the prior.
        sources: each ledger, with the number of settings that survived there.
        outside: how many of these have rates beyond those of the space.
        missing: optimizers of the space without any rate.
    """

    starts: tuple[Cell, ...]
    share: float
    sources: tuple[tuple[Path, int], ...]
    outside: int
    missing: tuple[str, ...]

    @property
    def rates(self) -> dict[str, list[float]]:
        """The learning rates by optimizer, highest first."""
        found: dict[str, set[float]] = defaultdict(set)
        for cell in self.starts:
            found[cell.optimizer.name].add(cell.learning_rate)
        return {name: sorted(rates, reverse=True) for name, rates in sorted(found.items())}

    def describe(self) -> dict[str, Any]:
        """Return what was taken from where, as plain data."""
        return {
            "ledgers": {str(path): survived for path, survived in self.sources},
            "rates": self.rates,
            "settings": len(self.starts),
            "outside": self.outside,
            "missing": list(self.missing),
            "share": self.share,
        }

    def next(self, tried: Collection[Cell], ranked: Sequence[Sequence[Cell]]) -> Cell | None:
        """Return the setting that the next cell takes from the prior; None to leave the cell to the search.

        Args:
            tried: all cells of the search so far.
            ranked: those with results, best first; cells of one group are equally good.
        """
        seen = {_setting(cell) for cell in tried}
        favoured = {_setting(cell) for cell in self.starts}
        followed = sum(_setting(cell) in favoured for cell in tried)
        if followed >= self.share * self._trust(favoured, ranked) * len(tried):
            return None
        return next((cell for cell in self.starts if _setting(cell) not in seen), None)

    def _trust(self, favoured: Collection[Setting], ranked: Sequence[Sequence[Cell]]) -> float:
        """Return how often a cell that follows the prior beats one of the better half of those that do not; one win is given.

        Where most settings are poor, a wrong prior would beat the other half as well.
        """
        others = sum(_setting(cell) not in favoured for group in ranked for cell in group)
        half = math.ceil(others / 2)
        wins, pairs, left = 1.0, 1, half
        for group in ranked:
            free = sum(_setting(cell) not in favoured for cell in group)
            followed, tied = len(group) - free, min(free, left)
            left -= tied
            if half:
                wins += followed * (left + tied / 2) * others / half
            pairs += followed * others
        return wins / pairs


def read_prior(options: Mapping[str, Any], space: Space, seed: int) -> Prior:
    """Return the prior that earlier ledgers give for a space.

    A method takes the rates that survived with its weighting and optimizer, the best first, then those that
    survived with its optimizer under other weightings. Trials of the space itself are left out: the search has them as
    results. The first choices of all methods come first, in an order that `seed` decides.

    Args:
        options: fields of `EarlierLedgers`.
        space: of the search.
        seed: of the search.

    Raises:
        UserError: a ledger is missing, no trial survived, or the survivors have other optimizers or other rates.
    """
    earlier = EarlierLedgers.model_validate(options)
    survivors: list[Survivor] = []
    sources = []
    for folder in earlier.ledgers:
        found = _read_ledger(folder, space)
        survivors += found
        sources.append((folder, len(found)))
    optimizers = sorted({cell.optimizer.name for cell in space.cells})
    known = {one.optimizer for one in survivors}
    where = " and ".join(f"`{folder}`" for folder in earlier.ledgers)
    if known.isdisjoint(optimizers):
        raise UserError(
            f"`prior.ledgers`: in {where} rates survived with {', '.join(sorted(known))}, but the sweep has "
            f"{', '.join(optimizers)}: name a ledger with one of these, or remove `prior`."
        )
    of_method, of_optimizer, outside = _votes(survivors, space)
    if not of_optimizer:
        rates = sorted({one.learning_rate for one in survivors if one.optimizer in optimizers})
        raise UserError(
            f"`prior.ledgers`: the rates that survived in {where} ({', '.join(f'{rate:g}' for rate in rates)}) are all outside of "
            "those that the sweep searches: widen `learning_rates` or `space.learning_rate`, or remove `prior`."
        )
    methods = list({cell.method: cell for cell in space.cells}.values())
    random.Random(seed).shuffle(methods)
    ordered = [
        [
            replace(method, learning_rate=rate)
            for rate in _in_order(
                of_method[method.weighting.name, method.optimizer.name], of_optimizer[method.optimizer.name]
            )
        ]
        for method in methods
    ]
    longest = max(map(len, ordered))
    starts = tuple(rates[turn] for turn in range(longest) for rates in ordered if turn < len(rates))
    missing = tuple(name for name in optimizers if not of_optimizer[name])
    return Prior(starts, earlier.share, tuple(sources), outside, missing)


def _read_ledger(folder: Path, space: Space) -> list[Survivor]:
    place = folder.absolute()
    if place.name != "ledger" or not place.is_dir():
        raise UserError(
            f"`prior.ledgers`: there is no ledger `{folder}`: give the ledger folder of an earlier sweep, such as "
            "`results/SUITE/ledger`, relative to the folder of params.yaml."
        )
    trials = [one for one in Ledger(place.parents[1], place.parent.name).read_all() if one.trial.cell.role == "mtl"]
    others = [one for one in trials if one.trial.cell not in space]
    survivors = find_survivors(others)
    if not survivors:
        own = "all trials belong to this sweep, which has them as results already" if trials and not others else ""
        reason = own or f"none of {len(others)} finished multi-task trials survived"
        raise UserError(
            f"`prior.ledgers`: `{folder}` gives nothing to try, because {reason}: name another ledger, or remove `prior`."
        )
    return survivors


def _votes(survivors: Sequence[Survivor], space: Space) -> tuple[dict[tuple[str, str], Votes], dict[str, Votes], int]:
    """Return votes for each rate of the space, by weighting and optimizer and by optimizer; and how many rates are outside.

    The best rate of a method in a ledger has one vote, the second half a vote.
    """
    of_method: dict[tuple[str, str], Votes] = defaultdict(lambda: defaultdict(float))
    of_optimizer: dict[str, Votes] = defaultdict(lambda: defaultdict(float))
    outside = 0
    for one in survivors:
        if not space.has_optimizer(one.optimizer):
            continue
        rate = space.nearest_rate(one.optimizer, one.learning_rate)
        if rate is None:
            outside += 1
            continue
        of_method[one.weighting, one.optimizer][rate] += 1 / one.place
        of_optimizer[one.optimizer][rate] += 1 / one.place
    return of_method, of_optimizer, outside


def _in_order(own: Votes, all_weightings: Votes) -> list[float]:
    """Return a method's own rates first, then others; those with more votes first, then the smaller ones."""

    def most(votes: Votes) -> list[float]:
        return sorted(votes, key=lambda rate: (-votes[rate], rate))

    return list(dict.fromkeys([*most(own), *most(all_weightings)]))


def _setting(cell: Cell) -> Setting:
    return cell.method, cell.learning_rate
