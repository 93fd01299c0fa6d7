"""A real sweep tells how it ended, and `notify` changes neither keys, plans nor what DVC follows."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml

from mtlsweep.errors import UserError
from mtlsweep.params.params import load_params
from mtlsweep.sweep.plan.plan import open_plan
from mtlsweep.sweep.plan.planned_keys import write_plans
from mtlsweep.sweep.stage import run_stage
from tests.executors.conftest import SUITE, Write, study, study_with_baselines
from tests.notify.test_notifier import VARIABLE, Receiver, receiver

__all__ = ["receiver", "study", "study_with_baselines"]  # fixtures

PROJECT = Path(__file__).parents[2]

pytestmark = pytest.mark.slow


def with_notify() -> None:
    path = Path("params.yaml")
    path.write_text(yaml.safe_dump({**yaml.safe_load(path.read_text()), "notify": {"to": [f"env:{VARIABLE}"]}}))


def test_a_sweep_tells_that_its_budget_is_used_up_that_it_ended_and_nothing_when_there_is_nothing_to_do(
    study: Write, receiver: Receiver
) -> None:
    study({"budget": {"trials": 1}}, strategy="grid", weightings=["ew"], learning_rates=[0.01])
    plans = {path.name: path.read_bytes() for path in Path(f"results/{SUITE}/plan").glob("*")}
    keys = [trial.key for trial in open_plan(load_params(), SUITE, "sweep").trials]
    with_notify()
    assert [trial.key for trial in open_plan(load_params(), SUITE, "sweep").trials] == keys
    with pytest.raises(UserError, match=r"`resources.budget.trials` \(1\) is used up; run `dvc repro` again"):
        run_stage(load_params(), SUITE, "sweep")
    assert receiver.events[-1] == "ended"
    assert "1 of 2 trials are finished: 1 done." in receiver.got[-1][1]["text"]
    assert "run `dvc repro` again to continue" in receiver.got[-1][1]["text"]
    study(strategy="grid", weightings=["ew"], learning_rates=[0.01])
    with_notify()
    run_stage(load_params(), SUITE, "sweep")
    assert receiver.got[-1][1]["title"].endswith("digits sweep: finished")
    count = len(receiver.got)
    run_stage(load_params(), SUITE, "sweep")
    assert len(receiver.got) == count
    write_plans({"baselines": load_params()}, SUITE)
    assert plans["baselines.json"] == Path(f"results/{SUITE}/plan/baselines.json").read_bytes()


def test_dvc_follows_no_part_of_notify() -> None:
    stages = yaml.safe_load((PROJECT / "dvc.yaml").read_text())["stages"].values()
    followed = {str(name) for stage in stages for name in (stage.get("do") or stage).get("params", [])}
    assert followed
    assert not any("notify" in name or "resources" in name for name in followed)
