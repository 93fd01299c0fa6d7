"""Best checkpoints: only those stay that a later stage is likely to need."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path

import pytest

from mtlsweep.record.kept_weights import KeptWeights, Policy
from mtlsweep.record.ledger import Ledger
from mtlsweep.trials.state import FinishedTrial, Outcome


def error(metrics: Mapping[str, float]) -> float:
    return -metrics["val/left/accuracy"]  # 0.1 x (epoch + seed) in these curves


@pytest.fixture
def ledger(tmp_path: Path) -> Ledger:
    return Ledger(tmp_path, "digits")


def end(kept: KeptWeights, ledger: Ledger, *trials: FinishedTrial) -> list[bool]:
    """Let trials end one after another, each with weights; return which weights are left."""
    for one in trials:
        ledger.checkpoints.save_best(one.trial.key, b"weights")
        kept.finish(one)
    return [ledger.checkpoints.has_best(one.trial.key) for one in trials]


def test_of_each_method_and_seed_the_leader_keeps_its_weights(
    ledger: Ledger, make_finished: Callable[..., FinishedTrial]
) -> None:
    kept = KeptWeights(ledger, "leading", error, [])
    short, longer, worst = (
        make_finished(epochs=epochs, learning_rate=rate) for epochs, rate in ((2, 0.1), (3, 0.2), (1, 0.3))
    )
    of_other_seed = make_finished(seed=1, epochs=1, learning_rate=0.1)
    of_other_method = make_finished(epochs=1, weighting_label="ew")
    assert end(kept, ledger, short, longer, worst, of_other_seed, of_other_method) == [
        False,
        True,
        False,
        True,
        True,
    ]


def test_a_continued_sweep_knows_the_best_trials(ledger: Ledger, make_finished: Callable[..., FinishedTrial]) -> None:
    leader, later = make_finished(epochs=3), make_finished(epochs=2, learning_rate=0.5)
    end(KeptWeights(ledger, "leading", error, []), ledger, leader)
    assert end(KeptWeights(ledger, "leading", error, [leader]), ledger, later) == [False]
    assert ledger.checkpoints.has_best(leader.trial.key)


@pytest.mark.parametrize("outcome", [Outcome.DIVERGED, Outcome.FAILED, Outcome.PRUNED])
def test_a_trial_that_is_not_done_keeps_no_weights(
    ledger: Ledger, make_finished: Callable[..., FinishedTrial], outcome: Outcome
) -> None:
    assert end(KeptWeights(ledger, "leading", error, []), ledger, make_finished(outcome=outcome)) == [False]


@pytest.mark.parametrize(("policy", "left"), [("all", [True, True]), ("none", [False, False])])
def test_all_or_none(
    ledger: Ledger, make_finished: Callable[..., FinishedTrial], policy: Policy, left: list[bool]
) -> None:
    trials = [make_finished(epochs=3), make_finished(epochs=2, learning_rate=0.5)]
    assert end(KeptWeights(ledger, policy, error, []), ledger, *trials) == left
