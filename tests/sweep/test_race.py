"""A race gives seeds until no rate is selected, or passed over, by the luck of one seed."""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from mtlsweep.analysis.selection import rank_cells, select_learning_rates
from mtlsweep.params.choice import Choice
from mtlsweep.sweep.reference import Reference
from mtlsweep.sweep.strategies import STRATEGIES
from mtlsweep.sweep.strategies.known import outcome_of
from mtlsweep.sweep.strategies.replication import Standing, cell_to_replicate
from mtlsweep.trials.cell import Cell
from mtlsweep.trials.state import State, TrialRecord
from mtlsweep.trials.trial import Trial
from tests.sweep.simulated_training import EPOCHS, RATES, SEEDS, Errors, done, make_cells, maker, play

METHOD = ["weighting", "optimizer"]
NO_CUTS = {"rungs": {1.0: 1}}


@pytest.fixture
def cells(make_trial: Callable[..., Trial]) -> list[Cell]:
    return make_cells(make_trial)


def trials_of(known: Mapping[str, TrialRecord[State]]) -> pd.DataFrame:
    """Return what the analysis would see: a row per trial, with its lowest validation Delta_m."""
    rows = [
        {
            "weighting": one.trial.cell.weighting_label,
            "optimizer": one.trial.cell.optimizer_label,
            "cell_key": one.trial.cell.key,
            "lr": one.trial.cell.learning_rate,
            "seed": one.trial.seed,
            "outcome": (outcome_of(one.trial, known) or "pruned"),
            "val_delta_m": min(100 * (record.metrics["val/left/error"] - 1) for record in one.state.curve),
        }
        for one in known.values()
    ]
    return pd.DataFrame(rows)


def half_a_deviation_apart(world: int) -> Errors:
    """Rates differ by 2 points, seeds by a standard deviation of 4, which is what the reference says, too."""
    noise = np.random.default_rng(world).normal(scale=0.04, size=(100, len(RATES), len(SEEDS)))

    def error(cell: Cell, seed: int, epoch: int) -> float:
        rate, method = RATES.index(cell.learning_rate), ord(cell.weighting_label[0]) % 100
        return 1.0 + 0.02 * abs(rate - 2) + noise[method, rate, SEEDS.index(seed)] + 0.5 / epoch

    return error


def of_seeds(*by_rate: tuple[float, ...]) -> Errors:
    """By rate, the points that each seed ends with; 1 point more at each epoch before the last."""
    return lambda cell, seed, epoch: (
        1.0 + 0.01 * (by_rate[RATES.index(cell.learning_rate)][SEEDS.index(seed)] + EPOCHS - epoch)
    )


@pytest.mark.parametrize("noise", [0.0, 1.0])
@pytest.mark.parametrize("world", range(6))
def test_no_rate_that_lacks_seeds_would_be_selected(cells: list[Cell], world: int, noise: float) -> None:
    known, _ = play(maker(cells, "race", noise=noise), half_a_deviation_apart(world))
    trials = trials_of(known)
    leading = rank_cells(trials, METHOD, "val_delta_m").groupby(METHOD).head(1)
    assert list(leading["cell_key"]) == list(select_learning_rates(trials)["cell_key"])
    assert list(leading["seeds"]) == [len(SEEDS), len(SEEDS)]


@pytest.mark.slow
def test_a_race_loses_a_small_part_of_a_seed_deviation(make_trial: Callable[..., Trial]) -> None:
    """Trained with its first seed only, the best rate of each method loses a third of a deviation on average."""
    cells, error = make_cells(make_trial, "abcdefghijklmnopqrst"), half_a_deviation_apart(0)
    grid = select_learning_rates(trials_of(play(maker(cells, "grid"), error)[0])).set_index("weighting")

    def lost(**options: object) -> float:
        selected = select_learning_rates(trials_of(play(maker(cells, "race", **options), error)[0]))
        return float((selected.set_index("weighting")["mean"] - grid["mean"]).mean()) / 4.0

    assert lost(**NO_CUTS) < 0.05
    assert lost(**NO_CUTS, noise=0.0) < 0.15


@pytest.mark.parametrize("slots", [1, 2, 7])
@pytest.mark.parametrize("world", range(2))
def test_seeds_do_not_depend_on_the_order_in_which_trials_end(cells: list[Cell], world: int, slots: int) -> None:
    error = half_a_deviation_apart(world)
    one, _ = play(maker(cells, "race"), error, slots=3)
    other, _ = play(maker(cells, "race"), error, slots=slots, order=random.Random(slots))
    assert {key: record.state for key, record in one.items()} == {key: record.state for key, record in other.items()}


