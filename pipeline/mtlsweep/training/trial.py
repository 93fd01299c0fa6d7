"""One trial from start to end: a function of (trial, data, resume point, a `report` callable).

It knows nothing of Ray, MLflow or the ledger, so it runs in a notebook or a debugger. It depends on
no baseline: validation and test metrics are recorded at the same epochs, and which epoch counts is
chosen later, in `mtlsweep.analysis`.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import torch

from mtlsweep.suites.prepared.splits import PreparedData
from mtlsweep.training.epoch import begin_training, train_epoch, validate
from mtlsweep.training.evaluation import evaluate
from mtlsweep.training.resume_point import RunState
from mtlsweep.training.step.divergence import Diverged
from mtlsweep.trials.curve import EpochRecord
from mtlsweep.trials.state import Finished, Outcome, Paused, State
from mtlsweep.trials.trial import Trial


@dataclass(frozen=True)
class EpochEnd:
    """What a trial hands to `report` after every epoch.

    Attributes:
        record: the epoch's metrics.
        is_best: whether the epoch's score is the lowest so far.
        weights: returns the network's weights as safetensors bytes.
        resume_point: returns bytes from which `run_trial` continues as if never stopped.
    """

    record: EpochRecord
    is_best: bool
    weights: Callable[[], bytes]
    resume_point: Callable[[], bytes]


Report = Callable[[EpochEnd], None]
Score = Callable[[Mapping[str, float]], float]


def run_trial(
    trial: Trial,
    data: PreparedData,
    report: Report,
    *,
    score: Score,
    device: torch.device,
    resume: bytes | None = None,
    until: int | None = None,
) -> State:
    """Train and evaluate `trial`, from the start or from a resume point.

    Args:
        trial: what to train; its fingerprint must be that of `data`, its content that of this machine.
        data: the prepared data.
        report: called after every epoch.
        score: of an epoch's metrics, lower is better; decides only which weights are worth keeping.
        device: where to train.
        resume: bytes of an earlier `EpochEnd.resume_point`, or None to start at the first epoch.
        until: stop after this epoch; None means the trial's last.

    Returns:
        Finished with outcome `done`; paused when it stopped at `until` before its last epoch; finished as
        `diverged` with its cause when a loss stopped being finite or exploded. The caller
        handles any other exception.

    Raises:
        ValueError: the data is not what the trial's key says.
        UserError: own code, files or metrics are not what the trial's key says.
    """
    cell = trial.cell
    if data.fingerprint != cell.data_fingerprint:
        raise ValueError(
            f"trial {trial.key} was planned on data {cell.data_fingerprint[:16]}, found {data.fingerprint[:16]}"
        )
    torch.backends.cudnn.benchmark = False
    torch.backends.cudnn.deterministic = True
    state = RunState(*begin_training(trial, data, device))
    if resume is not None:
        state.restore(resume)
    try:
        while len(state.curve) < min(until or cell.training.epochs, cell.training.epochs):
            began = time.perf_counter()
            metrics = _run_epoch(trial, data, state, device)
            seconds = time.perf_counter() - began
            state.curve.append(EpochRecord(len(state.curve) + 1, metrics, time.time(), seconds))
            epoch_score = score(metrics)
            is_best = epoch_score < state.best_score
            if is_best:
                state.best_score = epoch_score
            report(EpochEnd(state.curve[-1], is_best, state.weights, state.resume_point))
    except Diverged as divergence:
        detail = f"epoch {len(state.curve) + 1}: {divergence.detail}"
        return Finished(Outcome.DIVERGED, tuple(state.curve), divergence.cause, detail)
    curve = tuple(state.curve)
    return Finished(Outcome.DONE, curve) if len(curve) == cell.training.epochs else Paused(curve)


def _run_epoch(trial: Trial, data: PreparedData, state: RunState, device: torch.device) -> dict[str, float]:
    """Train one epoch, then measure validation and test."""
    metrics = train_epoch(trial, data, state.network, state.updater, len(state.curve) + 1, device)
    metrics |= validate(trial, data, state.network, state.updater, device)
    tasks, size = data.tasks_of(trial.cell.tasks), trial.cell.training.batch_size
    return metrics | evaluate(state.network, data.splits["test"], tasks, size, device, "test")
