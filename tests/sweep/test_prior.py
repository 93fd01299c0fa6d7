"""A prior: what survived in earlier ledgers is tried first, changes no key, and loses its influence when it is wrong."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from mtlsweep.analysis.objectives import Objective
from mtlsweep.errors import UserError
from mtlsweep.params.choice import Choice
from mtlsweep.params.suite import Training
from mtlsweep.record.ledger import Ledger
from mtlsweep.sweep.reference import Reference
from mtlsweep.sweep.search.objective_values import Targets
from mtlsweep.sweep.search.optuna_study import CellStudy
from mtlsweep.sweep.search.space import Space
from mtlsweep.sweep.strategies import STRATEGIES
from mtlsweep.sweep.strategies.prior import Prior, read_prior
from mtlsweep.sweep.strategies.survivors import Survivor, find_survivors
from mtlsweep.trials.cell import Cell
from mtlsweep.trials.curve import EpochRecord
from mtlsweep.trials.state import Execution, Finished, FinishedTrial, Outcome, TrialRecord
from mtlsweep.trials.trial import Trial

RATES = (1.0, 0.3, 0.1, 0.03, 0.01, 0.003, 0.001)
BEST = 0.1
OBJECTIVES = (Objective("left", "loss", higher_is_better=False), Objective("right", "loss", higher_is_better=False))
BASELINE = {"left_loss": 1.0, "right_loss": 1.0}
REFERENCE = Reference(OBJECTIVES, {"val": BASELINE, "test": BASELINE})

MakeCell = Callable[..., Cell]


@pytest.fixture
def make_cell(make_trial: Callable[..., Trial]) -> MakeCell:
    """Return a maker of cells of a weighting, an optimizer and a rate."""

    def make(weighting: str, optimizer: str, rate: float, **changes: object) -> Cell:
        return make_trial(
            weighting=Choice(name=weighting),
            optimizer=Choice(name=optimizer),
            weighting_label=weighting,
            optimizer_label=optimizer,
            learning_rate=rate,
            training=Training(epochs=2, batch_size=8),
            **changes,
        ).cell

    return make


@pytest.fixture
def cells(make_cell: MakeCell) -> list[Cell]:
    """The sweep: two weightings with two optimizers at seven rates."""
    return [make_cell(w, o, rate) for w in ("ew", "uw") for o in ("adam", "sgd") for rate in RATES]


def losses(cell: Cell) -> tuple[float, float]:
    """Losses of both tasks, lowest at the best rate of the optimizer: 0.1, for SGD ten times as much."""
    distance = abs(np.log10(cell.learning_rate / (10 * BEST if cell.optimizer.name == "sgd" else BEST)))
    return 1.0 + distance, 2.0 + distance * (1.5 if cell.weighting.name == "uw" else 1.0)


def ended(cell: Cell, seed: int = 0, outcome: Outcome = Outcome.DONE) -> FinishedTrial:
    left, right = losses(cell)
    metrics = {"val/left/loss": left + 0.01 * seed, "val/right/loss": right + 0.01 * seed}
    curve = tuple(EpochRecord(epoch, metrics, 0.0, 1.0) for epoch in (1, 2))
    return TrialRecord(Trial(cell, seed), Finished(outcome, curve), Execution(0.0, 1.0, 1.0, "host", 1, {}))


def write(root: Path, trials: list[FinishedTrial], suite: str = "earlier") -> str:
    """Write a ledger; return its folder."""
    ledger = Ledger(root, suite)
    ledger.prepare()
    for one in trials:
        ledger.start(one.trial)
        ledger.finish(one)
    return str(ledger.directory)


def prior_of(folders: list[str], cells: list[Cell], space: Mapping[str, Any] = {}, **options: Any) -> Prior:
    return read_prior({"ledgers": folders, **options}, Space(cells, space), seed=0)


def search(
    cells: list[Cell],
    path: Path,
    prior: Mapping[str, Any] | None,
    *,
    known: Mapping[str, FinishedTrial] = {},
    stop_after: int = 10**9,
    cells_tried: int = 12,
    sampler: str = "random",
    seed: int = 0,
) -> dict[str, FinishedTrial]:
    """Run a search of one seed, one trial after another, as the driver does; return what it trained, in its order."""
    options = {"sampler": sampler, "cells_tried": cells_tried, "prior": prior, "seed": seed}
    strategy = STRATEGIES.create(
        STRATEGIES.resolve(Choice(name="optuna", options=options)), cells, (0,), REFERENCE, known
    )
    study = CellStudy(path, Space(cells), 1, Targets(REFERENCE), strategy.sampler, known.values())
    ledger = dict(known)
    while len(ledger) < stop_after and (assignment := strategy.next(study.suggest)) is not None:
        study.begin(assignment.trial.cell)
        ledger[assignment.trial.key] = one = ended(assignment.trial.cell)
        study.tell(one)
        strategy.update(one)
    return ledger


def settings(known: Mapping[str, FinishedTrial]) -> list[tuple[str, float]]:
    return [(one.trial.cell.method, one.trial.cell.learning_rate) for one in known.values()]


# --- what survived ---


def test_of_a_race_the_rates_with_every_seed_survive(make_cell: MakeCell) -> None:
    race = [ended(make_cell("ew", "adam", rate), 0, Outcome.PRUNED) for rate in RATES if rate != 0.03]
    race += [ended(make_cell("ew", "adam", 0.03), seed) for seed in (0, 1)]
    race += [ended(make_cell("ew", "adam", 0.1, data_fingerprint="e" * 64), 0)]
    assert find_survivors(race) == [Survivor("ew", "adam", 0.03, 1), Survivor("ew", "adam", 0.1, 1)], (
        "other data, other contest"
    )


def test_of_a_grid_the_two_best_rates_survive(make_cell: MakeCell) -> None:
    grid = [ended(make_cell("ew", "adam", rate), seed) for rate in RATES for seed in (0, 1)]
    assert [one.learning_rate for one in find_survivors(grid)] == [BEST, 0.3]


def test_a_rate_that_diverged_with_one_seed_does_not_survive(make_cell: MakeCell) -> None:
    best = make_cell("ew", "adam", BEST)
    trials = [ended(best, 0), ended(best, 1, Outcome.DIVERGED), ended(make_cell("ew", "adam", 0.01))]
    assert [one.learning_rate for one in find_survivors(trials)] == [0.01]


# --- what is tried first ---


def test_methods_that_survived_keep_their_rates_and_others_take_those_of_their_optimizer(
    cells: list[Cell], make_cell: MakeCell, tmp_path: Path
) -> None:
    earlier = [
        ended(make_cell("ew", "adam", 0.03, suite="other")),
        ended(make_cell("pcgrad", "adam", 0.25, suite="other")),
    ]
    prior = prior_of([write(tmp_path, earlier)], cells)
    of_method = {
        name: [cell.learning_rate for cell in prior.starts if cell.method == name] for name in ("ew adam", "uw adam")
    }
    assert of_method == {"ew adam": [0.03, 0.3], "uw adam": [0.03, 0.3]}, "0.25 is nearest to 0.3"
    assert prior.missing == ("sgd",)
    assert {cell.learning_rate for cell in prior.starts[:2]} == {0.03}, "each method's first choice comes first"
    assert prior.describe()["rates"] == {"adam": [0.3, 0.03]}


def test_the_best_rate_of_a_method_comes_before_its_second(
    cells: list[Cell], make_cell: MakeCell, tmp_path: Path
) -> None:
    earlier = [ended(make_cell("ew", "adam", rate, suite="other")) for rate in (BEST, 0.03)]
    starts = prior_of([write(tmp_path, earlier)], cells).starts
    assert [cell.learning_rate for cell in starts] == [BEST, BEST, 0.03, 0.03]


def test_a_range_takes_rates_as_they_survived(cells: list[Cell], make_cell: MakeCell, tmp_path: Path) -> None:
    folder = write(tmp_path, [ended(make_cell("ew", "adam", 0.25, suite="other"))])
    prior = prior_of([folder], cells, {"learning_rate": {"low": 1e-4, "high": 1.0}})
    assert {cell.learning_rate for cell in prior.starts} == {0.25}


def test_trials_of_the_sweep_itself_are_no_prior(cells: list[Cell], make_cell: MakeCell, tmp_path: Path) -> None:
    other = ended(make_cell("ew", "adam", 0.03, suite="other"))
    both = prior_of([write(tmp_path / "both", [ended(cells[2]), other])], cells)
    alone = prior_of([write(tmp_path / "alone", [other])], cells)
    assert both.starts == alone.starts


def test_a_prior_changes_what_is_tried_and_no_key(cells: list[Cell], make_cell: MakeCell, tmp_path: Path) -> None:
    folder = write(tmp_path, [ended(make_cell("ew", o, r, suite="other")) for o, r in (("adam", 0.1), ("sgd", 1.0))])
    known = search(cells, tmp_path / "a", {"ledgers": [folder]})
    assert set(known) <= {Trial(cell, 0).key for cell in cells}
    assert set(known) != set(search(cells, tmp_path / "b", None))
    favoured = [one for one in settings(known)[:6] if one[1] == (0.1 if "adam" in one[0] else 1.0)]
    assert len(favoured) >= 4, "the best rate of each of the four methods is among the first six cells"


@pytest.mark.parametrize("stop_after", [1, 3, 6, 9])
def test_a_search_that_continues_tries_the_same_cells(
    cells: list[Cell], make_cell: MakeCell, tmp_path: Path, stop_after: int
) -> None:
    prior = {"ledgers": [write(tmp_path, [ended(make_cell("ew", "adam", r, suite="other")) for r in (0.03, 0.1)])]}
    whole = search(cells, tmp_path / "study", prior)
    half = search(cells, tmp_path / "study", prior, stop_after=stop_after)
    shuffled = dict(sorted(half.items()))  # a ledger is read in the order of keys
    assert set(search(cells, tmp_path / "study", prior, known=shuffled)) == set(whole)


@pytest.mark.slow
def test_a_wrong_prior_costs_few_cells(cells: list[Cell], make_cell: MakeCell, tmp_path: Path) -> None:
    wrong = [ended(make_cell("ew", o, r, suite="other")) for o in ("adam", "sgd") for r in (0.001, 0.003)]
    prior = {"ledgers": [write(tmp_path, wrong)]}
    followed, best_with, best_without = [], [], []
    for seed in range(10):
        known = search(cells, tmp_path / "a", prior, seed=seed, cells_tried=6)
        followed.append(sum(rate <= 0.003 for _, rate in settings(known)))
        best_with.append(min(sum(losses(one.trial.cell)) for one in known.values()))
        without = search(cells, tmp_path / "b", None, seed=seed, cells_tried=6)
        best_without.append(min(sum(losses(one.trial.cell)) for one in without.values()))
    assert np.mean(followed) < 6 * 2 / 7 + 1.5, "chance alone tries 2 of 7 rates"
    assert np.mean(best_with) < np.mean(best_without) + np.std(best_without)


def test_trust_falls_with_each_pair_that_the_prior_loses(cells: list[Cell]) -> None:
    prior = Prior(starts=(cells[0],), share=0.9, sources=(), outside=0, missing=())
    followed, other, another = cells[0], cells[1], cells[2]
    waiting = replace(prior, starts=(cells[0], cells[3]))
    assert waiting.next([], []) is None, "the first cell is the search's, to compare with"
    assert waiting.next([other], [[other]]) == cells[0]
    assert waiting.next([other, another, followed], [[followed], [other], [another]]) == cells[3]
    assert waiting.next([other, another, followed], [[other], [another], [followed]]) is None
    assert waiting.next([other, another, followed], [[other], [followed], [another]]) is None, (
        "a poor cell is easily beaten"
    )
    assert prior.next([other, another, followed], [[followed], [other], [another]]) is None, "all are tried"


# --- what is refused ---


@pytest.mark.parametrize(
    ("earlier", "words"),
    [
        (None, ["there is no ledger", "results/SUITE/ledger"]),
        ([], ["none of 0 finished multi-task trials survived"]),
        ([("ew", "adam", 0.1, "other", Outcome.PRUNED)], ["none of 1 finished multi-task trials survived"]),
        ([("ew", "adam", 0.1, "digits", Outcome.DONE)], ["all trials belong to this sweep"]),
        ([("ew", "muon", 0.1, "other", Outcome.DONE)], ["survived with muon", "the sweep has adam, sgd"]),
        ([("ew", "adam", 30.0, "other", Outcome.DONE)], ["(30)", "all outside", "widen `learning_rates`"]),
    ],
)
def test_what_cannot_be_learned_from_is_named(
    cells: list[Cell],
    make_cell: MakeCell,
    tmp_path: Path,
    earlier: list[tuple[str, str, float, str, Outcome]] | None,
    words: list[str],
) -> None:
    folder = str(tmp_path / "earlier" / "ledger")
    if earlier is not None:
        write(tmp_path, [ended(make_cell(w, o, r, suite=suite), 0, end) for w, o, r, suite, end in earlier])
    with pytest.raises(UserError) as caught:
        prior_of([folder], cells)
    assert all(word in str(caught.value) for word in ["`prior.ledgers`", folder, *words])


@pytest.mark.parametrize(
    ("prior", "sentence"),
    [
        ({"ledgers": []}, "option `prior.ledgers` is []: "),
        ({"ledgers": ["a"], "share": 1.5}, "option `prior.share` is 1.5: should be less than 1."),
        (
            {"ledger": ["a"]},
            "strategy `optuna` has no option `prior.ledger`; did you mean `ledgers`? Allowed: ledgers, share.",
        ),
        ({}, "strategy `optuna` needs the option `prior.ledgers`."),
    ],
)
def test_a_wrong_field_of_a_prior_is_named(prior: dict[str, Any], sentence: str) -> None:
    with pytest.raises(UserError) as caught:
        STRATEGIES.resolve(Choice(name="optuna", options={"prior": prior}))
    assert sentence in str(caught.value)
