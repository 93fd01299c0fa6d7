"""Any option may be an axis: tuned on validation like the learning rate, at equal numbers of settings, or compared by name."""

from __future__ import annotations

import copy
from collections import Counter
from pathlib import Path
from typing import Any

import optuna
import pytest

from mtlsweep.analysis.selection import select_learning_rates
from mtlsweep.errors import UserError
from mtlsweep.params.params import parse_params
from mtlsweep.params.suite import Suite
from mtlsweep.record.tables.outcomes import build_outcomes, read_outcomes, write_outcomes
from mtlsweep.record.tables.schema import OUTCOMES
from mtlsweep.sweep.plan.cells import check_names, plan_cells
from mtlsweep.sweep.search.space import Space
from mtlsweep.trials.cell import Cell
from mtlsweep.trials.state import Execution, Finished, FinishedTrial, Outcome, TrialRecord
from mtlsweep.trials.trial import Trial
from tests.sweep.simulated_training import EPOCHS, SEEDS, maker, play
from tests.sweep.test_race import trials_of

SUITE: dict[str, Any] = {
    "data": {"dataset": "multidigits"},
    "network": "lenet",
    "training": {"epochs": EPOCHS, "batch_size": 32},
    "baselines": {"learning_rates": [0.01], "seeds": [0]},
    "sweep": {
        "weightings": ["ew", "cagrad"],
        "optimizers": ["adam", "sgd"],
        "learning_rates": [0.1, 0.01, 0.001],
        "seeds": list(SEEDS),
    },
}

WIDTHS = {"network.head_width": [0, 8]}
C = {"weighting.c": [0.1, 0.4]}


def planned(**sweep: Any) -> tuple[Cell, ...]:
    return plan_cells("digits", suite(**sweep), "sweep", ["left"], "f" * 64)


def suite(**sweep: Any) -> Suite:
    raw = copy.deepcopy(SUITE)
    raw["sweep"].update(sweep)
    return parse_params({"active": ["digits"], "suites": {"digits": raw}}).suite("digits")


def methods_of(cells: tuple[Cell, ...]) -> Counter[str]:
    return Counter(cell.method for cell in cells)


def test_a_tuned_axis_multiplies_the_settings_of_each_method() -> None:
    cells = planned(axes=WIDTHS)
    assert methods_of(cells) == dict.fromkeys(methods_of(planned()), 3 * 2)
    tried = {(cell.learning_rate, cell.network.options["head_width"]) for cell in cells if cell.method == "ew adam"}
    assert tried == {(rate, width) for rate in (0.1, 0.01, 0.001) for width in (0, 8)}


def test_the_rate_of_a_parameter_group_is_tuned_as_the_learning_rate_is() -> None:
    cells = planned(optimizers=["muon"], axes={"optimizer.adamw_learning_rate": [0.003, 0.001]})
    assert methods_of(cells) == {"ew muon": 3 * 2, "cagrad muon": 3 * 2}


def test_a_compared_axis_is_part_of_the_methods_name() -> None:
    cells = planned(axes={"training.batch_size": {"compared": [32, 64]}, "optimizer.weight_decay": {"compared": [0.0]}})
    assert "cagrad sgd [batch_size=64, weight_decay=0]" in methods_of(cells)
    assert {cell.training.batch_size for cell in cells if "batch_size=64" in cell.method} == {64}
    assert set(methods_of(cells).values()) == {3}
    weightings = {cell.weighting_label for cell in planned(axes={"weighting.c": {"compared": [0.1, 0.5]}})}
    assert weightings == {"ew", "cagrad [c=0.1]", "cagrad [c=0.5]"}


def test_a_value_that_a_sweep_without_the_axis_has_is_the_same_trial() -> None:
    without = {cell.key for cell in planned()}
    assert without < {cell.key for cell in planned(axes=WIDTHS)}
    assert without < {cell.key for cell in planned(axes={"training.batch_size": {"compared": [64, 32]}})}
    assert all(not cell.axes for cell in planned())


def test_a_protocols_own_section_may_be_an_axis() -> None:
    cells = planned(axes={"training.schedule.kind": ["constant", "cosine"]})
    assert Counter(cell.training.schedule.kind for cell in cells) == {"constant": 12, "cosine": 12}


def test_baselines_are_tuned_over_axes_of_their_own() -> None:
    tuned = suite().model_copy(update={"baselines": suite().baselines.model_validate({
        "learning_rates": [0.01], "seeds": [0], "axes": WIDTHS
    })})  # fmt: skip
    cells = plan_cells("digits", tuned, "baselines", ["left", "right"], "f" * 64)
    assert Counter((cell.tasks, cell.network.options["head_width"]) for cell in cells) == {
        ((task,), width): 1 for task in ("left", "right") for width in (0, 8)
    }


