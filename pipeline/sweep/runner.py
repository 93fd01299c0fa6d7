"""One stage of a suite from plan to tables: lease, plan minus ledger, Ray Tune, ledger, MLflow, tables."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from pipeline import paths
from pipeline.analysis.objectives import Objective
from pipeline.analysis.selection import select_baselines
from pipeline.analysis.tables import CURVES, OUTCOMES, read_table, write_table
from pipeline.data import DATASETS, Dataset, PreparedData, open_prepared
from pipeline.errors import UserError
from pipeline.files import content_hash, write_atomically
from pipeline.ledger import Ledger
from pipeline.params import Params
from pipeline.sweep import tables
from pipeline.sweep.cluster import execute
from pipeline.sweep.driver import Driver
from pipeline.sweep.lease import Lease
from pipeline.sweep.plan import Stage, plan_trials
from pipeline.sweep.progress import Progress, ProgressDisplay
from pipeline.sweep.provenance import read_provenance
from pipeline.sweep.recorder import Recorder
from pipeline.sweep.reference import Reference
from pipeline.sweep.study import CellStudy
from pipeline.tracking import Tracker
from pipeline.trials import FinishedTrial, Outcome, Trial


@dataclass(frozen=True)
class StageContext:
    """All that a stage of a suite is about, read before anything runs.

    Attributes:
        suite: its name.
        stage: `baselines` or `sweep`.
        data: the prepared data.
        plan: the trials the stage wants.
        ledger: the suite's ledger.
        reference: what Delta_m compares with; without values for baselines.
    """

    suite: str
    stage: Stage
    data: PreparedData
    plan: tuple[Trial, ...]
    ledger: Ledger
    reference: Reference

    @property
    def pending(self) -> list[Trial]:
        """Plan minus ledger."""
        finished = self.ledger.finished_keys()
        return [trial for trial in self.plan if trial.key not in finished]


def open_stage(params: Params, suite: str, stage: Stage) -> StageContext:
    """Read data, plan and baselines of a stage.

    Raises:
        UserError: unknown suite, wrong params, data not prepared, or baselines missing.
    """
    data = open_prepared(paths.prepared(suite))
    plan = plan_trials(suite, params.suite(suite), stage, [task.name for task in data.tasks], data.fingerprint)
    objectives = tuple(Objective(**definition) for definition in tables.metric_definitions(data.tasks))
    reference = read_reference(suite, objectives) if stage == "sweep" else Reference(objectives, {})
    return StageContext(suite, stage, data, plan, Ledger(params.resources.ledger_root, suite), reference)


def open_plan(params: Params, suite: str, stage: Stage) -> tuple[tuple[Trial, ...], set[str]]:
    """Return the trials of a stage and the keys of all finished ones.

    Needs neither baselines nor prepared data: without the latter no trial can be finished, and the
    plan is that of the raw data's tasks.

    Raises:
        UserError: unknown suite, wrong params, or raw data that is missing.
    """
    section = params.suite(suite)
    if not paths.prepared(suite).exists():
        dataset: Dataset = DATASETS.create(DATASETS.resolve(section.data.dataset))
        dataset.require_raw_data()
        return plan_trials(suite, section, stage, [task.name for task in dataset.tasks], "not prepared"), set()
    data = open_prepared(paths.prepared(suite))
    trials = plan_trials(suite, section, stage, [task.name for task in data.tasks], data.fingerprint)
    return trials, Ledger(params.resources.ledger_root, suite).finished_keys()


def read_reference(suite: str, objectives: tuple[Objective, ...]) -> Reference:
    """Return the single-task values that the tables of the stage `baselines` give.

    Raises:
        UserError: the stage has not run, or none of a task's learning rates finished.
    """
    directory = paths.stage_tables(suite, "baselines")
    curves = read_table(directory / "curves.parquet", CURVES.names, ["split", "task", "metric"])
    outcomes = read_table(directory / "outcomes.parquet", OUTCOMES.names)
    return Reference(objectives, select_baselines(curves, outcomes, objectives).values)


def run_stage(params: Params, suite: str, stage: Stage) -> None:
    """Run what the ledger lacks of a stage, record it, and write the stage's tables.

    Raises:
        UserError: a mistake of the user's, another sweep of the suite, an outage, too many
            failures, or a stop before the end. What was computed until then is in the ledger.
    """
    context = open_stage(params, suite, stage)
    context.ledger.prepare()
    with Lease(context.ledger.directory, suite):
        provenance = read_provenance()
        sweep_id = content_hash([trial.key for trial in context.plan])
        tracker = _tracker(params, suite, context.reference)
        tracker.drop_unfinished()
        recorder = Recorder(tracker, {"sweep_id": sweep_id})
        recorded = tracker.complete_keys
        planned = {trial.key for trial in context.plan}
        known = [one for one in context.ledger.read_all() if one.trial.key in planned]
        for one in known:
            if one.trial.key not in recorded:
                recorder.finish(one)
        progress = Progress(
            f"{suite} {stage}", len(context.plan), outcomes=Counter(one.result.outcome for one in known)
        )
        pending = context.pending
        if pending:
            with ProgressDisplay(progress, progress_path(context.ledger, context.stage)):
                driver = Driver(
                    context.ledger, recorder, progress, _study(context, known), context.reference, provenance
                )
                execute(pending, driver, params.resources, context.data.directory, context.reference.score)
        else:
            print(f"{progress.line()}; nothing to run")
        recorder.close()
        finished = [context.ledger.read(key) for key in sorted(planned & context.ledger.finished_keys())]
        _check_complete(context, finished, params.resources.failed_share_limit)
        _write_tables(context, tracker, finished, provenance)


def progress_path(ledger: Ledger, stage: Stage) -> Path:
    """File in which a running stage says how far it is."""
    return ledger.directory / f"progress-{stage}.json"


def rebuild_tracking(params: Params, suite: str) -> int:
    """Write every finished trial of a suite into MLflow anew, from the ledger; return how many.

    Raises:
        UserError: a sweep of the suite is running, or the server cannot be reached.
    """
    context = open_stage(params, suite, "baselines")
    ledger = context.ledger
    finished = list(ledger.read_all())
    reference = context.reference
    if any(one.trial.cell.role == "mtl" for one in finished):
        reference = read_reference(suite, reference.objectives)
    with Lease(ledger.directory, suite):
        for role, compared in (("stl", context.reference), ("mtl", reference)):
            tracker = _tracker(params, suite, compared)
            tracker.drop_unfinished()
            for one in (one for one in finished if one.trial.cell.role == role):
                tracker.forget(one.trial.key)
                tracker.finish(one, {})
    return len(finished)


def _tracker(params: Params, suite: str, reference: Reference) -> Tracker:
    return Tracker(params.resources.tracking_uri, suite, reference.derive, reference.key if reference.values else "")


def _study(context: StageContext, known: Sequence[FinishedTrial]) -> CellStudy | None:
    if context.stage == "baselines":
        return None
    study = CellStudy(paths.results(context.suite) / "optuna.journal", context.plan, context.reference)
    study.restore(known)
    return study


def _check_complete(context: StageContext, finished: Sequence[FinishedTrial], failed_share_limit: float) -> None:
    missing = len(context.plan) - len(finished)
    if missing:
        raise UserError(
            f"stopped with {len(finished)} of {len(context.plan)} trials of `{context.suite}` {context.stage} finished; "
            "run `dvc repro` again to go on, nothing is trained twice."
        )
    failed = [one for one in finished if one.result.outcome is Outcome.FAILED]
    if len(failed) > failed_share_limit * len(finished):
        causes = Counter(one.result.cause for one in failed)
        raise UserError(
            f"{len(failed)} of {len(finished)} trials failed ({', '.join(f'{count} {cause}' for cause, count in causes.items())}), "
            f"more than `resources.failed_share_limit` allows; see `mtlsweep failures {context.suite}`."
        )


def _write_tables(
    context: StageContext, tracker: Tracker, finished: Sequence[FinishedTrial], provenance: dict[str, object]
) -> None:
    directory = paths.stage_tables(context.suite, context.stage)
    write_table(directory / "curves.parquet", tables.build_curves(tracker, finished), CURVES)
    write_table(directory / "outcomes.parquet", tables.build_outcomes(finished), OUTCOMES)
    definitions = tables.metric_definitions(context.data.tasks)
    write_atomically(directory / "metrics.json", json.dumps(definitions, indent=1).encode())
    # Beside the outs, not among them: what differs between two equal studies.
    costs = tables.build_costs(context.ledger.read_all())
    write_table(paths.results(context.suite) / "costs.parquet", costs, tables.COSTS)
    content = {
        **provenance,
        "suite": context.suite,
        "stage": context.stage,
        "data_fingerprint": context.data.fingerprint,
        "started": min((one.execution.started_at for one in finished), default=None),
        "finished": max((one.execution.finished_at for one in finished), default=None),
    }
    write_atomically(directory / "provenance.json", json.dumps(content, indent=1).encode())
