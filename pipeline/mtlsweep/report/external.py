"""`mtlsweep analyse TABLE`: the same analysis and the same report for results made elsewhere."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from pathlib import Path

from mtlsweep.analysis.delta_m import delta_m_columns
from mtlsweep.analysis.external import analyse_runs, metrics_of, read_runs
from mtlsweep.files import write_atomically
from mtlsweep.report.answer import answer
from mtlsweep.report.report import write_report
from mtlsweep.report.suite import SuiteReport
from mtlsweep.trials.metric_names import column_of


def analyse_table(path: Path, higher: Sequence[str], baseline: str, out: Path | None, lower: Sequence[str] = ()) -> str:
    """Compare every row of a CSV or Parquet table with its single-task baseline.

    Args:
        path: the table: columns weighting, optimizer, lr, optionally seed, and one per metric
            named `<task>_<metric>`; `delta_m` and `delta_m_std` are assumed to be printed results.
        higher, lower: metrics for which higher, or lower, is better; other columns count if their names are well known.
        baseline: the weighting whose rows are the baseline.
        out: directory for `rows.csv` (Delta_m per row) and the whole report; None writes nothing.

    Returns:
        What to print: the metrics and what was left out, Delta_m per row, best first, then the conclusions.

    Raises:
        UserError: the table cannot be read or lacks something; the message says what.
    """
    runs = read_runs(path)
    left_out = metrics_of(list(runs.columns), higher, lower, path.name).left_out
    analysis = analyse_runs(runs, higher, baseline, path.name, lower)
    figures = {column_of("test", name): name for name in delta_m_columns(analysis.objectives)}
    rows = analysis.trials[["weighting", "optimizer", "lr", "seed", *figures]].rename(columns=figures)
    printed = [column for column in ("delta_m", "delta_m_std") if column in runs]
    if printed:
        given = runs.loc[runs["weighting"].astype(str).str.strip() != baseline, printed].reset_index(drop=True)
        rows = rows.join(given.add_prefix("given_"))
    rows = rows.sort_values("delta_m", ignore_index=True)
    directions = ", ".join(f"{o.name} {'higher' if o.higher_is_better else 'lower'}" for o in analysis.objectives)
    lines = [f"Better is: {directions}."]
    if left_out:
        lines.append(f"Left out: {', '.join(left_out)}. If one is a metric, name it with --higher or --lower.")
    lines += ["Delta_m in percent against the baseline, positive = worse:", ""]
    lines += [rows.to_string(index=False, float_format=lambda value: f"{value:.4g}"), "", *answer(analysis)]
    if out is not None:
        write_atomically(out / "rows.csv", rows.to_csv(index=False, lineterminator="\n").encode())
        digest = hashlib.sha256(path.read_bytes()).hexdigest()
        provenance = {"source": path.name, "sha256": digest, "rows": len(runs), "baseline": baseline}
        page = write_report([SuiteReport(path.stem, analysis, provenance)], out)
        lines += ["", f"Report: {page}"]
    return "\n".join(lines)
