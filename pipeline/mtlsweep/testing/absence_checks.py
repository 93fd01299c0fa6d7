"""The checks of a weighting in steps whose batch has no label of a task."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from mtlsweep.methods.weighting import TaskOptimizers
from mtlsweep.methods.weighting.absence import only
from mtlsweep.params.choice import Choice
from mtlsweep.testing.handling import inputs, meet, new_method, new_updater
from mtlsweep.testing.small_problems import small_problem

ABSENT, PRESENT = "task1", (0, 2)


def equals_the_problem_without_an_absent_task(choice: Choice) -> None:
    """Steps and epochs without a label of a task are, to the bit, those of the problem without the task."""
    problem = small_problem()
    twin, head = problem.without([ABSENT]), [each.clone() for each in problem.network.head_parameters(ABSENT)]
    options = {name: value for name, value in choice.options.items() if name != ABSENT}
    updater, expected = new_updater(problem, choice), new_updater(twin, Choice(name=choice.name, options=options))
    for epoch in range(3):
        for index in (2 * epoch, 2 * epoch + 1):
            updater.step(problem.batch(index, [ABSENT]))
            expected.step(problem.batch(index))
        assert updater.end_epoch() == expected.end_epoch(), (
            f"`{choice.name}` records other figures if a task is absent than if there is no such task"
        )
    found = problem.without([ABSENT]).flat_parameters()
    assert torch.equal(found, twin.flat_parameters()), (
        f"`{choice.name}` makes other steps if a task is absent than if there is no such task"
    )
    assert all(map(torch.equal, head, problem.network.head_parameters(ABSENT))), (
        f"`{choice.name}` moves the head of an absent task"
    )


def keeps_the_state_of_an_absent_task(choice: Choice) -> None:
    """After steps with all tasks, a step and an epoch without one leave its values as they were."""
    method = new_method(choice, 3)
    if isinstance(method, TaskOptimizers):
        return
    (_, losses, gramian), (_, others, products) = inputs(3)[0], inputs(3)[2]
    for _ in range(3):
        meet(method, losses, gramian, torch.device("cpu"))
        method.end_epoch(losses)
    before = {name: _of_absent(getattr(method, name), places) for name, places in method.per_task.items()}
    there = torch.tensor(PRESENT)
    try:
        with only(method, PRESENT):
            weights = meet(method, others[there], products[there][:, there], torch.device("cpu"))
            method.end_epoch(others[there])
        after = {name: _of_absent(getattr(method, name), places) for name, places in method.per_task.items()}
        meet(method, losses, gramian, torch.device("cpu"))
    except (RuntimeError, IndexError, ValueError) as error:
        raise AssertionError(
            f"`{choice.name}` fails where a task is absent ({error}): name its values for each task in `per_task`"
        ) from error
    assert weights is None or len(weights.shared) == len(weights.heads) == len(PRESENT), (
        f"`{choice.name}` gives {len(weights.shared)} weights to two tasks: name its values for each task in `per_task`"
    )
    for name, values in before.items():
        same = [torch.equal(old.nan_to_num(), new.nan_to_num()) for old, new in zip(values, after[name], strict=True)]
        assert all(same), f"`{choice.name}`: `{name}` of an absent task changes"


def _of_absent(values: Tensor, dimensions: Sequence[int]) -> list[Tensor]:
    """Return copies of the values that belong to the absent task along each of the dimensions that count tasks."""
    return [values.index_select(dimension, torch.tensor([1])) for dimension in dimensions]
