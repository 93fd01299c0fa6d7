"""The answer in sentences, generated from the numbers, with their uncertainty."""

from __future__ import annotations

from dataclasses import dataclass

from mtlsweep.analysis.suite import SuiteAnalysis
from mtlsweep.report.sentences import best, differences, fronts, limits


@dataclass(frozen=True)
class Answer:
    """What a reader should know about a suite.

    Attributes:
        headline: the best method and how sure that is.
        essentials: at most five sentences that stand beside the first figure.
        further: the rest, which the page folds.
    """

    headline: str
    essentials: tuple[str, ...]
    further: tuple[str, ...]

    @property
    def sentences(self) -> list[str]:
        """All of it, most important first."""
        return [self.headline, *self.essentials, *self.further]


def answer(analysis: SuiteAnalysis) -> Answer:
    """Put in words what the tables of a suite say."""
    overall, leads = list(differences.optimizers_overall(analysis)), list(differences.lead(analysis))
    of_optimizers = leads or overall[:1]
    essentials = [
        *best.task_costs(analysis),
        *of_optimizers,
        *differences.told_apart(analysis),
        *fronts.pareto_counts(analysis),
        *limits.edges(analysis),
    ]
    further = [
        *best.budgets(analysis),
        *(sentence for sentence in overall if sentence not in of_optimizers),
        *fronts.raw_counts(analysis),
        *fronts.head_to_head(analysis),
        *differences.rankings(analysis),
        *limits.lost_trials(analysis),
        *limits.cuts(analysis),
    ]
    return Answer(best.best_method(analysis), tuple(essentials), tuple(further))
