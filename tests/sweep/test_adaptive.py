"""Adaptive search: what a space holds, that Optuna finds its best cell, and that nothing is trained twice."""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import optuna
import pytest

from mtlsweep.analysis.objectives import Objective
from mtlsweep.errors import UserError
from mtlsweep.methods.optimizers import OPTIMIZERS
from mtlsweep.methods.weighting import WEIGHTINGS
from mtlsweep.params.choice import Choice
from mtlsweep.params.suite import Training
from mtlsweep.sweep.reference import Reference
from mtlsweep.sweep.search.objective_values import Targets
from mtlsweep.sweep.search.optuna_study import CellStudy
from mtlsweep.sweep.search.space import Space
from mtlsweep.sweep.strategies import STRATEGIES, Assignment
from mtlsweep.sweep.strategies.known import epochs_seen, outcome_of
from mtlsweep.sweep.strategies.rungs import Asha, order_by_rank
from mtlsweep.trials.cell import Cell
from mtlsweep.trials.curve import EpochRecord
from mtlsweep.trials.state import Execution, Finished, FinishedTrial, Outcome, Paused, State, TrialRecord
from mtlsweep.trials.trial import Trial

EPOCHS = 8
SEEDS = (0, 1)
RATES = (0.1, 0.01, 0.001)
OBJECTIVES = (Objective("left", "error", higher_is_better=False), Objective("right", "accuracy", higher_is_better=True))
BASELINE = {"left_error": 1.0, "right_accuracy": 0.5}
REFERENCE = Reference(OBJECTIVES, {"val": BASELINE, "test": BASELINE})
SPACE = {
    "learning_rate": {"low": 1e-4, "high": 1e-1, "log": True},
    "cagrad.c": {"low": 0.1, "high": 0.9},
    "sgd.momentum": [0.0, 0.9],
}
SAMPLERS = ("nsga2", "nsga3", "tpe", pytest.param("gp", marks=pytest.mark.slow), "random", "qmc")


@pytest.fixture
def cells(make_trial: Callable[..., Trial]) -> list[Cell]:
    """EW and CAGrad with SGD and Adam, and AdaTask with Adam alone: a space with conditions."""
    pairs = [("ew", "sgd"), ("ew", "adam"), ("cagrad", "sgd"), ("cagrad", "adam"), ("adatask", "adam")]
    return [
        make_trial(
            weighting=WEIGHTINGS.resolve(Choice(name=weighting)),
            optimizer=OPTIMIZERS.resolve(Choice(name=optimizer)),
            weighting_label=weighting,
            optimizer_label=optimizer,
            learning_rate=rate,
            training=Training(epochs=EPOCHS, batch_size=8),
        ).cell
        for weighting, optimizer in pairs
        for rate in RATES
    ]


def error_of(cell: Cell, seed: int, epoch: int) -> float:
    """Best at learning rate 0.01 and, for CAGrad, at c = 0.3; falls with epochs."""
    distance = abs(np.log10(cell.learning_rate) + 2)
    penalty = 0.5 * abs(cell.weighting.options["c"] - 0.3) if cell.weighting.name == "cagrad" else 0.3
    return float(1 + distance + penalty + 1 / epoch + 0.001 * seed)


def run_to(trial: Trial, until: int, diverges: bool) -> TrialRecord[State]:
    curve = tuple(
        EpochRecord(
            epoch,
            {
                "val/left/error": error_of(trial.cell, trial.seed, epoch),
                "val/right/accuracy": 1 / error_of(trial.cell, trial.seed, epoch),
            },
            0.0,
            1.0,
        )
        for epoch in range(1, until + 1)
    )
    state: State = Finished(Outcome.DONE, curve) if until == EPOCHS else Paused(curve)
    return TrialRecord(
        trial, Finished(Outcome.DIVERGED, (), "nan", "") if diverges else state, Execution(0.0, 1.0, 1.0, "host", 1, {})
    )


def finished(record: TrialRecord[State], state: Finished) -> FinishedTrial:
    """Return the record with this as its state, typed as the study takes it."""
    return TrialRecord(record.trial, state, record.execution)


