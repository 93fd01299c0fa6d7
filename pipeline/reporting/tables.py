"""The tables of a suite: what each shows, and the sentence above it."""

from __future__ import annotations

import math
from collections.abc import Iterable

import pandas as pd

from pipeline.analysis.objectives import counted, tasks_of
from pipeline.analysis.paper import paper_pareto_counts, paper_results
from pipeline.analysis.results import OUTCOME_NAMES
from pipeline.analysis.suite import SuiteAnalysis
from pipeline.reporting.style import optimizer_order
from pipeline.reporting.table import (
    Cell,
    Column,
    Table,
    digits_of,
    means,
    names,
    numbers,
    p_value,
    time_unit,
    with_spread,
)


def results_table(analysis: SuiteAnalysis) -> Table:
    """Return a row per method, best validation Delta_m first."""
    results = analysis.results
    columns = names(results, "weighting", "optimizer")
    columns.append(means(results, "test_delta_m", "Delta_m %", False, 2))  # so far left that a phone shows it
    columns.append(numbers(results, "lr", "learning rate", "~"))
    columns.append(numbers(results.astype({"seeds": float}), "seeds", "seeds", ".0f"))
    for task in tasks_of(counted(analysis.objectives)):
        columns.append(means(results, f"test_delta_m_{task}", f"Delta_m {task} %", False, 2))
    for objective in analysis.objectives:
        arrow = "↑" if objective.higher_is_better else "↓"
        digits = digits_of(results[f"test_{objective.name}_mean"])
        columns.append(
            means(results, f"test_{objective.name}", f"{objective.label} {arrow}", objective.higher_is_better, digits)
        )
    selected = (
        "at the learning rate and epochs selected on validation, the best there first"
        if results["val_delta_m_mean"].notna().any()
        else "as given"
    )
    caption = (
        f"Test metrics per method {selected}: mean ± standard deviation over seeds. Bold: the best "
        "of a column, and what ties with it (95 % interval of the difference, noise pooled over methods). Delta_m is relative to single-task learning, positive = worse."
    )
    return Table("results", caption, tuple(columns), results)


def baselines_table(analysis: SuiteAnalysis) -> Table:
    """Return the single-task cells that Delta_m compares with."""
    baselines = analysis.baselines
    cells = []
    for mean, deviation in zip(baselines["test_mean"], baselines["test_std"], strict=True):
        cells.append(with_spread(mean, deviation, digits_of(pd.Series([mean]))))
    columns = (
        *names(baselines, "task", "metric"),
        numbers(baselines, "lr", "learning rate", "~"),
        numbers(baselines, "seeds", "seeds", ".0f"),
        Column("test", tuple(cells)),
    )
    caption = "Single-task baselines (STL): the learning rate with the lowest mean validation loss, mean ± standard deviation over seeds."
    return Table("baselines", caption, columns, baselines)


def counts_table(analysis: SuiteAnalysis) -> Table:
    """Return the Pareto counts per optimizer: in full, within noise, with respect to each other optimizer."""
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
    columns = [*names(counts, "optimizer"), *(numbers(counts, name, title, ".0f") for name, title in titles.items())]
    columns.append(numbers(counts, "hypervolume", "hypervolume", ".4f"))
    caption = (
        f"Pareto-optimal (PO) runs over all {len(analysis.objectives)} test metrics: among all runs, and with respect to one other optimizer "
        "(no run of it dominates them). Within σ: no run is better by more than so many standard deviations over seeds in every metric. "
        "Hypervolume: share of the box between ideal and reference point."
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
        "Pareto-optimal runs and hypervolume per weighting, over all optimizers.",
        columns,
        counts,
    )


def comparisons_table(analysis: SuiteAnalysis) -> Table:
    """Return the paired tests."""
    table = analysis.comparisons
    intervals = [
        Cell("–", sort=math.inf) if pd.isna(low) else Cell(f"{low:.2f} to {high:.2f}", sort=low)
        for low, high in zip(table["low"], table["high"], strict=True)
    ]
    p_values = [
        Cell(note or "–", sort=math.inf) if pd.isna(p) else Cell(p_value(p), bold=p < 0.05, sort=p)
        for p, note in zip(table["p_holm"], table["note"], strict=True)
    ]
    columns = (
        *names(table, "question", "within", "a", "b"),
        numbers(table, "pairs", "pairs", ".0f"),
        numbers(table, "difference", "a − b, points", ".2f"),
        Column("95 % interval", tuple(intervals)),
        numbers(table, "effect_size", "effect size g", ".2f"),
        Column("p (Holm)", tuple(p_values)),
    )
    caption = (
        "Paired differences in test Delta_m, negative = a better. Optimizer and weighting (against ew): by seed, t test; optimizer overall: by "
        "weighting, exact sign-flip test. p values are Holm-corrected within each question; effect size is Hedges' g of paired values."
    )
    return Table("comparisons", caption, columns, table)


