"""Trouble of a host: a full disk, a broken device, a missing package, data that cannot be read. It is no result of a trial."""

from __future__ import annotations

import errno
from collections import defaultdict
from collections.abc import Callable, Collection
from dataclasses import dataclass
from enum import StrEnum
from typing import NamedTuple

from mtlsweep.errors import UserError, first_line
from mtlsweep.trials.cell import ContentChangedError
from mtlsweep.trials.trial import Trial

DISK_ERRORS = {
    errno.ENOSPC,
    errno.EDQUOT,
    errno.EROFS,
    errno.EIO,
    errno.ESTALE,
    errno.EMFILE,
    errno.ENFILE,
}

PERHAPS_THE_TRIALS = {"device", "import"}
"""Causes that a trial's own code may have, too: an index out of range on a GPU, an import inside a function."""

CONTENT = "content"
"""The cause where a trial was planned with other code or files than a host has; the host can run other trials."""

CELLS_THAT_EXCLUDE_A_HOST = 2
TRIES_ON_ONE_HOST = 2


class Host(NamedTuple):
    """A machine on which trials run: its unique id, and its name for people."""

    id: str
    name: str


@dataclass(frozen=True)
class Trouble:
    """Why a host could not run a trial.

    Attributes:
        cause: `disk`, `device`, `import`, `data` or `content`.
        what: description in one line.
        detail: the traceback.
    """

    cause: str
    what: str
    detail: str


class HostError(UserError):
    """The host of this process cannot run trials.

    Args:
        cause: see `Trouble`.
        what: description in one line.
    """

    def __init__(self, cause: str, what: str) -> None:
        super().__init__(what)
        self.cause = cause


def trouble_of(error: BaseException, detail: str) -> Trouble | None:
    """Return the trouble of the host that an exception in a trial shows, or None if it is the trial's own."""
    if isinstance(error, HostError):
        cause = error.cause
    elif isinstance(error, ContentChangedError):
        return Trouble(CONTENT, error.what, detail)
    elif isinstance(error, OSError) and error.errno in DISK_ERRORS:
        cause = "disk"
    elif isinstance(error, ImportError):
        cause = "import"
    elif type(error).__name__ == "AcceleratorError":  # torch's; this module is imported without torch
        cause = "device"
    else:
        return None
    return Trouble(cause, first_line(error), detail)


class Deaths:
    """Deaths of the processes in which trials ran. A death with its host is not the trial's own, however late the host is missed."""

    def __init__(self) -> None:
        self._hosts: defaultdict[str, list[str | None]] = defaultdict(list)  # by trial

    def add(self, trial: str, host: str | None) -> None:
        """Add the death of a trial's process on a host, None if it is unknown."""
        self._hosts[trial].append(host)

    def own(self, trial: str, living: Collection[str]) -> int:
        """Return how many of a trial's deaths were its own: those on hosts that are still there, or unknown."""
        return sum(host is None or host in living for host in self._hosts[trial])


class Verdict(StrEnum):
    """What the sweep does after a host's trouble with a trial."""

    AGAIN = "try the trial again"
    THE_TRIALS = "the trial itself is the cause"
    NO_HOST = "no host can run trials"
    PLAN_AGAIN = "no host can run the trial as it was planned"


class HostHealth:
    """Decides whose fault it is when a host could not run a trial.

    A trial is tried on another host; where there is none, once more on the same one. It is the trial's own
    fault if its cause can be (`PERHAPS_THE_TRIALS`) and the host ran other methods. A host that could not
    run trials of several cells, and none since, gets no more. A trial whose content is different says nothing about
    its host; where every host has other content, it must be planned again.

    Args:
        hosts: returns the ids of the hosts that trials can run on now.
    """

    def __init__(self, hosts: Callable[[], Collection[str]]) -> None:
        self._hosts = hosts
        self._troubled: defaultdict[str, set[str]] = defaultdict(set)  # by host: cells or methods without success since
        self._tried: defaultdict[str, list[str]] = defaultdict(list)  # by trial: hosts
        self._methods_run: defaultdict[str, set[str]] = defaultdict(set)  # by host
        self._excluded: set[str] = set()

    def ran(self, trial: Trial, host: str) -> None:
        """Record that a host ran a trial, whatever came of it."""
        self._troubled[host].clear()
        self._methods_run[host].add(trial.cell.method)

    def had_trouble(self, trial: Trial, host: str, cause: str) -> Verdict:
        """Record a host's trouble with a trial, and decide what follows.

        Args:
            trial: that could not run.
            host: where it could not run.
            cause: see `Trouble`.
        """
        maybe_own = cause in PERHAPS_THE_TRIALS
        self._tried[trial.key].append(host)
        if cause == CONTENT:
            elsewhere = set(self._hosts()) - self._excluded - set(self._tried[trial.key])
            return Verdict.AGAIN if elsewhere else Verdict.PLAN_AGAIN
        self._troubled[host].add(trial.cell.method if maybe_own else trial.cell.key)
        if len(self._troubled[host]) >= CELLS_THAT_EXCLUDE_A_HOST:
            self._excluded.add(host)
        present = set(self._hosts())
        usable = present - self._excluded
        if not usable:
            return Verdict.NO_HOST if present else Verdict.AGAIN  # all are gone; others may come
        tried = self._tried[trial.key]
        if usable - set(tried) or tried.count(host) < TRIES_ON_ONE_HOST:
            return Verdict.AGAIN
        if maybe_own and any(self._methods_run[one] - {trial.cell.method} for one in tried):
            return Verdict.THE_TRIALS
        return Verdict.NO_HOST

    def avoided(self, trial: Trial) -> tuple[str, ...]:
        """Return the hosts on which a trial shall not start, sorted: those where it was tried, if there are others."""
        avoided = self._excluded.union(self._tried.get(trial.key, ()))
        if avoided != self._excluded and not set(self._hosts()) - avoided:  # asking a cluster for its hosts takes time
            avoided = self._excluded
        return tuple(sorted(avoided))
