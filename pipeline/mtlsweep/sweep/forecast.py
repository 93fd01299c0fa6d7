"""Forecast of the remaining cost of a sweep: from observed costs, or from a few timed steps for new methods.

Past forecasts are stored next to the ledger with the actual cost, so `mtlsweep plan` can show their
error.
"""

from __future__ import annotations

import json
import time
from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import torch

from mtlsweep.errors import UserError
from mtlsweep.record.ledger import Ledger
from mtlsweep.suites.prepared.splits import PreparedData
from mtlsweep.sweep.strategies import Known, Strategy
from mtlsweep.training.device import torch_threads
from mtlsweep.training.step.divergence import Diverged
from mtlsweep.training.timing import time_steps
from mtlsweep.trials.curve import seconds_of
from mtlsweep.trials.state import State, TrialRecord
from mtlsweep.trials.trial import Trial

WARM_UP_STEPS, TIMED_STEPS = 2, 6

EVALUATION_SHARE = 1.15
"""Cost of an epoch with evaluation relative to its training steps; only for methods not observed yet."""

KEPT_FORECASTS = 20


@dataclass(frozen=True)
class Forecast:
    """What is left to train.

    Attributes:
        trials: number to train now; a race adds more when it knows which trials continue.
        epochs: number to train, including later rungs of a race.
        device_seconds: sum over all trials.
        observed_share: share of the epochs whose cost was observed, not timed.
    """

    trials: int
    epochs: int
    device_seconds: float
    observed_share: float


def forecast(strategy: Strategy, known: Known, timed: Mapping[str, float]) -> Forecast:
    """Return the forecast of what is left.

    Args:
        strategy: gives the epochs left of each method.
        known: records of trials so far, with the cost of their epochs.
        timed: seconds per epoch of methods not observed yet; see `unobserved_examples`.
    """
    epochs = {method: left for method, left in strategy.epochs_left().items() if left}
    observed = observed_costs(known.values())
    total = sum(epochs.values())
    return Forecast(
        trials=strategy.left(),
        epochs=total,
        device_seconds=sum(count * {**timed, **observed}[method] for method, count in epochs.items()),
        observed_share=sum(count for method, count in epochs.items() if method in observed) / total if total else 1.0,
    )


def unobserved_examples(strategy: Strategy, known: Known, listed: Iterable[Trial]) -> dict[str, Trial]:
    """Return the first of the `listed` trials of each method that has epochs left and no observed cost."""
    observed = observed_costs(known.values())
    left = {method for method, epochs in strategy.epochs_left().items() if epochs and method not in observed}
    examples: dict[str, Trial] = {}
    for trial in listed:
        if trial.cell.method in left:
            examples.setdefault(trial.cell.method, trial)
    return examples


def observed_costs(records: Iterable[TrialRecord[State]]) -> dict[str, float]:
    """Return the mean seconds per epoch of each method, from recorded epochs."""
    seconds: dict[str, list[float]] = defaultdict(list)
    for one in records:
        seconds[one.trial.cell.method].extend(seconds_of(one.state.curve))
    return {method: sum(values) / len(values) for method, values in seconds.items() if values}


def timed_costs(
    examples: Mapping[str, Trial], data: PreparedData, device: torch.device, threads: int
) -> dict[str, float]:
    """Return seconds per epoch of each method's example, extrapolated from a few training steps.

    Raises:
        UserError: a method fails in its first step; the message names it.
    """
    with torch_threads(threads):
        return {method: _time_one(method, trial, data, device) for method, trial in examples.items()}


def _time_one(method: str, trial: Trial, data: PreparedData, device: torch.device) -> float:
    try:
        return EVALUATION_SHARE * time_steps(trial, data, device, WARM_UP_STEPS, TIMED_STEPS)
    except Diverged:
        return 0.0  # its trials end immediately
    except Exception as error:  # user code; the sweep would record it as a failure
        raise UserError(
            f"method `{method}` fails in its first steps ({type(error).__name__}: {error}); run `mtlsweep run {trial.key}` to see the traceback."
        ) from error


@dataclass(frozen=True)
class PastForecast:
    """A forecast and the actual cost, in device seconds."""

    predicted: float
    actual: float
    at: float

    @property
    def error(self) -> float:
        """Relative error: 0.1 means that it took 10 % longer than predicted."""
        return self.actual / self.predicted - 1 if self.predicted else 0.0


def record_forecast(ledger: Ledger, stage: str, predicted: float, actual: float) -> None:
    """Store a forecast with its actual cost; keep only the latest `KEPT_FORECASTS`."""
    past = [*read_past_forecasts(ledger, stage), PastForecast(predicted, actual, time.time())][-KEPT_FORECASTS:]
    content = [{"predicted": one.predicted, "actual": one.actual, "at": one.at} for one in past]
    ledger.storage.write(_name(stage), json.dumps(content).encode())


def read_past_forecasts(ledger: Ledger, stage: str) -> list[PastForecast]:
    """Return the stored forecasts, oldest first."""
    try:
        stored = ledger.storage.read(_name(stage))
    except FileNotFoundError:
        return []
    return [PastForecast(**entry) for entry in json.loads(stored)]


def seconds_since(trials: Iterable[TrialRecord[State]], before: Known) -> float:
    """Return the seconds of epochs that are not in the records `before`."""
    total = 0.0
    for one in trials:
        seen = len(before[one.trial.key].state.curve) if one.trial.key in before else 0
        total += sum(seconds_of(one.state.curve)[seen:])
    return total


def _name(stage: str) -> str:
    return f"forecasts-{stage}.json"
