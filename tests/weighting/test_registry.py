"""Weightings by name: options of their own, conventions of all, and what is refused when planning."""

import pytest
import torch

from mtlsweep.errors import UserError
from mtlsweep.methods.weighting import WEIGHTINGS
from mtlsweep.methods.weighting.loss.uw import UncertaintyWeighting
from mtlsweep.params.choice import Choice


def test_conventions_are_options_of_every_weighting():
    resolved = WEIGHTINGS.resolve(Choice(name="cagrad"))
    assert resolved.options == {"c": 0.5, "rescale": 1, "scale": "native", "heads": "native", "gradients": "parameters"}


def test_a_method_is_read_with_what_differs_from_its_defaults():
    choice = Choice(name="cagrad", options={"c": 0.4, "scale": "unit"})
    assert WEIGHTINGS.label(choice) == "cagrad(c=0.4,scale=unit)"


def test_pcgrad_at_the_representation_is_refused():
    with pytest.raises(UserError, match="gradients"):
        WEIGHTINGS.resolve(Choice(name="pcgrad", options={"gradients": "representation"}))


def test_a_negative_radius_is_refused():
    with pytest.raises(UserError, match="option `c`"):
        WEIGHTINGS.resolve(Choice(name="cagrad", options={"c": -1}))


def test_create_hands_each_its_own():
    choice = Choice(name="uw", options={"start": 0.5, "scale": "unit"})
    weighting = WEIGHTINGS.create(choice, ["left", "right"], torch.Generator())
    assert weighting.conventions.scale == "unit"
    assert isinstance(weighting, UncertaintyWeighting)
    assert weighting.log_variance.tolist() == [0.5, 0.5]


def test_a_class_that_is_no_weighting_is_refused():
    with pytest.raises(
        UserError, match=r"`collections:OrderedDict` is not a weighting: derive it from one of LossWeighting"
    ):
        WEIGHTINGS.resolve(Choice(name="collections:OrderedDict"))
