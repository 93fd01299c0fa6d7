"""How a step gets its gradients: what it runs, what it moves to the host, and that they are the right ones."""

from dataclasses import dataclass
from typing import Any

import pytest
import torch

from mtlsweep.errors import UserError
from mtlsweep.methods.combination import check_combination
from mtlsweep.methods.weighting import WEIGHTINGS, GramianWeighting, JacobianWeighting
from mtlsweep.params.choice import Choice
from mtlsweep.testing import small_problem
from mtlsweep.training.step import backward, look_ahead, task_steps, two_samples, updater
from mtlsweep.training.step.forward import Forward, in_one_transfer, to_host
from mtlsweep.training.step.jacobian import Jacobian
from mtlsweep.training.step.updater import build_updater

torch.set_num_threads(1)
NEEDED: dict[str, dict[str, Any]] = {
    "scalar": {"task0": 1.0, "task1": 0.5, "task2": 2.0},
    "pivrg": {"reference": {f"task{index}": {"mae": 1.0} for index in range(3)}},
}
"""Options without a default."""
PLAIN_SGD = Choice(name="sgd", options={"momentum": 0.0, "weight_decay": 0.0})


def choice(name, **options):
    return Choice(name=name, options={**NEEDED.get(name, {}), **options})


def updater_for(problem, weighting, optimizer=PLAIN_SGD, rate=1.0):
    return build_updater(
        problem.network, problem.tasks, weighting, optimizer, rate, generator=torch.Generator().manual_seed(0)
    )


def task_gradients(problem, batch):
    """Return (losses, [T, P] on shared parameters, gradients of each head)."""
    forward = Forward(problem.network, problem.tasks, "float32")
    shared, rows, heads = problem.network.shared_parameters(), [], []
    losses = forward.losses(batch)
    for task, loss in zip(problem.tasks, losses, strict=True):
        own = problem.network.head_parameters(task.name)
        gradients = torch.autograd.grad(loss, [*shared, *own], retain_graph=True)
        rows.append(torch.cat([gradient.flatten() for gradient in gradients[: len(shared)]]))
        heads.append(torch.cat([gradient.flatten() for gradient in gradients[len(shared) :]]))
    return torch.stack(losses).detach(), torch.stack(rows), heads


def flat(parameters):
    return torch.cat([parameter.detach().flatten() for parameter in parameters])


def step_taken(problem, updater, batch):
    """Return how far a step moved the shared parameters and each head."""
    shared = problem.network.shared_parameters()
    heads = [problem.network.head_parameters(task.name) for task in problem.tasks]
    before = [flat(shared), *map(flat, heads)]
    updater.step(batch)
    moved = [after - start for after, start in zip([flat(shared), *map(flat, heads)], before, strict=True)]
    return moved[0], moved[1:]


# --- what is run and what is moved ---


@dataclass
class Passes:
    forwards: int = 0
    backwards: int = 0


class Counted(torch.autograd.Function):
    @staticmethod
    def forward(ctx, values, passes):
        ctx.passes = passes
        passes.forwards += 1
        return values.clone()

    @staticmethod
    def backward(ctx, gradient):
        ctx.passes.backwards += 1
        return gradient, None


def count_passes(problem):
    """Count what goes through the backbone and through each head."""
    counts = {name: Passes() for name in ("backbone", *problem.network.heads)}
    modules = {"backbone": problem.network.backbone, **problem.network.heads}
    for name, module in modules.items():
        module.register_forward_hook(lambda _m, _i, output, seen=counts[name]: Counted.apply(output, seen))
    return counts


