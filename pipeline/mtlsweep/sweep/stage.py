"""Run one stage of a suite: take the lease, train what the ledger lacks, record it, write the tables."""

from __future__ import annotations

import json
import os
from collections import Counter
from collections.abc import Iterable, Sequence
from contextlib import nullcontext, suppress
from typing import Any

from mtlsweep import paths
from mtlsweep.errors import UserError
from mtlsweep.files import content_hash, write_atomically
from mtlsweep.params.params import Params
from mtlsweep.params.resources import Resources
from mtlsweep.params.suite import Stage
from mtlsweep.record.kept_weights import KeptWeights
from mtlsweep.record.ledger import Ledger
from mtlsweep.record.mlflow import Tracker
from mtlsweep.record.mlflow.recorder import Recorder
from mtlsweep.record.provenance import read_provenance
from mtlsweep.record.tables.curves import write_curves
from mtlsweep.record.tables.outcomes import build_costs, build_outcomes, write_outcomes
from mtlsweep.record.tables.parquet import write_table
from mtlsweep.record.tables.schema import COSTS
from mtlsweep.suites.tasks import metric_definitions
from mtlsweep.sweep.devices.figures import FigureStore
from mtlsweep.sweep.display import ProgressDisplay
from mtlsweep.sweep.driver import Driver
from mtlsweep.sweep.executors.checkpoint_store import LedgerCheckpoints
from mtlsweep.sweep.executors.executor import Executor
from mtlsweep.sweep.executors.inline import InlineExecutor
from mtlsweep.sweep.executors.setup import Setup
from mtlsweep.sweep.forecast import forecast, record_forecast, seconds_since, unobserved_examples
from mtlsweep.sweep.lease import Fence, hold_lease
from mtlsweep.sweep.notify import Notifier
from mtlsweep.sweep.plan.plan import RecordedTrials
from mtlsweep.sweep.plan.planned_keys import plan_hash, write_plan
from mtlsweep.sweep.plan.stage_inputs import StageContext, open_stage
from mtlsweep.sweep.progress import Progress
from mtlsweep.sweep.reference import Reference
from mtlsweep.sweep.retry_command import retry_hint
from mtlsweep.sweep.search.objective_values import Targets
from mtlsweep.sweep.search.optuna_study import CellStudy
from mtlsweep.sweep.stopping import StopRequest
from mtlsweep.sweep.strategies import Strategy
from mtlsweep.trials.state import FinishedTrial, Outcome


def run_stage(params: Params, suite: str, stage: Stage) -> None:
    """Train the trials of a stage that the ledger lacks, record them, and write the stage's tables.

    Raises:
        UserError: invalid input, another sweep of the suite, an outage, too many failures, or an
            early stop. The ledger keeps all results until then.
    """
    context = open_stage(params, suite, stage)
    context.ledger.prepare()
    with suppress(OSError):  # a full disk is found by what needs it
        write_plan(params, suite, stage, context.plan)
    with hold_lease(context.ledger, suite) as lease:
        provenance = read_provenance()
        tracker = open_tracker(params, context.ledger, suite, context.reference)
        tracker.drop_unfinished()
        recorder = Recorder(context.ledger, tracker, {"sweep_id": _sweep_id(context)})
        recorded = context.plan.read()
        for one in recorded.finished:
            if not tracker.has(one):
                recorder.finish(one)
        strategy = context.make_strategy(recorded.known)
        ended = {one.trial.key: one.state.outcome for one in recorded.finished}
        progress = Progress(f"{suite} {stage}", strategy.total(), strategy.epochs_left(), ended)
        stopped_by = None
        with Notifier(params.notify, suite, stage, progress) if strategy.left() else nullcontext() as notifier:
            if notifier is not None:
                recorded, stopped_by = _train(
                    context, params.resources, strategy, recorded, progress, recorder, provenance, lease.fence, notifier
                )
            else:
                print(f"{progress.line()}; nothing to run")
            recorder.close()
            _check_complete(context, strategy, recorded.finished, params.resources.failed_share_limit, stopped_by)
        _write_tables(context, tracker, recorded, provenance)
        write_plan(params, suite, stage, context.plan)  # what was trained, if somebody planned another meanwhile


