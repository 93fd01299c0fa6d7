"""Samplers: what we set of Optuna's, and what it takes to run one of OptunaHub."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path
from typing import Any

import optuna
import pytest

from mtlsweep.errors import UserError
from mtlsweep.params.choice import Choice
from mtlsweep.sweep.search.samplers import HubSampler, make_sampler
from mtlsweep.sweep.strategies import STRATEGIES

NAME = "samplers/mine:Mine"
COMMIT = "0123456789" * 4
MODULE = "optunahub_registry.package.samplers.mine"

needs_hub = pytest.mark.skipif(importlib.util.find_spec("optunahub") is None, reason="optunahub is not installed")


def resolve(sampler: Any) -> None:
    STRATEGIES.resolve(Choice(name="optuna", options={"sampler": sampler}))


def registry(folder: Path, code: str) -> dict[str, str]:
    """Write a registry of one sampler; return what params.yaml says of it."""
    package = folder / "samplers" / "mine"
    package.mkdir(parents=True)
    (package / "__init__.py").write_text(f"import optuna\n{code}\n")
    return {"optunahub": NAME, "registry": str(folder)}


def test_we_say_what_tpe_does_with_running_cells(monkeypatch: pytest.MonkeyPatch) -> None:
    given: dict[str, Any] = {}
    monkeypatch.setattr(optuna.samplers, "TPESampler", lambda **options: given.update(options))
    make_sampler("tpe", seed=3, objectives=2)
    assert given == {"seed": 3, "constant_liar": True}


@needs_hub
@pytest.mark.parametrize(
    ("sampler", "sentence"),
    [
        ({"optunahub": NAME}, "name its place once: `registry`"),
        ({"optunahub": NAME, "registry": "a", "ref": COMMIT}, "name its place once: `registry`"),
        ({"optunahub": NAME, "ref": COMMIT}, "add `allow_download: true`"),
        ({"optunahub": NAME, "ref": "main", "allow_download": True}, "option `sampler.ref` is 'main'"),
        ({"optunahub": "mine", "registry": "a"}, "option `sampler.optunahub` is "),
    ],
)
def test_code_from_elsewhere_needs_a_fixed_place_and_consent(sampler: dict[str, Any], sentence: str) -> None:
    with pytest.raises(UserError) as caught:
        resolve(sampler)
    assert sentence in str(caught.value)


def test_without_the_package_it_is_refused(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(UserError, match=r"`optunahub` is not installed: run `pip install 'mtlsweep\[hub\]'`"):
        resolve({"optunahub": NAME, "registry": str(tmp_path)})


@needs_hub
def test_a_sampler_of_a_local_registry_is_loaded_when_it_is_needed_and_gets_the_seed(tmp_path: Path) -> None:
    code = "class Mine(optuna.samplers.RandomSampler):\n    def __init__(self, width, seed=None):\n        super().__init__(seed)\n        self.given = width, seed"
    sys.modules.pop(MODULE, None)
    choice = HubSampler.model_validate({**registry(tmp_path, code), "options": {"width": 7}})
    resolve(choice.model_dump(mode="json"))
    assert MODULE not in sys.modules, "a plan runs none of its code"
    made: Any = make_sampler(choice, seed=5, objectives=3)
    assert made.given == (7, 5)


@needs_hub
@pytest.mark.parametrize(
    ("code", "sentence"),
    [
        ("Other = 1", "cannot be loaded from"),
        ("1 / 0", "(division by zero)"),
        ("class Mine(optuna.samplers.CmaEsSampler):\n    pass", "does not suggest cells for 2 objectives"),
        (
            "class Mine(optuna.samplers.RandomSampler):\n    def __init__(self):\n        raise OSError('no GPU')",
            "(no GPU)",
        ),
    ],
)
def test_a_sampler_that_cannot_search_is_refused_in_a_sentence(tmp_path: Path, code: str, sentence: str) -> None:
    choice = HubSampler.model_validate(registry(tmp_path, code))
    with pytest.raises(UserError) as caught:
        make_sampler(choice, seed=0, objectives=2)
    assert sentence in str(caught.value)
    assert "\n" not in str(caught.value)


@needs_hub
def test_a_registry_that_is_not_reachable_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    import optunahub

    def unreachable(package: str, ref: str) -> None:
        assert (package, ref) == ("samplers/mine", COMMIT)
        raise ConnectionError("no route to host\nmore")

    monkeypatch.setattr(optunahub, "load_module", unreachable)
    choice = HubSampler(optunahub=NAME, ref=COMMIT, allow_download=True)
    with pytest.raises(UserError, match=rf"from commit {COMMIT} of its registry \(no route to host\)"):
        make_sampler(choice, seed=0, objectives=2)
