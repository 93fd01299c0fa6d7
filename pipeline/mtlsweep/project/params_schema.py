"""JSON schema of `params.yaml`, from the models and registries that check it, so that editors complete and check the file."""

from __future__ import annotations

import inspect
import re
from collections.abc import Iterator, Mapping
from typing import Any

from mtlsweep.methods.optimizers import OPTIMIZERS
from mtlsweep.methods.weighting import WEIGHTINGS
from mtlsweep.params.params import params_model
from mtlsweep.params.registry import Registry
from mtlsweep.suites.datasets.dataset import DATASETS
from mtlsweep.suites.networks.multitask import NETWORKS
from mtlsweep.suites.tasks.task import TASKS
from mtlsweep.sweep.strategies.strategy import STRATEGIES

REGISTRIES: Mapping[str, Registry[Any]] = {
    "dataset": DATASETS,
    "network": NETWORKS,
    "optimizer": OPTIMIZERS,
    "optimizers": OPTIMIZERS,
    "weighting": WEIGHTINGS,
    "weightings": WEIGHTINGS,
    "strategy": STRATEGIES,
    "base": OPTIMIZERS,
    "targets": TASKS,
}
"""By the names of the fields and options whose values are looked up in them."""

OWN_NAME = r"^[A-Za-z_][\w.]*:[A-Za-z_]\w*$"
"""`package.module:Name` of a user."""

_MERGED = ("Suite", "Data", "Training", "Baselines", "Sweep")
"""Sections whose fields may stand under `defaults` instead, so that the file need not have them in each suite."""


def params_schema() -> dict[str, Any]:
    """Return the JSON schema (draft 2020-12) of a `params.yaml` as it is written: with `defaults` and short forms.

    What depends on other fields is not in it, such as whether an active suite exists: `mtlsweep plan` checks that.
    """
    schema = params_model().model_json_schema()
    definitions: dict[str, Any] = schema["$defs"]
    for name in _MERGED:
        definitions[name].pop("required", None)
    definitions["Axis"] = {"anyOf": [{"type": "array"}, definitions["Axis"]]}
    registries = dict.fromkeys(REGISTRIES.values())
    choices = {registry.kind: _choice_of(registry, definitions) for registry in registries}
    for name, definition in definitions.items():
        _describe_fields(definition)
        _name_registries(definition, own=("optimizers",) if name == "Toy" else ())
    definitions |= choices
    definitions["Choice"] = {"type": ["string", "object"]}
    schema["properties"]["defaults"] = {
        "$ref": "#/$defs/Suite",
        "description": "Defaults of every suite, section by section. A suite's own field replaces the default.",
    }
    _describe_fields(schema)
    for part in _mappings(schema):
        if isinstance(part.get("title"), str):
            del part["title"]  # it only repeats the field's name
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", "title": "params.yaml of mtlsweep", **schema}


def _name_registries(definition: dict[str, Any], own: tuple[str, ...] = ()) -> None:
    """Let the fields that hold choices of a registry refer to its definition; those in `own` know further names."""
    for field, value in definition.get("properties", {}).items():
        for place in _mappings(value):
            if place.get("$ref") == "#/$defs/Choice":
                place["$ref"] = "#/$defs/" + ("Choice" if field in own else REGISTRIES[field].kind)
        if isinstance(value.get("default"), (dict, list)):
            del value["default"]  # as the model holds it, which is not how it is written


def _mappings(value: Any) -> Iterator[dict[str, Any]]:
    """Yield every mapping in JSON, `value` itself included."""
    if isinstance(value, dict):
        yield value
        value = list(value.values())
    if isinstance(value, list):
        for inner in value:
            yield from _mappings(inner)


def _choice_of(registry: Registry[Any], definitions: dict[str, Any]) -> dict[str, Any]:
    """Return what may stand for one object of a registry: a name, or one name with its options; their types go to `definitions`."""
    names = registry.names()
    return {
        "description": f"A {registry.kind}: its name, or its name with options.",
        "anyOf": [
            {"enum": names},
            {"type": "string", "pattern": OWN_NAME},
            {
                "type": "object",
                "minProperties": 1,
                "maxProperties": 1,
                "properties": {name: _options_of(registry, name, definitions) for name in names},
                "patternProperties": {OWN_NAME: {"type": "object"}},
                "additionalProperties": False,
            },
            {
                "type": "object",
                "properties": {
                    "name": {"anyOf": [{"enum": names}, {"type": "string", "pattern": OWN_NAME}]},
                    "options": {"type": "object"},
                },
                "required": ["name"],
                "additionalProperties": False,
            },
        ],
    }


def _options_of(registry: Registry[Any], name: str, definitions: dict[str, Any]) -> dict[str, Any]:
    """Return the schema of the options of `name`, with the first sentence of what it is."""
    schema = registry.options_schema(name)
    for kind, definition in schema.pop("$defs", {}).items():
        definitions.setdefault(kind, definition)
    _name_registries(schema)
    if registry is TASKS:
        schema.pop("required", None)  # a table counts the classes of a column, and measures its deviation
    first = (inspect.getdoc(registry.get(name)) or "").partition("\n\n")[0]
    return {**schema, "description": " ".join(first.split())}


def _describe_fields(definition: dict[str, Any]) -> None:
    """Give fields what the section `Attributes:` of the model's docstring says about them."""
    summary, _, attributes = definition.get("description", "").partition("\nAttributes:\n")
    if not attributes:
        return
    definition["description"] = summary.strip()
    for field, text in re.findall(r"^    (\w+): ((?:.|\n     )*)", attributes, flags=re.MULTILINE):
        definition["properties"].get(field, {}).setdefault("description", " ".join(text.split()))
