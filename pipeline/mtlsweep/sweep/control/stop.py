"""Ask a running sweep to stop."""

from __future__ import annotations

import os
import signal
import socket
import time

from mtlsweep.errors import UserError
from mtlsweep.params.params import Params
from mtlsweep.sweep.control.clean_up import open_ledger
from mtlsweep.sweep.lease import find_holder, holder_lives

SECONDS_TO_STOP = 120.0


def stop(params: Params, suite: str) -> str:
    """Ask the sweep of a suite to stop, wait until it ends, and return a message about the result.

    Raises:
        UserError: the sweep runs on another host, or does not end.
    """
    ledger = open_ledger(params, suite)
    holder = find_holder(ledger)
    if holder is None:
        return f"{suite}: no sweep is running"
    if not holder["pid"]:
        raise UserError(f"{suite}: a sweep is starting this moment; run `mtlsweep stop` again.")
    if holder["host"] != socket.gethostname():
        raise UserError(
            f"{suite}: the sweep runs as process {holder['pid']} on {holder['host']}; run `mtlsweep stop` on that host."
        )
    if not holder_lives(ledger):
        return f"{suite}: no sweep is running"
    os.kill(holder["pid"], signal.SIGTERM)
    deadline = time.monotonic() + SECONDS_TO_STOP
    while time.monotonic() < deadline:
        if (find_holder(ledger) or {}).get("pid") != holder["pid"]:
            return f"{suite}: the sweep has ended; `dvc repro` continues where it stopped"
        time.sleep(0.2)
    raise UserError(
        f"{suite}: process {holder['pid']} did not end within {SECONDS_TO_STOP:.0f} s; end it with `kill -9 {holder['pid']}`."
    )
