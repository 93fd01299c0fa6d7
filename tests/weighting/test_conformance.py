"""Every registered weighting, and one a user might write, keeps the promises of `mtlsweep.testing`."""

import pytest
import torch

from mtlsweep.methods.weighting import WEIGHTINGS, Facts, LossWeighting
from mtlsweep.params.choice import Choice
from mtlsweep.testing import CHECKS, check_weighting

torch.set_num_threads(1)

OPTIONS = {"scalar": {"task0": 1.0, "task1": 0.5, "task2": 2.0}}
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
