"""params.yaml is typed, and every error message gives the field, the value and what is allowed."""

from __future__ import annotations

import copy
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

from mtlsweep.errors import UserError
from mtlsweep.params.choice import Choice
from mtlsweep.params.params import load_params, parse_params

RAW: dict[str, Any] = {
    "active": ["digits"],
    "defaults": {"sweep": {"weightings": ["ew", {"cagrad": {"c": 0.2}}], "optimizers": ["adam"], "seeds": [0, 1, 2]}},
    "suites": {
        "digits": {
            "data": {"dataset": "multidigits"},
            "network": "lenet",
            "training": {"epochs": 3, "batch_size": 32, "schedule": {"kind": "step"}},
            "baselines": {"learning_rates": [0.01], "seeds": [0]},
            "sweep": {"learning_rates": [0.1, 0.01], "seeds": [7]},
        }
    },
}


def changed(change: Callable[[dict[str, Any]], object]) -> dict[str, Any]:
    raw = copy.deepcopy(RAW)
    change(raw)
    return raw


def test_defaults_are_merged_into_suites() -> None:
    sweep = parse_params(RAW).suite("digits").sweep
    assert sweep.seeds == (7,)
    assert sweep.weightings == (Choice(name="ew"), Choice(name="cagrad", options={"c": 0.2}))


def test_the_projects_own_params_are_valid() -> None:
    params = load_params(Path(__file__).parents[2] / "params.yaml")
    assert "multidigits-lenet" in params.active


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        (
            lambda raw: raw["suites"]["digits"]["sweep"].update(learning_rate=[1]),
            "params.yaml: `suites.digits.sweep.learning_rate` is an unknown key; did you mean `learning_rates`? Allowed: strategy,",
        ),
        (
            lambda raw: raw["suites"]["digits"]["sweep"].update(learning_rates=[0.1, -1]),
            "params.yaml: `suites.digits.sweep.learning_rates[1]` is -1; it should be greater than 0.",
        ),
        (
            lambda raw: raw["suites"]["digits"]["sweep"].update(learning_rates=[]),
            "params.yaml: `suites.digits.sweep.learning_rates` is empty",
        ),
        (
            lambda raw: raw["suites"]["digits"]["sweep"].update(learning_rates=[0.1, 0.1]),
            "params.yaml: `suites.digits.sweep.learning_rates` is [0.1, 0.1]: 0.1 occurs twice.",
        ),
        (
            lambda raw: raw["suites"]["digits"]["sweep"].update(
                learning_rates_of={"sgd": [0.1]}, learning_rates=[1, 2]
            ),
            "`suites.digits.sweep.learning_rates_of` is {'sgd': [0.1]}: `sgd` would try 1 and the others 2; results are "
            "comparable when every method tries equally many.",
        ),
        (
            lambda raw: raw["suites"]["digits"]["sweep"].update(learning_rates_of={"sgd": [0.1, -1]}),
            "`suites.digits.sweep.learning_rates_of.sgd[1]` is -1; it should be greater than 0.",
        ),
        (
            lambda raw: raw["suites"]["digits"]["training"]["schedule"].update(facter=1),
            "`suites.digits.training.schedule.facter` is an unknown key; did you mean `factor`? Allowed: kind, every, factor.",
        ),
        (
            lambda raw: raw["suites"]["digits"]["training"].update(epochs="many"),
            "`suites.digits.training.epochs` is 'many'; it should be a valid integer",
        ),
        (
            lambda raw: raw["defaults"]["sweep"].update(weightings=[3]),
            "`defaults.sweep.weightings[0]` is 3: must be a name",
        ),
        (
            lambda raw: raw["defaults"]["sweep"].update(strategy=3),
            "`defaults.sweep.strategy` is 3: must be a name",
        ),
        (
            lambda raw: raw["suites"]["digits"].update(training={"epochs": 1, "batchsize": 8}),
            "`suites.digits.training.batchsize` is an unknown key; did you mean `batch_size`?",
        ),
        (lambda raw: raw.update(active="digits"), "`active` is 'digits'; it should be a list, such as `[a, b]`."),
        (
            lambda raw: raw["suites"]["digits"].update(studies=None),
            "`suites.digits.studies` is None; it should be a mapping, such as `{name: value}`.",
        ),
        (
            lambda raw: raw["suites"]["digits"]["training"].pop("epochs"),
            "`suites.digits.training.epochs` is missing",
        ),
        (
            lambda raw: raw.update(resources={"concurrency": 0}),
            "`resources.concurrency` is 0; it should be greater than or equal to 1.",
        ),
        (
            lambda raw: raw.update(resources={"gpus_per_trial": "many"}),
            "`resources.gpus_per_trial` is 'many': it is neither `auto` nor a part of one GPU",
        ),
        (
            lambda raw: raw.update(resources={"gpus_per_trial": -1}),
            "`resources.gpus_per_trial` is -1: it is neither `auto` nor a part of one GPU",
        ),
        (
            lambda raw: raw.update(resources={"gpus_per_trial": 1.5}),
            "`resources.gpus_per_trial` is 1.5: it is neither `auto` nor a part of one GPU",
        ),
        (
            lambda raw: raw.update(resources={"trackin_uri": "x"}),
            "`resources.trackin_uri` is an unknown key; did you mean `tracking_uri`?",
        ),
        (
            lambda raw: raw.update(active=["digit"]),
            "`active[0]` is `digit`, an unknown suite; did you mean `digits`? Allowed: digits.",
        ),
        (lambda raw: raw.update(suits={}), "`suits` is an unknown key; did you mean `suites`?"),
        (lambda raw: raw["suites"].update(digits=3), "`suites.digits` is 3; it must be a mapping"),
    ],
)
def test_every_mistake_has_its_sentence(change: Callable[[dict[str, Any]], object], sentence: str) -> None:
    with pytest.raises(UserError) as caught:
        parse_params(changed(change))
    assert sentence in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_missing_or_broken_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"none\.yaml: file not found"):
        load_params(tmp_path / "none.yaml")
    broken = tmp_path / "params.yaml"
    broken.write_text("active: [a\nsuites: {")
    with pytest.raises(UserError, match=r"params\.yaml: not valid YAML"):
        load_params(broken)
    broken.write_text("- a")
    with pytest.raises(UserError, match="found list"):
        load_params(broken)


def test_yaml_cannot_make_objects(tmp_path: Path) -> None:
    path = tmp_path / "params.yaml"
    path.write_text(yaml.dump(RAW) + "resources: !!python/object/apply:os.getcwd []\n")
    with pytest.raises(UserError, match="not valid YAML"):
        load_params(path)


def test_an_unknown_suite_is_answered_with_the_nearest() -> None:
    with pytest.raises(UserError, match="unknown suite `digitz`; did you mean `digits`"):
        parse_params(RAW).suite("digitz")
