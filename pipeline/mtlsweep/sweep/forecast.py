"""What is left of a sweep will cost: from observed costs, or from a few timed steps where nothing was observed.

Past forecasts are kept beside the ledger with what came of them, so `mtlsweep plan` can say how far
they were off.
"""

from __future__ import annotations

import json
import time
from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

import torch

from mtlsweep.errors import UserError
from mtlsweep.files import write_atomically
from mtlsweep.record.ledger import Ledger
from mtlsweep.suites.prepared.splits import PreparedData
from mtlsweep.sweep.strategies import Known, Strategy
from mtlsweep.training.device import torch_threads
from mtlsweep.training.step.divergence import Diverged
from mtlsweep.training.timing import time_steps
from mtlsweep.trials.state import State, TrialRecord
from mtlsweep.trials.trial import Trial

WARM_UP_STEPS, TIMED_STEPS = 2, 6

EVALUATION_SHARE = 1.15
"""An epoch with its evaluation against its training steps alone; only for methods never observed."""

REMEMBERED = 20


@dataclass(frozen=True)
class Forecast:
    """What is left to do.

    Attributes:
        trials: that are wanted now; a race wants more once it knows who goes on.
        epochs: to train, those of a race's later rungs included.
        device_seconds: seconds of all trials together.
        observed_share: share of the epochs whose method's cost was observed rather than timed.
    """

    trials: int
    epochs: int
    device_seconds: float
    observed_share: float


def forecast(strategy: Strategy, known: Known, timed: Mapping[str, float]) -> Forecast:
    """Return what is left.

    Args:
        strategy: says how many epochs of each method are left.
        known: trials seen so far, whose epochs have a cost.
        timed: seconds per epoch of the methods that were never observed, see `unobserved_examples`.
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
    """Return, of the `listed` trials, the first one of each method that has epochs left and never ran."""
    observed = observed_costs(known.values())
    left = {method for method, epochs in strategy.epochs_left().items() if epochs and method not in observed}
    examples: dict[str, Trial] = {}
    for trial in listed:
        if trial.cell.method in left:
            examples.setdefault(trial.cell.method, trial)
    return examples


def observed_costs(records: Iterable[TrialRecord[State]]) -> dict[str, float]:
    """Return mean seconds per epoch of each method, from the epochs that were trained."""
    seconds: dict[str, list[float]] = defaultdict(list)
    for one in records:
        seconds[one.trial.cell.method].extend(record.seconds for record in one.state.curve)
    return {method: sum(values) / len(values) for method, values in seconds.items() if values}


def timed_costs(
    examples: Mapping[str, Trial], data: PreparedData, device: torch.device, threads: int
) -> dict[str, float]:
    """Return seconds per epoch of each method's example, extrapolated from a few training steps.

    Raises:
        UserError: a method cannot take a step at all; the message says which.
    """
    with torch_threads(threads):
        return {method: _time_one(method, trial, data, device) for method, trial in examples.items()}


def _time_one(method: str, trial: Trial, data: PreparedData, device: torch.device) -> float:
    try:
        return EVALUATION_SHARE * time_steps(trial, data, device, WARM_UP_STEPS, TIMED_STEPS)
    except Diverged:
        return 0.0  # its trials end at once
    except Exception as error:  # the user's own code, which the sweep would record as a failure
        raise UserError(
            f"method `{method}` fails in its first steps ({type(error).__name__}: {error}); `mtlsweep run {trial.key}` shows where."
        ) from error


@dataclass(frozen=True)
class PastForecast:
    """A forecast, and the device seconds that were spent in the end."""

    predicted: float
    actual: float
    at: float

    @property
    def error(self) -> float:
        """Relative error: 0.1 means that it took 10 % longer than foreseen."""
        return self.actual / self.predicted - 1 if self.predicted else 0.0


def remember(ledger: Ledger, stage: str, predicted: float, actual: float) -> None:
    """Keep what came of a forecast, among the last few."""
    past = [*read_past(ledger, stage), PastForecast(predicted, actual, time.time())][-REMEMBERED:]
    content = [{"predicted": one.predicted, "actual": one.actual, "at": one.at} for one in past]
    write_atomically(_path(ledger, stage), json.dumps(content).encode())


def read_past(ledger: Ledger, stage: str) -> list[PastForecast]:
    """Return the forecasts that were kept, the oldest first."""
    path = _path(ledger, stage)
    return [PastForecast(**entry) for entry in json.loads(path.read_bytes())] if path.exists() else []


def seconds_of(trials: Iterable[TrialRecord[State]], before: Known) -> float:
    """Return the seconds that trials took beyond what was known of them `before`."""
    return sum(
        sum(
            record.seconds
            for record in one.state.curve[len(before[one.trial.key].state.curve) if one.trial.key in before else 0 :]
        )
        for one in trials
    )


def _path(ledger: Ledger, stage: str) -> Path:
    return ledger.directory / f"forecasts-{stage}.json"
