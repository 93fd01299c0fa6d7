"""Finds studies by folder name: `run.py` makes a study's tables, `section.py` its section of the page.

A study is one folder beside this file, with

- `params.py`   its section of params.yaml, a `StudySection`
- `run.py`      `run(params, suite) -> str`: writes tables under `results/<suite>/<study>/` (or `results/<study>/`)
- `section.py`  `read(directory) -> Section | None`
- `sweeps.py`   only of a study that trains trials, see `mtlsweep.studies.training_stages`

and its stage in dvc.yaml (`python -m stages.study NAME [SUITE]`).
"""

from __future__ import annotations

import importlib
from pathlib import Path

from mtlsweep.errors import UserError, nearest
from mtlsweep.params.params import Params
from mtlsweep.params.studies import STUDIES, study_sections
from mtlsweep.report.sections import Section, read_sections


def run_study(name: str, params: Params, suite: str | None = None) -> str:
    """Run a study, of a suite if it needs one; return its summary for the terminal.

    Raises:
        UserError: there is no such study, or a suite is missing or not needed; also those of the study's own `run`.
    """
    studies = study_sections()
    if name not in studies:
        raise UserError(f"unknown study `{name}`{nearest(name, studies)} Allowed: {', '.join(studies)}.")
    if studies[name].per_suite is (suite is None):
        what = "looks at a suite: name one" if suite is None else "needs no suite: name none"
        raise UserError(
            f"study `{name}` {what}, as in `mtlsweep stage study {name}{' SUITE' if suite is None else ''}`."
        )
    module = importlib.import_module(f"{STUDIES}.{name}.run")
    said: str = module.run(params, suite)
    return said


def study_results(directory: Path, per_suite: bool) -> tuple[Section, ...]:
    """Return the sections of all studies that have run: those of this package, then others under `directory`.

    Args:
        directory: `results/<suite>` for studies of a suite, else `results`.
        per_suite: which of the two kinds of study.

    Raises:
        UserError: a file of a study is missing or damaged.
    """
    names = [name for name, section in study_sections().items() if section.per_suite is per_suite]
    own = [_read(name, directory / name) for name in names if (directory / name).is_dir()]
    return tuple(section for section in own if section is not None) + read_sections(directory)


def _read(name: str, directory: Path) -> Section | None:
    section: Section | None = importlib.import_module(f"{STUDIES}.{name}.section").read(directory)
    return section