@pytest.mark.parametrize(
    ("weighting", "backbone", "head"),
    [
        (choice("ew"), 1, 1),
        (choice("uw"), 1, 1),
        (choice("cagrad"), 3, 1),
        (choice("nash_mtl"), 3, 1),
        (choice("imtl", gradients="representation"), 1, 1),
        (choice("graddrop"), 1, 1),
        (choice("uw", heads="one"), 1, 1),
        (choice("adatask"), 3, 1),
        (choice("mtl_io"), 3, 1),
        (choice("modo"), 7, 3),  # T on each of two further batches, one on its own
        (choice("cons_mtl"), 3, 2),  # a head's gradient at the representation is differentiated once more
        (choice("auto_lambda"), 3, 3),  # the trial step, the further batch after it, the step
    ],
    ids=lambda value: WEIGHTINGS.label(value) if isinstance(value, Choice) else str(value),
)
def test_no_task_is_differentiated_through_another_tasks_head(weighting, backbone, head):
    problem = small_problem()
    counts = count_passes(problem)
    updater_for(problem, weighting, Choice(name="adam")).step(problem.batch(0))
    assert counts["backbone"].backwards == backbone
    assert [counts[task.name].backwards for task in problem.tasks] == [head] * 3
    assert counts["backbone"].forwards == {"mtl_io": 3, "modo": 3, "auto_lambda": 4}.get(weighting.name, 1)


@pytest.mark.parametrize("name", WEIGHTINGS.names())
def test_a_step_moves_numbers_to_the_host_once(name, monkeypatch):
    problem, moved = small_problem(), []

    def counting(*parts):
        moved.append(sum(part.numel() for part in (*parts[0], *parts[1:])))
        return to_host(*parts)

    for module in (backward, look_ahead, task_steps, two_samples, updater):
        monkeypatch.setattr(module, "to_host", counting)
    updater_for(problem, choice(name), Choice(name="adam")).step(problem.batch(0))
    assert len(moved) == (2 if name in ("famo", "auto_lambda") else 1)  # these also look at losses elsewhere
    assert max(moved) <= 3 + 9 + 6  # losses, Gramian, two vectors of weights: never a gradient


def test_what_is_moved_together_arrives_as_it_left():
    parts = [torch.rand(3), torch.rand(3, 3, dtype=torch.float64), torch.rand(2)]
    for arrived, sent in zip(in_one_transfer(parts), parts, strict=True):
        assert torch.equal(arrived, sent.double())


# --- gradients are what the weights say ---


@pytest.mark.parametrize(
    "weighting",
    [
        choice("uw"),
        choice("scalar"),
        choice("uw_o", heads="one"),
        choice("cagrad"),
        choice("imtl"),
        choice("nash_mtl", scale="unit"),
        choice("mgda", heads="same"),
    ],
    ids=WEIGHTINGS.label,
)
def test_a_step_is_the_weighted_sum_of_task_gradients(weighting):
    problem = small_problem()
    updater, batch = updater_for(problem, weighting), problem.batch(0)
    _, rows, heads = task_gradients(problem, batch)
    moved, of_heads = step_taken(problem, updater, batch)
    figures = updater.end_epoch()
    weights = torch.tensor([figures[f"train/{task.name}/weight"] for task in problem.tasks])
    torch.testing.assert_close(-moved, weights @ rows, rtol=1e-4, atol=1e-6)
    for task, moved, gradient in zip(problem.tasks, of_heads, heads, strict=True):
        torch.testing.assert_close(-moved, figures[f"train/{task.name}/head_weight"] * gradient, rtol=1e-4, atol=1e-6)


def test_the_epochs_figures_are_the_gramians():
    problem = small_problem()
    updater, batch = updater_for(problem, choice("pcgrad")), problem.batch(0)
    losses, rows, _ = task_gradients(problem, batch)
    updater.step(batch)
    figures = updater.end_epoch()
    assert figures["train/task1/loss"] == pytest.approx(losses[1].item(), rel=1e-6)
    assert figures["train/task2/gradient_norm"] == pytest.approx(rows[2].norm().item(), rel=1e-5)
    cosine = torch.cosine_similarity(rows[0], rows[2], dim=0).item()
    assert figures["train/cosine/task0-task2"] == pytest.approx(cosine, abs=1e-6)


def test_with_many_tasks_only_the_mean_and_the_least_cosine_are_reported():
    problem = small_problem(11)
    updater = updater_for(problem, choice("pcgrad"))
    updater.step(problem.batch(0))
    names = [name for name in updater.end_epoch() if name.startswith("train/cosine/")]
    assert names == ["train/cosine/mean", "train/cosine/least"]


