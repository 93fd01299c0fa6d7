"""Sections of studies in params.yaml: each folder of `mtlsweep.studies` defines one, with the folder's name."""

from __future__ import annotations

import importlib
import pkgutil
from functools import cache
from typing import Any, ClassVar, TypeVar

from pydantic import create_model

from mtlsweep.params.section import Section

STUDIES = "mtlsweep.studies"


class StudySection(Section):
    """The params of one study, defined in its folder's `params.py`; every field has a default.

    Attributes:
        per_suite: whether the study uses a suite's trials (`suites.<suite>.studies`) or is independent (`studies`).
        trains: whether the study of a suite trains trials of its own, by stages of the suite.
    """

    per_suite: ClassVar[bool]
    trains: ClassVar[bool] = False


S = TypeVar("S", bound=StudySection)


@cache
def study_sections() -> dict[str, type[StudySection]]:
    """Return the section class of every study, by the name of its folder."""
    package = importlib.import_module(STUDIES)
    return {
        folder.name: _section_in(f"{STUDIES}.{folder.name}.params")
        for folder in pkgutil.iter_modules(package.__path__)
        if folder.ispkg
    }


@cache
def sections_model(per_suite: bool) -> type[Section]:
    """Return the model of `studies` in params.yaml, or of `studies` of a suite: one field for each such study."""
    fields: dict[str, Any] = {
        name: (section, section()) for name, section in study_sections().items() if section.per_suite is per_suite
    }
    return create_model("Studies", __base__=Section, **fields)


def find_section(studies: Section, kind: type[S]) -> S:
    """Return the section of one study."""
    return next(section for _, section in studies if isinstance(section, kind))


def _section_in(module: str) -> type[StudySection]:
    members = vars(importlib.import_module(module)).values()
    return next(
        member
        for member in members
        if isinstance(member, type) and issubclass(member, StudySection) and member is not StudySection
    )
