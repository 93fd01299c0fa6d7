"""Names of suites: each is a directory, a DVC stage `sweep@<suite>`, a part of a DVC parameter and an MLflow experiment."""

from __future__ import annotations

import re
from collections.abc import Iterable

from mtlsweep.errors import UserError
from mtlsweep.params.studies import study_sections

_LONGEST = 100
_NAME = re.compile(r"\w[\w+-]*")  # no `.` (a DVC parameter), `@` (a DVC stage), `/`, space or sign of a shell


def check_suite_names(names: Iterable[object], source: str) -> None:
    """Check the names of all suites.

    Raises:
        UserError: a name is not text, is not allowed, is taken, or differs from another only in upper and lower case.
    """
    taken = {name for name, section in study_sections().items() if not section.per_suite}
    spellings: dict[str, str] = {}
    for name in names:
        if not isinstance(name, str):
            raise UserError(
                f"{source}: a suite is called {name!r}, which YAML does not read as text; write it in quotes."
            )
        if not _NAME.fullmatch(name) or len(name) > _LONGEST:
            raise UserError(
                f"{source}: a suite is called {name!r}: use 1 to {_LONGEST} letters, digits, `_`, `-` and `+`; the first is a "
                "letter, a digit or `_`."
            )
        if name in taken:
            raise UserError(
                f"{source}: suite `{name}` has the name of a study, and both would write to results/{name}: rename the suite."
            )
        other = spellings.setdefault(name.lower(), name)
        if other != name:
            raise UserError(
                f"{source}: suites `{other}` and `{name}` differ in upper and lower case only, and would share a directory on "
                "some machines: rename one."
            )
