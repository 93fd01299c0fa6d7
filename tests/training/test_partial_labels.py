"""A step on a batch that lacks labels: losses are over labelled rows, and a task without any takes no part."""

from __future__ import annotations

import copy
import io
from dataclasses import replace

import pytest
import torch

from mtlsweep.methods.optimizers import OPTIMIZERS
from mtlsweep.methods.weighting.absence import only
from mtlsweep.params.choice import Choice
from mtlsweep.suites.prepared.splits import Batch
from mtlsweep.testing import SmallProblem, small_problem
from mtlsweep.testing.handling import inputs, meet, new_method
from mtlsweep.training.step.divergence import Diverged
from mtlsweep.training.step.updater import Updater, build_updater

torch.set_num_threads(1)
ABSENT = "task1"


def updater_for(
    problem: SmallProblem, weighting: str, optimizer: Choice | str = "adam", explosion_factor: float = 1e3
) -> Updater:
    chosen = Choice(name=optimizer) if isinstance(optimizer, str) else optimizer
    generator = torch.Generator().manual_seed(7)
    return build_updater(
        problem.network,
        problem.tasks,
        Choice(name=weighting),
        chosen,
        0.01,
        generator=generator,
        explosion_factor=explosion_factor,
    )


def labelled(batch: Batch, **rows: list[int]) -> Batch:
    return replace(batch, labelled={task: torch.tensor(numbers, dtype=torch.long) for task, numbers in rows.items()})


@pytest.mark.parametrize("weighting", ["ew", "pcgrad", "graddrop", "famo", "adatask", "mtl_io"])
def test_a_loss_is_over_the_rows_that_have_a_label(weighting: str) -> None:
    problem, twin = small_problem(), small_problem()
    rows = [0, 3, 7]
    batch = labelled(problem.batch(0), task1=rows)
    batch.targets["task1"][[row for row in range(16) if row not in rows]] = float("nan")
    updater = updater_for(problem, weighting)
    updater.step(batch)
    with torch.no_grad():
        outputs, whole = twin.network(batch.inputs), problem.batch(0)
        wanted = {task.name: task.loss(outputs[task.name], whole.targets[task.name]) for task in twin.tasks}
        wanted["task1"] = twin.tasks[1].loss(outputs["task1"][rows], whole.targets["task1"][rows])
    figures = updater.end_epoch()
    if weighting != "mtl_io":  # its later tasks are measured after earlier ones have stepped
        for task, loss in wanted.items():
            assert figures[f"train/{task}/loss"] == pytest.approx(float(loss), rel=1e-5)
    assert problem.flat_parameters().isfinite().all()


@pytest.mark.parametrize(
    ("weighting", "optimizer"),
    [
        ("gradnorm", "adam"),
        *(
            (weighting, optimizer)
            for weighting in ("uw", "mtl_io")
            for optimizer in OPTIMIZERS.names()
            if (weighting, optimizer) != ("mtl_io", "schedule_free")  # refused
        ),
    ],
)
def test_the_head_of_an_absent_task_and_all_moments_of_it_stay(weighting: str, optimizer: str) -> None:
    problem = small_problem()
    updater = updater_for(problem, weighting, optimizer)
    for index in range(2):
        updater.step(problem.batch(index))
    updater.end_epoch()
    updater.step(problem.batch(2))
    before = _of_absent(problem, updater)
    for index in range(3, 5):
        updater.step(problem.batch(index, [ABSENT]))
    after = _of_absent(problem, updater)
    assert before.keys() == after.keys() and len(before) >= 2
    for name, value in before.items():
        assert torch.equal(value, after[name]), f"{name} of the absent task has changed"
    updater.step(problem.batch(5))
    assert not torch.equal(_of_absent(problem, updater)["head 0"], before["head 0"])


def _of_absent(problem: SmallProblem, updater: Updater) -> dict[str, torch.Tensor]:
    """Return copies of everything that belongs to the absent task alone."""
    values: dict[str, torch.Tensor] = {}
    for position, parameter in enumerate(problem.network.head_parameters(ABSENT)):
        values[f"head {position}"] = parameter.detach().clone()
        for optimizer in updater._optimizers:
            for key, value in optimizer.state.get(parameter, {}).items():
                if isinstance(value, torch.Tensor):
                    values[f"head {position} {key}"] = value.clone()
    for own in updater._weighting.parameters():
        values["own"] = own.detach()[1].clone()
        for optimizer in updater._optimizers:
            for key, value in optimizer.state.get(own, {}).items():
                if isinstance(value, torch.Tensor) and value.shape == own.shape:
                    values[f"own {key}"] = value[1].clone()
    return values


@pytest.mark.parametrize("optimizer", OPTIMIZERS.names())
def test_moments_that_begin_without_a_task_begin_at_zero_for_it(optimizer: str) -> None:
    """A task that is absent from the first step takes its first step as if the others had taken none before."""
    problem = small_problem()
    updater = updater_for(problem, "uw", optimizer)
    updater.step(problem.batch(0, [ABSENT]))
    (own,) = updater._weighting.parameters()
    assert own.shape == (3,) and own.detach()[1] == -0.5
    updater.step(problem.batch(1))
    assert own.isfinite().all() and own.detach()[1] != -0.5


