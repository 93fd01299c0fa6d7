"""Equal keys mean equal results: a key follows files, own code and what is measured, and nothing else."""

from __future__ import annotations

import shutil
import sys
import textwrap
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save_file

from mtlsweep.errors import UserError
from mtlsweep.params.params import Params, parse_params
from mtlsweep.params.suite import Stage
from mtlsweep.suites.networks import NETWORKS
from mtlsweep.suites.prepared import open_prepared, prepare
from mtlsweep.suites.tasks import TASKS, Metric
from mtlsweep.suites.tasks.classification import Classification
from mtlsweep.suites.tasks.metric_definitions import NOT_IN_KEYS
from mtlsweep.sweep.plan.plan import open_plan
from mtlsweep.training.trial import run_trial
from mtlsweep.trials import cell as cells
from mtlsweep.trials.state import FinishedTrial
from mtlsweep.trials.trial import Trial

STAGES: tuple[Stage, ...] = ("baselines", "sweep")

WEIGHTING = """
from mtlsweep.methods.weighting.loss.ew import EqualWeighting

class Half(EqualWeighting):
    scale = 0.5
"""

OPTIMIZER = """
import torch

def slow(parameters, lr, *, factor: float = 0.1):
    return torch.optim.SGD(parameters, lr * factor)
"""

NETWORK = """
from pathlib import Path
from torch import nn
from mtlsweep.suites.networks import MultiTaskNetwork

class Flat(MultiTaskNetwork):
    def __init__(self, tasks, input_shape, *, pretrained: Path | None = None, width: int = 4) -> None:
        numbers = input_shape[0] * input_shape[1] * input_shape[2]
        backbone = nn.Sequential(nn.Flatten(), nn.Linear(numbers, width))
        super().__init__(backbone, {task.name: nn.Linear(width, task.outputs) for task in tasks})
"""

DATA = """
import numpy as np
from mtlsweep.suites.datasets.dataset import Dataset
from mtlsweep.suites.tasks.classification import Classification
from task_of_mine import Parity

class Numbers(Dataset):
    tasks = (Classification("digit", classes=4), Parity("parity", classes=2))

    def sizes(self):
        return {"train": 8, "val": 4, "test": 4}

    def rows(self, split, start, stop):
        number = np.arange(start, stop) % 4
        images = np.ones((stop - start, 1, 4, 4)) * number[:, None, None, None]
        return {"image": images.astype(np.uint8), "digit": number.astype(np.uint8), "parity": (number % 2).astype(np.uint8)}
"""

TASK = """
from dataclasses import dataclass
from mtlsweep.suites.tasks.classification import Classification

@dataclass(frozen=True)
class Parity(Classification):
    pass
"""

RAW: dict[str, Any] = {
    "active": ["numbers"],
    "suites": {
        "numbers": {
            "data": {"dataset": "data_of_mine:Numbers"},
            "network": {"network_of_mine:Flat": {"pretrained": "weights.safetensors"}},
            "training": {"epochs": 1, "batch_size": 4},
            "baselines": {"learning_rates": [0.01], "seeds": [0]},
            "sweep": {
                "weightings": ["ew", "weighting_of_mine:Half"],
                "optimizers": ["adam", "optimizer_of_mine:slow"],
                "learning_rates": [0.01],
                "seeds": [0, 1],
            },
        }
    },
}
OWN = {"weighting": WEIGHTING, "optimizer": OPTIMIZER, "network": NETWORK, "data": DATA, "task": TASK}


@pytest.fixture
def params(in_directory: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Params]:
    """A prepared suite in the working directory, with own code for everything that can be."""
    monkeypatch.syspath_prepend(in_directory)
    for name, code in OWN.items():
        write(name, code)
    save_file({"w": torch.zeros(1)}, "weights.safetensors")
    params = parse_params(RAW)
    prepare(params.suite("numbers").data.dataset, Path("data/prepared/numbers"))
    yield params
    for name in OWN:
        sys.modules.pop(f"{name}_of_mine", None)


def write(name: str, code: str) -> None:
    Path(f"{name}_of_mine.py").write_text(textwrap.dedent(code))


def planned(params: Params) -> dict[str, Trial]:
    return {trial.key: trial for stage in STAGES for trial in open_plan(params, "numbers", stage).trials}


def trained_again(params: Params, change: Callable[[], object]) -> set[str]:
    """Return the names of the trials whose keys a change makes new."""
    before = planned(params)
    change()
    after = planned(params)
    assert len(after) == len(before)
    return {trial.name for key, trial in after.items() if key not in before}


ALL = {
    f"{what} {optimizer} lr=1e-2 seed={seed}"
    for what in ("ew", "Half")
    for optimizer in ("adam", "slow")
    for seed in (0, 1)
} | {"stl digit adam lr=1e-2 seed=0", "stl parity adam lr=1e-2 seed=0"}


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "old", "new", "uses_it"),
    [
        ("weighting", "0.5", "0.25", lambda trial: trial.startswith("Half")),
        ("optimizer", "lr * factor", "lr / factor", lambda trial: " slow " in trial),
        ("network", "nn.Flatten(), ", "nn.Flatten(), nn.ReLU(), ", lambda trial: True),
        ("task", "    pass", "    extra = 1", lambda trial: trial != "stl digit adam lr=1e-2 seed=0"),
    ],
)
def test_edited_own_code_trains_exactly_the_trials_that_use_it(
    params: Params, name: str, old: str, new: str, uses_it: Callable[[str], bool]
) -> None:
    assert trained_again(params, lambda: write(name, f"# a comment\n{OWN[name]}")) == set()
    assert OWN[name].count(old) == 1
    assert trained_again(params, lambda: write(name, OWN[name].replace(old, new))) == {t for t in ALL if uses_it(t)}


