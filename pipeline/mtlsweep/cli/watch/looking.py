"""Look at the suites again and again, and keep the latest page."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Sequence
from typing import Any

from mtlsweep.cli.watch.page import render
from mtlsweep.errors import UserError, first_line
from mtlsweep.params.params import Params
from mtlsweep.record.ledger import Ledger
from mtlsweep.studies.training_stages import training_stages
from mtlsweep.sweep.control.live import LiveSuite

SECONDS_BETWEEN_LOOKS = 3.0

SHARE_OF_LOOKS = 0.1
"""Part of the time that looking may take, since the sweep may train on the same cores."""

SECONDS_TO_READ = 5.0
"""New trials are read for so long before the page is shown again."""

SECONDS_TO_READ_FIRST = 0.2
"""The first page comes early; the next ones complete it."""


class Looking:
    """Looks at suites, and renders the page.

    Args:
        suites: their names.
        params: returns the present params.

    Attributes:
        page: the latest page.
        complete: whether every finished trial is in it.
    """

    def __init__(self, suites: Sequence[str], params: Callable[[], Params]) -> None:
        self._suites = suites
        self._params = params
        self._live: dict[str, LiveSuite] = {}
        self._last: dict[str, dict[str, Any]] = {}
        self.page = b""
        self.complete = False

    def look(self) -> None:
        """Look once. The page names an error, and otherwise shows what was seen last."""
        problems: dict[str, str] = {}
        seconds = SECONDS_TO_READ if self.page else SECONDS_TO_READ_FIRST
        for suite in self._suites:
            try:
                params = self._params()
                live = self._live.setdefault(suite, LiveSuite(suite, Ledger(params.resources.ledger_root, suite)))
                self._last[suite] = live.look(training_stages(params, suite), seconds / len(self._suites))
            except UserError as error:  # a mistake in params.yaml, for instance
                problems[suite] = f"{first_line(error)}."
            except Exception as error:  # a store that is away, a file in the middle of a change, a mistake of ours
                problems[suite] = f"{type(error).__name__}: {first_line(error)}."
        self.complete = not any(one["unread"] for one in self._last.values())
        title = f"mtlsweep: {', '.join(self._suites)}"
        self.page = render(
            title, [self._last[suite] for suite in self._suites if suite in self._last], problems
        ).encode()

    def keep_looking(self, stop: threading.Event, looked: Callable[[], None]) -> None:
        """Look again until `stop`, and call `looked` each time."""
        while True:
            began = time.monotonic()
            self.look()
            looked()
            took = time.monotonic() - began
            wait = max(SECONDS_BETWEEN_LOOKS, took / SHARE_OF_LOOKS) if self.complete else 0.0
            if stop.wait(wait):
                return
