"""The table that compares our results with the paper's printed ones."""

from __future__ import annotations

from mtlsweep.analysis.paper.printed_results import paper_results
from mtlsweep.analysis.suite import SuiteAnalysis
from mtlsweep.report.tables.table import Column, Table, means, names, numbers, with_spread


def paper_table(analysis: SuiteAnalysis, suite: str) -> Table | None:
    """Return our Δm next to the paper's, method by method, if the suite is one of the paper's."""
    theirs = paper_results(suite)
    if theirs is None:
        return None
    theirs = theirs.loc[theirs["weighting"] != "stl", ["weighting", "optimizer", "lr", "delta_m", "delta_m_std"]]
    ours = analysis.results[["weighting", "optimizer", "lr", "test_delta_m_mean", "test_delta_m_std", "seeds"]]
    both = ours.merge(theirs, on=["weighting", "optimizer"], how="outer", suffixes=("", "_paper"))
    columns = (
        *names(both, "weighting", "optimizer"),
        numbers(both, "lr", "our learning rate", "~"),
        means(both, "test_delta_m", "our Δm %", False, 2),
        numbers(both, "lr_paper", "paper's learning rate", "~"),
        Column(
            "paper's Δm %",
            tuple(with_spread(m, s, 2) for m, s in zip(both["delta_m"], both["delta_m_std"], strict=True)),
        ),
    )
    caption = "Our results beside those of Elich et al. (arXiv 2311.04698), mean ± standard deviation."
    return Table("paper", caption, columns, both)
