"""A forecast adds up observed costs, says how much of it is observed, and remembers how wrong it was."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from mtlsweep.params.choice import Choice
from mtlsweep.record.ledger import Ledger
from mtlsweep.sweep.forecast import (
    forecast,
    observed_costs,
    read_past_forecasts,
    record_forecast,
    seconds_since,
    unobserved_examples,
)
from mtlsweep.sweep.reference import Reference
from mtlsweep.sweep.strategies import STRATEGIES
from mtlsweep.trials.state import FinishedTrial
from mtlsweep.trials.trial import Trial


def test_costs_are_means_over_the_epochs_of_a_method(make_finished: Callable[..., FinishedTrial]) -> None:
    finished = [make_finished(0), make_finished(1, epochs=1), make_finished(weighting_label="slow", learning_rate=0.5)]
    assert observed_costs(finished) == {"cagrad adam": 2.0, "slow adam": 2.0}


def test_a_forecast_adds_observed_and_timed_costs(make_finished: Callable[..., FinishedTrial]) -> None:
    observed = make_finished(0)  # two seconds an epoch
    other = make_finished(0, weighting_label="slow", learning_rate=0.5).trial.cell
    known = {observed.trial.key: observed}
    grid = STRATEGIES.create(Choice(name="grid"), [observed.trial.cell, other], (0, 1), Reference((), {}), known)
    epochs = observed.trial.cell.training.epochs
    cost = forecast(grid, known, timed={"slow adam": 1.0, "cagrad adam": 99.0})
    assert (cost.trials, cost.epochs) == (3, 3 * epochs)
    assert cost.observed_share == pytest.approx(1 / 3)
    assert cost.device_seconds == 2.0 * epochs + 1.0 * 2 * epochs


def test_an_example_is_the_first_trial_of_a_method_that_is_wanted_and_was_never_seen(
    make_finished: Callable[..., FinishedTrial],
) -> None:
    observed = make_finished(0)
    other = make_finished(0, weighting_label="slow", learning_rate=0.5).trial.cell
    listed = [Trial(cell, seed) for cell in (observed.trial.cell, other) for seed in (0, 1)]
    known = {observed.trial.key: observed}
    grid = STRATEGIES.create(Choice(name="grid"), [observed.trial.cell, other], (0, 1), Reference((), {}), known)
    assert unobserved_examples(grid, known, listed) == {"slow adam": Trial(other, 0)}


def test_only_what_was_trained_since_counts_as_spent(make_finished: Callable[..., FinishedTrial]) -> None:
    before = make_finished(0, epochs=1)
    after = [make_finished(0, epochs=3), make_finished(1, epochs=2)]
    assert seconds_since(after, {before.trial.key: before}) == pytest.approx(2 * 2.0 + 2 * 2.0)


def test_the_errors_of_the_last_forecasts_are_kept(tmp_path: Path) -> None:
    ledger = Ledger(tmp_path, "digits")
    assert read_past_forecasts(ledger, "sweep") == []
    for number in range(25):
        record_forecast(ledger, "sweep", 100.0, 100.0 + number)
    past = read_past_forecasts(ledger, "sweep")
    assert len(past) == 20
    assert past[-1].error == pytest.approx(0.24)
    assert read_past_forecasts(ledger, "baselines") == []
