"""The command line reports every user error in one sentence and exit code 2, before anything is trained."""

from __future__ import annotations

import copy
import importlib.metadata
import json
import socket
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from mtlsweep.cli.main import app
from mtlsweep.params.choice import Choice
from mtlsweep.params.params import load_params
from mtlsweep.record.ledger import Ledger
from mtlsweep.record.mlflow.server import create_database
from mtlsweep.suites.prepared.preparation import prepare
from mtlsweep.sweep.plan.plan import open_plan
from mtlsweep.trials.curve import EpochRecord
from mtlsweep.trials.state import Finished, FinishedTrial, Outcome
from stages.command import run_for_suite
from tests.forks import run_module
from tests.small_study import call, small_study, write

RAW = small_study()


def test_plan_needs_no_prepared_data(in_directory: Path) -> None:
    write(RAW)
    code, output = call("plan")
    assert code == 0
    assert "stl mass adam 1 planned 0 finished 3 trials to run" in output
    assert "uw adam 2 planned 0 finished 4 trials to run" in output


def test_plan_states_how_many_settings_each_method_tries(in_directory: Path) -> None:
    sweep = RAW["suites"]["digits"]["sweep"] | {"axes": {"training.batch_size": [8, 16]}}
    baselines = RAW["suites"]["digits"]["baselines"] | {"axes": {"training.batch_size": [4, 8, 16]}}
    write({**RAW, "suites": {"digits": RAW["suites"]["digits"] | {"sweep": sweep, "baselines": baselines}}})
    code, output = call("plan")
    assert code == 0
    assert "each of them tries 3 settings of the learning rate and of training.batch_size" in output
    assert "each of them tries 2 settings of the learning rate and of training.batch_size" in output
    assert "8 trials to run" in output


def test_plan_states_which_prior_it_took_from_where(
    in_directory: Path, make_finished: Callable[..., FinishedTrial]
) -> None:
    earlier = Ledger(Path("results"), "earlier")
    losses = {"val/left/loss": 1.0, "val/right/loss": 1.0}
    curve = tuple(EpochRecord(epoch, losses, 0.0, 1.0) for epoch in (1, 2, 3))
    for name, rate in [("adam", 0.008), ("muon", 0.1), ("sgd", 0.1)]:
        one = make_finished(suite="earlier", optimizer=Choice(name=name), learning_rate=rate)
        earlier.start(one.trial)
        earlier.finish(replace(one, state=Finished(Outcome.DONE, curve)))
    search = {"optuna": {"cells_tried": 2, "prior": {"ledgers": ["results/earlier/ledger"], "share": 0.5}}}
    write(small_study(strategy=search, optimizers=["adam", "sgd", "lion"], learning_rates=[0.02, 0.005]))
    code, output = call("plan")
    assert code == 0
    assert (
        "prior from results/earlier/ledger (3 survived): adam 0.005; at most 50% of the cells follow it, fewer if they do badly "
        "of the prior 1 are left out: their rates are outside of those that the sweep searches "
        "the prior has no rate for lion, sgd" in output
    )
    write(small_study(strategy={"optuna": {"prior": {"ledgers": ["results/earlir/ledger"]}}}))
    code, output = call("plan")
    assert code == 2
    assert (
        "params.yaml: `suites.digits.sweep.strategy`: `prior.ledgers`: there is no ledger `results/earlir/ledger`"
        in output
    )


@pytest.mark.slow
def test_plan_counts_what_the_ledger_holds(in_directory: Path, make_finished: Callable[..., FinishedTrial]) -> None:
    write(RAW)
    prepare(
        Choice(name="multidigits", options=RAW["suites"]["digits"]["data"]["dataset"]["multidigits"]),
        Path("data/prepared/digits"),
    )
    trials = open_plan(load_params(), "digits", "sweep").trials
    shape = make_finished()
    Ledger(Path("results"), "digits").finish(FinishedTrial(trials[0], shape.state, shape.execution))
    content = json.loads(CliRunner().invoke(app, ["plan", "digits", "--json"]).output)[0]["stages"]
    assert content["sweep"]["methods"] == {
        "ew adam": {"planned": 2, "finished": 1},
        "uw adam": {"planned": 2, "finished": 0},
    }
    forecast = content["baselines"]["forecast"]
    assert (forecast["trials_wanted_now"], forecast["epochs"], forecast["observed_share"]) == (3, 3, 0.0)
    assert forecast["device_hours"] > 0, "no method was observed, so a few steps of each were timed"
    code, output = call("status")
    assert code == 0
    assert "sweep: 1 of 4 (1 done), 0 half finished" in output
    assert "no sweep is running" in output
    slow = ["torch", "mlflow", "tenacity"]
    looked = (
        "import sys; from mtlsweep.cli.main import app; app(['status'], standalone_mode=False); "
        f"print([name for name in {slow} if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", looked], capture_output=True, text=True, check=True)
    assert " ".join(done.stdout.split()) == f"{output} []", "the plan's keys were kept, so it need not be made anew"
    more = copy.deepcopy(RAW)
    more["suites"]["digits"]["sweep"]["seeds"] = [0, 1, 2]
    write(more)
    assert "sweep: 1 of 6 (1 done), 0 half finished" in call("status")[1], "the keys kept are those of other params"