@pytest.mark.parametrize("axes", [{"weighting.c": [0.1]}, {"training.batch_size": {"compared": [8]}}])
def test_an_axis_that_a_baseline_cannot_have_is_refused(axes: dict[str, Any]) -> None:
    raw = copy.deepcopy(SUITE)
    raw["baselines"]["axes"] = axes
    with pytest.raises(UserError, match="must be tuned and no option of a weighting: a baseline has a single task"):
        parse_params({"active": ["digits"], "suites": {"digits": raw}})


def test_methods_that_would_try_more_settings_than_others_are_refused() -> None:
    with pytest.raises(UserError) as caught:
        planned(axes=C)
    assert str(caught.value) == (
        "params.yaml: `suites.digits.sweep.axes`: `ew adam` has 3 settings to try and `cagrad adam` has 6; results are "
        "comparable when every method tries equally many: add `settings: 3` (or fewer), or make the axis `compared`."
    )


@pytest.mark.parametrize("settings", [1, 2, 3])
def test_at_equal_budget_each_method_tries_as_many_spread_over_its_values(settings: int) -> None:
    cells = planned(axes=C, settings=settings)
    assert methods_of(cells) == dict.fromkeys(methods_of(planned()), settings)
    own = [cell for cell in cells if cell.method == "cagrad adam"]
    assert len({cell.learning_rate for cell in own}) == settings
    counts = Counter(cell.tuned["weighting.c"] for cell in own)
    assert max(counts.values()) - min(counts.get(value, 0) for value in ("0.1", "0.4")) <= 1


def test_a_larger_number_of_settings_adds_to_a_smaller_one() -> None:
    axes = WIDTHS | {"optimizer.weight_decay": [0, 0.1, 0.01]}
    keys = [{cell.key for cell in planned(axes=axes, settings=settings)} for settings in (4, 9, 18)]
    assert keys[0] < keys[1] < keys[2] == {cell.key for cell in planned(axes=axes)}


def test_methods_with_equal_axes_try_the_same_settings() -> None:
    tried: dict[str, set[tuple[object, ...]]] = {}
    for cell in planned(axes=WIDTHS, settings=4):
        tried.setdefault(cell.method, set()).add((cell.learning_rate, *cell.tuned.values()))
    assert len({frozenset(settings) for settings in tried.values()}) == 1


@pytest.mark.parametrize(
    ("sweep", "sentence"),
    [
        ({"axes": {"netwrk.dropout": [0]}}, "`suites.digits.sweep.axes.netwrk.dropout` is 'netwrk.dropout': it names no option; did you mean `network`?"),
        ({"axes": {"training.epochs": [1, 2]}}, "the trials of a sweep have equal epochs"),
        ({"axes": {"network.head_width": 3}}, "an axis is a list of values"),
        ({"axes": {"network.head_width": []}}, "list the values once"),
        ({"axes": {"network.head_width": [[1]]}}, "a value of an axis is a number, a text, true, false or null"),
        ({"axes": {"network.head_widht": [0, 1]}}, "`suites.digits.sweep.axes.network.head_widht`: network `lenet` has no option `head_widht`; did you mean `head_width`?"),
        ({"axes": {"network.head_width": [-1]}}, "`suites.digits.sweep.axes.network.head_width`: network `lenet` option `head_width` is -1"),
        ({"axes": {"training.batchsize": [8]}}, "`suites.digits.sweep.axes.training.batchsize`: there is no such option; did you mean `batch_size`?"),
        ({"axes": {"training.batch_size": [0]}}, "`suites.digits.sweep.axes.training.batch_size`: 0 is not allowed"),
        ({"axes": {"weighting.cc": [1]}}, "`suites.digits.sweep.axes.weighting.cc`: no weighting of the sweep has the option `cc`; did you mean `c`?"),
        ({"axes": {"optimizer.learning_rate": [1]}}, "no optimizer of the sweep has the option `learning_rate`"),
        ({"axes": C, "settings": 4}, "`settings` is 4, but `ew adam` has 3 settings: use at most 3, or list more values"),
        ({"axes": C, "weightings": ["cagrad", {"cagrad": {"c": 0.2}}]}, "the sweep lists `cagrad adam` twice"),
        ({"axes": C, "settings": 3, "strategy": "optuna"}, "an adaptive search uses `cells_tried` instead"),
    ],
)  # fmt: skip
def test_a_mistake_is_one_sentence_before_anything_runs(sweep: dict[str, Any], sentence: str) -> None:
    with pytest.raises(UserError) as caught:
        check_names("digits", suite(**sweep))
    assert sentence in str(caught.value)


