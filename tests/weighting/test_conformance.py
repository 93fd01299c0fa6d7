"""Every registered weighting, and one a user might write, keeps the promises of `mtlsweep.testing`."""

from typing import Any, ClassVar

import pytest
import torch

from mtlsweep.methods.weighting import WEIGHTINGS, Facts, JacobianWeighting, LossWeighting, Weights
from mtlsweep.params.choice import Choice
from mtlsweep.testing import CHECKS, check_weighting
from mtlsweep.testing.absence_checks import keeps_the_state_of_an_absent_task
from mtlsweep.testing.training_checks import resumes_on_another_device
from mtlsweep.testing.weight_checks import declares_which_losses_it_needs

torch.set_num_threads(1)

REFERENCE = {f"task{index}": {"mae": 1.0 + index} for index in range(3)}
OPTIONS: dict[str, dict[str, Any]] = {
    "scalar": {"task0": 1.0, "task1": 0.5, "task2": 2.0},
    "pivrg": {"reference": REFERENCE},
}
VARIANTS = [
    Choice(name="imtl", options={"gradients": "representation"}),
    Choice(name="imtl_g", options={"gradients": "representation"}),
    Choice(name="aligned_mtl", options={"gradients": "representation", "scale_mode": "median"}),
    Choice(name="aligned_mtl", options={"scale_mode": "rmse"}),
    Choice(name="mgda", options={"gradients": "representation", "normalize": "loss+"}),
    Choice(name="gradnorm", options={"gradients": "representation"}),
    Choice(name="graddrop", options={"gradients": "parameters", "leak": 0.2}),
    Choice(name="uw", options={"heads": "one"}),
    Choice(name="cagrad", options={"heads": "same", "c": 0.9, "rescale": 2}),
    Choice(name="fairgrad", options={"alpha": 3.0}),
    Choice(name="stch", options={"warmup_epochs": 1, "mu": 0.2}),
    Choice(name="db_mtl", options={"decay": 0.5}),
    Choice(name="cr_mogm", options={"method": "pcgrad"}),
    Choice(name="moco", options={"rho": 0.1}),
    Choice(name="go4align", options={"groups": 3}),
    Choice(name="auto_lambda", options={"primary": ("task0",)}),
]
METHODS = [Choice(name=name, options=OPTIONS.get(name, {})) for name in WEIGHTINGS.names()]


@pytest.mark.parametrize("check", CHECKS, ids=lambda check: check.__name__)
@pytest.mark.parametrize("method", METHODS + VARIANTS, ids=WEIGHTINGS.label)
def test_a_weighting(method, check):
    check(method)


class FirstTaskOnly(LossWeighting):
    facts = Facts(paper="-", scale="g_1", heads="same weight", symmetric=False)

    def weigh(self, losses):
        weights = torch.zeros_like(losses)
        weights[0] = 1.0
        return weights


class Careless(FirstTaskOnly):
    def weigh(self, losses):
        return losses.mul_(torch.rand(len(losses)))


def test_a_users_own_weighting_can_be_held_to_them(monkeypatch):
    monkeypatch.setattr(WEIGHTINGS, "_entries", {**WEIGHTINGS._entries, "mine": FirstTaskOnly})
    check_weighting("mine")


def test_a_wrong_weighting_fails_with_the_reason(monkeypatch):
    monkeypatch.setattr(WEIGHTINGS, "_entries", {**WEIGHTINGS._entries, "careless": Careless})
    with pytest.raises(AssertionError, match="global stream"):
        check_weighting("careless")


class Momentum(JacobianWeighting):
    """A running sum of the gradients, kept as a user would keep it."""

    facts = Facts(paper="-", scale="running sum of g_i", heads="1")
    per_task: ClassVar = {"_sum": (0,)}

    def __init__(self, tasks, generator):
        super().__init__(tasks, generator)
        self._sum = None

    def combine(self, losses, gradients, values):
        (rows,) = gradients
        self._sum = rows.clone() if self._sum is None else self._sum.mul_(0.5).add_(rows)
        return [self._sum.sum(0)], Weights(torch.ones_like(losses), torch.ones_like(losses))

    def get_extra_state(self):
        return {"kept": [self._sum]}

    def set_extra_state(self, state):
        (self._sum,) = state["kept"]


class StaysOnTheHost(Momentum):
    def set_extra_state(self, state):
        self._sum = torch.zeros(state["kept"][0].shape)


def test_state_made_of_gradients_is_restored_to_where_the_gradients_are(monkeypatch):
    monkeypatch.setattr(WEIGHTINGS, "_entries", {**WEIGHTINGS._entries, "momentum": Momentum})
    check_weighting("momentum")


def test_a_weighting_that_restores_it_elsewhere_fails_with_the_reason(monkeypatch):
    monkeypatch.setattr(WEIGHTINGS, "_entries", {**WEIGHTINGS._entries, "stays": StaysOnTheHost})
    with pytest.raises(AssertionError, match=r"restores extra state to .*cpu.*belongs to meta"):
        resumes_on_another_device(Choice(name="stays"))


class Forgetful(Momentum):
    """Names no value for each task."""

    per_task: ClassVar = {}


def test_a_weighting_that_does_not_name_its_state_per_task_fails_with_the_reason(monkeypatch):
    monkeypatch.setattr(WEIGHTINGS, "_entries", {**WEIGHTINGS._entries, "forgetful": Forgetful})
    with pytest.raises(AssertionError, match=r"fails where a task is absent .* `per_task`"):
        keeps_the_state_of_an_absent_task(Choice(name="forgetful"))


class InverseLosses(FirstTaskOnly):
    def weigh(self, losses):
        return 1 / losses


class InverseOfLastEpoch(FirstTaskOnly):
    def __init__(self, tasks, generator):
        super().__init__(tasks, generator)
        self.register_buffer("means", torch.ones(len(tasks), dtype=torch.float64))

    def weigh(self, losses):
        return 1 / self.means

    def end_epoch(self, losses):
        self.means = losses


@pytest.mark.parametrize(("mine", "need"), [(InverseLosses, "always"), (InverseOfLastEpoch, "on average")])
def test_a_weighting_that_divides_by_losses_has_to_say_so(monkeypatch, mine, need):
    monkeypatch.setattr(WEIGHTINGS, "_entries", {**WEIGHTINGS._entries, "mine": mine})
    with pytest.raises(AssertionError, match=r"weights reach inf .* set `needs_positive_losses`"):
        declares_which_losses_it_needs(Choice(name="mine"))
    monkeypatch.setattr(mine, "needs_positive_losses", need)
    declares_which_losses_it_needs(Choice(name="mine"))
