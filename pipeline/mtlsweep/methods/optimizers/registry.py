"""The registry of optimizers, and the types their options share."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterable, Mapping
from typing import Annotated, Any

from pydantic import BaseModel, Field
from torch import Tensor
from torch.optim import Optimizer

from mtlsweep.methods.optimizers import foreign
from mtlsweep.methods.optimizers.parameters import Parameters
from mtlsweep.params.choice import Choice
from mtlsweep.params.registry import SOURCE, Registry

NotNegative = Annotated[float, Field(ge=0)]
NotPositive = Annotated[float, Field(le=0)]
Positive = Annotated[float, Field(gt=0)]
BelowOne = Annotated[float, Field(ge=0, lt=1)]
AtLeastOne = Annotated[float, Field(ge=1)]


class OptimizerRegistry(Registry[Optimizer]):
    """A registry that also takes optimizers of other packages, and optimizers around others."""

    def get(self, name: str) -> Callable[..., Optimizer]:
        """Return the class or function that `name` stands for.

        Raises:
            UserError: no such name, or it is a class that is no optimizer.
        """
        entry = super().get(name)
        foreign.require_optimizer(name, entry)
        return entry

    def options_of(self, name: str) -> dict[str, inspect.Parameter]:
        entry = self.get(name)
        return foreign.options_of(name, entry) if foreign.is_foreign(entry) else super().options_of(name)

    def resolve(self, choice: Choice) -> Choice:
        resolved = super().resolve(choice)
        entry = self.get(choice.name)
        if foreign.is_foreign(entry):
            foreign.rehearse(choice.name, entry, self._options_model(choice.name)(**choice.options))
        return resolved

    def resolve_defaults(self, name: str) -> dict[str, Any]:
        defaults = super().resolve_defaults(name)
        return {
            option: self.resolve(inner).model_dump(mode="json") if (inner := _as_choice(value)) else value
            for option, value in defaults.items()
        }

    def content(self, choice: Choice) -> dict[str, str]:
        found = super().content(choice)
        if SOURCE in found:
            found[SOURCE] = foreign.without_build(found[SOURCE])
        for option, value in self._options_model(choice.name)(**choice.options):
            if isinstance(value, Choice):
                found |= {f"{what} of {option}": content for what, content in self.content(value).items()}
        return found

    def create(self, choice: Choice, *context: Any) -> Optimizer:
        """Build the optimizer that `choice` names for (parameters, learning rate).

        Parameters without groups, as a list of tensors, are grouped by their shapes.
        """
        parameters, learning_rate = context
        if not isinstance(parameters, Parameters):
            parameters = Parameters.by_shape(parameters)
        entry = self.get(choice.name)
        options = dict(self._options_model(choice.name)(**choice.options))
        if foreign.is_foreign(entry):
            return entry(list(parameters), lr=learning_rate, **options)
        return entry(parameters, learning_rate, **options)

    def _make_options_model(self, name: str) -> type[BaseModel]:
        entry = self.get(name)
        if foreign.is_foreign(entry):
            return foreign.options_model(name, entry)
        return super()._make_options_model(name)

    def _shown(self, value: Any) -> str:
        inner = _as_choice(value)
        return super()._shown(value) if inner is None else self.label(inner)


OPTIMIZERS = OptimizerRegistry("optimizer", "mtlsweep.methods.optimizers")


def _as_choice(value: Any) -> Choice | None:
    """Return a choice that was dumped as JSON, or None for any other value."""
    if isinstance(value, Mapping) and set(value) == {"name", "options"}:
        return Choice.model_validate(value)
    return None


def without_weight_decay(optimizer: Choice, unless_given: bool = False) -> Choice:
    """Return `optimizer`, and an optimizer that is an option of it, with weight decay 0 where it has one.

    Args:
        optimizer: of OPTIMIZERS.
        unless_given: whether to keep the weight decay that its options give.
    """
    options = dict(optimizer.options)
    for name, parameter in OPTIMIZERS.options_of(optimizer.name).items():
        if name == "weight_decay" and not (unless_given and name in options):
            options[name] = 0.0
        elif isinstance(parameter.default, Choice):
            inner = Choice.model_validate(options[name]) if name in options else parameter.default
            options[name] = without_weight_decay(inner, unless_given).model_dump(mode="json")
    return Choice(name=optimizer.name, options=options)


def has_fused_kernel(parameters: Iterable[Tensor]) -> bool:
    """Return whether torch has one kernel for a whole optimizer step where `parameters` live."""
    return all(parameter.device.type in ("cpu", "cuda") for parameter in parameters)