def rankings_table(analysis: SuiteAnalysis) -> Table:
    """Return how alike two optimizers rank the weightings."""
    table = analysis.rankings
    p_values = [
        Cell(note or "–", sort=math.inf) if pd.isna(p) else Cell(p_value(p), sort=p)
        for p, note in zip(table["p"], table["note"], strict=True)
    ]
    columns = (
        *names(table, "optimizer_a", "optimizer_b"),
        numbers(table, "weightings", "weightings", ".0f"),
        numbers(table, "tau", "Kendall's τ", ".2f"),
        Column("p", tuple(p_values)),
    )
    return Table(
        "rankings",
        "Agreement between the rankings of weightings under two optimizers (1 = the same, −1 = reversed).",
        columns,
        table,
    )


def methods_table(analysis: SuiteAnalysis) -> Table:
    """Return per method how sure its place on the front is, and how much its learning rate matters."""
    on = ["weighting", "optimizer"]
    table = analysis.pareto_probability.merge(analysis.sensitivity, on=on, how="outer")
    table = table.sort_values(on, ignore_index=True).astype({"seeds": float, "tried": float})
    ranges = [
        Cell("–", sort=math.inf) if pd.isna(low) else Cell(f"{low:g} to {high:g}", sort=low)
        for low, high in zip(table["low_lr"], table["high_lr"], strict=True)
    ]
    ends = [
        {"low": "lower end", "high": "upper end", "both": "both ends"}.get(end, "")
        for end in table["open_end"].fillna("")
    ]
    columns = (
        *names(table, *on),
        numbers(table, "probability", "P(Pareto-optimal)", ".2f"),
        numbers(table, "seeds", "seeds", ".0f"),
        Column("rates within 5 points", tuple(ranges)),
        numbers(table, "decades", "decades", ".2f"),
        Column("open at", tuple(Cell(end, sort=end) for end in ends), numeric=False),
    )
    caption = (
        "Bootstrap probability (over seeds all methods share) that a method's mean is Pareto-optimal among methods; and the unbroken range of "
        "tried learning rates whose validation Delta_m is within 5 points of the best. Open: the range reaches the end of what was tried."
    )
    return Table("methods", caption, columns, table)


def outcomes_table(analysis: SuiteAnalysis) -> Table:
    """Return per method how its trials ended, and at which learning rates they diverged or failed."""
    outcomes = analysis.outcomes
    grouped = outcomes.groupby(["weighting", "optimizer"])
    table = grouped[list(OUTCOME_NAMES)].sum().reset_index()
    rates = [_lost_rates(own) for _, own in grouped]
    columns = [*names(table, "weighting", "optimizer"), *(numbers(table, name, name, ".0f") for name in OUTCOME_NAMES)]
    columns.append(
        Column("diverged or failed at learning rate", tuple(Cell(rate, sort=rate) for rate in rates), numeric=False)
    )
    return Table(
        "outcomes", "How the trials of each method ended, over all learning rates and seeds.", tuple(columns), outcomes
    )


def _lost_rates(outcomes: pd.DataFrame) -> str:
    """Say at which learning rates of one method trials diverged or failed, and how many of how many."""
    words = []
    for row in outcomes.to_dict("records"):
        lost, total = row["diverged"] + row["failed"], sum(row[name] for name in OUTCOME_NAMES)
        words += [f"{row['lr']:g} ({lost} of {total})"] if lost else []
    return ", ".join(words)


def cuts_table(analysis: SuiteAnalysis) -> Table | None:
    """Return how each cut learning rate looked when it was cut, the closest first; None when nothing was cut."""
    cuts = analysis.cuts.sort_values("behind", ignore_index=True)
    if cuts.empty:
        return None
    risky = tuple(Cell("yes" if risk else "no", sort=float(not risk)) for risk in cuts["may_have_won"])
    columns = (
        *names(cuts, "weighting", "optimizer"),
        numbers(cuts, "lr", "learning rate", "~"),
        numbers(cuts, "cut_at", "cut after epoch", ".0f"),
        numbers(cuts, "val_delta_m", "Δm then", ".1f"),
        numbers(cuts, "behind", "behind the selected rate then", ".1f"),
        numbers(cuts, "last_gain", "gain of its last epoch", ".1f"),
        Column("may have won", risky, numeric=False),
    )
    caption = (
        "Learning rates that were cut before their last epoch, as validation showed them then (Δm in percent points). May have won: at the "
        "pace of its last epoch the rate would have made up for its distance in the epochs that were left."
    )
    return Table("cuts", caption, columns, cuts)


