"""`params.yaml` as typed models.

Every key is known and every value has a type and a range. An error message gives the dotted path of
the field, the value found, what is allowed and the nearest correct name. Names of weightings,
optimizers, networks and datasets are checked when the plan is made (`mtlsweep.sweep.plan.cells`),
because their packages import this one.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Annotated, Any

import yaml
from pydantic import AfterValidator, Field, ValidationError, create_model

from mtlsweep.errors import UserError, nearest
from mtlsweep.files import read_text
from mtlsweep.params.mistakes import as_sentence
from mtlsweep.params.resources import Notify, Resources
from mtlsweep.params.section import Section, without_repeats
from mtlsweep.params.studies import sections_model
from mtlsweep.params.suite import Suite
from mtlsweep.params.suite_names import check_suite_names
from mtlsweep.params.yaml_file import parse_yaml

PARAMS_FILE = Path("params.yaml")


class Params(Section):
    """The whole of `params.yaml`, with the shared defaults merged into each suite."""

    active: Annotated[tuple[str, ...], Field(min_length=1), AfterValidator(without_repeats)]
    suites: Mapping[str, Suite]
    studies: Section = Section()
    resources: Resources = Resources()
    notify: Notify = Notify()

    def suite(self, name: str) -> Suite:
        """Return the suite called `name`.

        Raises:
            UserError: the suite does not exist.
        """
        if name not in self.suites:
            allowed = ", ".join(sorted(self.suites))
            raise UserError(
                f"unknown suite `{name}`{nearest(name, self.suites)} Allowed: {allowed} (suites of params.yaml)."
            )
        return self.suites[name]

    def with_sweep(self, name: str, **changes: Any) -> Params:
        """Return the params with fields of one suite's sweep changed; the values are taken as they are."""
        suite = self.suite(name)
        changed = suite.model_copy(update={"sweep": suite.sweep.model_copy(update=changes)})
        return self.model_copy(update={"suites": {**self.suites, name: changed}})


@cache
def params_model() -> type[Params]:
    """Return `Params` extended by the sections of all studies."""
    suite: Any = create_model("Suite", __base__=Suite, studies=_studies_field(per_suite=True))
    return create_model(
        "Params", __base__=Params, suites=(Mapping[str, suite], ...), studies=_studies_field(per_suite=False)
    )


def _studies_field(per_suite: bool) -> Any:
    model = sections_model(per_suite)
    return (model, model())


def load_params(path: Path = PARAMS_FILE) -> Params:
    """Read and check `params.yaml`.

    Raises:
        UserError: the file is missing, is not UTF-8 or YAML, or a field is wrong; the message names it.
    """
    try:
        raw = parse_yaml(read_text(path))
    except FileNotFoundError as error:
        above = next((folder for folder in Path.cwd().parents if (folder / path).is_file()), None)
        remedy = (
            f"run from the project's root{f', {above}' if above else ''}, or make a project with `mtlsweep new NAME`"
        )
        raise UserError(f"{path}: file not found; {remedy}.") from error
    except IsADirectoryError as error:
        raise UserError(f"{path}: a folder; name the file in it, {path / PARAMS_FILE}.") from error
    except OSError as error:
        raise UserError(f"{path}: cannot be read: {error.strerror}.") from error
    except yaml.YAMLError as error:
        raise UserError(f"{path}: not valid YAML: {' '.join(str(error).split())}.") from error
    except ValueError as error:
        raise UserError(f"{path}: {error}.") from error
    if not isinstance(raw, Mapping):
        raise UserError(
            f"{path}: found {type(raw).__name__}; it must be a mapping with the keys `active` and `suites`."
        )
    return parse_params(raw, source=str(path))


def parse_params(raw: Mapping[str, Any], source: str = "params.yaml") -> Params:
    """Check the content of a `params.yaml`; see `load_params`."""
    merged = {key: value for key, value in raw.items() if key != "defaults"}
    defaults = _mapping(raw.get("defaults") or {}, "defaults", source)
    suites = _mapping(raw.get("suites") or {}, "suites", source)
    check_suite_names(suites, source)
    merged["suites"] = {
        name: _with_defaults(_mapping(suite, f"suites.{name}", source), defaults) for name, suite in suites.items()
    }
    try:
        params = params_model().model_validate(merged)
    except ValidationError as error:
        raise UserError(as_sentence(error, params_model(), raw, source)) from error
    for position, name in enumerate(params.active):
        if name not in params.suites:
            allowed = ", ".join(sorted(params.suites))
            raise UserError(
                f"{source}: `active[{position}]` is `{name}`, an unknown suite{nearest(name, params.suites)} Allowed: {allowed}."
            )
    return params


def _mapping(value: Any, path: str, source: str) -> Mapping[str, Any]:
    if not isinstance(value, Mapping):
        raise UserError(f"{source}: `{path}` is {value!r}; it must be a mapping of names to values.")
    return value


def _with_defaults(suite: Mapping[str, Any], defaults: Mapping[str, Any]) -> dict[str, Any]:
    """Merge `defaults` into `suite` by section; a field of the suite replaces the whole default field."""
    merged = dict(suite)
    for section, fields in defaults.items():
        own = merged.get(section, {})
        if isinstance(fields, Mapping) and isinstance(own, Mapping) and section != "network":
            merged[section] = {**fields, **own}
        else:
            merged.setdefault(section, fields)
    return merged