def test_the_gramian_is_exact_for_rows_longer_than_a_block():
    generator = torch.Generator().manual_seed(0)
    gradients = [[torch.randn(300, 700, generator=generator), torch.randn(5, generator=generator)] for _ in range(3)]
    leaves = [torch.zeros(300, 700, requires_grad=True), torch.zeros(5, requires_grad=True)]
    jacobian = Jacobian(3, leaves)
    losses = [
        torch.stack([(part * leaf).sum() for part, leaf in zip(each, leaves, strict=True)]).sum() for each in gradients
    ]
    jacobian.differentiate(losses, retain_graph=False)
    rows = torch.stack([torch.cat([part.flatten() for part in each]) for each in gradients]).double()
    torch.testing.assert_close(jacobian.gramian(), rows @ rows.T, rtol=1e-13, atol=1e-9)


def test_imtl_at_the_representation_compares_gradients_there():
    problem = small_problem()
    batch = problem.batch(0)
    representation = problem.network.representation(batch.inputs)
    losses = Forward(problem.network, problem.tasks, "float32").losses_from(representation, batch)
    rows = torch.stack([torch.autograd.grad(loss, representation, retain_graph=True)[0].flatten() for loss in losses])
    method = WEIGHTINGS.create(Choice(name="imtl_g"), ["a", "b", "c"], torch.Generator())
    assert isinstance(method, GramianWeighting)
    expected = method.weigh(torch.ones(3, dtype=torch.float64), (rows @ rows.T).double()).shared
    updater = updater_for(problem, choice("imtl_g", gradients="representation"))
    _, on_parameters, _ = task_gradients(problem, batch)
    moved, _ = step_taken(problem, updater, batch)
    torch.testing.assert_close(-moved, expected.float() @ on_parameters, rtol=1e-4, atol=1e-6)


def test_a_representation_may_have_several_parts():
    class TwoParts(torch.nn.Module):
        def forward(self, parts):
            return (parts[0] * parts[1]).sum(1, keepdim=True)

    problems = [small_problem(2) for _ in range(2)]
    for problem in problems:
        trunk = problem.network.backbone
        problem.network.backbone = torch.nn.Sequential(trunk, _Split())
        for task in problem.tasks:
            problem.network.heads[task.name] = TwoParts()
    for problem, weighting in zip(problems, (choice("scalar"), choice("scalar", heads="one")), strict=True):
        weighting = Choice(name="scalar", options={k: v for k, v in weighting.options.items() if k != "task2"})
        updater_for(problem, weighting, rate=0.1).step(problem.batch(0))
    torch.testing.assert_close(problems[0].flat_parameters(), problems[1].flat_parameters())


class _Split(torch.nn.Module):
    def forward(self, shared):
        return shared[:, :2], shared[:, 2:4]


# --- methods that see gradients themselves ---


def test_graddrop_keeps_one_sign_per_coordinate():
    problem = small_problem()
    updater, batch = updater_for(problem, choice("graddrop", gradients="parameters")), problem.batch(0)
    _, rows, _ = task_gradients(problem, batch)
    moved, _ = step_taken(problem, updater, batch)
    positive, negative = rows.clamp(min=0).sum(0), rows.clamp(max=0).sum(0)
    taken = torch.minimum((-moved - positive).abs(), (-moved - negative).abs())
    torch.testing.assert_close(taken, torch.zeros_like(taken), rtol=0, atol=1e-5)


def test_graddrop_keeps_positive_gradients_as_often_as_they_outweigh():
    gradients = torch.tensor([[3.0], [-1.0]]).expand(2, 4000)
    method = WEIGHTINGS.create(Choice(name="graddrop"), ["a", "b"], torch.Generator().manual_seed(0))
    assert isinstance(method, JacobianWeighting)
    (update,), weights = method.combine(torch.ones(2), [gradients], None)
    assert set(update.unique().tolist()) == {3.0, -1.0}
    share = (update == 3.0).float().mean().item()
    assert share == pytest.approx(0.75, abs=0.03)
    assert weights.shared.tolist() == pytest.approx([share, 1 - share])


