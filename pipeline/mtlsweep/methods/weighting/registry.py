"""The weightings by name; each takes the conventions as options in addition to its own."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import BaseModel, create_model

from mtlsweep.errors import UserError
from mtlsweep.methods.weighting.kinds import GramianWeighting, JacobianWeighting, LossWeighting, TaskOptimizers
from mtlsweep.methods.weighting.weighting import Conventions, Weighting
from mtlsweep.params.choice import Choice
from mtlsweep.params.registry import Registry

KINDS = (LossWeighting, GramianWeighting, JacobianWeighting, TaskOptimizers)


class WeightingRegistry(Registry[Weighting]):
    """A registry that adds the conventions to the options of each weighting."""

    def get(self, name: str) -> type[Weighting]:
        """Return the class that `name` stands for.

        Raises:
            UserError: no such name, or it is not a weighting.
        """
        entry = super().get(name)
        if not (isinstance(entry, type) and issubclass(entry, KINDS)):
            kinds = ", ".join(kind.__name__ for kind in KINDS)
            raise UserError(
                f"weighting `{name}` is not a weighting: derive it from one of {kinds} in `mtlsweep.methods.weighting`."
            )
        return entry

    def create(self, choice: Choice, *context: Any) -> Weighting:
        """Build the weighting that `choice` names for (task names, random stream)."""
        weighting_class = self.get(choice.name)
        options = self._options_model(choice.name)(**choice.options).model_dump()
        conventions = {name: options.pop(name) for name in weighting_class.allows}
        weighting = weighting_class(*context, **options)
        weighting.conventions = Conventions(**conventions)
        return weighting

    def _make_options_model(self, name: str) -> type[BaseModel]:
        fields: dict[str, Any] = {}
        for convention, allowed in self.get(name).allows.items():
            fields[convention] = (Literal[tuple(allowed)], allowed[0])
        model = super()._make_options_model(name)
        return create_model(model.__name__, __base__=model, **fields)


WEIGHTINGS = WeightingRegistry("weighting", "mtlsweep.methods.weighting")
