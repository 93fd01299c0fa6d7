"""Own modules that were edited after this process imported them: keys would name the new source, but the old code would train."""

from __future__ import annotations

import sys
from importlib.machinery import ModuleSpec
from pathlib import Path

from mtlsweep.errors import UserError
from mtlsweep.files import file_hash
from mtlsweep.params.source import is_own

_first_seen: dict[int, tuple[ModuleSpec, str]] = {}
"""By the identity of a module's spec, which `importlib.reload` replaces: the spec, and the source's hash at first sight."""


def check_loaded_code(directory: Path) -> None:
    """Check that the modules of a directory that this process has imported are still what their files say.

    What is edited between a module's import and the first call for it is not noticed.

    Raises:
        UserError: a file was edited since.
    """
    for name, module in list(sys.modules.items()):
        spec, file = getattr(module, "__spec__", None), getattr(module, "__file__", None)
        if spec is None or file is None or directory not in Path(file).parents or not is_own(name, Path(file)):
            continue
        if not Path(file).exists():
            continue
        source = file_hash(Path(file))
        _, seen = _first_seen.setdefault(id(spec), (spec, source))
        if source != seen:
            raise UserError(
                f"`{Path(file).name}` was edited after this process imported it, and the old code would be trained under the "
                f"new code's name: restart the kernel, or call `importlib.reload` on `{name}`."
            )
