"""A sweep whose trials take no time, as a process of its own: `noop_sweep ROOT TRIALS SECONDS_A_TRIAL SECONDS_UNTIL_GONE`.

Driver, lease, ledger and checkpoints are the product's; only the training is not there. It prints each trial that it finishes.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Sequence

from mtlsweep.addresses import StoreUri
from mtlsweep.errors import UserError
from mtlsweep.params.choice import Choice
from mtlsweep.params.resources import Budget
from mtlsweep.params.suite import Training
from mtlsweep.record.ledger import Ledger
from mtlsweep.record.view import View
from mtlsweep.sweep.device_clock import DeviceClock
from mtlsweep.sweep.driver import Driver
from mtlsweep.sweep.executors.checkpoint_store import LedgerCheckpoints
from mtlsweep.sweep.executors.executor import Executor, Work
from mtlsweep.sweep.lease import hold_lease
from mtlsweep.sweep.lease import objects as lease
from mtlsweep.sweep.progress import Progress
from mtlsweep.sweep.reference import Reference
from mtlsweep.sweep.stopping import StopRequest
from mtlsweep.sweep.strategies import STRATEGIES
from mtlsweep.trials.cell import Cell
from mtlsweep.trials.curve import EpochRecord
from mtlsweep.trials.state import Finished, FinishedTrial, Outcome, TrialRecord

SUITE = "digits"


def cells(count: int) -> tuple[Cell, ...]:
    """Return as many cells as trials are wanted; they differ in their learning rate."""
    return tuple(
        Cell(
            suite=SUITE,
            role="mtl",
            tasks=("left", "right"),
            network=Choice(name="lenet"),
            weighting=Choice(name="ew"),
            optimizer=Choice(name="adam"),
            learning_rate=1e-3 * (1 + number),
            training=Training(epochs=2, batch_size=32),
            data_fingerprint="f" * 64,
            weighting_label="ew",
            optimizer_label="adam",
        )
        for number in range(count)
    )


class NoTraining(Executor):
    """Ends each assignment after some seconds, with a resume point and weights as a training has them."""

    def __init__(self, checkpoints: LedgerCheckpoints, seconds: float) -> None:
        self._checkpoints = checkpoints
        self._seconds = seconds

    def run(self, work: Work) -> None:
        while work.stopping() is None and (assignment := work.next()) is not None:
            key = assignment.trial.key
            work.started(assignment)
            self._checkpoints.load_resume(key, "worker")
            self._checkpoints.save(key, "worker", b"epoch 1", b"weights")
            time.sleep(self._seconds)
            curve = tuple(EpochRecord(epoch, {"val/left/loss": 1.0 / epoch}, time.time(), 0.1) for epoch in (1, 2))
            work.ended(assignment, Finished(Outcome.DONE, curve), "host", 1)


class Printed(View):
    """Prints each finished trial, after the ledger has it."""

    def finish(self, record: FinishedTrial) -> None:
        print(f"finished {record.trial.key}", flush=True)


def sweep(root: StoreUri, trials: int, seconds: float) -> int:
    """Train what the ledger lacks; return how many trials of the plan it lacks then."""
    ledger = Ledger(root, SUITE)
    ledger.prepare()
    with hold_lease(ledger, SUITE) as held:
        print("held", flush=True)
        known: dict[str, TrialRecord] = {one.trial.key: one for one in ledger.read_all()}
        strategy = STRATEGIES.create(Choice(name="grid"), cells(trials), (0,), Reference((), {}), known)
        progress = Progress(SUITE, strategy.total(), strategy.epochs_left())
        with StopRequest(Budget(), DeviceClock()) as stop:
            ledger.storage.wait_unless(lambda: stop.reason() is not None)
            driver = Driver(ledger, strategy, stop, progress, Reference((), {}), {}, views=(Printed(),))
            NoTraining(LedgerCheckpoints(ledger, held.fence), seconds).run(driver)
        driver.raise_error()
        return strategy.left()


def main(arguments: Sequence[str]) -> int:
    """Run a sweep with a short lease."""
    lease.SECONDS_BETWEEN_RENEWALS, lease.SECONDS_BETWEEN_LOOKS = 0.2, 0.2
    lease.SECONDS_UNTIL_GONE = float(arguments[3])
    root = StoreUri.parse(arguments[0])
    assert root is not None
    try:
        return int(sweep(root, int(arguments[1]), float(arguments[2])) > 0)
    except UserError as error:
        print(error, file=sys.stderr)
        return 2


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