def wide_is_better(cell: Cell, seed: int, epoch: int) -> float:
    """The best rate is 0.01, the best width 8; both cost some points where they are wrong."""
    rate = abs((0.1, 0.01, 0.001).index(cell.learning_rate) - 1)
    width = float(cell.tuned["network.head_width"] != "8")
    return 1.0 + 0.1 * rate + 0.2 * width + 0.001 * seed + 0.5 / epoch


def test_a_race_over_settings_selects_what_the_grid_does_for_fewer_epochs() -> None:
    cells = list(planned(axes=WIDTHS))
    runs = {
        strategy: play(maker(cells, strategy, **options), wide_is_better)[0]
        for strategy, options in {"grid": {}, "race": {"rungs": {0.25: 2, 1.0: 1}, "noise": 0.0}}.items()
    }
    selected = {name: select_learning_rates(trials_of(known)) for name, known in runs.items()}
    assert list(selected["race"]["cell_key"]) == list(selected["grid"]["cell_key"])
    best = {cell.key: cell for cell in cells}
    assert {
        (best[key].learning_rate, best[key].tuned["network.head_width"]) for key in selected["race"]["cell_key"]
    } == {(0.01, "8")}
    epochs = {name: sum(len(one.state.curve) for one in known.values()) for name, known in runs.items()}
    assert epochs["race"] < 0.5 * epochs["grid"]


def test_a_trial_of_a_setting_that_is_not_planned_does_not_count() -> None:
    few, every = planned(axes=WIDTHS, settings=2), planned(axes=WIDTHS)
    space = Space(few)
    assert [cell for cell in every if cell in space] == [cell for cell in every if cell.key in {c.key for c in few}]


def test_a_trial_of_a_sweep_without_the_axis_gets_its_value_as_a_label() -> None:
    (trained,) = (cell for cell in planned() if cell.method == "ew adam" and cell.learning_rate == 0.1)
    assert dict(Space(planned(axes=WIDTHS)).relabel(trained).tuned) == {"network.head_width": "0"}


def test_an_adaptive_search_suggests_every_setting() -> None:
    space = Space(planned(axes=WIDTHS | C, strategy="optuna"))
    study = optuna.create_study(sampler=optuna.samplers.RandomSampler(seed=0))
    suggested = {space.suggest(study.ask()).key for _ in range(400)}
    assert suggested == {cell.key for cell in space.cells}
    for cell in space.cells:
        params, _ = space.describe(cell)
        assert params["network.head_width"] == str(cell.network.options["head_width"])
        assert ("weighting.c" in params) == (cell.weighting.name == "cagrad")


def test_an_option_is_not_an_axis_and_a_range() -> None:
    with pytest.raises(UserError, match=r"`space.cagrad.c` is an axis of the sweep, too"):
        Space(planned(axes=C, strategy="optuna"), {"cagrad.c": {"low": 0.1, "high": 0.9}})


def test_a_ledger_keeps_the_labels_and_an_older_one_has_none() -> None:
    cell = planned(axes=WIDTHS | {"training.batch_size": {"compared": [32]}})[0]
    trial = Trial(cell, 0)
    assert Trial.from_json(trial.to_json()) == trial
    assert trial.name == "ew adam [batch_size=32] lr=1e-1 head_width=0 seed=0"
    assert set(Trial(planned()[0], 0).to_json()["labels"]) == {"weighting", "optimizer"}


def finished_trials(cells: tuple[Cell, ...]) -> list[FinishedTrial]:
    ended = Finished(Outcome.DONE, ())
    return [TrialRecord(Trial(cell, 0), ended, Execution(0.0, 1.0, 1.0, "host", 1, {})) for cell in cells]


def test_outcomes_have_a_column_for_each_axis_and_none_without(tmp_path: Path) -> None:
    cells = planned(axes=WIDTHS | C, settings=3)
    outcomes = build_outcomes(finished_trials(cells))
    write_outcomes(tmp_path / "outcomes.parquet", outcomes)
    read = read_outcomes(tmp_path / "outcomes.parquet")
    assert list(read.columns) == [*OUTCOMES.names, "network.head_width", "weighting.c"]
    assert set(read["weighting.c"].dropna()) == {"0.1", "0.4"}
    assert read.loc[read["weighting"] == "ew", "weighting.c"].isna().all()
    assert list(build_outcomes(finished_trials(planned())).columns) == OUTCOMES.names
