"""A registered name with its options, as written in params.yaml."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pydantic import BaseModel, ConfigDict, model_validator


class Choice(BaseModel):
    """A registered name and its options; in YAML `name` or `name: {option: value}`."""

    model_config = ConfigDict(frozen=True, extra="forbid")
    name: str
    options: Mapping[str, Any] = {}

    @model_validator(mode="before")
    @classmethod
    def _read_short_forms(cls, value: Any) -> Any:
        if isinstance(value, str):
            return {"name": value}
        if isinstance(value, Mapping) and len(value) == 1 and "name" not in value:
            ((name, options),) = value.items()
            if not isinstance(options, Mapping):
                raise ValueError(f"the options of `{name}` must be a mapping such as {{option: value}}")
            return {"name": name, "options": dict(options)}
        if isinstance(value, Mapping) and set(value) <= {"name", "options"} and "name" in value:
            return value
        raise ValueError("must be a name, or one name with its options such as `cagrad: {c: 0.5}`")
