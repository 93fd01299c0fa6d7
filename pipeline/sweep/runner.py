"""One stage of a suite from plan to tables: lease, plan minus ledger, Ray Tune, ledger, MLflow, tables."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Sequence

from pipeline import paths
from pipeline.analysis.tables import CURVES, OUTCOMES, write_table
from pipeline.errors import UserError
from pipeline.files import content_hash, write_atomically
from pipeline.params import Params
from pipeline.sweep import tables
from pipeline.sweep.cluster import execute
from pipeline.sweep.context import StageContext, open_stage, read_reference
from pipeline.sweep.driver import Driver
from pipeline.sweep.forecast import forecast, remember, seconds_of, unobserved_examples
from pipeline.sweep.lease import Lease
from pipeline.sweep.plan import Stage
from pipeline.sweep.progress import Progress, ProgressDisplay
from pipeline.sweep.provenance import read_provenance
from pipeline.sweep.recorder import Recorder
from pipeline.sweep.reference import Reference
from pipeline.sweep.strategies import Strategy
from pipeline.sweep.study import CellStudy
from pipeline.sweep.targets import Targets
from pipeline.sweep.weights import WeightsKeeper
from pipeline.tracking import Tracker
from pipeline.trials import FinishedTrial, Outcome


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
        tracker = _tracker(params, suite, context.reference)
        tracker.drop_unfinished()
        recorder = Recorder(context.ledger, tracker, {"sweep_id": _sweep_id(context)})
        held = context.plan.read()
        finished, known = held.finished, held.known
        for one in finished:
            if not tracker.has(one):
                recorder.finish(one)
        strategy = context.make_strategy(known)
        outcomes = Counter(one.result.outcome for one in finished)
        progress = Progress(f"{suite} {stage}", strategy.total(), strategy.epochs_left(), outcomes)
        stopped_by = None
        if strategy.left():
            with ProgressDisplay(progress, context.progress_path):
                study = _study(context, strategy, finished)
                weights = WeightsKeeper(
                    context.ledger, params.resources.keep_weights, context.reference.score, finished
                )
                driver = Driver(
                    context.ledger,
                    recorder,
                    progress,
                    strategy,
                    study,
                    context.reference,
                    weights,
                    held.paused,
                    provenance,
                )
                driver.cut(strategy.cut_now())
                # Methods never observed are not timed here: their code may hang or kill, and this is the driver.
                foreseen = not unobserved_examples(strategy, known, context.plan.trials) and forecast(
                    strategy, known, {}
                )
                stopped_by = execute(driver, params.resources, context.data.directory, context.reference.score)
                if study is not None and not strategy.left():
                    study.close()
                held = context.plan.read()
                if foreseen and not strategy.left():
                    actual = seconds_of(held.known.values(), known)
                    remember(context.ledger, stage, foreseen.device_seconds, actual)
        else:
            print(f"{progress.line()}; nothing to run")
        recorder.close()
        _check_complete(context, strategy, held.finished, params.resources.failed_share_limit, stopped_by)
        _write_tables(context, tracker, held.finished, provenance)


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


def _sweep_id(context: StageContext) -> str:
    plan = context.plan
    return content_hash([plan.space.key, plan.seeds, plan.strategy.model_dump(mode="json")])


def _study(context: StageContext, strategy: Strategy, finished: Iterable[FinishedTrial]) -> CellStudy | None:
    if context.stage == "baselines":
        return None
    path = paths.results(context.suite) / "optuna.journal"
    targets = Targets(context.reference, strategy.target)
    return CellStudy(path, context.plan.space, len(context.plan.seeds), targets, strategy.sampler, finished)


def _check_complete(
    context: StageContext,
    strategy: Strategy,
    finished: Sequence[FinishedTrial],
    failed_share_limit: float,
    stopped_by: str | None,
) -> None:
    if strategy.left():
        raise UserError(
            f"stopped with {len(finished)} of {strategy.total()} trials of `{context.suite}` {context.stage} finished"
            f"{f', since {stopped_by}' if stopped_by else ''}; "
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
