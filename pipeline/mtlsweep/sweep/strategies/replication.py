"""Which cell of a method is trained with another seed: the one that is selected if its other seeds turn out well.

Cells are ordered as the analysis orders them. A cell that lacks seeds is compared by what its mean over all
seeds may still become. So no cell is selected, and none is passed over, by the luck of one seed alone.
"""

from __future__ import annotations

import math
import statistics
from collections.abc import Sequence
from dataclasses import dataclass
from operator import attrgetter

from mtlsweep.analysis.selection import ORDER


@dataclass(frozen=True)
class Standing:
    """What is known of a cell, as `mtlsweep.analysis.selection.rank_cells` would read it from a table.

    Attributes:
        cell_key, lr: identity.
        scores: lowest validation Delta_m of each replicate so far; infinite for one without a result.
        done: whether all these replicates are done; none is waiting or cut.
    """

    cell_key: str
    lr: float
    scores: tuple[float, ...]
    done: bool

    @property
    def mean(self) -> float:
        """Mean score."""
        return statistics.fmean(self.scores)


def cell_to_replicate(cells: Sequence[Standing], seeds: int, noise: float, deviation: float) -> str | None:
    """Return the key of the cell that needs its next seed; None if the leading cell is done with every seed.

    When k of n seeds are known, their mean differs from that over all n with the standard deviation
    s sqrt(1/k - 1/n). A cell leads by its mean minus `noise` of these. The variance of one trial, s squared, is the mean
    of that of single-task training and of those of the method's cells that have every seed: two or three seeds alone
    may agree by chance, and would then end the search.

    Args:
        cells: the cells of one method.
        seeds: number of seeds of the sweep, n.
        noise: number of deviations to allow for.
        deviation: standard deviation of single-task training over seeds; 0 if unknown.
    """
    measured = sorted((cell for cell in cells if math.isfinite(cell.mean)), key=attrgetter(*ORDER))
    complete = [cell for cell in measured if cell.done and len(cell.scores) == seeds]
    variances = [deviation**2] if deviation else []
    variances += [statistics.variance(cell.scores) for cell in complete if seeds > 1]
    s = math.sqrt(statistics.fmean(variances or [0.0]))

    def may_become(cell: Standing) -> float:
        return cell.mean - noise * s * math.sqrt(1 / len(cell.scores) - 1 / seeds)

    leading = min(measured, key=may_become, default=None)
    return None if leading is None or leading in complete else leading.cell_key
