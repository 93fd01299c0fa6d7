"""The whole analysis of one suite, from raw curves to every table of its report."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import pandas as pd

from mtlsweep.analysis.baselines import select_baselines
from mtlsweep.analysis.conclusions import comparisons, sensitivity
from mtlsweep.analysis.conclusions.cuts import describe_cuts
from mtlsweep.analysis.conclusions.leads import optimizer_leads
from mtlsweep.analysis.conclusions.learning_curves import learning_curves
from mtlsweep.analysis.conclusions.results import count_outcomes, results_by_cell
from mtlsweep.analysis.conclusions.settling import with_seeds_to_settle
from mtlsweep.analysis.fronts import attainment, pareto_counts, seed_noise
from mtlsweep.analysis.fronts import hypervolume as fronts
from mtlsweep.analysis.objectives import Objective, counted
from mtlsweep.analysis.repetition import intervals
from mtlsweep.analysis.repetition.arrays import sweep_arrays
from mtlsweep.analysis.selection import METHOD, rank_cells, select_learning_rates
from mtlsweep.analysis.trial_table import measure_trials, trial_table, with_delta_m, with_own_delta_m


@dataclass(frozen=True)
class SuiteAnalysis:
    """Every table of a suite; Delta_m and its differences are in percent.

    Attributes:
        objectives: the metrics, with their directions.
        trials: a row per trial (STL and MTL) at its chosen epoch; what `trials.parquet` holds.
        results: a row per method: selected lr; mean, std and interval of each test metric and Delta_m.
        baselines: a row per task and metric: the STL cell behind Delta_m.
        members: a row per finished run of the selected cells: is it Pareto-optimal among them, in full and against
            each optimizer. Every method has one selected cell, so optimizers have equal numbers of runs.
        optimizer_counts, weighting_counts: Pareto counts of `members`.
        noise_counts: Pareto counts of the same runs that ignore differences within seed noise.
        raw_members, raw_optimizer_counts, raw_weighting_counts: the same for all finished runs, of which an optimizer
            may have more than another after a race.
        outcomes: number of trials per method, learning rate and outcome.
        cuts: the figures of each learning rate that a race cut, at the epoch of the cut.
        comparisons: paired tests between methods, and how many seeds would decide the open ones.
        best: the best method on validation when the whole procedure is repeated with other seeds: the interval of its test
            Delta_m, and by how much its validation Delta_m is too low; empty where that is not known.
        rankings: agreement between optimizers.
        leads: how much of one optimizer's lead over another single-task training has, too; empty where it was run with
            a single optimizer.
        pareto_probability: bootstrap probability of each method to be Pareto-optimal.
        sensitivity: how far each method's learning rate may be from the best.
        hypervolume, reference_point: hypervolume of the selected cells' runs of each optimizer and weighting, and its
            reference point; the objectives of the latter are the axes of all fronts.
        attainment, attainment_differences: surfaces over seeds of the selected cells' runs, per pair of objectives.
        raw_attainment, raw_attainment_differences: the same over all finished runs.
        learning_curves: per selected method and epoch, Delta_m, losses and task weights.
    """

    objectives: tuple[Objective, ...]
    trials: pd.DataFrame
    results: pd.DataFrame
    baselines: pd.DataFrame
    members: pd.DataFrame
    optimizer_counts: pd.DataFrame
    weighting_counts: pd.DataFrame
    noise_counts: pd.DataFrame
    raw_members: pd.DataFrame
    raw_optimizer_counts: pd.DataFrame
    raw_weighting_counts: pd.DataFrame
    outcomes: pd.DataFrame
    cuts: pd.DataFrame
    comparisons: pd.DataFrame
    best: pd.DataFrame
    rankings: pd.DataFrame
    leads: pd.DataFrame
    pareto_probability: pd.DataFrame
    sensitivity: pd.DataFrame
    hypervolume: pd.DataFrame
    reference_point: pd.DataFrame
    attainment: pd.DataFrame
    attainment_differences: pd.DataFrame
    raw_attainment: pd.DataFrame
    raw_attainment_differences: pd.DataFrame
    learning_curves: pd.DataFrame

    @property
    def axes(self) -> tuple[Objective, ...]:
        """The metrics over which fronts are computed."""
        names = set(self.reference_point["objective"])
        return tuple(objective for objective in self.objectives if objective.name in names)

    @property
    def has_other_runs(self) -> bool:
        """Whether there are finished runs beside those of the selected cells, so that raw tables say something else."""
        return len(self.raw_members) > len(self.members)

    @property
    def axes_in_words(self) -> str:
        """What fronts are over, such as `the 3 metrics that count in Δm`."""
        everything = len(self.axes) == len(self.objectives)
        if len(self.axes) == 1:
            return "the only metric" if everything else "the one metric that counts in Δm"
        return f"all {len(self.axes)} metrics" if everything else f"the {len(self.axes)} metrics that count in Δm"


def analyse_suite(
    baseline_curves: pd.DataFrame,
    baseline_outcomes: pd.DataFrame,
    sweep_curves: pd.DataFrame,
    sweep_outcomes: pd.DataFrame,
    objectives: Sequence[Objective],
    all_metrics: bool = False,
) -> SuiteAnalysis:
    """Select late, compare with the baselines, and conclude.

    Args:
        baseline_curves, sweep_curves: a row per (trial_key, epoch, split, task, metric).
        baseline_outcomes, sweep_outcomes: a row per trial.
        objectives: every metric of every task.
        all_metrics: whether fronts are over all metrics, not only over those that count in Delta_m.

    Raises:
        UserError: a task has no usable baseline.
    """
    baselines = select_baselines(baseline_curves, baseline_outcomes, objectives)
    measured = measure_trials(sweep_curves, sweep_outcomes, baselines, objectives)
    multi_task = with_own_delta_m(with_delta_m(measured, baselines, objectives), baselines, objectives)
    single_task = with_delta_m(baselines.trials, baselines, objectives)
    selected = select_learning_rates(multi_task)
    ranked = rank_cells(multi_task, METHOD, "val_delta_m")
    return conclude(
        trials=trial_table(pd.concat([single_task, multi_task], ignore_index=True), objectives),
        selected=selected,
        baselines=baselines.table,
        sensitivity=sensitivity.learning_rate_sensitivity(ranked[ranked["done"]], multi_task),
        curves=learning_curves(sweep_curves, multi_task, selected, baselines, objectives),
        cuts=describe_cuts(sweep_curves, multi_task, selected, baselines, objectives),
        leads=optimizer_leads(multi_task, selected, baselines, objectives),
        repeated=intervals.repeat(sweep_arrays(sweep_curves, multi_task, baselines, objectives)),
        objectives=objectives,
        all_metrics=all_metrics,
    )


def conclude(
    trials: pd.DataFrame,
    selected: pd.DataFrame,
    baselines: pd.DataFrame,
    sensitivity: pd.DataFrame,
    curves: pd.DataFrame,
    cuts: pd.DataFrame,
    leads: pd.DataFrame,
    repeated: intervals.Repeated | None,
    objectives: Sequence[Objective],
    all_metrics: bool = False,
) -> SuiteAnalysis:
    """Draw every conclusion that needs no more than trials at their chosen epochs and the cells selected among them.

    Args:
        trials: a row per trial with identity, `test_<objective>` and `test_delta_m*`.
        selected: weighting, optimizer, lr, cell_key, seeds and `mean` (validation Delta_m) of the selected cells.
        baselines, sensitivity, curves, cuts, leads: passed through.
        repeated: the procedure repeated in samples of the seeds; None where that is not possible.
        objectives: every metric of every task.
        all_metrics: whether fronts are over all metrics, not only over those that count in Delta_m.
    """
    objectives = tuple(objectives)
    axes = objectives if all_metrics else tuple(counted(objectives))
    multi_task = trials[trials["role"] == "mtl"]
    finished = multi_task[multi_task["outcome"] == "done"].reset_index(drop=True)
    chosen = finished[finished["cell_key"].isin(selected["cell_key"])].reset_index(drop=True)
    unambiguous = chosen.groupby(METHOD, observed=True)["cell_key"].transform("nunique") == 1
    rivals = chosen[unambiguous]  # one cell per method, or methods could not be compared
    members, raw_members = (pareto_counts.pareto_members(runs, axes) for runs in (chosen, finished))
    hypervolume, reference_point = fronts.hypervolume_shares(chosen, axes)
    return SuiteAnalysis(
        objectives=objectives,
        trials=trials,
        results=intervals.with_search_intervals(results_by_cell(multi_task, selected, objectives), repeated),
        baselines=baselines,
        members=members,
        optimizer_counts=pareto_counts.count_by_optimizer(members),
        weighting_counts=pareto_counts.count_by_weighting(members),
        noise_counts=seed_noise.count_beyond_noise(chosen, seed_noise.seed_noise(chosen, axes), axes),
        raw_members=raw_members,
        raw_optimizer_counts=pareto_counts.count_by_optimizer(raw_members),
        raw_weighting_counts=pareto_counts.count_by_weighting(raw_members),
        outcomes=count_outcomes(multi_task),
        cuts=cuts,
        comparisons=intervals.with_search_intervals_of_differences(
            with_seeds_to_settle(comparisons.compare_methods(rivals)), repeated
        ),
        best=intervals.best_of_all(repeated),
        rankings=comparisons.compare_rankings(rivals),
        leads=leads,
        pareto_probability=comparisons.pareto_probability(rivals, axes),
        sensitivity=sensitivity,
        hypervolume=hypervolume,
        reference_point=reference_point,
        attainment=attainment.attainment_surfaces(chosen, objectives),
        attainment_differences=attainment.attainment_differences(chosen, objectives),
        raw_attainment=attainment.attainment_surfaces(finished, objectives),
        raw_attainment_differences=attainment.attainment_differences(finished, objectives),
        learning_curves=curves,
    )