@pytest.mark.slow
def test_an_edited_dataset_trains_again_when_its_data_is_another(params: Params) -> None:
    def prepare_again(code: str) -> None:
        write("data", code)
        sys.modules.pop("data_of_mine", None)
        prepare(params.suite("numbers").data.dataset, Path("data/prepared/numbers"))

    assert trained_again(params, lambda: prepare_again(DATA.replace("% 4\n", "% 4 + 0\n"))) == set()
    # Of another length than the file of the same second, whose byte code Python would take for it.
    assert trained_again(params, lambda: prepare_again(DATA.replace("np.ones", "2.0 * np.ones"))) == ALL


def test_weights_are_their_content_wherever_they_are(params: Params) -> None:
    raw_moved = {**RAW["suites"]["numbers"], "network": {"network_of_mine:Flat": {"pretrained": "moved/w.safetensors"}}}
    moved = parse_params({**RAW, "suites": {"numbers": raw_moved}})
    before = planned(params)
    Path("moved").mkdir()
    shutil.move("weights.safetensors", "moved/w.safetensors")
    assert planned(moved).keys() == before.keys()
    save_file({"w": torch.ones(1)}, "moved/w.safetensors")
    assert planned(moved).keys().isdisjoint(before.keys())


def test_a_missing_file_is_one_sentence_at_plan(params: Params) -> None:
    Path("weights.safetensors").unlink()
    with pytest.raises(UserError) as caught:
        open_plan(params, "numbers", "sweep")
    assert str(caught.value) == (
        "params.yaml: `suites.numbers`: network `network_of_mine:Flat`: option `pretrained` is `weights.safetensors`, "
        "which cannot be read (No such file or directory): give the path of a file on this machine."
    )


def test_a_recorded_trial_belongs_to_the_plan_and_knows_where_its_weights_are_now(
    params: Params, make_finished: Callable[..., FinishedTrial]
) -> None:
    plan = open_plan(params, "numbers", "sweep")
    shape = make_finished()
    plan.ledger.finish(FinishedTrial(plan.trials[0], shape.state, shape.execution))
    Path("weights.safetensors").rename("w.safetensors")
    raw = {**RAW["suites"]["numbers"], "network": {"network_of_mine:Flat": {"pretrained": "w.safetensors"}}}
    (found,) = open_plan(parse_params({**RAW, "suites": {"numbers": raw}}), "numbers", "sweep").read().finished
    assert found.trial.key == plan.trials[0].key
    assert found.trial.cell.network.options["pretrained"] == "w.safetensors"


def test_a_trial_is_not_trained_with_other_code_than_it_was_planned_with(params: Params) -> None:
    """As when a file is edited while the sweep runs, or differs on another host."""
    trial = next(trial for trial in planned(params).values() if trial.name.startswith("Half adam"))
    write("weighting", WEIGHTING.replace("0.5", "0.25"))
    with pytest.raises(UserError, match="planned with other content than there is here: source code of weighting;"):
        run_trial(
            trial,
            open_prepared(Path("data/prepared/numbers")),
            lambda end: None,
            score=lambda metrics: 0.0,
            device=torch.device("cpu"),
        )


def test_a_new_metric_of_a_task_trains_the_trials_of_the_task_again(
    params: Params, monkeypatch: pytest.MonkeyPatch
) -> None:
    more = (*Classification.metrics, Metric("top2", higher_is_better=True))
    again = trained_again(params, lambda: monkeypatch.setattr(Classification, "metrics", more))
    assert again == ALL, "both tasks are classifications"


def test_the_metrics_of_built_in_tasks_are_not_in_todays_keys() -> None:
    """When this fails, a built-in task measures something else: its trials have new keys and are trained again."""
    entries = {kind: TASKS.get(kind) for kind in TASKS.names()}
    assert {kind: tuple(metric.name for metric in entry.metrics) for kind, entry in entries.items()} == NOT_IN_KEYS  # type: ignore[attr-defined]


@pytest.mark.parametrize("version", ["TRAINER_VERSION", "SCHEMA_VERSION"])
def test_what_an_older_version_trained_is_not_taken_for_the_present_ones(
    params: Params, make_finished: Callable[..., FinishedTrial], monkeypatch: pytest.MonkeyPatch, version: str
) -> None:
    plan = open_plan(params, "numbers", "sweep")
    shape = make_finished()
    for trial in plan.trials:
        plan.ledger.finish(FinishedTrial(trial, shape.state, shape.execution))
    assert len(open_plan(params, "numbers", "sweep").read().finished) == len(plan.trials)
    monkeypatch.setattr(cells, version, 2)
    assert open_plan(params, "numbers", "sweep").read().finished == []


def test_what_a_cell_uses_survives_json(params: Params) -> None:
    for trial in planned(params).values():
        assert Trial.from_json(trial.to_json()) == trial
        assert replace(trial.cell, content={}).key != trial.cell.key


def test_code_of_a_notebook_is_refused_at_plan(params: Params) -> None:
    raw = {**RAW["suites"]["numbers"], "network": "__main__:Flat"}
    sys.modules["__main__"].Flat = NETWORKS.get("network_of_mine:Flat")  # type: ignore[attr-defined]
    with pytest.raises(UserError, match="network `__main__:Flat`: the source of module `__main__` was not found"):
        open_plan(parse_params({**RAW, "suites": {"numbers": raw}}), "numbers", "sweep")
