"""The table of the suites of a report."""

from __future__ import annotations

from collections.abc import Iterable

import pandas as pd

from mtlsweep.analysis.paper.printed_results import paper_pareto_counts
from mtlsweep.analysis.suite import SuiteAnalysis
from mtlsweep.report.style import optimizer_order
from mtlsweep.report.tables.table import Table, names, numbers


def suites_table(suites: Iterable[tuple[str, SuiteAnalysis]]) -> Table:
    """Return the suites side by side, as the paper's Table 2: Pareto counts per optimizer, ours and the paper's."""
    rows = []
    for name, analysis in suites:
        best = analysis.results.dropna(subset="test_delta_m_mean").head(1)
        row: dict[str, object] = {"suite": name, "source": "ours"}
        for method in best.itertuples():
            row |= {"best": f"{method.weighting} {method.optimizer}", "best_delta_m": method.test_delta_m_mean}
        counts = analysis.raw_optimizer_counts.set_index("optimizer")
        for optimizer in optimizer_order(counts.index):
            row[f"{optimizer} PO full"] = counts.loc[optimizer, "pareto_full"]
            for other in optimizer_order(set(counts.index) - {optimizer}):
                row[f"{optimizer} PO w.r.t. {other}"] = counts.loc[optimizer, f"pareto_wrt_{other}"]
        rows.append(row)
        printed = paper_pareto_counts(name)
        if len(printed):
            row = {"suite": name, "source": "paper"}
            for count in printed.to_dict("records"):
                row[f"{count['optimizer']} PO full"] = count["pareto_full"]
                row[f"{count['optimizer']} PO w.r.t. {count['other']}"] = count["pareto_wrt"]
            rows.append(row)
    table = pd.DataFrame(rows).reindex(columns=list(dict.fromkeys(key for row in rows for key in row)))
    named = [column for column in ("suite", "source", "best") if column in table]
    columns = names(table.fillna({"best": "–"}), *named)
    if "best_delta_m" in table:
        columns.append(numbers(table, "best_delta_m", "its Δm %", ".2f"))
    columns += [numbers(table, column, column, ".0f") for column in table if " PO " in column]
    caption = (
        "Suite by suite: the best method on validation, and the Pareto-optimal (PO) runs of each optimizer among all finished runs: "
        "raw counts, as in the paper, which favour an optimizer with more runs."
    )
    return Table("suites", caption, tuple(columns), table)
