"""The plan is the full factorial with all defaults resolved; mistakes in it are found before anything runs."""

from __future__ import annotations

import copy
from typing import Any

import pytest

from mtlsweep.errors import UserError
from mtlsweep.params.suite import Stage, Suite
from mtlsweep.sweep.plan.cells import check_names, plan_cells
from mtlsweep.sweep.plan.counts import count_by_method
from mtlsweep.trials.trial import Trial

TASKS = ["left", "right", "mass"]

SUITE: dict[str, Any] = {
    "data": {"dataset": "multidigits"},
    "network": "lenet",
    "training": {"epochs": 3, "batch_size": 32},
    "baselines": {"learning_rates": [0.01, 0.001], "seeds": [0, 1]},
    "sweep": {
        "weightings": ["ew", "cagrad", {"cagrad": {"c": 0.1}}],
        "optimizers": ["adam", "sgd"],
        "learning_rates": [0.1, 0.01],
        "seeds": [0, 1, 2],
    },
}


def trials_of(name: str, suite: Suite, stage: Stage, tasks: list[str], fingerprint: str) -> list[Trial]:
    seeds = suite.baselines.seeds if stage == "baselines" else suite.sweep.seeds
    return [Trial(cell, seed) for cell in plan_cells(name, suite, stage, tasks, fingerprint) for seed in seeds]


def suite(section: str = "sweep", **changes: object) -> Suite:
    raw = copy.deepcopy(SUITE)
    raw[section].update(changes)
    return Suite.model_validate(raw)


def test_the_grid_is_the_full_factorial() -> None:
    trials = trials_of("digits", suite(), "sweep", TASKS, "f" * 64)
    assert len(trials) == len({trial.key for trial in trials}) == 3 * 2 * 2 * 3
    assert {trial.cell.weighting_label for trial in trials} == {"ew", "cagrad", "cagrad(c=0.1)"}
    assert {trial.cell.tasks for trial in trials} == {("left", "right", "mass")}


def test_the_baselines_are_every_task_alone() -> None:
    trials = trials_of("digits", suite(), "baselines", TASKS, "f" * 64)
    assert len(trials) == 3 * 2 * 2
    assert {trial.cell.tasks for trial in trials} == {("left",), ("right",), ("mass",)}
    assert {(trial.cell.role, trial.cell.weighting_label, trial.cell.optimizer_label) for trial in trials} == {
        ("stl", "stl", "adam")
    }


def test_baselines_may_be_trained_with_several_optimizers() -> None:
    one = trials_of("digits", suite(), "baselines", TASKS, "f" * 64)
    several = trials_of("digits", suite("baselines", optimizers=["sgd", "adam"]), "baselines", TASKS, "f" * 64)
    assert {trial.cell.optimizer_label for trial in several} == {"sgd", "adam"}
    assert len(several) == 2 * len(one)
    assert {trial.key for trial in one} < {trial.key for trial in several}, "what is trained is kept"


@pytest.mark.parametrize("stage", ["baselines", "sweep"])
def test_an_optimizer_may_have_learning_rates_of_its_own(stage: Stage) -> None:
    several = {"optimizers": ["sgd", {"sgd": {"momentum": 0}}, "adam"], "learning_rates": [0.01, 0.001]}
    own = plan_cells("digits", suite(stage, **several, learning_rates_of={"sgd": [0.3, 0.1]}), stage, TASKS, "f" * 64)
    tried: dict[str, set[float]] = {}
    for cell in own:
        tried.setdefault(cell.optimizer_label, set()).add(cell.learning_rate)
    assert tried == {"sgd": {0.3, 0.1}, "sgd(momentum=0)": {0.3, 0.1}, "adam": {0.01, 0.001}}
    shared = plan_cells("digits", suite(stage, **several), stage, TASKS, "f" * 64)
    assert {cell.key for cell in own if cell.optimizer_label == "adam"} < {cell.key for cell in shared}


def test_a_default_spelt_out_is_the_same_trial() -> None:
    implicit = trials_of("digits", suite(weightings=["cagrad"]), "sweep", TASKS, "f" * 64)
    explicit = trials_of("digits", suite(weightings=[{"cagrad": {"c": 0.5}}]), "sweep", TASKS, "f" * 64)
    assert implicit == explicit


def test_extending_the_grid_keeps_every_key() -> None:
    before = {trial.key for trial in trials_of("digits", suite(), "sweep", TASKS, "f" * 64)}
    after = {
        trial.key for trial in trials_of("digits", suite(learning_rates=[0.1, 0.03, 0.01]), "sweep", TASKS, "f" * 64)
    }
    assert before < after
    assert len(after - before) == 3 * 2 * 3


def test_methods_may_be_named_as_pairs() -> None:
    pair = {"weighting": "uw", "optimizer": "signsgd"}
    trials = trials_of("digits", suite(methods=[pair]), "sweep", TASKS, "f" * 64)
    assert {t.cell.optimizer_label for t in trials if t.cell.weighting_label == "uw"} == {"signsgd"}


def test_the_plan_minus_the_ledger_is_counted_by_method() -> None:
    trials = trials_of("digits", suite(), "sweep", TASKS, "f" * 64)
    finished = [trial for trial in trials if trial.cell.method == "ew adam" and trial.seed == 0]
    counts = {row.method: (row.planned, row.finished) for row in count_by_method(trials, finished)}
    assert counts["ew adam"] == (6, 2)
    assert counts["cagrad(c=0.1) sgd"] == (6, 0)


@pytest.mark.parametrize(
    ("section", "change", "sentence"),
    [
        (
            "sweep",
            {"weightings": ["ew", "pcgrd"]},
            "params.yaml: `suites.digits.sweep.weightings[1]`: unknown weighting `pcgrd`; did you mean `pcgrad`?",
        ),
        (
            "sweep",
            {"weightings": [{"cagrad": {"c": -1}}]},
            "`suites.digits.sweep.weightings[0]`: weighting `cagrad` option `c` is -1",
        ),
        (
            "sweep",
            {"optimizers": ["adm"]},
            "`suites.digits.sweep.optimizers[0]`: unknown optimizer `adm`; did you mean `adam",
        ),
        ("baselines", {"optimizer": "adm"}, "`suites.digits.baselines.optimizer`: unknown optimizer `adm`"),
        (
            "baselines",
            {"optimizers": ["sgd", "adm"]},
            "`suites.digits.baselines.optimizers[1]`: unknown optimizer `adm`",
        ),
        (
            "sweep",
            {"learning_rates_of": {"sdg": [0.1, 0.01]}},
            "`suites.digits.sweep.learning_rates_of.sdg`: no optimizer there is called `sdg`; did you mean `sgd`? Allowed: adam, sgd.",
        ),
        (
            "baselines",
            {"learning_rates_of": {"sgd": [0.1, 0.01]}},
            "`suites.digits.baselines.learning_rates_of.sgd`: no optimizer there is called `sgd`",
        ),
        (
            "data",
            {"dataset": "multidigit"},
            "`suites.digits.data.dataset`: unknown dataset `multidigit`; did you mean `multidigits`?",
        ),
    ],
)
def test_mistakes_are_found_without_data(section: str, change: dict[str, object], sentence: str) -> None:
    with pytest.raises(UserError) as caught:
        check_names("digits", suite(section, **change))
    assert sentence in str(caught.value)
