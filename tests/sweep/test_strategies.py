"""Strategies decide from results alone: the same results give the same decisions, in any order."""

from __future__ import annotations

import random
from collections.abc import Callable

import pytest

from mtlsweep.sweep.strategies.known import outcome_of
from mtlsweep.trials.cell import Cell
from mtlsweep.trials.state import Outcome
from mtlsweep.trials.trial import Trial
from tests.sweep.simulated_training import EPOCHS, RATES, SEEDS, bowl, done, make_cells, maker, play


@pytest.fixture
def cells(make_trial: Callable[..., Trial]) -> list[Cell]:
    return make_cells(make_trial)


def test_the_grid_runs_everything_to_the_end(cells: list[Cell]) -> None:
    known, trained = play(maker(cells, "grid"), bowl)
    assert all(outcome_of(one.trial, known) is Outcome.DONE for one in known.values())
    assert len(known) == len(cells) * len(SEEDS)
    assert trained == len(known) * EPOCHS


@pytest.mark.parametrize("name", ["grid", "race"])
def test_a_trial_is_hashed_once_in_a_stage_and_not_with_each_decision(
    cells: list[Cell], name: str, hashed: list[object]
) -> None:
    """Hashing takes ten times as long as the rest, and a stage decides as often as it has trials."""
    known, _ = play(maker(cells, name), bowl)
    assert len(known) <= len(hashed) <= len(cells) * len(SEEDS)


def test_the_race_finds_the_grids_rate_at_a_part_of_its_cost(cells: list[Cell]) -> None:
    known, trained = play(maker(cells, "race", rungs={0.375: 3, 1.0: 1}), bowl)
    for method in ("ew", "uw"):
        assert done(known, method) == {1.0: 0, 0.3: 1, 0.1: 3, 0.03: 1, 0.01: 0, 0.003: 0}
    assert trained == 2 * (6 * 3 + 3 * 5 + 2 * 8)


def test_the_race_keeps_every_rate_within_seed_noise(cells: list[Cell]) -> None:
    """Noise is 4 points, so sqrt(2) x 4 = 5.7 points is no difference between two trials."""

    def close(cell: Cell, seed: int, epoch: int) -> float:
        return 1.0 + 0.05 * RATES.index(cell.learning_rate)

    strict, _ = play(maker(cells, "race", rungs={0.5: 2, 1.0: 1}, noise=0.0), close)
    fair, _ = play(maker(cells, "race", rungs={0.5: 2, 1.0: 1}, noise=1.0), close)
    assert [count > 0 for count in done(strict, "ew").values()] == [True, True, False, False, False, False]
    assert [count > 0 for count in done(fair, "ew").values()] == [True, True, True, False, False, False]


def test_a_diverged_rate_never_wins_and_a_method_of_only_diverged_rates_ends(cells: list[Cell]) -> None:
    known, _ = play(maker(cells, "race"), bowl, diverges=lambda cell, seed: cell.learning_rate >= 0.1)
    assert max(done(known, "ew"), key=done(known, "ew").__getitem__) == 0.03
    ruined, _trained = play(maker(cells, "race"), bowl, diverges=lambda cell, seed: cell.weighting_label == "uw")
    assert sum(done(ruined, "uw").values()) == 0
    assert max(done(ruined, "ew").values()) == 3


def test_the_next_best_rate_replaces_a_winner_that_diverges_with_another_seed(cells: list[Cell]) -> None:
    known, _ = play(
        maker(cells, "race", rungs={0.375: 2, 1.0: 1}, noise=0.0),
        bowl,
        diverges=lambda cell, seed: seed == 1 and cell.learning_rate in (0.1, 0.3),
    )
    complete = [rate for rate, count in done(known, "ew").items() if count == len(SEEDS)]
    assert complete == [0.03], "a rate that had been cut comes back rather than leave the method without a result"


@pytest.mark.parametrize("name", ["grid", "race"])
@pytest.mark.parametrize("stop_after", [1, 4, 9, 16])
def test_an_interrupted_sweep_continues_with_the_same_decisions(cells: list[Cell], name: str, stop_after: int) -> None:
    whole, cost = play(maker(cells, name), bowl)
    half, spent = play(maker(cells, name), bowl, stop_after=stop_after)
    resumed, rest = play(maker(cells, name), bowl, known=half)
    assert {key: one.state for key, one in resumed.items()} == {key: one.state for key, one in whole.items()}
    assert spent + rest == cost


@pytest.mark.parametrize("slots", [1, 2, 7])
def test_the_race_does_not_depend_on_the_order_in_which_trials_end(cells: list[Cell], slots: int) -> None:
    results = [play(maker(cells, "race"), bowl, slots=slots, order=random.Random(seed))[0] for seed in range(5)]
    assert all(
        {k: v.state for k, v in known.items()} == {k: v.state for k, v in results[0].items()} for known in results
    )


def test_a_grid_after_a_race_trains_only_what_the_race_left_out(cells: list[Cell]) -> None:
    raced, spent = play(maker(cells, "race"), bowl)
    known, rest = play(maker(cells, "grid"), bowl, known=raced)
    assert all(outcome_of(one.trial, known) is Outcome.DONE for one in known.values())
    assert spent + rest == len(cells) * len(SEEDS) * EPOCHS


def test_every_method_is_treated_alike(cells: list[Cell]) -> None:
    """Renaming methods changes nothing in what they are given."""
    known, _ = play(maker(cells, "race"), bowl)
    assert done(known, "ew") == done(known, "uw")


@pytest.mark.parametrize(("name", "options"), [("grid", {}), ("race", {"rungs": {0.375: 3, 1.0: 1}})])
def test_the_predicted_epochs_are_the_epochs_trained(cells: list[Cell], name: str, options: dict[str, object]) -> None:
    make = maker(cells, name, **options)
    known, trained = play(make, bowl)
    assert sum(make({}).epochs_left().values()) == trained
    assert sum(make(known).epochs_left().values()) == 0
    half, spent = play(make, bowl, stop_after=9)
    assert sum(make(half).epochs_left().values()) == trained - spent


@pytest.mark.parametrize(("name", "options"), [("grid", {}), ("race", {"rungs": {0.375: 3, 1.0: 1}})])
def test_diverged_trials_are_not_predicted(cells: list[Cell], name: str, options: dict[str, object]) -> None:
    make = maker(cells, name, **options)

    def diverges(cell: Cell, seed: int) -> bool:
        return cell.learning_rate == RATES[0]

    known, _ = play(make, bowl, diverges=diverges)
    gone = {key: one for key, one in known.items() if outcome_of(one.trial, known) is Outcome.DIVERGED}
    _, rest = play(make, bowl, known=gone, diverges=diverges)
    assert gone and sum(make(gone).epochs_left().values()) == rest
