"""The driver learns on which host a trial runs with its first epoch, from Ray and in this process alike."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any, cast

from mtlsweep.sweep.executors.ray.tune_callback import WorkCallback
from mtlsweep.trials.curve import EpochRecord, curve_to_json


class Work:
    def __init__(self) -> None:
        self.hosts: list[str] = []

    def epochs(self, assignment: object, records: object, host: str = "") -> None:
        self.hosts.append(host)


def test_tune_names_the_host_of_every_result() -> None:
    work, trial = Work(), SimpleNamespace(trial_id="t", num_failures=0)
    searcher = SimpleNamespace(attempt={"t": SimpleNamespace(assignment=None)})
    callback = WorkCallback(cast(Any, work), cast(Any, None), cast(Any, searcher), *(cast(Any, None) for _ in range(3)))
    records = curve_to_json([EpochRecord(1, {"val/left/loss": 1.0}, 0.0, 1.0)])
    callback.on_trial_result(1, [], cast(Any, trial), {"records": records, "hostname": "gpu-7"})
    assert work.hosts == ["gpu-7"]
