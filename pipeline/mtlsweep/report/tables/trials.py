"""Tables about trials: how they ended, what was cut, what they cost, how to repeat them."""

from __future__ import annotations

import pandas as pd

from mtlsweep.analysis.conclusions.results import OUTCOME_NAMES
from mtlsweep.analysis.selection import axis_columns
from mtlsweep.analysis.suite import SuiteAnalysis
from mtlsweep.report.tables.table import Cell, Column, Table, names, numbers, settings, time_unit


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
    """Say at which learning rates of one method trials diverged or failed, and how many of all."""
    words = []
    for row in outcomes.to_dict("records"):
        lost, total = row["diverged"] + row["failed"], sum(row[name] for name in OUTCOME_NAMES)
        words += [f"{row['lr']:g} ({lost} of {total})"] if lost else []
    return ", ".join(words)


def cuts_table(analysis: SuiteAnalysis) -> Table | None:
    """Return the figures of each cut learning rate at its cut, the closest first; None when nothing was cut."""
    cuts = analysis.cuts.sort_values("behind", ignore_index=True)
    if cuts.empty:
        return None
    risky = tuple(Cell("yes" if risk else "no", sort=float(not risk)) for risk in cuts["may_have_won"])
    columns = (
        *names(cuts, "weighting", "optimizer"),
        numbers(cuts, "lr", "learning rate", "~"),
        *settings(cuts),
        numbers(cuts, "cut_at", "cut after epoch", ".0f"),
        numbers(cuts, "val_delta_m", "Δm then", ".1f"),
        numbers(cuts, "behind", "behind the selected rate then", ".1f"),
        numbers(cuts, "last_gain", "gain of its last epoch", ".1f"),
        Column("may have won", risky, numeric=False),
    )
    caption = (
        "Learning rates that were cut before their last epoch, with their validation figures at the cut (Δm in percent points). May "
        "have won: at the pace of its last epoch, the rate would have made up its distance in the epochs that were left."
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
    identity = ["weighting", "optimizer", "lr", *axis_columns(analysis.results), "seed"]
    table = trials[[*identity, "trial_key"]].sort_values(identity)
    table = table.assign(command="mtlsweep run " + table["trial_key"]).reset_index(drop=True)
    columns = (
        *names(table, "weighting", "optimizer"),
        numbers(table, "lr", "learning rate", "~"),
        *settings(table),
        numbers(table, "seed", "seed", ".0f"),
        *names(table, "command"),
    )
    return Table("repeat", "The command that trains each replicate of a row again.", columns, table)
