"""A poisoned trial never stops a sweep: it ends with a typed cause, and everything else is trained."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

from mtlsweep.record.ledger import Ledger
from mtlsweep.trials.curve import curve_to_json
from mtlsweep.trials.state import FinishedTrial, Outcome
from tests.forks import run_module

from .conftest import INLINE

pytestmark = [pytest.mark.slow]


TROUBLES = '''
"""Weightings that go wrong, each in its own way."""
import os, signal, time
import torch
from mtlsweep.errors import UserError
from mtlsweep.methods.weighting.loss.ew import EqualWeighting

class Raises(EqualWeighting):
    def weigh(self, losses):
        raise KeyError("a bug in the user's own method")

class NotFinite(EqualWeighting):
    def weigh(self, losses):
        return torch.full_like(losses, float("nan"))

class OutOfMemory(EqualWeighting):
    def weigh(self, losses):
        with open("attempts", "a") as file:
            file.write("x")
        raise torch.OutOfMemoryError("CUDA out of memory")

class KilledOnce(EqualWeighting):
    def weigh(self, losses):
        if not os.path.exists("killed"):
            open("killed", "w").close()
            os.kill(os.getpid(), signal.SIGKILL)
        return super().weigh(losses)

class KilledAlways(EqualWeighting):
    def weigh(self, losses):
        os.kill(os.getpid(), signal.SIGKILL)

class Hangs(EqualWeighting):
    def weigh(self, losses):
        time.sleep(3600)
'''
NAMES = ("Raises", "NotFinite", "OutOfMemory", "KilledOnce", "KilledAlways", "Hangs")

RAW: dict[str, Any] = {
    "active": ["digits"],
    "suites": {
        "digits": {
            "data": {"dataset": {"multidigits": {"train": 64, "val": 64, "test": 64}}},
            "network": {"lenet": {"downsampling": "stride"}},
            "training": {"epochs": 2, "batch_size": 16},
            "baselines": {"learning_rates": [0.01], "seeds": [0]},
            "sweep": {
                "weightings": ["ew", *(f"troubles:{name}" for name in NAMES)],
                "optimizers": ["adam"],
                "learning_rates": [0.01],
                "seeds": [0],
            },
        }
    },
    "resources": {"worker_retries": 1, "trial_hours": 20 / 3600, "failed_share_limit": 0.9},
}


def stage(name: str, directory: Path, **resources: Any) -> subprocess.CompletedProcess[str]:
    content = {**RAW, "resources": {**RAW["resources"], **resources}}
    (directory / "params.yaml").write_text(yaml.safe_dump(content))
    return run_module(directory, f"stages.{name}", "digits")


def command(directory: Path, *words: str) -> str:
    done = run_module(directory, "mtlsweep.cli.main", *words)
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def swept(tmp_path_factory: pytest.TempPathFactory) -> Path:
    directory = tmp_path_factory.mktemp("faults")
    (directory / "troubles.py").write_text(TROUBLES)
    for name, resources in (("prepare", INLINE), ("baselines", INLINE), ("sweep", {})):
        done = stage(name, directory, **resources)
        assert done.returncode == 0, done.stdout + done.stderr
        (directory / f"{name}.log").write_text(done.stdout + done.stderr)
    return directory


@pytest.fixture(scope="module")
def results(swept: Path) -> dict[str, FinishedTrial]:
    finished = Ledger(swept / "results", "digits").read_all()
    return {one.trial.cell.weighting_label: one for one in finished if one.trial.cell.role == "mtl"}


@pytest.mark.parametrize(
    ("name", "outcome", "cause"),
    [
        ("ew", Outcome.DONE, None),
        ("KilledOnce", Outcome.DONE, None),
        ("Raises", Outcome.FAILED, "code"),
        ("NotFinite", Outcome.DIVERGED, "nan"),
        ("OutOfMemory", Outcome.FAILED, "oom"),
        ("KilledAlways", Outcome.FAILED, "worker"),
        ("Hangs", Outcome.FAILED, "time"),
    ],
)
def test_every_failure_has_its_outcome_and_cause(
    results: dict[str, FinishedTrial], name: str, outcome: Outcome, cause: str | None
) -> None:
    assert (results[name].state.outcome, results[name].state.cause) == (outcome, cause)


def test_a_lost_worker_costs_an_attempt_and_changes_no_number(results: dict[str, FinishedTrial]) -> None:
    assert results["KilledOnce"].execution.attempts == 2
    curves = [[record.metrics for record in results[name].state.curve] for name in ("ew", "KilledOnce")]
    assert curves[0] == curves[1]


def test_a_lost_worker_is_told_in_one_line_and_no_traceback_of_ray(swept: Path) -> None:
    told = (swept / "sweep.log").read_text()
    assert told.count("KilledOnce adam lr=1e-2 seed=0: its worker process died, and it starts again\n") == 1
    assert "Traceback" not in told


def test_out_of_memory_is_tried_again_alone(swept: Path, results: dict[str, FinishedTrial]) -> None:
    assert (swept / "attempts").read_text() == "xx"


def test_failures_are_listed_with_their_cause_and_the_command_that_repeats_them(swept: Path) -> None:
    listed = {entry["name"].split()[0]: entry for entry in json.loads(command(swept, "failures", "--json"))}
    assert "a bug in the user's own method" in listed["Raises"]["detail"]
    assert listed["Raises"]["repeat"] == f"mtlsweep run {listed['Raises']['key']}"
    assert "Traceback" in listed["Raises"]["detail"]


def test_a_trial_can_be_repeated_alone_in_this_process(swept: Path, results: dict[str, FinishedTrial]) -> None:
    again = json.loads(command(swept, "run", results["ew"].trial.key, "--json"))
    assert again["metrics"] == curve_to_json(results["ew"].state.curve)["metrics"]


def test_retry_makes_failed_trials_pending_and_nothing_else(swept: Path) -> None:
    before = Ledger(swept / "results", "digits").finished_keys()
    (forgotten,) = json.loads(command(swept, "retry", "digits", "--cause", "code", "--json"))
    assert before - Ledger(swept / "results", "digits").finished_keys() == {forgotten}
    assert stage("sweep", swept, **INLINE).returncode == 0
    assert Ledger(swept / "results", "digits").finished_keys() == before


def test_too_many_failures_stop_the_study_with_a_sentence(swept: Path) -> None:
    done = stage("sweep", swept, failed_share_limit=0.2)
    assert done.returncode == 2
    assert "4 of 7 trials failed (" in done.stderr
    assert "see `mtlsweep failures digits`" in done.stderr
