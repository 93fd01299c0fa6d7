"""Classes and functions in place of names: in Python, params may hold the object that `package.module:Name` means."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from mtlsweep.errors import UserError


def named(value: Any) -> Any:
    """Return params with every class and function in them replaced by its name, `package.module:Name`.

    Raises:
        UserError: an object is defined in a notebook, in a script, inside a function, or in this package: there is no
            file to follow, or it has a shorter name.
    """
    if isinstance(value, Mapping):
        return {named(key): named(entry) for key, entry in value.items()}
    if isinstance(value, list | tuple):
        return [named(entry) for entry in value]
    return _name_of(value) if callable(value) else value


def _name_of(entry: Any) -> str:
    module, name = getattr(entry, "__module__", None), getattr(entry, "__qualname__", None)
    if module is None or name is None:
        raise UserError(
            f"{entry!r} has no name: give a class or a function of a file, with its options as "
            "`{'my_module:Name': {'option': 1}}`."
        )
    if module == "__main__":
        raise UserError(
            f"`{name}` is defined in a notebook or script, and workers cannot import it from there; its source is also part of "
            f"a trial's key: put it into a file next to params.yaml, such as my_tasks.py (in a notebook with "
            f"`%%writefile my_tasks.py`), and import it."
        )
    if "<" in name:
        raise UserError(
            f"`{module}:{name}` is defined inside a function, and workers cannot import it: define it at the top of its file."
        )
    if module.partition(".")[0] == "mtlsweep":
        raise UserError(
            f"`{name}` is built in: give its name as in params.yaml, such as 'lenet', 'adam' or 'uw'; "
            "`mtlsweep methods` lists weightings and optimizers."
        )
    return f"{module}:{name}"
