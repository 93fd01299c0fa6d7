"""The `mtlsweep` command: entry point."""

from __future__ import annotations

import os
import sys

from mtlsweep.cli import analyse, failures, methods, mlflow, notify, plan, project, run, status, stop  # noqa: F401 (each adds its commands)
from mtlsweep.cli.app import app
from mtlsweep.cli.submit import command  # noqa: F401
from mtlsweep.cli.watch import command as watch  # noqa: F401

__all__ = ["app", "main"]


def main() -> None:
    """Run the command line; user modules next to params.yaml can be imported."""
    sys.path.insert(0, os.getcwd())
    app()


if __name__ == "__main__":
    main()