MISTAKES: list[tuple[Callable[[dict[str, Any]], object], str]] = [
    (
        lambda raw: raw["suites"]["digits"]["sweep"].update(weightings=["pcgrd"]),
        "mtlsweep: params.yaml: `suites.digits.sweep.weightings[0]`: unknown weighting `pcgrd`; did you mean `pcgrad`?",
    ),
    (lambda raw: raw["suites"]["digits"]["sweep"].update(learning_rate=[1]), "did you mean `learning_rates`?"),
    (lambda raw: raw["suites"]["digits"]["sweep"].update(learning_rates=[-1]), "is -1; it should be greater than 0"),
    (lambda raw: raw["suites"]["digits"]["sweep"].update(seeds=[]), "`suites.digits.sweep.seeds` is empty"),
    (lambda raw: raw.update(active=["digitz"]), "an unknown suite; did you mean `digits`?"),
]


@pytest.mark.parametrize(("change", "sentence"), MISTAKES)
def test_mistakes_in_params(in_directory: Path, change: Callable[[dict[str, Any]], object], sentence: str) -> None:
    raw = copy.deepcopy(RAW)
    change(raw)
    write(raw)
    code, output = call("plan")
    assert code == 2
    assert sentence in output
    assert "Traceback" not in output


def test_an_unknown_suite_on_the_command_line(in_directory: Path) -> None:
    write(RAW)
    assert call("plan", "digit")[0] == 2
    assert "unknown suite `digit`; did you mean `digits`?" in call("plan", "digit")[1]


def test_nothing_recorded_yet(in_directory: Path) -> None:
    write(RAW)
    code, output = call("ui")
    assert (code, "no trial is recorded yet" in output) == (2, True)


@pytest.mark.slow
def test_a_port_that_is_taken(in_directory: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write({**RAW, "resources": {"tracking_uri": f"sqlite:///{in_directory}/taken.db"}})
    create_database(f"sqlite:///{in_directory}/taken.db")
    monkeypatch.setattr(subprocess, "run", lambda *arguments, **options: pytest.fail("the server was started"))
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        code, output = call("ui", "--port", str(port))
    assert code == 2
    assert f"port {port} of 127.0.0.1 is taken" in output and "`mtlsweep ui --port 5001`" in output


def run_stage(stage: str, raw: dict[str, Any]) -> subprocess.CompletedProcess[str]:
    write(raw)
    return run_module(Path.cwd(), f"stages.{stage}", "digits")


def test_a_stage_refuses_a_name_with_a_space_as_the_commands_do(
    in_directory: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """DVC hands such a name over as two words."""
    write({"active": ["my digits"], "suites": {"my digits": RAW["suites"]["digits"]}})
    monkeypatch.setattr(sys, "argv", ["stages.dataset", "my", "digits"])
    assert run_for_suite("dataset", None, lambda suite: load_params().suite(suite).network.name) == 2
    assert (
        "dataset my digits: params.yaml: a suite is called 'my digits': use 1 to 100 letters" in capsys.readouterr().err
    )


def test_the_version_is_that_of_the_package() -> None:
    assert call("--version") == (0, f"mtlsweep {importlib.metadata.version('mtlsweep')}")
    assert "Which optimizer, which task weighting" in call("--help")[1]


@pytest.mark.parametrize("hiding", ["queue.py", "torch.py"])
def test_a_file_that_hides_a_module_is_named(hiding: str, in_directory: Path) -> None:
    write(RAW)
    Path(hiding).touch()
    command = [sys.executable, "-m", "mtlsweep", "plan"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert f"This folder has `{hiding}`, and other code imports a module of that name: rename the file." in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.slow
def test_stages_fail_with_a_sentence(in_directory: Path) -> None:
    no_data = run_stage("baselines", RAW)
    assert no_data.returncode == 2
    assert "data/prepared/digits" in no_data.stderr
    assert "dvc repro" in no_data.stderr
    assert run_stage("prepare", RAW).returncode == 0
    no_baselines = run_stage("sweep", RAW)
    assert no_baselines.returncode == 2
    assert "results/digits/baselines/curves.parquet` is missing; run `dvc repro`" in no_baselines.stderr
    no_server = run_stage("baselines", {**RAW, "resources": {"tracking_uri": "http://127.0.0.1:9"}})
    assert no_server.returncode == 2
    assert "tracking server http://127.0.0.1:9 cannot be used" in no_server.stderr
    Path("in-the-way").write_text("")
    no_ledger = run_stage("baselines", {**RAW, "resources": {"ledger_root": "in-the-way"}})
    assert no_ledger.returncode == 2
    assert "in-the-way/digits/ledger` cannot be written (Not a directory)" in no_ledger.stderr
    assert all("Traceback" not in done.stderr for done in (no_data, no_baselines, no_server, no_ledger))
