"""Optimizers under the study's names: equal to torch's, or to the formula where torch has none."""

import itertools

import pytest
import torch

from mtlsweep.errors import UserError
from mtlsweep.methods.optimizers import OPTIMIZERS
from mtlsweep.params.choice import Choice

REFERENCES = {
    "adam": lambda p: torch.optim.Adam(p, 0.1, weight_decay=1e-5),
    "adamw": lambda p: torch.optim.AdamW(p, 0.1, weight_decay=1e-5),
    "sgd": lambda p: torch.optim.SGD(p, 0.1, momentum=0.9, weight_decay=1e-5),
    "rmsprop": lambda p: torch.optim.RMSprop(p, 0.1, weight_decay=1e-5),
    "adagrad": lambda p: torch.optim.Adagrad(p, 0.1, weight_decay=1e-5),
    "nadam": lambda p: torch.optim.NAdam(p, 0.1, weight_decay=1e-5),
    "adafactor": lambda p: torch.optim.Adafactor(p, 0.1, weight_decay=1e-5),
}


def walk(make, steps=6):
    generator = torch.Generator().manual_seed(0)
    parameters = [
        torch.nn.Parameter(torch.randn(4, 3, generator=generator)),
        torch.nn.Parameter(torch.randn(5, generator=generator)),
    ]
    optimizer = make(parameters)
    places = []
    for _ in range(steps):
        for parameter in parameters:
            parameter.grad = torch.randn(parameter.shape, generator=generator)
        optimizer.step()
        places.append(torch.cat([parameter.detach().flatten() for parameter in parameters]))
    return places


@pytest.mark.parametrize("name", REFERENCES)
def test_defaults_are_torchs_with_the_studys_weight_decay(name):
    ours = walk(lambda p: OPTIMIZERS.create(Choice(name=name), p, 0.1))
    torch.testing.assert_close(ours, walk(REFERENCES[name]))


def test_every_signsgd_step_has_the_magnitude_of_the_learning_rate():
    places = walk(lambda p: OPTIMIZERS.create(Choice(name="signsgd"), p, 0.1))
    for before, after in itertools.pairwise(places):
        torch.testing.assert_close((after - before).abs(), torch.full_like(after, 0.1))


def test_signsgd_follows_the_sign_of_sgds_momentum_buffer():
    parameter = torch.nn.Parameter(torch.tensor([1.0]))
    optimizer = OPTIMIZERS.create(Choice(name="signsgd", options={"weight_decay": 0.0}), [parameter], 0.5)
    places = []
    for gradient in (1.0, -0.5, -0.5):  # buffers 1, 0.4, -0.14
        parameter.grad = torch.tensor([gradient])
        optimizer.step()
        places.append(parameter.item())
    assert places == [0.5, 0.0, 0.5]


def test_nesterov_without_momentum_is_refused():
    with pytest.raises(UserError, match="nesterov"):
        walk(lambda p: OPTIMIZERS.create(Choice(name="sgd", options={"nesterov": True, "momentum": 0.0}), p, 0.1))
