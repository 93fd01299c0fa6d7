"""A sweep ends early for a reason, and says which."""

from __future__ import annotations

import os
import signal

from mtlsweep.params.resources import Budget
from mtlsweep.sweep.stopping import StopRequest


def request(budget: Budget, *, slots: int = 1) -> StopRequest:
    return StopRequest(budget, slots)


def test_without_a_budget_nothing_stops() -> None:
    with request(Budget()) as stop:
        assert stop.reason() is None
        assert stop.reason_to_start_none() is None


def test_a_budget_of_trials_lets_those_that_run_end() -> None:
    with request(Budget(trials=2)) as stop:
        for _ in range(2):
            assert stop.reason_to_start_none() is None
            stop.count_start()
        assert stop.reason_to_start_none() == "`resources.budget.trials` (2) is used up"
        assert stop.reason() is None


def test_device_hours_pass_faster_with_more_slots() -> None:
    budget = Budget(device_hours=1e-6)  # 3.6 ms
    with request(budget, slots=10**6) as stop:
        assert stop.reason() == "`resources.budget.device_hours` (1e-06) is used up"
    with request(Budget(hours=1000), slots=10**6) as stop:
        assert stop.reason() is None


def test_a_signal_is_a_request_and_is_named() -> None:
    before = signal.getsignal(signal.SIGTERM)
    with request(Budget()) as stop:
        os.kill(os.getpid(), signal.SIGTERM)
        assert stop.reason() == "it received a stop signal (SIGTERM)"
        assert stop.reason_to_start_none() == stop.reason()
    assert signal.getsignal(signal.SIGTERM) is before
