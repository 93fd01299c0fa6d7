"""A quantity is learnt in standard deviations and measured in its unit."""

from __future__ import annotations

import pytest
import torch

from mtlsweep.errors import UserError
from mtlsweep.suites.tasks import task_from_definition
from mtlsweep.suites.tasks.quantity import Quantity
from mtlsweep.suites.tasks.regression import Regression


def test_the_error_is_in_the_unit_and_all_else_is_that_of_a_regression() -> None:
    output, target = torch.randn(20, 1), torch.randn(20)
    quantity, regression = Quantity("energy", deviation=50.0, unit="meV"), Regression("energy")
    assert quantity.loss(output, target) == regression.loss(output, target)
    found, plain = (task.evaluator() for task in (quantity, regression))
    for evaluator in (found, plain):
        evaluator.update(output, target)
    assert found.compute() == {"mae": 50.0 * plain.compute()["mae"], "r2": plain.compute()["r2"]}


def test_a_definition_restores_it() -> None:
    quantity = Quantity("energy", deviation=50.0, unit="meV")
    assert task_from_definition(quantity.definition()) == quantity


def test_a_deviation_is_positive() -> None:
    with pytest.raises(UserError, match="`deviation` is 0"):
        task_from_definition({"kind": "quantity", "name": "energy", "options": {"deviation": 0}})
