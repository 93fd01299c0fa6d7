"""Describe an error in params.yaml in one sentence: field, value, what is allowed, nearest correct name."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, get_args

from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

from mtlsweep.errors import nearest


def as_sentence(error: ValidationError, model: type[BaseModel], raw: Mapping[str, Any], source: str) -> str:
    """Return the first problem of `error` as one sentence; an unknown key first, as it may be a missing one misspelt."""
    first = first_problem(error)
    parts = [part for part in first["loc"] if part != "[key]"]  # pydantic's mark of a wrong name in a mapping
    path = _dotted(_path_in_file(parts, raw))
    if first["type"] == "extra_forbidden":
        allowed = [*fields_at(model, parts[:-1]), *([] if parts[:-1] else ["defaults"])]
        return f"{source}: `{path}` is an unknown key{nearest(str(parts[-1]), allowed)} Allowed: {', '.join(allowed)}."
    if first["type"] == "missing":
        return f"{source}: `{path}` is missing; add it, as in the suites of the project."
    if first["type"] == "too_short":
        return f"{source}: `{path}` is empty; list at least one value."
    if first["type"] == "value_error":
        return f"{source}: `{path}` is {first['input']!r}: {what_is_wrong(first)}."
    return f"{source}: `{path}` is {first['input']!r}; it should be {what_is_wrong(first).removeprefix('should be ')}."


def first_problem(error: ValidationError) -> ErrorDetails:
    """Return the problem to tell: the first unknown key, or else the first of all."""
    problems = error.errors()
    return next((problem for problem in problems if problem["type"] == "extra_forbidden"), problems[0])


def what_is_wrong(problem: ErrorDetails) -> str:
    """Return pydantic's words on a value in those of YAML."""
    if problem["type"] in ("tuple_type", "list_type"):
        return "should be a list, such as `[a, b]`"
    if problem["type"] == "missing":
        return "it has too few values"
    if problem["type"] in ("dict_type", "mapping_type", "model_type"):
        return "should be a mapping, such as `{name: value}`"
    return problem["msg"].removeprefix("Value error, ").replace("Input should be", "should be")


def _path_in_file(parts: list[int | str], raw: Mapping[str, Any]) -> list[int | str]:
    """Return the path in the file: it starts with `defaults` if the wrong value is there."""
    if len(parts) < 4 or parts[0] != "suites":
        return parts
    own = raw["suites"][parts[1]].get(parts[2])
    if isinstance(own, Mapping) and parts[3] in own:
        return parts
    shared = (raw.get("defaults") or {}).get(parts[2])
    return ["defaults", *parts[2:]] if isinstance(shared, Mapping) and parts[3] in shared else parts


def _dotted(parts: list[int | str]) -> str:
    return "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in parts).removeprefix(".")


def fields_at(model: type[BaseModel], parts: Sequence[int | str]) -> list[str]:
    """Return the keys allowed in the section at `parts`."""
    for part in parts:
        if str(part) not in model.model_fields:  # a name chosen by the user, such as a suite name
            continue
        annotation = model.model_fields[str(part)].annotation
        inner = [kind for kind in (annotation, *get_args(annotation)) if _is_model(kind)]
        model = inner[0] if inner else model
    return list(model.model_fields)


def _is_model(kind: Any) -> bool:
    return isinstance(kind, type) and issubclass(kind, BaseModel)
