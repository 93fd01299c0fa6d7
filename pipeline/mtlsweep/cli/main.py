"""The `mtlsweep` command: entry point."""

from __future__ import annotations

import importlib.metadata
import os
import sys
from pathlib import Path

from mtlsweep.cli import analyse, failures, methods, mlflow, notify, plan, project, run, status, stop  # noqa: F401 (each adds its commands)
from mtlsweep.cli.app import app
from mtlsweep.cli.submit import command  # noqa: F401
from mtlsweep.cli.watch import command as watch  # noqa: F401

__all__ = ["app", "main"]


def main() -> None:
    """Run the command line; user modules next to params.yaml can be imported."""
    sys.path.insert(0, os.getcwd())
    try:
        app()
    except (ImportError, AttributeError) as error:
        hiding = _hiding()
        if not hiding:
            raise
        print(
            f"mtlsweep: {error}. This folder has {' and '.join(hiding)}, and other code imports a module of that name: rename the file.",
            file=sys.stderr,
        )
        sys.exit(2)


def _hiding() -> list[str]:
    """Return the files of the present folder that have the name of a module of Python's library or of a package."""
    modules = sys.stdlib_module_names | importlib.metadata.packages_distributions().keys()
    return sorted(f"`{path.name}`" for path in Path().glob("*.py") if path.stem in modules)


if __name__ == "__main__":
    main()
