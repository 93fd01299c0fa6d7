"""Losses that are 0 or negative: a weighting that cannot take them ends the trial with a sentence, others go on."""

import math
from dataclasses import dataclass

import pytest
import torch

from mtlsweep.params.choice import Choice
from mtlsweep.suites.tasks.regression import Regression
from mtlsweep.testing import small_problem
from mtlsweep.training.step.divergence import Diverged
from mtlsweep.training.step.updater import build_updater

torch.set_num_threads(1)

DIVIDE = ["uw_o", "uw_so", "gls", "stch", "famo", "go4align", "db_mtl", "mgda:loss", "mgda:loss+"]
AVERAGE = ["uw", "imtl_l", "imtl", "dwa", "gradnorm", "moco"]


@dataclass(frozen=True)
class Shifted(Regression):
    """A regression whose loss is `factor` times as large, plus `shift`."""

    factor: float = 1.0
    shift: float = 0.0

    def loss(self, output, target):
        return self.factor * super().loss(output, target) + self.shift


def updater_for(name, **second_task):
    """Return a problem and what trains it with the method `name`; the second task's loss is changed."""
    method, _, normalize = name.partition(":")
    choice = Choice(name=method, options={"normalize": normalize} if normalize else {})
    problem = small_problem()
    tasks = [problem.tasks[0], Shifted("task1", **second_task), problem.tasks[2]]
    generator = torch.Generator().manual_seed(7)
    return problem, build_updater(problem.network, tasks, choice, Choice(name="adam"), 0.01, generator=generator)


@pytest.mark.parametrize("changes", [{"factor": 0.0}, {"shift": -100.0}], ids=["zero", "negative"])
@pytest.mark.parametrize("name", DIVIDE)
def test_a_method_that_divides_by_losses_ends_at_one_that_is_not_positive(name, changes):
    problem, updater = updater_for(name, **changes)
    before = problem.flat_parameters()
    with pytest.raises(Diverged) as caught:
        updater.step(problem.batch(0))
    assert caught.value.cause == "nonpositive"
    for part in (
        "loss of task `task1` is",
        f"`{name.partition(':')[0]}` needs it above 0",
        "add a constant",
        "another",
    ):
        assert part in caught.value.detail
    assert torch.equal(problem.flat_parameters(), before)
    assert updater._meter.read() == {}  # no weight was recorded


@pytest.mark.parametrize("name", AVERAGE)
def test_a_method_of_mean_losses_ends_with_the_epoch_whose_mean_is_not_positive(name):
    problem, updater = updater_for(name, shift=-100.0)
    for index in range(3):
        updater.step(problem.batch(index))
    with pytest.raises(Diverged, match="mean loss over the epoch of task `task1` is -") as caught:
        updater.end_epoch()
    assert caught.value.cause == "nonpositive"


@pytest.mark.parametrize("name", [*AVERAGE, "ew", "rlw", "cagrad", "nash_mtl", "mgda", "adatask"])
def test_a_single_batch_with_a_loss_of_zero_ends_no_other_trial(name):
    problem, updater = updater_for(name)
    updater.step(problem.batch(0))
    batch = problem.batch(1)
    with torch.no_grad():
        batch.targets["task1"].copy_(problem.network(batch.inputs)["task1"].squeeze(1))
    updater.step(batch)
    updater.step(problem.batch(2))
    figures = updater.end_epoch()
    assert all(math.isfinite(value) for value in figures.values())


@pytest.mark.parametrize("name", ["ew", "rlw", "pcgrad", "cagrad", "mgda:l2", "fairgrad", "adatask"])
def test_a_method_that_looks_at_gradients_only_trains_on_negative_losses(name):
    problem, updater = updater_for(name, shift=-100.0)
    for index in range(3):
        updater.step(problem.batch(index))
    assert problem.flat_parameters().isfinite().all()
    assert updater.end_epoch()["train/task1/loss"] < 0


def test_famo_looks_at_the_losses_after_its_step_too():
    problem, updater = updater_for("famo")
    losses = updater._route.forward.losses_without_side_effects
    updater._route.forward.losses_without_side_effects = lambda batch: [0 * loss for loss in losses(batch)]
    with pytest.raises(Diverged, match=r"loss of task `task0` is 0, and weighting `famo`"):
        updater.step(problem.batch(0))
