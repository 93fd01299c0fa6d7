"""`mtlsweep`: what would run, how far it is, and the record of what ran."""

from __future__ import annotations

import os
import sys

from mtlsweep.cli import analyse, failures, methods, mlflow, plan, run, status, stop  # noqa: F401 (each adds its commands)
from mtlsweep.cli.app import app
from mtlsweep.cli.submit import command  # noqa: F401


def main() -> None:
    """Run the command line; the user's own modules are found beside params.yaml."""
    sys.path.insert(0, os.getcwd())
    app()


if __name__ == "__main__":
    main()