def test_graddrop_that_leaks_everything_drops_nothing():
    problem, twin = small_problem(), small_problem()
    updater_for(problem, choice("graddrop", leak=1.0)).step(problem.batch(0))
    updater_for(twin, choice("ew")).step(twin.batch(0))
    torch.testing.assert_close(problem.flat_parameters(), twin.flat_parameters())


def test_graddrop_at_the_representation_masks_a_feature_for_the_whole_batch():
    generator = torch.Generator().manual_seed(1)
    gradients, values = torch.randn(2, 8, 5, generator=generator), torch.randn(8, 5, generator=generator)
    method = WEIGHTINGS.create(Choice(name="graddrop"), ["a", "b"], generator)
    assert isinstance(method, JacobianWeighting)
    (update,), _ = method.combine(torch.ones(2), [gradients], [values])
    signed = (gradients * values.sign()).sum(1)
    for feature in range(5):
        passing = [
            [task for task in range(2) if keep(signed[task, feature])] for keep in (lambda s: s > 0, lambda s: s < 0)
        ]
        candidates = [gradients[tasks, :, feature].sum(0) for tasks in passing]
        assert any(torch.allclose(update[:, feature], candidate) for candidate in candidates)


def test_db_mtl_stretches_moving_averages_of_log_gradients_to_one_length():
    problem = small_problem()
    updater = updater_for(problem, choice("db_mtl", beta=0.6, decay=0.5), rate=0.01)
    averages = 0.0
    for index in range(3):
        losses, rows, heads = task_gradients(problem, problem.batch(index))
        memory = 0.6 / (index + 1) ** 0.5
        of_logarithms = rows / losses[:, None]
        averages = of_logarithms + memory * (averages - of_logarithms)
        norms = averages.norm(dim=1)
        expected = (norms.max() / norms) @ averages
        moved, of_heads = step_taken(problem, updater, problem.batch(index))
        torch.testing.assert_close(-moved / 0.01, expected, rtol=2e-3, atol=1e-4)
        torch.testing.assert_close(-of_heads[1] / 0.01, heads[1] / losses[1], rtol=2e-3, atol=1e-4)


# --- an optimizer for each task ---


@pytest.mark.parametrize("optimizer", ["adam", "adamw", "rmsprop", "adagrad", "nadam", "adafactor", "soap"])
@pytest.mark.parametrize("weighting", ["adatask", "mtl_io"])
def test_with_a_single_task_task_optimizers_are_the_base(weighting, optimizer):
    base = Choice(name=optimizer, options={"weight_decay": 0.01})
    problem, twin = small_problem(1), small_problem(1)
    ours, plain = updater_for(problem, choice(weighting), base, 0.01), updater_for(twin, choice("ew"), base, 0.01)
    for index in range(5):
        ours.step(problem.batch(index))
        plain.step(twin.batch(index))
    torch.testing.assert_close(problem.flat_parameters(), twin.flat_parameters(), rtol=1e-5, atol=1e-7)


def test_adatask_adds_up_each_tasks_own_adam_step_from_one_point():
    problem = small_problem()
    decay = 0.01
    updater = updater_for(problem, choice("adatask"), Choice(name="adam", options={"weight_decay": decay}), 0.01)
    first, second = torch.zeros(2, 3, 1)
    for index in range(1, 5):
        _, rows, _ = task_gradients(problem, problem.batch(index))
        rows = rows + decay / 3 * flat(problem.network.shared_parameters())
        first, second = 0.9 * first + 0.1 * rows, 0.999 * second + 0.001 * rows**2
        steps = (first / (1 - 0.9**index)) / ((second / (1 - 0.999**index)).sqrt() + 1e-8)
        moved, _ = step_taken(problem, updater, problem.batch(index))
        torch.testing.assert_close(-moved, 0.01 * steps.sum(0), rtol=1e-3, atol=1e-5)


