"""A race of learning rates, per method: successive halving with one seed, then all seeds for what is left.

A careless race is biased: the good rates of SGD start slowly, so cutting early manufactures the
conclusion that Adam wins. This one is conservative. It cuts only at the rungs of its schedule, keeps
a number of rates at each whatever their lead, keeps beyond that number every rate within seed noise
of the last one kept, and treats all methods alike. What it cut, and how that looked when it was cut,
stays in the ledger with outcome `pruned`, so the risk can be reported and a later grid continues from there.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Annotated

from pydantic import Field

from mtlsweep.sweep.search.live_delta_m import Reference
from mtlsweep.sweep.strategies.by_method import Decision, MethodByMethod
from mtlsweep.sweep.strategies.known import Known, epochs_seen, has_ended, is_lost, outcome_of
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
        seeds: replicates; the first one runs the race.
        reference: what Delta_m compares with, and its seed noise.
        known: what the ledger holds already.
        rungs: share of the epochs after which rates are cut -> how many are kept there; a rung at 1
            says how many rates get all seeds.
        noise: rates within this many standard deviations (seed noise of single-task training at the
            same epoch, for a difference of two trials) of the last one kept are kept, too.
    """

    def __init__(
        self,
        cells: Sequence[Cell],
        seeds: Sequence[int],
        reference: Reference,
        known: Known,
        *,
        rungs: dict[Share, Keep] = {0.375: 4, 0.625: 2, 1.0: 1},  # noqa: B006  (never changed)
        noise: Annotated[float, Field(ge=0)] = 1.0,
    ) -> None:
        self._rungs = sorted(rungs.items())
        self._noise = noise
        super().__init__(cells, seeds, reference, known)

    def decide(self, cells: Sequence[Cell], known: Known) -> Decision:
        """Want the next rung of the first seed, or behind the last one the other seeds of what is left."""
        runners = [Trial(cell, self._seeds[0]) for cell in cells]
        epochs = cells[0].training.epochs
        out: list[Trial] = []
        for share, keep in [*self._rungs, (1.0, len(cells))]:
            rung = epoch_at(share, epochs)
            behind = [r for r in runners if not has_ended(r, known) and epochs_seen(r, known) < rung]
            if behind:
                wanted = tuple(Assignment(runner, rung) for runner in behind)
                return Decision(wanted, len(cells), self._cuts(out, known))
            ranked = sorted(runners, key=lambda runner: self._score(runner, known, rung))
            kept = self._kept(ranked, known, rung, keep)
            out = [runner for runner in ranked if runner not in kept] + out
            runners = kept
        return self._replicate(runners, out, known)

    def least_epochs_left(self, cells: Sequence[Cell], known: Known) -> int:
        """Return the epochs of a whole race in which no rate is within noise of the last one kept, less those behind it.

        A trial that diverged or failed leaves out what it had before it up to the next rung.
        """
        epochs, runners, whole, behind = cells[0].training.epochs, len(cells), 0, 0
        stops = [epoch_at(share, epochs) for share, _ in self._rungs]
        for rung, keep in zip([*stops, epochs], [*(keep for _, keep in self._rungs), len(cells)], strict=True):
            whole += runners * (rung - behind)
            runners, behind = min(runners, keep), rung
        whole += runners * (len(self._seeds) - 1) * epochs
        for trial in (Trial(cell, seed) for cell in cells for seed in self._seeds):
            seen = epochs_seen(trial, known)
            if is_lost(trial, known):
                seen = min((stop for stop in [*stops, epochs] if stop > seen), default=epochs)
            whole -= seen
        return max(whole, 0)

    def _kept(self, ranked: Sequence[Trial], known: Known, rung: int, keep: int) -> list[Trial]:
        """Return the first `keep` of `ranked`, and whoever is within noise of the last of them."""
        scores = [self._score(runner, known, rung) for runner in ranked]
        alive = [runner for runner, score in zip(ranked, scores, strict=True) if math.isfinite(score)]
        if len(alive) <= keep:
            return alive
        margin = self._noise * math.sqrt(2) * self._reference.seed_noise(rung)
        return [runner for runner, score in zip(alive, scores, strict=False) if score <= scores[keep - 1] + margin]

    def _replicate(self, runners: list[Trial], out: list[Trial], known: Known) -> Decision:
        """Want all seeds of the winners; the next in line steps in when none of them is done with every seed.

        Without it a method whose winner diverges with another seed would have no result at all.
        """
        others = [Trial(runner.cell, seed) for runner in runners for seed in self._seeds[1:]]
        total = len(runners) + len(out) + len(others)
        wanted = [trial for trial in others if not has_ended(trial, known)]
        if not wanted and not any(self._is_done_with_every_seed(runner.cell, known) for runner in runners):
            for reserve in out:
                rest = [runner for runner in out if runner != reserve]
                if not has_ended(reserve, known):
                    assignment = Assignment(reserve, reserve.cell.training.epochs)
                    return Decision((assignment,), total, self._cuts(rest, known))
                if outcome_of(reserve, known) is Outcome.DONE:
                    return self._replicate([*runners, reserve], rest, known)
        assignments = tuple(Assignment(trial, trial.cell.training.epochs) for trial in wanted)
        return Decision(assignments, total, self._cuts(out, known))

    def _is_done_with_every_seed(self, cell: Cell, known: Known) -> bool:
        trials = [Trial(cell, seed) for seed in self._seeds]
        return all(outcome_of(trial, known) is Outcome.DONE for trial in trials)

    def _score(self, runner: Trial, known: Known, rung: int) -> float:
        """Return the lowest validation Delta_m up to the rung; infinite for a runner that diverged or failed."""
        if is_lost(runner, known):
            return math.inf
        curve = known[runner.key].state.curve[:rung]
        best = self._reference.best_epoch([record.metrics for record in curve])
        return math.inf if best is None else float(best["delta_m"])

    def _cuts(self, out: Sequence[Trial], known: Known) -> tuple[Trial, ...]:
        return tuple(runner for runner in out if not has_ended(runner, known))
