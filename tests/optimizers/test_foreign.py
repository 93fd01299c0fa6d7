"""Optimizers of other packages: no wrapper, their own arguments as options, typed and checked."""

import pytest
import torch

from mtlsweep.errors import UserError
from mtlsweep.methods.combination import check_combination
from mtlsweep.methods.optimizers import OPTIMIZERS, without_weight_decay
from mtlsweep.params.choice import Choice
from mtlsweep.testing import small_problem
from mtlsweep.training.step.updater import build_updater

torch.set_num_threads(1)
OWN = """
import torch


class Mine(torch.optim.SGD):
    def __init__(self, params, lr, slow=3, momentum=0.0, note=None, hook=print):
        super().__init__(params, lr / slow, momentum=momentum)


class Needy(torch.optim.SGD):
    def __init__(self, params, lr, base_optimizer: torch.optim.Optimizer):
        super().__init__(params, lr)


class Forgetful(torch.optim.SGD):
    steps = 0

    def step(self, closure=None):
        self.steps += 1
        self.param_groups[0]["lr"] = 0.1 / self.steps
        super().step()


class Pickled(torch.optim.SGD):
    def __init__(self, params, lr):
        super().__init__(params, lr)
        self.param_groups[0]["own"] = Needy


class NotOne:
    pass
"""


@pytest.fixture(autouse=True)
def own_file(tmp_path, monkeypatch):
    (tmp_path / "my_optimizers.py").write_text(OWN)
    monkeypatch.syspath_prepend(tmp_path)


def choice(name, **options):
    return Choice(name=name, options=options)


def trained(optimizer):
    problem = small_problem()
    updater = build_updater(
        problem.network, problem.tasks, choice("ew"), optimizer, 0.01, generator=torch.Generator().manual_seed(0)
    )
    for index in range(3):
        updater.step(problem.batch(index))
    return problem.flat_parameters()


def test_torchs_nadam_by_its_name_trains_as_the_one_with_a_name_of_ours():
    by_name = choice("torch.optim:NAdam", betas=[0.8, 0.99], weight_decay=1e-5, foreach=True)
    assert torch.equal(trained(by_name), trained(choice("nadam", beta1=0.8, beta2=0.99)))


def test_its_arguments_are_options_with_types_and_defaults_and_so_in_the_key():
    resolved = OPTIMIZERS.resolve(choice("torch.optim:NAdam", betas=[0.8, 0.99], weight_decay=0))
    assert resolved.options["betas"] == [0.8, 0.99] and resolved.options["momentum_decay"] == 0.004
    assert repr(resolved.options["weight_decay"]) == "0.0", "as if it had been left out"
    assert OPTIMIZERS.label(choice("torch.optim:NAdam", eps=0.1)) == "NAdam(eps=0.1)"


@pytest.mark.slow
def test_the_key_follows_the_release_of_the_package_and_not_its_build():
    release = torch.__version__.partition("+")[0]
    assert OPTIMIZERS.content(choice("torch.optim:NAdam")) == {"source code": f"torch=={release}"}
    around = OPTIMIZERS.content(choice("sam", base="my_optimizers:Mine"))
    assert list(around) == ["source code of base"]


@pytest.mark.parametrize(
    ("optimizer", "message"),
    [
        (choice("torch.optim:NAdam", beta=0.9), r"has no option `beta`; did you mean `betas`\? Allowed: betas, eps"),
        (choice("torch.optim:NAdam", betas=[0.9]), r"option `betas` is \[0\.9\]: it has too few values"),
        (choice("torch.optim:NAdam", weight_decay="much"), "option `weight_decay` is 'much'"),
        (choice("torch.optim:NAdam", betas=[0.9, 1.5]), "`torch.optim:NAdam` fails.*Invalid beta parameter"),
        (choice("torch.optim:LBFGS"), "`torch.optim:LBFGS` fails.*closure"),
        (choice("torch.optim:Muon"), "`torch.optim:Muon` fails.*2D"),
        (choice("torch.optim:lr_scheduler"), "is not an optimizer"),
        (choice("my_optimizers:NotOne"), "is not an optimizer: derive it from"),
        (choice("my_optimizers:Needy"), "needs an argument `base_optimizer` that params.yaml cannot give"),
        (choice("my_optimizers:Forgetful"), "gives other results when it continues from its saved state"),
        (choice("my_optimizers:Pickled"), "`my_optimizers:Pickled` fails"),
    ],
    ids=lambda value: value.name if isinstance(value, Choice) else "",
)
def test_what_cannot_work_is_refused_in_one_sentence_when_a_plan_is_made(optimizer, message):
    with pytest.raises(UserError, match=message) as caught:
        check_combination(choice("ew"), optimizer, 3)
    assert "\n" not in str(caught.value)


def test_a_class_of_ones_own_needs_no_type_hints():
    resolved = OPTIMIZERS.resolve(choice("my_optimizers:Mine", slow=2.5))
    assert resolved.options == {"slow": 2.5, "momentum": 0.0, "note": None}
    plain = choice("sgd", momentum=0.0, weight_decay=0.0)
    assert torch.equal(trained(choice("my_optimizers:Mine", slow=1)), trained(plain))


def test_an_optimizer_around_another_takes_a_foreign_one():
    around = choice("sam", base={"torch.optim:NAdam": {"eps": 0.1}})
    assert OPTIMIZERS.label(around) == "sam(base=NAdam(eps=0.1))"
    assert trained(around).isfinite().all()


@pytest.mark.parametrize(("base", "message"), [("sam", "itself"), ("adma", "did you mean `adam`")])
def test_a_wrong_base_is_named(base, message):
    with pytest.raises(UserError, match=message):
        OPTIMIZERS.resolve(choice("sam", base=base))


def test_a_default_that_is_written_out_changes_neither_label_nor_key():
    plain, written = choice("sam"), choice("sam", base={"sgd": {"momentum": 0.9}})
    assert OPTIMIZERS.resolve(plain) == OPTIMIZERS.resolve(written)
    assert OPTIMIZERS.label(plain) == OPTIMIZERS.label(written) == "sam"
    assert OPTIMIZERS.label(choice("sam", base="adam", rho=0.1)) == "sam(base=adam,rho=0.1)"


def test_weight_decay_is_found_in_a_base_too():
    without = without_weight_decay(choice("sam", base="adam"))
    assert OPTIMIZERS.resolve(without).options["base"]["options"]["weight_decay"] == 0.0