def search(
    cells: list[Cell],
    path: Path,
    *,
    known: Mapping[str, TrialRecord[State]] = {},
    slots: int = 2,
    diverges: Callable[[Cell], bool] = lambda cell: False,
    stop_after: int = 10**9,
    **options: Any,
) -> tuple[dict[str, TrialRecord[State]], int, CellStudy]:
    """Run a search as the driver does; return what is known, the epochs trained, and the study."""
    strategy = STRATEGIES.create(
        STRATEGIES.resolve(Choice(name="optuna", options=options)), cells, SEEDS, REFERENCE, known
    )
    complete = [finished(one, one.state) for one in known.values() if isinstance(one.state, Finished)]
    targets = Targets(REFERENCE, strategy.target)
    study = CellStudy(path, Space(cells, options.get("space", {})), len(SEEDS), targets, strategy.sampler, complete)
    ledger, trained, order = dict(known), 0, random.Random(0)
    running: list[Assignment] = []
    for _ in range(stop_after):
        while len(running) < slots and (assignment := strategy.next(study.suggest)) is not None:
            assert assignment.trial.key not in {other.trial.key for other in running}, "one trial in two places"
            study.begin(assignment.trial.cell)
            running.append(assignment)
        if not running:
            assert not strategy.left()
            break
        assignment = running.pop(order.randrange(len(running)))
        ended = run_to(assignment.trial, assignment.until, diverges(assignment.trial.cell))
        trained += len(ended.state.curve) - epochs_seen(assignment.trial, ledger)
        ledger[assignment.trial.key] = ended
        if isinstance(ended.state, Finished):
            study.tell(finished(ended, ended.state))
        for cut in strategy.update(ended):
            waiting = ledger[cut.key]
            study.tell(finished(waiting, Finished(Outcome.PRUNED, waiting.state.curve)))
    return ledger, trained, study


def cells_of(known: Mapping[str, TrialRecord[State]]) -> dict[str, Cell]:
    return {one.trial.cell.key: one.trial.cell for one in known.values()}


@pytest.mark.slow
@pytest.mark.parametrize("sampler", SAMPLERS)
def test_every_sampler_tries_as_many_cells_of_the_space_as_asked(
    cells: list[Cell], tmp_path: Path, sampler: str
) -> None:
    known, trained, _ = search(cells, tmp_path / "study", sampler=sampler, cells_tried=16, space=SPACE)
    tried = cells_of(known)
    assert len(tried) == 16
    assert len(known) == 16 * len(SEEDS)
    assert trained == len(known) * EPOCHS
    space = Space(cells, SPACE)
    assert all(cell in space for cell in tried.values())
    assert {cell.optimizer.name for cell in tried.values() if cell.weighting.name == "adatask"} <= {"adam"}


@pytest.mark.slow
def test_a_model_of_the_space_finds_better_cells_than_its_first_tries(cells: list[Cell], tmp_path: Path) -> None:
    _, _, study = search(cells, tmp_path / "study", sampler="tpe", cells_tried=40, space=SPACE, slots=1)
    values = [sum(trial.values) for trial in study._study.trials]
    assert min(values[20:]) < min(values[:10])


def test_listed_rates_are_all_that_is_tried_without_a_range(cells: list[Cell], tmp_path: Path) -> None:
    known, _, _ = search(cells, tmp_path / "study", sampler="random", cells_tried=10)
    assert {one.trial.cell.learning_rate for one in known.values()} <= set(RATES)
    assert {cell.key for cell in cells} >= set(cells_of(known))


@pytest.mark.parametrize("options", [{}, {"asha": {"first": 0.25, "eta": 2}}])
def test_a_trial_is_hashed_once_in_a_search(
    cells: list[Cell], tmp_path: Path, options: dict[str, Any], hashed: list[object]
) -> None:
    known, _, _ = search(cells, tmp_path / "study", sampler="random", cells_tried=8, **options)
    assert len(known) <= len(hashed) <= 8 * len(SEEDS)


