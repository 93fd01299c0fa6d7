"""Map names in `params.yaml` to classes: one decorator, one look-up, typed options.

A registered class takes positional parameters from the program and keyword-only parameters from the
user. The keyword-only parameters are its options, with types, bounds (`Annotated[float, Field(gt=0)]`)
and defaults. `package.module:Name` is a class of the user, without registration.
"""

from __future__ import annotations

import importlib
import inspect
import pkgutil
import sys
import typing
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Generic, TypeVar

from pydantic import BaseModel, ConfigDict, ValidationError, create_model, field_validator
from pydantic_core import ErrorDetails

from mtlsweep.errors import UserError, nearest
from mtlsweep.files import file_hash
from mtlsweep.params.choice import Choice
from mtlsweep.params.mistakes import fields_at, first_problem, what_is_wrong
from mtlsweep.params.section import expand_home
from mtlsweep.params.source import module_identity

SOURCE = "source code"
"""Name of a class's source in `Registry.content`; no option can have this name."""

Made = TypeVar("Made", covariant=True)
Entry = TypeVar("Entry", bound=Callable[..., Any])


class Registry(Generic[Made]):
    """Classes and functions that create objects of one kind (weightings, networks, ...), by name.

    `Registry[Weighting]` holds subclasses of `Weighting` and functions that return one.

    Args:
        kind: name of the kind, in the singular, for error messages.
        package: package whose modules are imported once to fill the registry.
    """

    def __init__(self, kind: str, package: str) -> None:
        self.kind = kind
        self._package = package
        self._entries: dict[str, Callable[..., Made]] = {}
        self._models: dict[str, tuple[Callable[..., Any], type[BaseModel]]] = {}
        self._filled = False

    def register(self, name: str) -> Callable[[Entry], Entry]:
        """Return a decorator that registers a class or function under `name`."""

        def add(entry: Entry) -> Entry:
            if self._entries.setdefault(name, entry) is not entry:
                raise ValueError(f"two {self.kind}s are called {name!r}")
            return entry

        return add

    def names(self) -> list[str]:
        """Return every registered name, sorted."""
        self._fill()
        return sorted(self._entries)

    def get(self, name: str) -> Callable[..., Made]:
        """Return the class or function that `name` stands for.

        Raises:
            UserError: unknown name, or the module of `package.module:Name` does not define it.
        """
        self._fill()
        if name in self._entries:
            return self._entries[name]
        if ":" in name:
            return self._import(name)
        module, dot, attribute = name.rpartition(".")
        close = f"; did you mean your own `{module}:{attribute}`?" if dot else nearest(name, self._entries)
        raise UserError(
            f"unknown {self.kind} `{name}`{close} "
            f"Allowed: {', '.join(self.names())}, or your own `package.module:Name`."
        )

    def module(self, name: str) -> str:
        """Return the name of the module that defines `name`, or that its `package.module:Name` gives."""
        own, colon, _ = name.partition(":")
        return own if colon else self.get(name).__module__

    def options_of(self, name: str) -> dict[str, inspect.Parameter]:
        """Return the keyword-only parameters of `name`: its options, in declared order."""
        parameters = inspect.signature(self.get(name)).parameters.values()
        kinds = (inspect.Parameter.KEYWORD_ONLY, inspect.Parameter.VAR_KEYWORD)
        return {parameter.name: parameter for parameter in parameters if parameter.kind in kinds}

    def options_schema(self, name: str) -> dict[str, Any]:
        """Return the JSON schema of the options of `name`."""
        return self._options_model(name).model_json_schema()

    def resolve(self, choice: Choice) -> Choice:
        """Return `choice` with all options checked and converted, and defaults filled in.

        Raises:
            UserError: unknown name, unknown option, or an option of the wrong type or range.
        """
        model = self._options_model(choice.name)
        try:
            options = model(**choice.options)
        except ValidationError as error:
            first = first_problem(error)
            option = _field(first, choice.options)
            if first["type"] == "extra_forbidden":
                fields = fields_at(model, first["loc"][:-1])
                what = f"has no option `{option}`{nearest(str(first['loc'][-1]), fields)} Allowed: {', '.join(fields) or 'none'}."
            elif first["type"] == "missing" and isinstance(first["loc"][-1], str):
                what = f"needs the option `{option}`."
            else:
                what = f"option `{option}` is {first['input']!r}: {what_is_wrong(first)}."
            raise UserError(f"{self.kind} `{choice.name}` {what}") from error
        return Choice(name=choice.name, options=options.model_dump(mode="json"))

    def label(self, choice: Choice) -> str:
        """Return the display name of `choice`: its name, and in brackets the options that differ from the default."""
        resolved = self.resolve(choice)
        defaults = self.resolve_defaults(choice.name)
        changed = [
            f"{key}={self._shown(value)}" for key, value in resolved.options.items() if defaults.get(key) != value
        ]
        name = choice.name.rpartition(":")[2]
        return f"{name}({','.join(changed)})" if changed else name

    def resolve_defaults(self, name: str) -> dict[str, Any]:
        """Return the default of every option of `name` that has one."""
        model = self._options_model(name)
        return model.model_construct().model_dump(mode="json", exclude_unset=False)

    def content(self, choice: Choice) -> dict[str, str]:
        """Return hashes of what `choice` names without showing it: own code, and files given as options.

        The result is empty for a built-in name without files. Else it has the `SOURCE` of the user's own class
        (see `module_identity`), and for each option that is a `Path` the hash of that file's content.

        Raises:
            UserError: a file cannot be read, or the source of the class is not found.
        """
        try:
            identity = module_identity(self.module(choice.name))
        except UserError as error:
            raise UserError(f"{self.kind} `{choice.name}`: {error}") from error
        found = {} if identity is None else {SOURCE: identity}
        for option, value in self._options_model(choice.name)(**choice.options):
            if isinstance(value, Path):
                try:
                    found[option] = file_hash(value)
                except OSError as error:
                    raise UserError(
                        f"{self.kind} `{choice.name}`: option `{option}` is `{value}`, which cannot be read "
                        f"({error.strerror}): give the path of a file on this machine."
                    ) from error
        return found

    def create(self, choice: Choice, *context: Any) -> Made:
        """Build what `choice` names from `context` (positional) and its options (keywords).

        Raises:
            UserError: it does not take the positional arguments.
        """
        entry, options = self.get(choice.name), self._options_model(choice.name)(**choice.options).model_dump()
        try:
            return entry(*context, **options)
        except TypeError:
            try:
                inspect.signature(entry).bind(*context, **options)
            except TypeError as error:
                raise UserError(
                    f"{self.kind} `{choice.name}` cannot be called: {error}; it gets {len(context)} arguments by position, and its "
                    "options are those after a `*`."
                ) from error
            raise

    def _shown(self, value: Any) -> str:
        """Return the value of an option as a label shows it."""
        return f"{value:g}" if isinstance(value, float) else str(value)

    def _options_model(self, name: str) -> type[BaseModel]:
        """Return the model of the options of `name`; it is made once, as that takes milliseconds."""
        entry = self.get(name)
        known = self._models.get(name)
        if known is None or known[0] is not entry:  # the name may stand for another class now
            known = self._models[name] = (entry, self._make_options_model(name))
        return known[1]

    def _make_options_model(self, name: str) -> type[BaseModel]:
        hints = typing.get_type_hints(_signature_owner(self.get(name)), include_extras=True)
        fields: dict[str, Any] = {}
        config = ConfigDict(extra="forbid", frozen=True, protected_namespaces=())
        for parameter in self.options_of(name).values():
            hint = hints.get(parameter.name, Any)
            if parameter.kind is inspect.Parameter.VAR_KEYWORD:  # options named by the user, all of one type
                fields["__pydantic_extra__"] = (dict[str, hint], ...)  # type: ignore[valid-type]
                config["extra"] = "allow"
            else:
                required = parameter.default is inspect.Parameter.empty
                fields[parameter.name] = (hint, ... if required else parameter.default)
        home = {"home": field_validator("*")(expand_home)}
        return create_model(f"{name}_options", __config__=config, __validators__=home, **fields)

    def _import(self, name: str) -> Callable[..., Made]:
        module_name, _, attribute = name.partition(":")
        _refuse_old_name(self.kind, name, module_name)
        try:
            entry: Callable[..., Made] = getattr(importlib.import_module(module_name), attribute)
        except ModuleNotFoundError as error:
            _refuse_old_name(self.kind, name, error.name or "")
            remedy = "put its file next to `params.yaml` or install it"
            if module_name.endswith(".py"):
                remedy = f"leave `.py` out, as in `{module_name.removesuffix('.py')}:{attribute}`"
            raise UserError(f"{self.kind} `{name}`: module `{error.name}` not found; {remedy}.") from error
        except SyntaxError as error:
            raise UserError(
                f"{self.kind} `{name}`: {error.filename}, line {error.lineno}, is not Python ({error.msg}): correct it."
            ) from error
        except AttributeError as error:
            close = _of_python(module_name) or nearest(attribute, _made_in(module_name))
            raise UserError(
                f"{self.kind} `{name}`: module `{module_name}` does not define `{attribute}`{close}"
            ) from error
        return entry

    def _fill(self) -> None:
        if self._filled:
            return
        self._filled = True
        package = importlib.import_module(self._package)
        for module in pkgutil.walk_packages(package.__path__, f"{self._package}."):
            importlib.import_module(module.name)