@pytest.mark.parametrize("stop_after", [12, 20, 28])
def test_an_interrupted_race_gives_the_same_seeds(cells: list[Cell], stop_after: int) -> None:
    error = half_a_deviation_apart(1)
    whole, cost = play(maker(cells, "race"), error)
    half, spent = play(maker(cells, "race"), error, stop_after=stop_after)
    resumed, rest = play(maker(cells, "race"), error, known=half)
    assert {key: record.state for key, record in resumed.items()} == {k: record.state for k, record in whole.items()}
    assert spent + rest == cost


def test_the_rates_of_each_task_race_by_themselves_in_single_task_training(make_trial: Callable[..., Trial]) -> None:
    """Tasks have losses of their own; with the best rate of one alone, the other would be without a baseline."""
    trained = [
        replace(cell, role="stl", tasks=(task,), weighting_label="stl")
        for task in ("left", "right")
        for cell in make_cells(make_trial, ["ew"])
    ]
    best = {"left": 1, "right": 4}

    def error(cell: Cell, seed: int, epoch: int) -> float:
        loss = 1.0 if cell.tasks == ("left",) else 50.0
        distance = abs(RATES.index(cell.learning_rate) - best[cell.tasks[0]] - 0.2)  # no two are alike
        return loss * (1 + distance + 1 / epoch)

    choice = STRATEGIES.resolve(Choice(name="race", options={"rungs": {0.25: 2, 1.0: 1}}))
    known, epochs = play(lambda before: STRATEGIES.create(choice, trained, SEEDS, Reference((), {}), before), error)
    for task, rate in best.items():
        finished = [one for one in known.values() if one.trial.cell.tasks == (task,) and len(one.state.curve) == EPOCHS]
        assert {one.trial.cell.learning_rate for one in finished if one.trial.seed == SEEDS[-1]} == {RATES[rate]}
    assert epochs == 2 * (6 * 2 + 2 * 6 + 2 * EPOCHS)


def test_a_rate_in_front_gets_its_seeds_one_at_a_time(cells: list[Cell]) -> None:
    """The first rate wins with seed 0 and loses to the second with the others; the third leads until its seed 1."""
    far = (90.0, 90.0, 90.0)
    known, _ = play(maker(cells, "race", **NO_CUTS, noise=0.0),
                    of_seeds((5.0, 30.0, 31.0), (8.0, 8.0, 9.0), (9.5, 60.0, 0.0), (7.0, 40.0, 0.0), far, far))  # fmt: skip
    assert list(done(known, "ew").values()) == [3, 3, 1, 2, 1, 1]


def test_how_many_rates_get_seeds_depends_on_how_far_the_methods_own_seeds_are_apart(cells: list[Cell]) -> None:
    """Single-task seeds differ by 4 points, those of `ew` by 0.1 and those of `uw` by 12."""

    def error(cell: Cell, seed: int, epoch: int) -> float:
        wide = 0.12 if cell.weighting_label == "uw" else 0.001
        return 1.2 + 0.05 * RATES.index(cell.learning_rate) + wide * (seed - 1) + 1.0 / epoch

    known, _ = play(maker(cells, "race", **NO_CUTS), error)
    assert list(done(known, "ew").values()) == [3, 1, 1, 1, 1, 1]
    assert sum(count == 3 for count in done(known, "uw").values()) > 1


def test_a_cut_rate_comes_back_while_it_leads(cells: list[Cell]) -> None:
    """The rate kept at the rung is selected by its first seed alone; the other seeds show the cut one in front."""

    def error(cell: Cell, seed: int, epoch: int) -> float:
        rate = RATES.index(cell.learning_rate)
        return 1.0 + (0.01 if rate == 0 and seed == 0 else 0.9 if rate != 1 else 0.02)

    known, _ = play(maker(cells, "race", rungs={0.5: 1, 1.0: 1}, noise=0.0), error)
    assert list(done(known, "ew").values()) == [3, 3, 0, 0, 0, 0]


@pytest.mark.parametrize(("single_task", "expected"), [(0.0, None), (4.0, "close")])
def test_seeds_that_agree_by_chance_do_not_end_the_search(single_task: float, expected: str | None) -> None:
    """Three seeds of the leading cell lie within 0.1; single-task training differs by 4 points over seeds."""
    leading = Standing("leading", 0.1, (10.0, 10.1, 9.9), done=True)
    close = Standing("close", 0.01, (10.5,), done=True)
    assert cell_to_replicate([leading, close], 3, noise=1.0, deviation=single_task) == expected
