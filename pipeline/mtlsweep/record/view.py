"""Interface of the views, which receive a sweep's trials after the ledger."""

from __future__ import annotations

from collections.abc import Sequence

from mtlsweep.trials.curve import EpochRecord
from mtlsweep.trials.state import FinishedTrial
from mtlsweep.trials.trial import Trial


class View:
    """Receives trials from the driver's thread, after the ledger has recorded them.

    Attributes:
        outage: the reason why the view cannot write now, or None.
        error: a mistake in the view's own code, which ends the sweep, or None.
    """

    outage: str | None = None
    error: Exception | None = None

    def epochs(self, trial: Trial, records: Sequence[EpochRecord], started_at: float) -> None:
        """Receive epochs of a running trial; `started_at` is a Unix time in seconds."""

    def finish(self, record: FinishedTrial) -> None:
        """Receive a finished trial."""
