"""A sweep ends early for a reason, and says which."""

from __future__ import annotations

import os
import signal

from mtlsweep.params.resources import Budget
from mtlsweep.sweep.device_clock import DeviceClock
from mtlsweep.sweep.stopping import StopRequest


def request(budget: Budget) -> StopRequest:
    return StopRequest(budget, DeviceClock())


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


def test_device_hours_pass_as_fast_as_there_are_devices_in_use() -> None:
    hours = 0.0
    clock = DeviceClock(lambda: 3600 * hours)
    with StopRequest(Budget(device_hours=10), clock) as stop:
        clock.start("first")
        hours = 2.0  # one device: 2 device-hours
        for key in ("second", "third"):
            clock.start(key)
        hours = 4.0  # three: 6 more
        clock.stop("first")  # its host is gone, and it waits for another one
        assert clock.seconds() == 8 * 3600
        hours = 4.5
        assert stop.reason() is None and clock.seconds() == 9 * 3600  # two: 1 more
        clock.start("first")
        hours = 5.0  # three: 1.5 more
        assert stop.reason() == "`resources.budget.device_hours` (10) is used up"
        assert clock.seconds_of("first") == 4.5 * 3600


def test_a_device_that_is_started_or_stopped_twice_counts_once() -> None:
    now = 0.0
    clock = DeviceClock(lambda: now)
    clock.start("a")
    now = 1.0
    clock.start("a")
    now = 3.0
    clock.stop("a")
    clock.stop("a")
    clock.stop("b")
    now = 9.0
    assert clock.seconds() == clock.seconds_of("a") == 3.0
    assert clock.seconds_of("b") == 0.0


def test_a_signal_is_a_request_and_is_named() -> None:
    before = signal.getsignal(signal.SIGTERM)
    with request(Budget()) as stop:
        os.kill(os.getpid(), signal.SIGTERM)
        assert stop.reason() == "it received a stop signal (SIGTERM)"
        assert stop.reason_to_start_none() == stop.reason()
    assert signal.getsignal(signal.SIGTERM) is before
