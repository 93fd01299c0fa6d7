"""What hears of a sweep's trials beside the ledger."""

from __future__ import annotations

from collections.abc import Sequence

from mtlsweep.trials.state import EpochRecord, FinishedTrial
from mtlsweep.trials.trial import Trial


class View:
    """Hears of trials from the driver's thread; the ledger has everything before a view hears of it.

    Attributes:
        outage: why the view cannot keep up now, or None.
    """

    outage: str | None = None

    def epochs(self, trial: Trial, records: Sequence[EpochRecord], started_at: float) -> None:
        """Hear of epochs of a running trial, which started at a Unix time in seconds."""

    def finish(self, record: FinishedTrial) -> None:
        """Hear of a trial that ended."""
