"""A metric has one name in MLflow and one column in tables; both are made in one place, and no two metrics share either."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pandas as pd
import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st
from mlflow.utils.validation import MAX_ENTITY_KEY_LENGTH, path_not_unique, validate_param_and_metric_name
from typer.testing import CliRunner

from mtlsweep.analysis.delta_m import delta_m_columns
from mtlsweep.analysis.objectives import Objective
from mtlsweep.cli.main import app
from mtlsweep.errors import UserError
from mtlsweep.params.choice import Choice
from mtlsweep.suites.prepared.preparation import prepare
from mtlsweep.trials.metric_names import (
    MetricName,
    check_columns,
    check_recorded,
    column_of,
    cosine,
    cosine_between,
    live_delta_m,
    of_split,
)

PROJECT = Path(__file__).parents[2]

splits = st.sampled_from(["train", "val", "test", "gaussian_noise"])
tasks = st.from_regex(r"\A[A-Za-z0-9_][A-Za-z0-9_-]{0,99}\Z").filter(lambda name: name not in ("delta_m", "cosine"))
metrics = st.from_regex(r"\A[A-Za-z0-9_][A-Za-z0-9_.: -]{0,99}\Z").filter(lambda name: name != "loss")
suites = st.dictionaries(
    st.sampled_from(["a", "b", "a_b", "b_a", "delta", "delta_m_a", "task_mean"]),
    st.lists(st.sampled_from(["a", "b", "a_b", "b_a", "m", "m_a"]), max_size=3),
    max_size=4,
)


@pytest.mark.slow
@given(splits, tasks, metrics)
def test_a_name_that_may_be_declared_is_read_back_and_taken_by_mlflow(split: str, task: str, metric: str) -> None:
    check_recorded({task: [metric]})
    check_columns({task: ["loss", metric]})
    for name in (MetricName(split, task, metric), cosine_between(task, task)):
        assert MetricName.parse(str(name)) == name
        assert validate_param_and_metric_name(str(name)) and not path_not_unique(str(name))
        assert len(str(name)) <= MAX_ENTITY_KEY_LENGTH


@given(st.text("ab/", max_size=8))
def test_what_has_no_three_parts_is_no_metric_of_a_task(text: str) -> None:
    name = MetricName.parse(text)
    parts = text.split("/")
    assert (name is None) == (len(parts) != 3 or not all(parts))
    assert name is None or str(name) == text


def test_names_are_spelt_as_they_always_were() -> None:
    """Ledgers, MLflow and tables hold these."""
    name = MetricName("val", "left", "balanced_accuracy")
    assert (str(name), name.column) == ("val/left/balanced_accuracy", "val_left_balanced_accuracy")
    assert str(cosine("least")) == "train/cosine/least"
    assert str(cosine_between("left", "right")) == "train/cosine/left-right"
    assert live_delta_m("val") == "val/delta_m" and MetricName.parse("val/delta_m") is None
    objectives = [Objective("left", "accuracy", True), Objective("mass", "r2", True, in_delta_m=False)]
    assert delta_m_columns(objectives) == ["delta_m", "delta_m_task_mean", "delta_m_left"]
    assert column_of("test", "delta_m_left") == "test_delta_m_left"


def test_metrics_of_a_split_are_found_by_it() -> None:
    recorded = {"val/left/loss": 1.0, "val/delta_m": 2.0, "validity/left/loss": 3.0, "test/left/loss": 4.0}
    assert of_split(recorded, "val") == {"val/left/loss": 1.0}


@given(suites)
def test_names_are_refused_exactly_when_a_table_would_have_a_column_twice(declared: dict[str, list[str]]) -> None:
    objectives = [Objective(task, metric, True) for task, own in declared.items() for metric in own]
    columns = ["delta_m", "delta_m_task_mean", *(f"delta_m_{task}" for task in declared)]
    columns += [objective.name for objective in objectives]
    if len(set(columns)) == len(columns):
        check_columns(declared)
    else:
        with pytest.raises(UserError, match="would both be called"):
            check_columns(declared)


@pytest.mark.parametrize(
    ("declared", "message"),
    [
        ({"a": ["b_c"], "a_b": ["c"]}, "metric `b_c` of task `a` and metric `c` of task `a_b` would both be called `a_b_c`"),
        ({"delta": ["m"]}, "Delta_m and metric `m` of task `delta` would both be called `delta_m`: rename one of them"),
        ({"task_mean": []}, "the mean of Delta_m over tasks and Delta_m of task `task_mean` would both be called"),
        ({"delta_m_a": ["b"], "a_b": []}, "Delta_m of task `a_b` and metric `b` of task `delta_m_a`"),
        ({"a": ["b", "b"]}, "would both be called `a_b`"),
        ({"a": [""]}, "a task or metric is called ''"),
        ({"a/b": ["c"]}, "a task or metric is called 'a/b': give it a name without `/`"),
    ],
)  # fmt: skip
def test_what_a_table_could_not_tell_apart_is_said(declared: dict[str, list[str]], message: str) -> None:
    with pytest.raises(UserError, match=re.escape(message)):
        check_columns(declared)


@pytest.mark.parametrize(
    ("declared", "message"),
    [
        ({"a/b": []}, "a task is called 'a/b': use 1 to 100 letters, digits, `_` and `-`"),
        ({"": []}, "a task is called ''"),
        ({"a.b": []}, "a task is called 'a.b'"),
        ({"a": ["acc@5"]}, "a metric is called 'acc@5': use 1 to 100 letters, digits, `_`, `-`, `.`, `:` and spaces"),
        ({"a": [".."]}, "a metric is called '..'"),
        ({"a" * 101: []}, "use 1 to 100 letters"),
        ({"delta_m": []}, "a task is called `delta_m`, a name that figures over all tasks have"),
        ({"cosine": []}, "a task is called `cosine`, a name that figures over all tasks have"),
        ({"a": ["loss"]}, "task `a` declares a metric `loss`, which every task has already"),
        ({"a": [], "b-c": [], "a-b": [], "c": []}, "the cosine of tasks `a` and `b-c` and the cosine of tasks `a-b` and `c`"),
    ],
)  # fmt: skip
def test_what_cannot_be_recorded_is_said(declared: dict[str, list[str]], message: str) -> None:
    with pytest.raises(UserError, match=re.escape(message)):
        check_recorded(declared)


AMBIGUOUS = '''
"""Two tasks whose metrics a table cannot tell apart."""
from dataclasses import dataclass
from typing import ClassVar

from mtlsweep.suites.datasets.dataset import Dataset
from mtlsweep.suites.tasks import Metric
from mtlsweep.suites.tasks.regression import Regression

@dataclass(frozen=True)
class First(Regression):
    metrics: ClassVar[tuple[Metric, ...]] = (Metric("b_mae", False),)

class Ambiguous(Dataset):
    tasks = (First("a"), Regression("a_b"))

    def begin(self, workspace):
        raise AssertionError("names are checked before the work begins")

    def sizes(self):
        return {"train": 1, "val": 1, "test": 1}

    def rows(self, split, start, stop):
        raise AssertionError("names are checked before any row is read")
'''
SENTENCE = (
    "metric `b_mae` of task `a` and metric `mae` of task `a_b` would both be called `a_b_mae`: rename one of them."
)


def test_ambiguous_tasks_are_refused_by_plan_and_prepare(in_directory: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (in_directory / "ambiguous.py").write_text(AMBIGUOUS)
    monkeypatch.syspath_prepend(in_directory)
    suite = {
        "data": {"dataset": "ambiguous:Ambiguous"},
        "network": "lenet",
        "training": {"epochs": 1, "batch_size": 1},
        "baselines": {"learning_rates": [0.01], "seeds": [0]},
        "sweep": {"weightings": ["ew"], "optimizers": ["adam"], "learning_rates": [0.01], "seeds": [0]},
    }
    (in_directory / "params.yaml").write_text(yaml.safe_dump({"active": ["mine"], "suites": {"mine": suite}}))
    planned = CliRunner().invoke(app, ["plan"])
    assert planned.exit_code == 2
    assert f"params.yaml: `suites.mine.data.dataset`: {SENTENCE}" in " ".join(planned.output.split())
    with pytest.raises(UserError, match=re.escape(SENTENCE)):
        prepare(Choice(name="ambiguous:Ambiguous"), in_directory / "prepared")


@pytest.mark.parametrize(
    ("column", "message"),
    [
        (
            "delta_m_task_mean",
            "columns are read as `<task>_<metric>`: the mean of Delta_m over tasks and metric `m_task_mean` of task `delta`",
        ),
        ("depth_", "columns are read as `<task>_<metric>`: a task or metric is called ''"),
        ("depth", "columns `depth_metric` and `depth` would both be called `depth_metric`"),
    ],
)
def test_ambiguous_tables_made_elsewhere_are_refused(in_directory: Path, column: str, message: str) -> None:
    runs = {"weighting": ["stl", "ew"], "optimizer": "adam", "lr": 0.1, "depth_metric": [1.0, 2.0], column: [1.0, 2.0]}
    pd.DataFrame(runs).to_csv("mine.csv", index=False)
    answered = CliRunner().invoke(app, ["analyse", "mine.csv", "--lower", "depth_metric", "--lower", column])
    output = " ".join(answered.output.split())
    assert answered.exit_code == 2 and f"mine.csv: {message}" in output


BY_HAND = {
    ast.JoinedStr: r"\{split\}[/_]|\b(train|val|test)[/_]\{|delta_m_\{",
    ast.Constant: r"^'(train|val|test)/",
    ast.Call: r"\.(split|count)\('/'\)$|\.(startswith|endswith|removeprefix|add_prefix)\('(/loss|(train|val|test|delta_m)[/_])",
}


def by_hand(source: str) -> Iterator[str]:
    """Yield the places at which Python source puts names of metrics together, or takes them apart, itself."""
    for node in ast.walk(ast.parse(source)):
        pattern = BY_HAND.get(type(node))
        if pattern and re.search(pattern, text := ast.unparse(node)):
            yield f"line {node.lineno}: {text}"  # type: ignore[attr-defined]


@pytest.mark.parametrize(
    "source",
    [
        'f"{split}/{task}/loss"', 'f"{split}_{name}"', 'f"val/{task}/loss"', 'f"test_{o.name}_mean"', 'f"val_delta_m_{task}"',
        '"val/delta_m"', 'name.split("/")', 'name.count("/")', 'name.removeprefix("val_")', 'name.endswith("/loss")',
    ],
)  # fmt: skip
def test_names_made_by_hand_are_noticed(source: str) -> None:
    assert list(by_hand(source))


@pytest.mark.slow
def test_names_are_made_and_parsed_in_one_place() -> None:
    """Columns of prepared data, which the room `suites` names, are no metrics."""
    package = PROJECT / "pipeline/mtlsweep"
    found = {
        f"{path.relative_to(PROJECT)}, {place}"
        for folder in (package, PROJECT / "stages", PROJECT / "benchmarks")
        for path in folder.rglob("*.py")
        if package / "suites" not in path.parents and path.name != "metric_names.py"
        for place in by_hand(path.read_text())
    }
    assert not found, "use mtlsweep.trials.metric_names"