def compute_table(analysis: SuiteAnalysis, costs: pd.DataFrame) -> Table:
    """Return the compute spent per method, baselines included."""
    timed = analysis.trials[["trial_key", "role", "weighting", "optimizer", "outcome"]].merge(
        costs[["trial_key", "seconds"]], on="trial_key"
    )
    table = timed.groupby(["role", "weighting", "optimizer"], as_index=False).agg(
        trials=("seconds", "size"), seconds=("seconds", "sum"), median_seconds=("seconds", "median")
    )
    unit, length = time_unit(table["seconds"].sum())
    table["spent"] = table["seconds"] / length
    columns = (
        *names(table, "role", "weighting", "optimizer"),
        numbers(table, "trials", "trials", ".0f"),
        numbers(table, "spent", unit, ".2f"),
        numbers(table, "median_seconds", "median seconds a trial", ".3g"),
    )
    caption = f"Compute spent: {table['spent'].sum():.1f} {unit} of trials in {int(table['trials'].sum())} trials."
    return Table("compute", caption, columns, table.drop(columns="spent"))


def repeat_table(analysis: SuiteAnalysis) -> Table:
    """Return the command that makes each replicate of each row of the results again."""
    trials = analysis.trials[analysis.trials["cell_key"].isin(analysis.results["cell_key"])]
    table = trials[["weighting", "optimizer", "lr", "seed", "trial_key"]].sort_values(
        ["weighting", "optimizer", "lr", "seed"]
    )
    table = table.assign(command="mtlsweep run " + table["trial_key"]).reset_index(drop=True)
    columns = (
        *names(table, "weighting", "optimizer"),
        numbers(table, "lr", "learning rate", "~"),
        numbers(table, "seed", "seed", ".0f"),
        *names(table, "command"),
    )
    return Table("repeat", "The command that trains each replicate of a row again.", columns, table)


def paper_table(analysis: SuiteAnalysis, suite: str) -> Table | None:
    """Return our Delta_m beside the paper's, method by method, where the suite is one of the paper's."""
    theirs = paper_results(suite)
    if theirs is None:
        return None
    theirs = theirs.loc[theirs["weighting"] != "stl", ["weighting", "optimizer", "lr", "delta_m", "delta_m_std"]]
    ours = analysis.results[["weighting", "optimizer", "lr", "test_delta_m_mean", "test_delta_m_std", "seeds"]]
    both = ours.merge(theirs, on=["weighting", "optimizer"], how="outer", suffixes=("", "_paper"))
    columns = (
        *names(both, "weighting", "optimizer"),
        numbers(both, "lr", "our learning rate", "~"),
        means(both, "test_delta_m", "our Delta_m %", False, 2),
        numbers(both, "lr_paper", "paper's learning rate", "~"),
        Column(
            "paper's Delta_m %",
            tuple(with_spread(m, s, 2) for m, s in zip(both["delta_m"], both["delta_m_std"], strict=True)),
        ),
    )
    caption = "Our results beside those of Elich et al. (arXiv 2311.04698), mean ± standard deviation."
    return Table("paper", caption, columns, both)


def suites_table(suites: Iterable[tuple[str, SuiteAnalysis]]) -> Table:
    """Return the suites side by side, as the paper's Table 2: Pareto counts per optimizer, ours and the paper's."""
    rows = []
    for name, analysis in suites:
        best = analysis.results.dropna(subset="test_delta_m_mean").head(1)
        row: dict[str, object] = {"suite": name, "source": "ours"}
        for method in best.itertuples():
            row |= {"best": f"{method.weighting} {method.optimizer}", "best_delta_m": method.test_delta_m_mean}
        counts = analysis.optimizer_counts.set_index("optimizer")
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
        columns.append(numbers(table, "best_delta_m", "its Delta_m %", ".2f"))
    columns += [numbers(table, column, column, ".0f") for column in table if " PO " in column]
    caption = "Suite by suite: the best method on validation, and the Pareto-optimal (PO) runs of each optimizer."
    return Table("suites", caption, tuple(columns), table)
