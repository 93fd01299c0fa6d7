"""What the methods of studies without a suite use that params.yaml does not show: own code, and files given as options.

The keys of trials say this for studies of a suite. Others train without keys, so `dvc repro` follows these files.
"""

from __future__ import annotations

import importlib
from collections.abc import Iterable
from typing import Any

from mtlsweep import paths
from mtlsweep.errors import UserError
from mtlsweep.params.choice import Choice
from mtlsweep.params.followed import read_followed, write_followed
from mtlsweep.params.params import Params
from mtlsweep.params.studies import STUDIES


def write_methods_used(params: Params) -> None:
    """Write the content of every such study's methods, if anything has changed on which it depends.

    Raises:
        UserError: an unknown name or wrong option, a file or the source of own code is not found, or nothing can be written.
    """
    for name, section in params.studies:
        path, values = paths.methods_used(name), section.model_dump(mode="json")
        if read_followed(path, values) is None:
            run = importlib.import_module(f"{STUDIES}.{name}.run")  # imports torch
            content, files = _content(run.methods(section))
            try:
                write_followed(path, content, values, files)
            except OSError as error:
                raise UserError(f"`{path}` cannot be written ({error.strerror}).") from error


def _content(methods: Iterable[tuple[Choice, Choice]]) -> tuple[list[Any], set[str]]:
    """Return weightings and optimizers with their content, and the paths of their files."""
    from mtlsweep.methods.optimizers import OPTIMIZERS
    from mtlsweep.methods.weighting import WEIGHTINGS

    content: list[Any] = []
    files: set[str] = set()
    for method in methods:
        for registry, choice in zip((WEIGHTINGS, OPTIMIZERS), method, strict=True):
            resolved = registry.resolve(choice)
            found = registry.content(resolved)
            files.update(str(resolved.options[option]) for option in found if option in resolved.options)
            entry = {"kind": registry.kind, "name": choice.name, "content": found}
            if found and entry not in content:
                content.append(entry)
    return content, files
