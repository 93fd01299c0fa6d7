"""The identity of code: a hash of a module and of the modules of the project that it imports.

Imports are read from the source, at any depth of it, and nothing is executed. Comments, formatting and
docstrings do not count. What a program imports by a computed name, and data files it reads, are not found.
"""

from __future__ import annotations

import ast
import importlib.metadata
import sys
import sysconfig
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import cache
from importlib.machinery import ModuleSpec, PathFinder
from pathlib import Path
from typing import Any

from mtlsweep.errors import UserError
from mtlsweep.files import content_hash

PACKAGE = "mtlsweep"
PACKAGE_FOLDER = Path(__file__).parents[1]
INSTALLED = {"site-packages", "dist-packages"}

Follow = Callable[[str, Path], bool]
"""Says of a module (name, file) whether its source counts and its imports are followed."""


def module_identity(module: str) -> str | None:
    """Return what identifies the user's module called `module`.

    Of an installed distribution this is `name==version`, else a hash of the module and of all own modules that it
    imports, directly or not. Modules of this package, which `TRAINER_VERSION` stands for, and of Python's library
    have none.

    Raises:
        UserError: the module is `__main__`, or its source is not found.
    """
    if _top(module) == PACKAGE:
        return None
    file = _file(module)
    if module == "__main__" or file is None:
        raise UserError(
            f"the source of module `{module}` was not found, so changes in it would not be noticed: "
            "put the code into a Python file next to `params.yaml`."
        )
    if INSTALLED.isdisjoint(file.parts):
        return source_hash([module], is_own) if is_own(module, file) else None
    distributions = _distributions().get(_top(module), [])
    if distributions:
        return "; ".join(f"{name}=={importlib.metadata.version(name)}" for name in sorted(set(distributions)))
    return source_hash([module], lambda name, _: _top(name) == _top(module))


def is_own(module: str, file: Path) -> bool:
    """Whether a module is the user's: not of this package, not installed, not of Python's library."""
    library = Path(sysconfig.get_path("stdlib")) in file.parents
    return _top(module) != PACKAGE and not library and INSTALLED.isdisjoint(file.parts)


def source_hash(modules: Sequence[str], follow: Follow) -> str:
    """Return a hash of the source of `modules` and of what they import, as far as `follow` says."""
    hashes: dict[str, str | None] = {}
    waiting = [part for module in modules for part in _with_packages(module)]
    while waiting:
        name = waiting.pop()
        if name in hashes:
            continue
        file = _file(name)
        if file is None or not follow(name, file):
            hashes[name] = None
            continue
        content = file.read_bytes()
        try:
            tree = ast.parse(content)
        except (SyntaxError, ValueError):  # not Python, such as a compiled extension
            hashes[name] = content_hash(content.hex())
            continue
        hashes[name] = content_hash(_plain(_without_docstrings(tree)))
        imported = _imports(tree, name if file.stem == "__init__" else name.rpartition(".")[0])
        waiting.extend(part for one in imported for part in _with_packages(one))
    return content_hash({name: value for name, value in hashes.items() if value is not None})


@cache
def _distributions() -> Mapping[str, list[str]]:
    """Return the installed distributions of each top-level module; this takes a second."""
    return importlib.metadata.packages_distributions()


def _file(name: str) -> Path | None:
    spec = _find(name)
    origin = spec.origin if spec is not None and spec.has_location else getattr(sys.modules.get(name), "__file__", None)
    return None if origin is None else Path(origin).resolve()


def _find(name: str) -> ModuleSpec | None:
    """Find a module; `importlib.util.find_spec` would execute the packages that it is in."""
    top, *inner = name.split(".")
    specs = (finder.find_spec(top, None, None) for finder in sys.meta_path if hasattr(finder, "find_spec"))
    found = next((spec for spec in specs if spec is not None), None)
    for part in inner:
        if found is None or found.submodule_search_locations is None:
            return None
        found = PathFinder.find_spec(part, list(found.submodule_search_locations))
    return found


def _imports(tree: ast.Module, package: str) -> Iterator[str]:
    """Yield the names of what a module of `package` imports; some are names of classes or functions."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            parents = package.split(".")[: len(package.split(".")) - node.level + 1] if node.level else []
            base = ".".join([*filter(None, parents), *([node.module] if node.module else [])])
            yield from (f"{base}.{alias.name}".strip(".") for alias in node.names)


def _with_packages(module: str) -> list[str]:
    """Return a module and the packages it is in, which are executed before it."""
    parts = module.split(".")
    return [".".join(parts[:end]) for end in range(1, len(parts) + 1)]


def _without_docstrings(tree: ast.Module) -> ast.Module:
    for node in ast.walk(tree):
        if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
            first = node.body[0] if node.body else None
            if (
                isinstance(first, ast.Expr)
                and isinstance(first.value, ast.Constant)
                and isinstance(first.value.value, str)
            ):
                del node.body[0]
    return tree


def _plain(node: Any) -> Any:
    """Return a syntax tree as JSON. Empty fields are left out: Python versions differ in which there are."""
    if isinstance(node, ast.AST):
        fields = {name: value for name, value in ast.iter_fields(node) if value is not None and value != []}
        return [type(node).__name__, {name: _plain(value) for name, value in fields.items()}]
    if isinstance(node, list):
        return [_plain(one) for one in node]
    return repr(node)


def _top(module: str) -> str:
    return module.partition(".")[0]
