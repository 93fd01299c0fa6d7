"""The JSON schema of params.yaml: what the file's own check takes, the schema takes; editors see most mistakes."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from jsonschema import Draft202012Validator

from mtlsweep.errors import UserError
from mtlsweep.params.params import parse_params
from mtlsweep.params.registry import Registry
from mtlsweep.params.yaml_file import parse_yaml
from mtlsweep.project.params_schema import REGISTRIES, params_schema

PROJECT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def schema() -> dict[str, Any]:
    return params_schema()


@pytest.fixture(scope="module")
def validator(schema: dict[str, Any]) -> Draft202012Validator:
    Draft202012Validator.check_schema(schema)
    return Draft202012Validator(schema)


def raw(**sweep: Any) -> dict[str, Any]:
    """A small params.yaml with fields of its sweep changed."""
    text = """
        active: [own]
        defaults: {training: {batch_size: 32}}
        suites:
          own:
            data: {dataset: {multidigits: {train: 100}}}
            network: lenet
            training: {epochs: 2}
            baselines: {learning_rates: [0.01], seeds: [0]}
            sweep:
              strategy: {race: {rungs: {0.5: 2, 1.0: 1}}}
              weightings: [ew, {cagrad: {c: 0.4}}, "mine:Weighting"]
              optimizers: [adam, {name: sgd, options: {momentum: 0}}, {sam: {base: {adam: {epsilon: 1.0e-8}}}}]
              learning_rates: [0.01]
              seeds: [0]
    """
    read: dict[str, Any] = parse_yaml(text)
    read["suites"]["own"]["sweep"] |= sweep
    return read


def test_the_file_in_docs_is_todays(schema: dict[str, Any]) -> None:
    assert json.loads((PROJECT / "docs/params.schema.json").read_text()) == schema, "run `make schema`"


def test_the_projects_own_params_are_valid_and_name_the_schema(validator: Draft202012Validator) -> None:
    text = (PROJECT / "params.yaml").read_text()
    assert [error.message for error in validator.iter_errors(parse_yaml(text))] == []
    assert text.startswith("# yaml-language-server: $schema=docs/params.schema.json\n")


def test_short_forms_defaults_and_own_classes_are_valid(validator: Draft202012Validator) -> None:
    parse_params(raw())
    assert [error.message for error in validator.iter_errors(raw())] == []


@pytest.mark.parametrize(
    "mistake",
    [
        {"learning_rate": [0.1]},
        {"learning_rates": 0.1},
        {"learning_rates": [0]},
        {"learning_rates": []},
        {"seeds": [-1]},
        {"weightings": ["ew", {"cagrad": 0.4}]},
        {"weightings": [{"ew": {}, "uw": {}}]},
        {"methods": [{"weighting": "ew"}]},
        {"axes": {"network.dropout": 0.5}},
    ],
)
def test_a_mistake_that_the_check_refuses_is_one_in_the_editor(
    validator: Draft202012Validator, mistake: dict[str, Any]
) -> None:
    with pytest.raises(UserError):
        parse_params(raw(**mistake))
    assert not validator.is_valid(raw(**mistake))


@pytest.mark.parametrize(
    "mistake",
    [{"weightings": ["cagrat"]}, {"weightings": [{"cagrad": {"d": 1}}]}, {"optimizers": [{"sgd": {"momentum": "no"}}]}],
)
def test_names_and_options_of_the_registries_are_checked(
    validator: Draft202012Validator, mistake: dict[str, Any]
) -> None:
    assert not validator.is_valid(raw(**mistake))


@pytest.mark.parametrize("registry", dict.fromkeys(REGISTRIES.values()), ids=lambda registry: registry.kind)
def test_every_name_is_offered_with_its_options_and_what_it_is(schema: dict[str, Any], registry: Registry[Any]) -> None:
    names, _, with_options, _ = schema["$defs"][registry.kind]["anyOf"]
    assert names["enum"] == list(with_options["properties"]) == registry.names()
    for name, options in with_options["properties"].items():
        assert options["description"], name
        if options["additionalProperties"] is False:
            assert set(options["properties"]) >= set(registry.options_of(name)), name


def test_every_field_with_a_choice_names_its_registry(schema: dict[str, Any]) -> None:
    plain = [
        f"{name}.{field}"
        for name, definition in schema["$defs"].items()
        for field, value in definition.get("properties", {}).items()
        if "#/$defs/Choice" in json.dumps(value)
    ]
    assert plain == ["Toy.optimizers"]  # which knows `gd` beside the registry
