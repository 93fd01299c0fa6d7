"""What a task for whole images promises: its loss, and metrics that know nothing of batches."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor

from mtlsweep.errors import UserError
from mtlsweep.suites.tasks import TASKS, Task, task_from_definition
from mtlsweep.suites.tasks.classification import Classification
from mtlsweep.suites.tasks.regression import Regression

ROWS = 45


def evaluate(task: Task, output: Tensor, target: Tensor, batch_size: int) -> dict[str, float]:
    evaluator = task.evaluator()
    for part, wanted in zip(output.split(batch_size), target.split(batch_size), strict=True):
        evaluator.update(part, wanted)
    return evaluator.compute()


@pytest.fixture
def generator() -> torch.Generator:
    return torch.Generator().manual_seed(0)


def test_classification_counts_right_answers(generator: torch.Generator) -> None:
    output, target = torch.randn(ROWS, 5, generator=generator), torch.randint(5, (ROWS,), generator=generator)
    expected = (output.argmax(1) == target).double().mean().item()
    for batch_size in (1, 7, ROWS):
        assert evaluate(Classification("left", classes=5), output, target, batch_size)["accuracy"] == pytest.approx(
            expected
        )


def test_regression_metrics_are_of_the_whole_split(generator: torch.Generator) -> None:
    output, target = torch.randn(ROWS, 1, generator=generator), torch.randn(ROWS, generator=generator) * 3 + 100
    error, spread = output.double().squeeze(1) - target.double(), target.double() - target.double().mean()
    expected = {"mae": error.abs().mean().item(), "r2": 1 - (error.square().sum() / spread.square().sum()).item()}
    for batch_size in (1, 7, ROWS):
        assert evaluate(Regression("mass"), output, target, batch_size) == pytest.approx(expected, rel=1e-9)


def test_r2_of_one_row_is_not_a_number() -> None:
    found = evaluate(Regression("mass"), torch.ones(1, 1), torch.zeros(1), 1)
    assert found["mae"] == 1
    assert math.isnan(found["r2"])


def test_mae_counts_in_delta_m_and_r2_does_not() -> None:
    assert {metric.name: metric.in_delta_m for metric in Regression("mass").metrics} == {"mae": True, "r2": False}


def test_evaluators_give_the_metrics_that_the_task_declares() -> None:
    assert set(evaluate(Regression("mass"), torch.ones(2, 1), torch.zeros(2), 2)) == {
        m.name for m in Regression.metrics
    }


@pytest.mark.parametrize("task", [Classification("left", classes=10), Regression("mass")])
def test_a_definition_makes_the_task_again(task: Task) -> None:
    assert task_from_definition(task.definition()) == task


def test_every_kind_is_registered_under_its_own_name() -> None:
    assert all(vars(TASKS.get(name))["kind"] == name for name in TASKS.names())


def test_a_single_class_is_refused() -> None:
    with pytest.raises(UserError, match="classes"):
        task_from_definition({"kind": "classification", "name": "left", "options": {"classes": 1}})
