"""Tables of Pareto counts and of weightings."""

from __future__ import annotations

from mtlsweep.analysis.suite import SuiteAnalysis
from mtlsweep.report.tables.table import Table, names, numbers


def counts_table(analysis: SuiteAnalysis) -> Table:
    """Return the Pareto counts per optimizer: in full, within noise, with respect to each other optimizer; then the raw ones."""
    counts = analysis.optimizer_counts
    forgiving = analysis.noise_counts[analysis.noise_counts["tolerance"] > 0]
    wide = forgiving.pivot(index="optimizer", columns="tolerance", values="pareto_full")
    wide.columns = [f"pareto_within_{tolerance:g}_noise" for tolerance in wide.columns]
    counts = counts.merge(wide.reset_index(), on="optimizer", how="left") if len(wide) else counts
    volumes = analysis.hypervolume[analysis.hypervolume["group"] == "optimizer"]
    counts = counts.merge(volumes[["name", "hypervolume"]].rename(columns={"name": "optimizer"}), on="optimizer")
    titles = {"runs": "runs", "not_comparable": "incomplete", "pareto_full": "PO full"}
    titles |= {c: f"PO w.r.t. {c.removeprefix('pareto_wrt_')}" for c in sorted(counts) if c.startswith("pareto_wrt_")}
    titles |= {c: f"PO within {c.split('_')[2]} σ" for c in counts if c.startswith("pareto_within_")}
    if analysis.has_other_runs:
        raw = analysis.raw_optimizer_counts.drop(columns="not_comparable").set_index("optimizer").add_prefix("raw_")
        counts = counts.merge(raw.reset_index(), on="optimizer", how="outer")
        titles |= {"raw_runs": "raw runs", "raw_pareto_full": "raw PO full"}
        titles |= {c: f"raw PO w.r.t. {c.removeprefix('raw_pareto_wrt_')}" for c in sorted(raw) if "_wrt_" in c}
    columns = [*names(counts, "optimizer"), *(numbers(counts, name, title, ".0f") for name, title in titles.items())]
    columns.append(numbers(counts, "hypervolume", "hypervolume", ".4f"))
    caption = (
        f"Pareto-optimal (PO) runs of the selected cells over {analysis.axes_in_words}: among all of these runs, and with respect to one "
        "other optimizer (none of its runs dominates them). Within σ: no run is better in every metric by more than this many standard "
        "deviations over seeds. Hypervolume: share of the box between ideal and reference point. Raw: among all finished runs, which "
        "favours an optimizer with more runs."
    )
    return Table("pareto_by_optimizer", caption, tuple(columns), counts)


def weightings_table(analysis: SuiteAnalysis) -> Table:
    """Return the Pareto counts and hypervolume per weighting."""
    volumes = analysis.hypervolume[analysis.hypervolume["group"] == "weighting"]
    counts = analysis.weighting_counts.merge(
        volumes[["name", "hypervolume"]].rename(columns={"name": "weighting"}), on="weighting"
    )
    columns = (
        *names(counts, "weighting"),
        numbers(counts, "runs", "runs", ".0f"),
        numbers(counts, "pareto_full", "PO full", ".0f"),
        numbers(counts, "hypervolume", "hypervolume", ".4f"),
    )
    return Table(
        "pareto_by_weighting",
        "Pareto-optimal runs and hypervolume per weighting, over all optimizers; runs of the selected cells.",
        columns,
        counts,
    )