@pytest.mark.slow
def test_a_finite_space_ends_when_it_is_exhausted(cells: list[Cell], tmp_path: Path) -> None:
    known, _, _ = search(cells, tmp_path / "study", sampler="random", cells_tried=1000)
    assert set(cells_of(known)) == {cell.key for cell in cells}


@pytest.mark.slow
@pytest.mark.parametrize("options", [{}, {"asha": {"first": 0.25, "eta": 2}}])
@pytest.mark.parametrize("stop_after", [1, 7, 20])
def test_an_interrupted_search_continues_and_trains_nothing_twice(
    cells: list[Cell], tmp_path: Path, options: dict[str, Any], stop_after: int
) -> None:
    options = {"sampler": "tpe", "cells_tried": 16, "space": SPACE, **options}
    half, spent, _ = search(cells, tmp_path / "study", stop_after=stop_after, **options)
    known, rest, study = search(cells, tmp_path / "study", known=half, **options)
    assert len(cells_of(known)) == 16
    assert spent + rest == sum(len(one.state.curve) for one in known.values())
    assert {trial.user_attrs["cell_key"] for trial in study._study.trials} == set(cells_of(known))


@pytest.mark.slow
def test_random_search_continues_with_the_same_cells(cells: list[Cell], tmp_path: Path) -> None:
    options: dict[str, Any] = {"sampler": "random", "cells_tried": 12, "space": SPACE}
    whole, _, _ = search(cells, tmp_path / "study", **options)
    half, _, _ = search(cells, tmp_path / "study", stop_after=9, **options)
    resumed, _, _ = search(cells, tmp_path / "study", known=half, **options)
    assert set(resumed) == set(whole)


def test_cells_of_an_earlier_grid_count_as_tried(cells: list[Cell], tmp_path: Path) -> None:
    grid = {Trial(cell, seed).key: run_to(Trial(cell, seed), EPOCHS, False) for cell in cells for seed in SEEDS}
    known, trained, study = search(
        cells, tmp_path / "study", known=grid, sampler="tpe", cells_tried=len(cells), space=SPACE
    )
    assert (trained, set(known)) == (0, set(grid))
    assert len(study._study.trials) == len(cells)


def test_optuna_gets_means_and_a_diverged_cell_is_a_failure(cells: list[Cell], tmp_path: Path) -> None:
    known, _, study = search(
        cells,
        tmp_path / "study",
        cells_tried=10,
        sampler="random",
        space=SPACE,
        diverges=lambda cell: cell.optimizer.name == "sgd",
    )
    states = {trial.user_attrs["cell_key"]: trial for trial in study._study.trials}
    for key, cell in cells_of(known).items():
        if cell.optimizer.name == "sgd":
            assert states[key].state is optuna.trial.TrialState.FAIL
        else:
            errors = [error_of(cell, seed, EPOCHS) for seed in SEEDS]
            left = 100 * (np.mean(errors) - 1)
            right = 100 * np.mean([(0.5 - 1 / error) / 0.5 for error in errors])
            assert states[key].values == pytest.approx([left, right])


def test_metrics_themselves_may_be_the_target(cells: list[Cell], tmp_path: Path) -> None:
    _, _, study = search(cells, tmp_path / "study", cells_tried=4, sampler="random", target="metrics", space=SPACE)
    assert [direction.name for direction in study._study.directions] == ["MINIMIZE", "MAXIMIZE"]
    assert all(trial.values[0] == pytest.approx(1 / trial.values[1], rel=1e-3) for trial in study._study.trials)


def test_a_finished_study_opens_in_optunas_own_tools(cells: list[Cell], tmp_path: Path) -> None:
    search(cells, tmp_path / "study", cells_tried=8, sampler="nsga2", space=SPACE)
    backend = optuna.storages.journal.JournalFileBackend(str(tmp_path / "study"))
    (name,) = optuna.get_all_study_names(storage=optuna.storages.JournalStorage(backend))
    study = optuna.load_study(study_name=name, storage=optuna.storages.JournalStorage(backend))
    assert len(study.best_trials) >= 1
    assert {"weighting", "lr"} <= set(study.trials_dataframe().columns.str.removeprefix("params_"))


# --- rungs ---


