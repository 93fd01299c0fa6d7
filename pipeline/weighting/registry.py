"""The weightings by name; every one takes its conventions as options beside its own."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

from pydantic import BaseModel, create_model

from pipeline.errors import UserError
from pipeline.registry import Choice, Registry
from pipeline.weighting.base import Conventions, GramianWeighting, JacobianWeighting, LossWeighting, TaskOptimizers

KINDS = (LossWeighting, GramianWeighting, JacobianWeighting, TaskOptimizers)


class WeightingRegistry(Registry[Any]):
    """A registry that knows the conventions."""

    def get(self, name: str) -> Any:
        """Return the class that `name` stands for.

        Raises:
            UserError: no such name, or it is no weighting.
        """
        entry = super().get(name)
        if not (isinstance(entry, type) and issubclass(entry, KINDS)):
            kinds = ", ".join(kind.__name__ for kind in KINDS)
            raise UserError(
                f"weighting `{name}` is no weighting: derive it from one of {kinds} in `pipeline.weighting`."
            )
        return entry

    def create(self, choice: Choice, *context: Any) -> Any:
        """Build the weighting that `choice` names for (task names, random stream)."""
        weighting_class = self.get(choice.name)
        options = self._options_model(choice.name)(**choice.options).model_dump()
        conventions = {name: options.pop(name) for name in weighting_class.allows}
        weighting = weighting_class(*context, **options)
        weighting.conventions = Conventions(**conventions)
        return weighting

    def _options_model(self, name: str) -> type[BaseModel]:
        fields: dict[str, Any] = {}
        for convention, allowed in self.get(name).allows.items():
            fields[convention] = (Literal[tuple(allowed)], allowed[0])
        model = super()._options_model(name)
        return create_model(model.__name__, __base__=model, **fields)


WEIGHTINGS = WeightingRegistry("weighting", "pipeline.weighting")


@dataclass(frozen=True)
class MethodRow:
    """One method as `mtlsweep methods` shows it.

    Attributes:
        name: as written in `params.yaml`.
        paper: authors, year, and where to find it.
        kind: `loss`, `gradient`, or `optimizer` (a weighting and optimizer in one).
        scale: the shared update as published.
        heads: what multiplies each head's own gradient, as published.
        cost: of one step, in backward passes.
    """

    name: str
    paper: str
    kind: str
    scale: str
    heads: str
    cost: str


def describe_methods() -> tuple[MethodRow, ...]:
    """Return a row for every registered weighting: loss methods first, by name within a kind."""
    order = ("loss", "gradient", "optimizer")
    methods = sorted(
        ((name, WEIGHTINGS.get(name)) for name in WEIGHTINGS.names()),
        key=lambda item: (order.index(item[1].kind), item[0]),
    )
    return tuple(
        MethodRow(name, method.facts.paper, method.kind, method.facts.scale, method.facts.heads, method.cost)
        for name, method in methods
    )
