"""Files that stay as they are until something changes on which they depend.

Beside `<name>.json` lies `<name>.basis.json`, a hash of the values, own code, files and package code that it was made from. So
whoever needs the content again need not import torch, which takes seconds, to learn that it is the same.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator
from contextlib import suppress
from functools import lru_cache
from pathlib import Path
from typing import Any

from mtlsweep.errors import UserError
from mtlsweep.files import content_hash, file_hash, indented_json, write_atomically, write_if_changed
from mtlsweep.params.source import PACKAGE_FOLDER, module_identity

OWN_NAME = re.compile(r"([\w.]+):\w+")


def read_followed(path: Path, values: Any) -> Any:
    """Return the JSON in `path`, or None if it is missing or was made from anything else than there is now."""
    with suppress(OSError, ValueError, KeyError, UserError):
        content = path.read_bytes()
        made = json.loads(_basis_file(path).read_bytes())
        if made["content"] == content_hash(content.hex()) and made["basis"] == _basis(values, made["files"]):
            return json.loads(content)
    return None


def write_followed(path: Path, content: Any, values: Any, files: Iterable[str] = ()) -> None:
    """Write `content` as JSON, and what it was made from; a file of equal content is left alone.

    Args:
        path: `<name>.json`.
        content: what the caller made from `values` and `files` with code of this package and of the user.
        values: JSON; strings such as `module:Name` stand for own code.
        files: paths of files that were read.

    Raises:
        OSError: a file cannot be read or written.
        UserError: the source of own code is not found.
    """
    text = indented_json(content)
    files = sorted(files)
    made = {"content": content_hash(text.hex()), "basis": _basis(values, files), "files": files}
    write_if_changed(path, text)
    write_atomically(_basis_file(path), json.dumps(made).encode())


def package_hash() -> str:
    """Return a hash of this package's code."""
    return content_hash(_package_hashes(PACKAGE_FOLDER))


def _basis_file(path: Path) -> Path:
    return path.with_suffix(".basis.json")


def _basis(values: Any, files: Iterable[str]) -> str:
    modules = sorted({own[1] for text in _strings(values) if (own := OWN_NAME.fullmatch(text))})
    return content_hash(
        [
            values,
            {module: module_identity(module) for module in modules},
            {file: file_hash(Path(file)) for file in files},
            _package_hashes(PACKAGE_FOLDER),
        ]
    )


@lru_cache
def _package_hashes(folder: Path) -> list[str]:
    """Return the hash of each file of the package, once a process: a process runs the code that it was started with."""
    return [content_hash(path.read_bytes().hex()) for path in sorted(folder.rglob("*.py"))]


def _strings(value: Any) -> Iterator[str]:
    """Yield every string in JSON, names of fields included."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict):
        for name, inner in value.items():
            yield from (name, *_strings(inner))
    elif isinstance(value, list):
        for inner in value:
            yield from _strings(inner)
