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
    s sqrt(1/k - 1/n). A cell leads by its mean minus `noise` of these. The deviation s of one trial is that of the
    method's own cells that have every seed, pooled.

    Args:
        cells: the cells of one method.
        seeds: number of seeds of the sweep, n.
        noise: number of deviations to allow for.
        deviation: s as long as no cell has every seed.
    """
    measured = sorted((cell for cell in cells if math.isfinite(cell.mean)), key=attrgetter(*ORDER))
    complete = [cell for cell in measured if cell.done and len(cell.scores) == seeds]
    if complete and seeds > 1:
        deviation = math.sqrt(statistics.fmean(statistics.variance(cell.scores) for cell in complete))

    def may_become(cell: Standing) -> float:
        return cell.mean - noise * deviation * math.sqrt(1 / len(cell.scores) - 1 / seeds)

    leading = min(measured, key=may_become, default=None)
    return None if leading is None or leading in complete else leading.cell_key
