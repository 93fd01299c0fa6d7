"""Training as a strategy sees it: curves made up by a test, trials that end in random order."""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping, Sequence

from mtlsweep.analysis.objectives import Objective
from mtlsweep.params.choice import Choice
from mtlsweep.params.suite import Training
from mtlsweep.sweep.reference import Reference
from mtlsweep.sweep.strategies import STRATEGIES, Assignment, Strategy
from mtlsweep.sweep.strategies.known import epochs_seen, outcome_of
from mtlsweep.trials.cell import Cell
from mtlsweep.trials.curve import EpochRecord
from mtlsweep.trials.state import Execution, Finished, Outcome, Paused, State, TrialRecord
from mtlsweep.trials.trial import Trial

EPOCHS = 8
RATES = (1.0, 0.3, 0.1, 0.03, 0.01, 0.003)
SEEDS = (0, 1, 2)
OBJECTIVE = Objective("left", "error", higher_is_better=False)
REFERENCE = Reference((OBJECTIVE,), {"val": {"left_error": 1.0}, "test": {"left_error": 1.0}}, noise=4.0)

MEASURED = ("val/left/error", "val/left/loss")
"""What an epoch measures; both are the error."""

Errors = Callable[[Cell, int, int], float]
"""Validation error of a cell with a seed after an epoch; 1 is the baseline, so Delta_m = 100 (error - 1)."""


def make_cells(
    make_trial: Callable[..., Trial], weightings: Sequence[str] = ("ew", "uw"), rates: Sequence[float] = RATES
) -> list[Cell]:
    """Return a cell of each weighting and rate."""
    training = Training(epochs=EPOCHS, batch_size=8)
    return [
        make_trial(
            weighting_label=weighting,
            weighting=Choice(name=weighting),
            learning_rate=rate,
            training=training,
            tasks=("left",),
        ).cell
        for weighting in weightings
        for rate in rates
    ]


def run_to(trial: Trial, until: int, error: Errors, diverges: Callable[[Cell, int], bool]) -> TrialRecord[State]:
    """What training would give: the curve up to `until`, and its outcome."""
    if diverges(trial.cell, trial.seed):
        state: State = Finished(Outcome.DIVERGED, (), "nan", "")
    else:
        curve = tuple(
            EpochRecord(epoch, dict.fromkeys(MEASURED, error(trial.cell, trial.seed, epoch)), 0.0, 1.0)
            for epoch in range(1, until + 1)
        )
        state = Finished(Outcome.DONE, curve) if until == EPOCHS else Paused(curve)
    return TrialRecord(trial, state, Execution(0.0, 1.0, 1.0, "host", 1, {}))


def play(
    make: Callable[[Mapping[str, TrialRecord[State]]], Strategy],
    error: Errors,
    *,
    slots: int = 3,
    known: Mapping[str, TrialRecord[State]] = {},
    diverges: Callable[[Cell, int], bool] = lambda cell, seed: False,
    stop_after: int = 10**9,
    order: random.Random | None = None,
) -> tuple[dict[str, TrialRecord[State]], int]:
    """Run a strategy with `slots` trials at once, ending in random order; return what is known, and the epochs trained."""
    strategy, ledger, trained = make(known), dict(known), 0
    running: list[Assignment] = []
    order = order or random.Random(0)
    for _ in range(stop_after):
        while len(running) < slots and (assignment := strategy.next(no_suggestion)) is not None:
            assert assignment.trial.key not in {other.trial.key for other in running}, "one trial in two places"
            running.append(assignment)
        if not running:
            assert not strategy.left()
            break
        assignment = running.pop(order.randrange(len(running)))
        begun = epochs_seen(assignment.trial, ledger)
        ended = run_to(assignment.trial, assignment.until, error, diverges)
        trained += len(ended.state.curve) - begun
        ledger[assignment.trial.key] = ended
        strategy.update(ended)
    return ledger, trained


def no_suggestion(start: Cell | None = None) -> None:
    """Neither the grid nor the race asks for cells beyond those listed."""
    raise AssertionError("asked for a suggestion")


def maker(cells: list[Cell], name: str, **options: object) -> Callable[[Mapping[str, TrialRecord[State]]], Strategy]:
    choice = STRATEGIES.resolve(Choice(name=name, options=options))
    return lambda known: STRATEGIES.create(choice, cells, SEEDS, REFERENCE, known)


def bowl(cell: Cell, seed: int, epoch: int) -> float:
    """0.1 is the best rate, at every epoch and for every seed."""
    return 1.0 + abs(RATES.index(cell.learning_rate) - 2) + 1.0 / epoch + 0.01 * seed


def done(known: Mapping[str, TrialRecord[State]], method: str) -> dict[float, int]:
    """Count the replicates of each rate of a method that went to the end."""
    counts = dict.fromkeys(RATES, 0)
    for one in known.values():
        if one.trial.cell.weighting_label == method and outcome_of(one.trial, known) is Outcome.DONE:
            counts[one.trial.cell.learning_rate] += 1
    return counts