def _train(
    context: StageContext,
    resources: Resources,
    strategy: Strategy,
    recorded: RecordedTrials,
    progress: Progress,
    recorder: Recorder,
    provenance: dict[str, Any],
    fence: Fence,
    notifier: Notifier,
) -> tuple[RecordedTrials, str | None]:
    """Train what the strategy wants; return all that is recorded then, and the reason for an early stop, or None."""
    ledger, reference = context.ledger, context.reference
    if problem := provenance.get("git_problem"):
        print(f"the commit of these results is unknown: {problem}", flush=True)
    with ProgressDisplay(progress, ledger, context.stage):
        study = _study(context, strategy, recorded.finished)
        weights = KeptWeights(ledger, resources.keep_weights, reference.score, recorded.finished)
        # New methods are not timed here: their code may hang or crash, and this process is the driver.
        observed = not unobserved_examples(strategy, recorded.known, context.plan.trials)
        predicted = forecast(strategy, recorded.known, {}) if observed else None
        with (
            StopRequest(resources.budget, progress.clock) as stop,
            make_executor(resources, context, fence, strategy.left()) as executor,
        ):
            notifier.watch(stop.used_up)
            ledger.storage.wait_unless(lambda: stop.reason() is not None)
            driver = Driver(
                ledger,
                strategy,
                stop,
                progress,
                reference,
                provenance,
                study,
                (weights, recorder),
                recorded.paused,
                context.plan.cells,
            )
            executor.run(driver)
            stopped_by = driver.unfinished_because()
        driver.raise_error()
        if study is not None and not strategy.left():
            study.close()
        recorded_now = context.plan.read()
        if predicted and not strategy.left():
            actual = seconds_since(recorded_now.known.values(), recorded.known)
            record_forecast(ledger, context.stage, predicted.device_seconds, actual)
    return recorded_now, stopped_by


def make_executor(resources: Resources, context: StageContext, fence: Fence, trials: int) -> Executor:
    """Return the executor that `resources.executor` names, for a stage that wants `trials` trials now."""
    setup = Setup(
        data=context.data.directory.resolve(),
        score=context.reference.score,
        device=resources.device,
        threads=resources.threads,
        checkpoint_seconds=resources.checkpoint_seconds,
        import_path=os.getcwd(),
    )
    if resources.executor == "inline":
        return InlineExecutor(setup, LedgerCheckpoints(context.ledger, fence))
    from mtlsweep.sweep.executors.ray.executor import RayExecutor  # slow import

    figures = FigureStore.of(context.ledger, context.stage, context.plan.cells, context.plan.seeds[0])
    return RayExecutor(setup, context.ledger, fence, resources, figures, trials)


def open_tracker(params: Params, ledger: Ledger, suite: str, reference: Reference) -> Tracker:
    """Return the MLflow tracker of a suite's ledger; it computes Delta_m against `reference`."""
    compared = reference.key if reference.values else ""
    return Tracker(params.resources.tracking_uri, suite, ledger.id, reference.derive, reference.at_best, compared)


def _sweep_id(context: StageContext) -> str:
    plan = context.plan
    return content_hash([plan.space.key, plan.seeds, plan.strategy.model_dump(mode="json")])


def _study(context: StageContext, strategy: Strategy, finished: Iterable[FinishedTrial]) -> CellStudy | None:
    if context.stage != "sweep":
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
    failed = [one for one in finished if one.state.outcome is Outcome.FAILED]
    hint = f"see `mtlsweep failures {context.suite}`, {retry_hint(context.suite, [one.trial for one in failed])}"
    if strategy.left():
        raise UserError(
            f"stopped with {len(finished)} of {strategy.total()} trials of `{context.suite}` {context.stage} finished"
            f"{f' because {stopped_by}' if stopped_by else ''}; run `dvc repro` again to continue."
            f"{f' {len(failed)} of them failed and stay so: {hint}.' if failed else ''}"
        )
    causes = Counter(one.state.cause for one in failed)
    failures = (
        f"{len(failed)} of {len(finished)} trials failed ({', '.join(f'{n} {cause}' for cause, n in causes.items())})"
    )
    if len(failed) > failed_share_limit * len(finished):
        raise UserError(f"{failures}, more than `resources.failed_share_limit` allows; {hint}.")
    if failed:
        print(f"{failures} and stay so; {hint}", flush=True)


def _write_tables(
    context: StageContext, tracker: Tracker, recorded: RecordedTrials, provenance: dict[str, object]
) -> None:
    finished = recorded.finished
    directory = paths.stage_tables(context.suite, context.stage)
    write_curves(directory / "curves.parquet", tracker, context.ledger, (one.trial.key for one in finished))
    write_outcomes(directory / "outcomes.parquet", build_outcomes(finished))
    definitions = metric_definitions.metric_definitions(context.data.tasks)
    write_atomically(directory / "metrics.json", json.dumps(definitions, indent=1).encode())
    # Not a DVC out: costs differ between two equal studies.
    costs = build_costs([*finished, *recorded.others])
    write_table(paths.results(context.suite) / "costs.parquet", costs, COSTS)
    content = {
        **provenance,
        "suite": context.suite,
        "stage": context.stage,
        "plan": plan_hash(context.plan),
        "trials": len(finished),
        "data_fingerprint": context.data.fingerprint,
        "started": min((one.execution.started_at for one in finished), default=None),
        "finished": max((one.execution.finished_at for one in finished), default=None),
    }
    write_atomically(directory / "provenance.json", json.dumps(content, indent=1).encode())