def test_rungs_are_shares_of_the_epochs() -> None:
    assert Asha(first=0.25, eta=2).rungs(8) == [2, 4]
    assert Asha(first=0.1, eta=3).rungs(100) == [10, 30, 90]
    assert Asha(first=0.5, eta=3).rungs(1) == []


@pytest.mark.slow
def test_rungs_save_most_of_the_epochs_and_keep_the_best_cell(cells: list[Cell], tmp_path: Path) -> None:
    options: dict[str, Any] = {"sampler": "random", "cells_tried": 27, "space": SPACE}
    whole, everything, _ = search(cells, tmp_path / "a", **options)
    known, trained, study = search(cells, tmp_path / "b", asha={"first": 0.25, "eta": 3}, **options)
    assert set(cells_of(known)) == set(cells_of(whole))
    assert trained < everything / 3

    def best(trials: Mapping[str, TrialRecord[State]]) -> str:
        done = [one for one in trials.values() if outcome_of(one.trial, trials) is Outcome.DONE]
        return min(done, key=lambda one: one.state.curve[-1].metrics["val/left/error"]).trial.cell.key

    assert best(known) == best(whole)
    states = [trial.state.name for trial in study._study.trials]
    assert states.count("PRUNED") > states.count("COMPLETE") >= 1
    assert "RUNNING" not in states


def test_a_cell_that_passes_every_rung_gets_all_seeds(cells: list[Cell], tmp_path: Path) -> None:
    known, _, _ = search(cells, tmp_path / "s", sampler="random", cells_tried=9, space=SPACE, asha={"eta": 3})
    first_done = {one.trial.cell.key for one in known.values() if outcome_of(one.trial, known) is Outcome.DONE}
    assert first_done
    for key in first_done:
        assert sorted(one.trial.seed for one in known.values() if one.trial.cell.key == key) == list(SEEDS)


def test_order_is_by_front_then_by_contribution() -> None:
    points = np.array([[2.0, 2.0], [0.0, 1.0], [1.0, 0.0], [0.9, 0.05], [0.4, 0.4], [3.0, 3.0]])
    order = order_by_rank(points)
    assert set(order[:4]) == {1, 2, 3, 4}
    assert order[3] == 3, "a point close to another adds least"
    assert order[4:] == [0, 5]
    assert order_by_rank(np.empty((0, 2))) == []


@pytest.mark.parametrize("scale", [1e-6, 1.0, 1e6])
def test_order_knows_no_units(scale: float) -> None:
    points = np.random.default_rng(0).random((20, 3))
    assert order_by_rank(points * [scale, 1.0, 1.0]) == order_by_rank(points)


# --- the space ---


def test_ranged_options_are_no_part_of_a_methods_name(cells: list[Cell]) -> None:
    space = Space(cells, SPACE)
    assert {cell.method for cell in space.cells} == {"ew sgd", "ew adam", "cagrad sgd", "cagrad adam", "adatask adam"}
    assert len(space.cells) == 5, "rates are ranged, too"


@pytest.mark.parametrize(
    ("ranges", "sentence"),
    [
        ({"cagrat.c": [0.1]}, "`space.cagrat.c` does not name a weighting or an optimizer of the sweep"),
        ({"cagrad.d": [0.1]}, "`space.cagrad.d`: weighting `cagrad` has no option `d`"),
        ({"cagrad.c": {"low": -3.0, "high": 0.5}}, "`space.cagrad.c`: weighting `cagrad` option `c` is -3.0"),
        ({"learning_rate": [0.1]}, "`space.learning_rate` must be {low"),
    ],
)
def test_a_wrong_range_is_named(cells: list[Cell], ranges: dict[str, Any], sentence: str) -> None:
    with pytest.raises(UserError) as caught:
        Space(cells, ranges)
    assert sentence in str(caught.value)


def test_a_range_with_low_above_high_is_an_error() -> None:
    with pytest.raises(UserError, match="`low` must be less than `high`"):
        STRATEGIES.resolve(Choice(name="optuna", options={"space": {"sgd.momentum": {"low": 0.9, "high": 0.1}}}))
