"""The smallest `params.yaml` of real data that tests plan, and the command line for it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import yaml
from typer.testing import CliRunner

from mtlsweep.cli.main import app


def small_study(epochs: int = 1, **sweep: object) -> dict[str, Any]:
    """Return the study of one suite, `digits`, with fields of its sweep in place of the smallest ones."""
    smallest = {"weightings": ["ew", "uw"], "optimizers": ["adam"], "learning_rates": [0.01], "seeds": [0, 1]}
    suite = {
        "data": {"dataset": {"multidigits": {"train": 64, "val": 16, "test": 16}}},
        "network": "lenet",
        "training": {"epochs": epochs, "batch_size": 16},
        "baselines": {"learning_rates": [0.01], "seeds": [0]},
        "sweep": {**smallest, **sweep},
    }
    return {"active": ["digits"], "suites": {"digits": suite}}


def write(raw: dict[str, Any]) -> None:
    """Write `params.yaml` in the current directory."""
    Path("params.yaml").write_text(yaml.safe_dump(raw))


def call(*arguments: str) -> tuple[int, str]:
    """Run `mtlsweep` with these arguments; return its exit code, and its output on one line."""
    result = CliRunner().invoke(app, list(arguments))
    return result.exit_code, " ".join(result.output.split())
