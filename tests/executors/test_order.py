"""Which waiting trial gets the process of a trial that ended: never one for which a process is being started on another host."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any, cast

import pytest

from mtlsweep.sweep.executors.ray.tune_searcher import InOrder


def chosen(slots: int, status: dict[str, str]) -> str | None:
    """Return the trial that gets a process; `status` is that of the trials in the order of their suggestions."""
    trials = [SimpleNamespace(trial_id=name, status=one) for name, one in status.items()]
    searcher, room = SimpleNamespace(running=dict.fromkeys(status)), SimpleNamespace(slots=slots)
    controller = SimpleNamespace(get_live_trials=lambda: set(map(_Hashed, trials)))
    found = InOrder(cast(Any, searcher), cast(Any, room)).choose_trial_to_run(controller)
    return None if found is None else found.trial_id


class _Hashed:
    """Live trials are a set, so they have no order."""

    def __init__(self, trial: SimpleNamespace) -> None:
        self.trial_id, self.status = trial.trial_id, trial.status


@pytest.mark.parametrize(
    ("slots", "status", "expected"),
    [
        (1, {"new": "PENDING"}, "new"),
        (2, {"a": "RUNNING", "new": "PENDING"}, "new"),
        (2, {"starts on a new host": "PENDING", "new": "PENDING"}, "new"),
        (2, {"starts on a new host": "PENDING"}, None),
        (3, {"a": "RUNNING", "starts": "PENDING", "waits for a host": "PENDING", "new": "PENDING"}, "waits for a host"),
        (1, {"waits for a host": "PENDING", "also": "PENDING", "new": "PENDING"}, "waits for a host"),
        (0, {"waits for a host": "PENDING"}, "waits for a host"),
        (2, {}, None),
    ],
)
def test_a_process_that_starts_on_a_new_host_is_left_to_its_trial(
    slots: int, status: dict[str, str], expected: str | None
) -> None:
    assert chosen(slots, status) == expected