def _field(error: ErrorDetails, options: Any) -> str:
    """Return the wrong option with the names that lead to its wrong field, such as `prior.share`, without pydantic's own marks."""
    names, missing = [], error["type"] == "missing"
    for part in error["loc"]:
        if isinstance(options, Mapping) and (part in options or (missing and part == error["loc"][-1])):
            names.append(str(part))
            options = options.get(part)
    return ".".join(names)


def _signature_owner(entry: Any) -> Any:
    """Return what has the types of the options; a dataclass has those of its bases, whose modules name them."""
    if not inspect.isclass(entry) or "__dataclass_fields__" in vars(entry):
        return entry
    return entry.__init__


def _made_in(module: str) -> list[str]:
    """Return the names of the classes and functions of an imported module."""
    return [name for name, value in vars(sys.modules[module]).items() if callable(value)]


def _of_python(module: str) -> str:
    """Return what to do if the module is of Python's library, and so perhaps not the one that was meant."""
    if module.partition(".")[0] not in sys.stdlib_module_names:
        return ""
    return "; it is a module of Python's library, so give a file of your own another name."


OLD_ROOMS = {
    "analysis": "analysis",
    "data": "suites",
    "networks": "suites.networks",
    "optimizers": "methods.optimizers",
    "registry": "params.registry",
    "studies": "studies",
    "sweep": "sweep",
    "tasks": "suites.tasks",
    "testing": "testing",
    "tracking": "record.mlflow",
    "training": "training",
    "weighting": "methods.weighting",
}
"""New location of each subpackage of the old package `pipeline`."""


def _refuse_old_name(kind: str, name: str, module: str) -> None:
    """Raise a `UserError` with the new name of a module called `pipeline...` until version 0.1."""
    package, _, inner = module.partition(".")
    if package != "pipeline":
        return
    room = inner.partition(".")[0]
    new = f"mtlsweep.{OLD_ROOMS.get(room, room)}".rstrip(".")
    raise UserError(
        f"{kind} `{name}`: the package `pipeline` is now called `mtlsweep`, and `{module}` is in `{new}`; "
        "change the import or the name in params.yaml."
    )
