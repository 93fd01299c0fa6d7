"""One trial from start to end: a function of (trial, data, resume point, a `report` callable).

It knows nothing of Ray, MLflow or the ledger, so it runs in a notebook or a debugger. It depends on
no baseline: validation and test metrics are recorded at the same epochs, and which epoch counts is
chosen later, in `pipeline.analysis`.
"""

from __future__ import annotations

import io
import math
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import torch
from safetensors.torch import save as save_safetensors

from pipeline.data.store import PreparedData
from pipeline.networks.multitask import MultiTaskNetwork
from pipeline.training.epoch import begin_training, train_epoch
from pipeline.training.evaluation import evaluate
from pipeline.training.step import Diverged, Updater
from pipeline.trials import EpochRecord, Outcome, Trial, TrialResult


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
) -> TrialResult:
    """Train and evaluate `trial`, from the start or from a resume point.

    Args:
        trial: what to train; its fingerprint must be that of `data`.
        data: the prepared data.
        report: called after every epoch.
        score: of an epoch's metrics, lower is better; decides only which weights are worth keeping.
        device: where to train.
        resume: bytes of an earlier `EpochEnd.resume_point`, or None to start afresh.
        until: stop behind this epoch; None means the trial's last.

    Returns:
        The curve with outcome `done`; `pruned` when it stopped at `until` before its last epoch;
        `diverged` with its cause when a loss stopped being finite or exploded. Any other exception is
        the caller's to type.

    Raises:
        ValueError: the data is not what the trial's key says.
    """
    cell = trial.cell
    if data.fingerprint != cell.data_fingerprint:
        raise ValueError(
            f"trial {trial.key} was planned on data {cell.data_fingerprint[:16]}, found {data.fingerprint[:16]}"
        )
    torch.backends.cudnn.benchmark = False
    torch.backends.cudnn.deterministic = True
    state = _RunState(*begin_training(trial, data, device))
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
        return TrialResult(Outcome.DIVERGED, tuple(state.curve), divergence.cause, detail)
    outcome = Outcome.DONE if len(state.curve) == cell.training.epochs else Outcome.PRUNED
    return TrialResult(outcome, tuple(state.curve))


def choose_device(wanted: str) -> str:
    """Return the device that `resources.device` means on this machine: `auto` is a GPU where there is one."""
    return ("cuda" if torch.cuda.is_available() else "cpu") if wanted == "auto" else wanted


def time_steps(trial: Trial, data: PreparedData, device: torch.device, warm_up: int, steps: int) -> float:
    """Return the seconds that one epoch of training steps takes, extrapolated from `steps` timed ones."""
    network, updater = begin_training(trial, data, device)
    split, size = data.splits["train"], trial.cell.training.batch_size
    order = torch.arange(min(len(split), (warm_up + steps) * size))
    network.train()
    began, timed = time.perf_counter(), 0
    for number, batch in enumerate(split.batches(order, size, device)):
        if number == min(warm_up, len(order) // size - 1):
            began, timed = time.perf_counter(), 0
        updater.step(batch)
        timed += 1
    return (time.perf_counter() - began) / timed * math.ceil(len(split) / size)


@dataclass
class _RunState:
    """All that changes while a trial trains."""

    network: MultiTaskNetwork
    updater: Updater
    curve: list[EpochRecord] = field(default_factory=list)
    best_score: float = math.inf

    def weights(self) -> bytes:
        return save_safetensors({name: tensor.contiguous() for name, tensor in self.network.state_dict().items()})

    def resume_point(self) -> bytes:
        buffer = io.BytesIO()
        curve = [(record.epoch, dict(record.metrics), record.finished_at, record.seconds) for record in self.curve]
        content: dict[str, Any] = {
            "network": self.network.state_dict(),
            "updater": self.updater.state_dict(),
            "curve": curve,
            "best_score": self.best_score,
        }
        torch.save(content, buffer)
        return buffer.getvalue()

    def restore(self, resume: bytes) -> None:
        content = torch.load(io.BytesIO(resume), map_location="cpu", weights_only=True)
        self.network.load_state_dict(content["network"])
        self.updater.load_state_dict(content["updater"])
        self.curve = [EpochRecord(*record) for record in content["curve"]]
        self.best_score = content["best_score"]


def _run_epoch(trial: Trial, data: PreparedData, state: _RunState, device: torch.device) -> dict[str, float]:
    """Train one epoch, then measure validation and test."""
    metrics = train_epoch(trial, data, state.network, state.updater, len(state.curve) + 1, device)
    tasks = data.tasks_of(trial.cell.tasks)
    for name in ("val", "test"):
        measured = evaluate(state.network, data.splits[name], tasks, trial.cell.training.batch_size, device)
        metrics.update({f"{name}/{key}": value for key, value in measured.items()})
    return metrics
