"""A race of learning rates for each method: successive halving with one seed, then other seeds for those in front.

Early pruning is biased: good learning rates of SGD start slowly, so it favours Adam. This race is
conservative. It prunes only at the rungs of its schedule, keeps a fixed number of rates at each rung,
also keeps every rate within seed noise of the last one kept, and uses the same rule for all methods.
After the last epoch it trains other seeds until the rate that the analysis would select has them all.
Pruned trials keep their curve in the ledger with outcome `pruned`, so that the risk can be reported
and a later grid can continue them.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Annotated

from pydantic import Field

from mtlsweep.sweep.reference import Reference
from mtlsweep.sweep.strategies.by_method import Decision, MethodByMethod
from mtlsweep.sweep.strategies.known import Known, epochs_seen, has_diverged_or_failed, has_ended, outcome_of
from mtlsweep.sweep.strategies.replication import Standing, cell_to_replicate
from mtlsweep.sweep.strategies.rungs import epoch_at
from mtlsweep.sweep.strategies.strategy import STRATEGIES
from mtlsweep.trials.assignment import Assignment
from mtlsweep.trials.cell import Cell
from mtlsweep.trials.state import Outcome
from mtlsweep.trials.trial import Trial

Share = Annotated[float, Field(gt=0, le=1)]
Keep = Annotated[int, Field(ge=1)]


@STRATEGIES.register("race")
class Race(MethodByMethod):
    """Successive halving over learning rates on validation Delta_m.

    Args:
        cells: all cells of the sweep.
        seeds: replicates; the race uses the first one.
        reference: baseline values for Delta_m, and its seed noise.
        known: records of trials so far.
        rungs: share of the epochs -> number of rates to keep there; the rung at 1 gives the number of
            rates that get all seeds at once.
        noise: standard deviations of seed noise to allow for. Before the last epoch it is that of single-task
            training, for a difference of two trials: rates within it of the last one kept are kept, too. After
            the last epoch it is that of the method's own replicates (see `replication`).
    """

    def __init__(
        self,
        cells: Sequence[Cell],
        seeds: Sequence[int],
        reference: Reference,
        known: Known,
        *,
        rungs: dict[Share, Keep] = {0.375: 4, 0.625: 2, 1.0: 1},  # noqa: B006  (never mutated)
        noise: Annotated[float, Field(ge=0)] = 1.0,
    ) -> None:
        self._rungs = sorted(rungs.items())
        self._noise = noise
        self._lowest: dict[tuple[str, int], float] = {}
        super().__init__(cells, seeds, reference, known)

    def decide(self, cells: Sequence[Cell], known: Known) -> Decision:
        """Return the first seed up to the next rung, or after the last rung the other seeds of the rates kept."""
        runners = [self._trial(cell, self._seeds[0]) for cell in cells]
        epochs = cells[0].training.epochs
        out: list[Trial] = []
        margin = self._noise * math.sqrt(2) * self._reference.noise
        for share, keep in [*self._rungs, (1.0, len(cells))]:
            rung = epoch_at(share, epochs)
            waiting = [r for r in runners if not has_ended(r, known) and epochs_seen(r, known) < rung]
            if waiting:
                wanted = tuple(Assignment(runner, rung) for runner in waiting)
                return Decision(wanted, len(cells), self._cuts(out, known))
            ranked = sorted(runners, key=lambda runner: self._score(runner, known, rung))
            kept = self._kept(ranked, known, rung, keep, margin if rung < epochs else 0.0)  # later seeds decide
            out = [runner for runner in ranked if runner not in kept] + out
            runners = kept
        return self._replicate(cells, runners, out, known)

    def least_epochs_left(self, cells: Sequence[Cell], known: Known) -> int:
        """Return the epochs of a race that keeps no extra rate within noise, minus the epochs already trained.

        A diverged or failed trial also counts as trained up to the next rung.
        """
        epochs, runners, whole, previous = cells[0].training.epochs, len(cells), 0, 0
        stops = [epoch_at(share, epochs) for share, _ in self._rungs]
        for rung, keep in zip([*stops, epochs], [*(keep for _, keep in self._rungs), len(cells)], strict=True):
            whole += runners * (rung - previous)
            runners, previous = min(runners, keep), rung
        whole += runners * (len(self._seeds) - 1) * epochs
        for trial in (self._trial(cell, seed) for cell in cells for seed in self._seeds):
            seen = epochs_seen(trial, known)
            if has_diverged_or_failed(trial, known):
                seen = min((stop for stop in [*stops, epochs] if stop > seen), default=epochs)
            whole -= seen
        return max(whole, 0)

    def _kept(self, ranked: Sequence[Trial], known: Known, rung: int, keep: int, margin: float) -> list[Trial]:
        """Return the first `keep` of `ranked`, and every other trial within `margin` of the last of them."""
        scores = [self._score(runner, known, rung) for runner in ranked]
        valid = [runner for runner, score in zip(ranked, scores, strict=True) if math.isfinite(score)]
        if len(valid) <= keep:
            return valid
        return [runner for runner, score in zip(valid, scores, strict=False) if score <= scores[keep - 1] + margin]

    def _replicate(self, cells: Sequence[Cell], runners: list[Trial], out: list[Trial], known: Known) -> Decision:
        """Return the seeds of the runners left, then one seed at a time of any cell that may still be selected.

        One at a time, because the next figure decides whether another is worth its time; and so decisions do not
        depend on the order in which trials end.
        """
        given = {cell.key: 0 for cell in cells} | {runner.cell.key: len(self._seeds) for runner in runners}
        while True:
            asked = [self._trial(cell, seed) for cell in cells for seed in self._seeds[: given[cell.key]]]
            wanted = [trial for trial in asked if not has_ended(trial, known)]
            candidate = None if wanted else self._candidate(cells, given, known)
            if candidate is None:
                break
            given[candidate] += 1
        total = len(cells) + sum(max(count - 1, 0) for count in given.values())
        assignments = tuple(Assignment(trial, trial.cell.training.epochs) for trial in wanted)
        return Decision(assignments, total, self._cuts([runner for runner in out if not given[runner.cell.key]], known))

    def _candidate(self, cells: Sequence[Cell], given: Mapping[str, int], known: Known) -> str | None:
        """Return the key of the cell that gets the next seed; a cut cell counts with its epochs up to the cut."""
        standings = []
        for cell in cells:
            trials = [self._trial(cell, seed) for seed in self._seeds[: max(given[cell.key], 1)]]
            scores = tuple(self._score(trial, known, cell.training.epochs) for trial in trials)
            done = all(outcome_of(trial, known) is Outcome.DONE for trial in trials)
            standings.append(Standing(cell.key, cell.learning_rate, scores, done))
        return cell_to_replicate(standings, len(self._seeds), self._noise, self._reference.noise)

    def _score(self, runner: Trial, known: Known, rung: int) -> float:
        """Return the lowest validation Delta_m up to the rung; infinite for a trial that diverged or failed."""
        if has_diverged_or_failed(runner, known):
            return math.inf
        epochs = min(rung, epochs_seen(runner, known))
        if (runner.key, epochs) not in self._lowest:  # new epochs never change earlier ones
            scores = (self._reference.score(record.metrics) for record in known[runner.key].state.curve[:epochs])
            self._lowest[runner.key, epochs] = min(filter(math.isfinite, scores), default=math.inf)
        return self._lowest[runner.key, epochs]

    def _cuts(self, out: Sequence[Trial], known: Known) -> tuple[Trial, ...]:
        return tuple(runner for runner in out if not has_ended(runner, known))
