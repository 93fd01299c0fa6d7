"""`mtlsweep analyse TABLE`: the same analysis and the same report for results made elsewhere."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Sequence
from pathlib import Path

import pandas as pd

from mtlsweep.analysis.delta_m import delta_m_columns
from mtlsweep.analysis.external import analyse_runs, metrics_of, printed_claims, read_runs
from mtlsweep.files import write_atomically
from mtlsweep.report.answer import answer
from mtlsweep.report.report import write_report
from mtlsweep.report.sections import Section
from mtlsweep.report.suite import SuiteReport
from mtlsweep.trials.metric_names import column_of


def analyse_table(path: Path, higher: Sequence[str], baseline: str, out: Path | None, lower: Sequence[str] = ()) -> str:
    """Compare every row of a CSV or Parquet table with its single-task baseline.

    Args:
        path: the table: columns weighting, optimizer, lr, optionally seed, and one per metric
            named `<task>_<metric>`; `delta_m`, `delta_m_std` and `seeds` are assumed to be printed results.
        higher, lower: metrics for which higher, or lower, is better; other columns count if their names are well known.
        baseline: the weighting whose rows are the baseline.
        out: directory for `rows.csv` (Δm per row) and the whole report; None writes nothing.

    Returns:
        What to print: the metrics and what was left out, Δm per row, best first, then the conclusions.

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
    lines += ["Δm in percent against the baseline, positive = worse:", ""]
    claims = _claims(runs[runs["weighting"].astype(str).str.strip() != baseline])
    lines += [
        rows.to_string(index=False, float_format=lambda value: f"{value:.4g}"),
        "",
        *answer(analysis).sentences,
        *claims,
    ]
    if out is not None:
        write_atomically(out / "rows.csv", rows.to_csv(index=False, lineterminator="\n").encode())
        digest = hashlib.sha256(path.read_bytes()).hexdigest()
        provenance = {"source": path.name, "sha256": digest, "rows": len(runs), "baseline": baseline}
        section = Section("printed", "What the printed figures can claim", tuple(claims), (), ())
        page = write_report([SuiteReport(path.stem, analysis, provenance, sections=(section,) if claims else ())], out)
        lines += ["", f"Report: {page}"]
    return "\n".join(lines)


def _claims(rows: pd.DataFrame) -> list[str]:
    """Put in words what means and deviations that a table prints say of its best row."""
    if not {"delta_m", "delta_m_std", "seeds"} <= set(rows.columns):
        return []
    claims = printed_claims(rows)
    if claims is None:
        return []
    told = claims.rivals - len(claims.tied)
    noise = "all rows" if claims.rows_with_noise > claims.rivals else f"{claims.rows_with_noise} of the rows"
    sentences = [
        f"Of the printed means {claims.best} is lowest ({claims.delta_m:+.2f} %). {told} of {claims.rivals} others differ from it "
        f"by more than chance (t test, noise pooled over the deviations of {noise}, Holm at 5 %; a single one would have to "
        f"differ by {claims.least:.2f} points)."
    ]
    if claims.tied:
        sentences.append(f"Not told apart from {claims.best}: {', '.join(claims.tied)}.")
    if math.isfinite(claims.low):
        side = "open" if claims.low < 0 < claims.high else "decided by its seeds"
        sentences.append(
            f"Whether {claims.best} is better or worse than single-task learning is {side} (95 % interval {claims.low:+.2f} to "
            f"{claims.high:+.2f} %). Noise of the baseline and the choice of learning rates are in none of these figures."
        )
    return sentences