def test_adatask_with_adamw_decays_shared_parameters_once_and_every_head():
    problem = small_problem()
    decay, rate = 0.5, 1e-3
    updater = updater_for(problem, choice("adatask"), Choice(name="adamw", options={"weight_decay": decay}), rate)
    twin = small_problem()
    undecayed = updater_for(twin, choice("adatask"), Choice(name="adamw", options={"weight_decay": 0.0}), rate)
    start = problem.flat_parameters()
    updater.step(problem.batch(0))
    undecayed.step(twin.batch(0))
    torch.testing.assert_close(
        twin.flat_parameters() - problem.flat_parameters(), rate * decay * start, rtol=1e-3, atol=1e-7
    )


def test_mtl_io_lets_tasks_step_one_after_another_with_momentum_of_their_own():
    problem, twin = small_problem(2), small_problem(2)
    base = Choice(name="sgd", options={"weight_decay": 0.0})
    updater = updater_for(problem, choice("mtl_io"), base, 0.05)
    shared = twin.network.shared_parameters()
    optimizers = [
        torch.optim.SGD([*shared, *twin.network.head_parameters(task.name)], 0.05, momentum=0.9) for task in twin.tasks
    ]
    for index in range(4):
        updater.step(problem.batch(index))
        batch = twin.batch(index)
        for task, optimizer in zip(twin.tasks, optimizers, strict=True):
            optimizer.zero_grad()
            task.loss(twin.network(batch.inputs)[task.name], batch.targets[task.name]).backward()
            optimizer.step()
    torch.testing.assert_close(problem.flat_parameters(), twin.flat_parameters())


@pytest.mark.parametrize("optimizer", ["sgd", "signsgd", "lion", "muon", "sam", "schedule_free", "torch.optim:SGD"])
def test_adatask_on_an_optimizer_without_adaptive_moments_is_refused(optimizer):
    with pytest.raises(UserError, match=f"`adatask` with optimizer `{optimizer}`.*choose adam"):
        check_combination(choice("adatask"), Choice(name=optimizer), 3)


@pytest.mark.parametrize("optimizer", ["schedule_free", "schedulefree:SGDScheduleFree"])
def test_optimizers_that_take_turns_may_not_each_average_the_parameters(optimizer):
    with pytest.raises(UserError, match=r"`mtl_io`.*averages .* would overwrite each other; choose adam"):
        check_combination(choice("mtl_io"), Choice(name=optimizer), 3)


def test_scalar_weights_for_other_tasks_are_refused():
    with pytest.raises(UserError, match="needs a weight for each of 2 tasks"):
        check_combination(choice("scalar"), Choice(name="adam"), 2)
    with pytest.raises(UserError, match="task0, task1, task9"):
        check_combination(choice("scalar"), Choice(name="adam"), ["task0", "task1", "task9"])


# --- what happens around a step ---


def test_famo_looks_again_without_batch_statistics_taking_note():
    problem = small_problem()
    backbone, norm = problem.network.backbone, torch.nn.BatchNorm1d(5)
    assert isinstance(backbone, torch.nn.Sequential)
    backbone.append(norm)
    updater_for(problem, choice("famo"), rate=0.01).step(problem.batch(0))
    assert norm.num_batches_tracked == 1


def test_a_weightings_own_parameters_take_the_optimizer_of_the_network_without_its_weight_decay():
    problem = small_problem()
    updater = updater_for(
        problem, choice("uw"), Choice(name="sgd", options={"weight_decay": 0.5, "momentum": 0.0}), 0.1
    )
    losses, _, _ = task_gradients(problem, problem.batch(0))
    updater.step(problem.batch(0))
    start = torch.full((3,), -0.5, dtype=torch.float64)
    expected = start - 0.1 * (0.5 - 0.5 * torch.exp(-start) * losses)
    torch.testing.assert_close(updater.state_dict()["weighting"]["log_variance"], expected, rtol=1e-6, atol=1e-7)


def test_a_weightings_own_parameters_may_have_a_learning_rate_of_their_own():
    problem = small_problem()
    updater = updater_for(problem, choice("uw", learning_rate=0.025), Choice(name="signsgd"), 0.1)
    updater.step(problem.batch(0))
    moved = updater.state_dict()["weighting"]["log_variance"] + 0.5
    torch.testing.assert_close(moved.abs(), torch.full((3,), 0.025, dtype=torch.float64))