def test_famos_own_moments_stay() -> None:
    problem = small_problem()
    updater = updater_for(problem, "famo")
    updater.step(problem.batch(0))
    (adam,) = updater._weighting.optimizers()
    (logits,) = updater._weighting.buffers()
    moments = adam.state[logits]
    before = moments["exp_avg"].clone(), logits.clone()
    updater.step(problem.batch(1, [ABSENT]))
    for old, new in zip(before, (moments["exp_avg"], logits), strict=True):
        assert old[1] == new[1] and old[0] != new[0] and old[2] != new[2]


@pytest.mark.parametrize("optimizer", ["adamw", "adam"])
def test_decay_of_adatask_is_shared_among_the_tasks_that_are_there(optimizer: str) -> None:
    problem = small_problem()
    twin = problem.without(["task0"])
    decayed = Choice(name=optimizer, options={"weight_decay": 0.1})
    ours, expected = updater_for(problem, "adatask", decayed), updater_for(twin, "adatask", decayed)
    for index in range(3):
        ours.step(problem.batch(index, ["task0"]))
        expected.step(problem.batch(index))
    assert torch.equal(problem.without(["task0"]).flat_parameters(), twin.flat_parameters())


@pytest.mark.parametrize("weighting", ["ew", "cagrad", "uw", "mtl_io"])
def test_a_step_without_any_label_is_skipped_and_counted(weighting: str) -> None:
    problem = small_problem()
    updater = updater_for(problem, weighting)
    updater.step(problem.batch(0))
    before, state = problem.flat_parameters(), copy.deepcopy(updater.state_dict()["optimizers"])
    everyone = [task.name for task in problem.tasks]
    updater.step(problem.batch(1, everyone))
    assert torch.equal(problem.flat_parameters(), before)
    for old, new in zip(state, updater.state_dict()["optimizers"], strict=True):
        for position, entries in old["state"].items():
            assert all(torch.equal(value, new["state"][position][key]) for key, value in entries.items())
    figures = updater.end_epoch()
    assert figures["train/steps/skipped"] == 1
    updater.step(problem.batch(1, everyone))
    assert updater.end_epoch() == {"train/steps/skipped": 1.0}
    updater.step(problem.batch(2))
    assert "train/steps/skipped" not in updater.end_epoch()


def test_figures_are_means_over_the_steps_that_a_task_took_part_in() -> None:
    problem, twin = small_problem(), small_problem()
    some, every = updater_for(problem, "pcgrad", "sgd"), updater_for(twin, "pcgrad", "sgd")
    every.step(twin.batch(0))
    alone = every.end_epoch()
    some.step(problem.batch(0))
    some.step(problem.batch(1, [ABSENT]))
    figures = some.end_epoch()
    for name, value in alone.items():
        if ABSENT in name:
            assert figures[name] == value
    assert figures["train/task0/loss"] != alone["train/task0/loss"]


def test_a_checkpoint_amid_an_epoch_with_absent_tasks_continues_to_the_bit() -> None:
    problem, twin = small_problem(), small_problem()
    whole, first = updater_for(problem, "gradnorm"), updater_for(twin, "gradnorm")
    for updater, used in ((whole, problem), (first, twin)):
        updater.step(used.batch(0, [ABSENT]))
    buffer = io.BytesIO()
    torch.save(first.state_dict(), buffer)
    buffer.seek(0)
    resumed = updater_for(twin, "gradnorm")
    resumed.load_state_dict(torch.load(buffer, weights_only=True))
    for updater, used in ((whole, problem), (resumed, twin)):
        updater.step(used.batch(1))
    assert whole.end_epoch() == resumed.end_epoch()
    assert torch.equal(problem.flat_parameters(), twin.flat_parameters())


def test_an_explosion_is_measured_by_the_first_loss_that_a_task_had() -> None:
    problem = small_problem()
    updater = updater_for(problem, "ew", explosion_factor=10)
    updater.step(problem.batch(0, [ABSENT]))
    large = problem.batch(1)
    large.targets[ABSENT].mul_(30)
    updater.step(large)  # its first
    larger = problem.batch(2)
    larger.targets[ABSENT].mul_(3000)
    with pytest.raises(Diverged, match="explosion: loss of task `task1`"):
        updater.step(larger)


@pytest.mark.parametrize(("name", "state"), [("sdmgrad", "simplex"), ("modo", "lambdas"), ("moco", "_lambdas")])
def test_tasks_begin_with_equal_shares_where_absent_ones_have_all_the_weight(name: str, state: str) -> None:
    method, alone = (new_method(Choice(name=name), tasks) for tasks in (3, 2))
    (_, losses, gramian), there = inputs(3)[0], torch.tensor([0, 2])
    meet(method, losses, gramian, torch.device("cpu"))
    setattr(method, state, torch.zeros_like(getattr(method, state)).index_fill(0, torch.tensor(1), 1.0))
    with only(method, (0, 2)):
        found = meet(method, losses[there], gramian[there][:, there], torch.device("cpu"))
    expected = meet(alone, losses[there], gramian[there][:, there], torch.device("cpu"))
    assert found is not None and expected is not None
    assert found.shared.isfinite().all()
    if name != "moco":  # its averages go on
        assert torch.equal(found.shared, expected.shared)
