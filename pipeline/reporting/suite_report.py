"""What the report knows about one suite: its analysis and where it came from."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pipeline.analysis.store import read_analysis
from pipeline.analysis.suite import SuiteAnalysis
from pipeline.errors import UserError


@dataclass(frozen=True)
class SuiteReport:
    """One suite, ready to be shown.

    Attributes:
        name: the suite's name in `params.yaml`.
        analysis: every table.
        provenance: what the sweep recorded: git sha, data fingerprint, versions, times.
    """

    name: str
    analysis: SuiteAnalysis
    provenance: dict[str, Any]


def read_suite(name: str, directory: Path) -> SuiteReport:
    """Read what the stages left under `directory`.

    Raises:
        UserError: a table or the provenance is missing or damaged.
    """
    path = directory / "sweep" / "provenance.json"
    try:
        provenance = json.loads(path.read_text())
    except FileNotFoundError as error:
        raise UserError(f"`{path}` is missing; run `dvc repro` to make it.") from error
    except ValueError as error:
        raise UserError(f"`{path}` is damaged ({error}); delete it and run `dvc repro`.") from error
    return SuiteReport(name, read_analysis(directory), provenance)
