"""A weighting that asks for it learns what the network reaches on the validation split, also when a study trains again."""

import pytest
import torch
from safetensors.torch import load as load_safetensors

from mtlsweep.errors import UserError
from mtlsweep.methods.combination import check_combination
from mtlsweep.methods.weighting import WEIGHTINGS
from mtlsweep.params.choice import Choice
from mtlsweep.params.suite import Training
from mtlsweep.studies.retraining import retrain
from mtlsweep.suites.networks import NETWORKS
from mtlsweep.training.trial import run_trial

CPU = torch.device("cpu")


def pivrg(**reference):
    return Choice(name="pivrg", options={"reference": {task: {metric: 1.0} for task, metric in reference.items()}})


def trial_with(make_trial, data, weighting, epochs=2):
    return make_trial(
        0,
        tasks=tuple(task.name for task in data.tasks),
        network=NETWORKS.resolve(Choice(name="lenet")),
        weighting=WEIGHTINGS.resolve(weighting),
        training=Training(epochs=epochs, batch_size=64),
        data_fingerprint=data.fingerprint,
    )


def train(trial, data, resume=None, until=None):
    ends = []

    def keep(end):
        ends.append((end.record.metrics, end.resume_point(), end.weights()))

    run_trial(trial, data, keep, score=lambda metrics: 0.0, device=CPU, resume=resume, until=until)
    return ends


def accuracy_of(data):
    return {task.name: task.metrics[0].name for task in data.tasks}


@pytest.mark.slow
def test_the_second_epoch_knows_the_validation_of_the_first_resumed_or_trained_again(make_trial, digits):
    trial = trial_with(make_trial, digits, pivrg(**accuracy_of(digits)))
    whole = train(trial, digits)
    resumed = train(trial, digits, resume=train(trial, digits, until=1)[0][1])
    assert resumed[0][0] == whole[1][0]
    network = retrain(trial, digits, CPU, 2, lambda *seen: None)
    stored = load_safetensors(whole[1][2])
    assert all(torch.equal(value, stored[name]) for name, value in network.state_dict().items())


def test_a_task_without_a_reference_is_refused_when_planning():
    with pytest.raises(UserError, match=r"needs a reference for the metrics of task `right`; found one for left"):
        check_combination(pivrg(left="acc"), Choice(name="adam"), ["left", "right"])


def test_a_reference_of_zero_is_refused_when_planning():
    choice = Choice(name="pivrg", options={"reference": {"left": {"acc": 0.0}}})
    with pytest.raises(UserError, match=r"has 0 as reference"):
        check_combination(choice, Choice(name="adam"), ["left"])


def test_a_reference_of_a_metric_that_the_task_has_not_is_told_with_those_it_has(make_trial, digits):
    wrong = {task.name: "beauty" for task in digits.tasks}
    with pytest.raises(UserError, match=r"`reference` has `beauty` for task .* choose from"):
        train(trial_with(make_trial, digits, pivrg(**wrong), epochs=1), digits)
