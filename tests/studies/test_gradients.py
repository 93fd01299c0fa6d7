"""Gradient conflicts: closed forms on a linear model, pieces that add up, and training left as it is."""

import numpy as np
import pytest
import torch
from torch import nn

from mtlsweep.studies.gradients.effects import describe, effect, probability_above
from mtlsweep.studies.gradients.meter import ConflictMeter, measuring, plan_pieces, reached_by_all
from mtlsweep.studies.gradients.pairs import MEASURES, PairSums, draw, split_by_sign
from mtlsweep.suites.networks import MultiTaskNetwork
from mtlsweep.suites.prepared.splits import Batch
from mtlsweep.suites.tasks.regression import Regression
from mtlsweep.testing import small_problem

TASKS = (Regression("one"), Regression("two"))


def linear_problem(inputs=4, rows=5):
    """One shared weight vector w; both tasks predict w x, so the gradient of (w x - t)^2 is 2 (w x - t) x."""
    generator = torch.Generator().manual_seed(0)
    backbone = nn.Sequential(nn.Flatten(), nn.Linear(inputs, 1, bias=False))
    network = MultiTaskNetwork(backbone, {task.name: nn.Identity() for task in TASKS})
    x = torch.randn(rows, 1, 1, inputs, generator=generator)
    batch = Batch({"image": x}, {task.name: torch.randn(rows, generator=generator) for task in TASKS})
    residuals = torch.stack(
        [network({"image": x})[task.name].squeeze(1) - batch.targets[task.name] for task in TASKS], dim=1
    )
    gradients = (2 * residuals[:, :, None] * x.flatten(1)[:, None, :]).detach().double()  # [N, T, P]
    return network, batch, gradients


def expected(one, other):
    lengths = one.norm() * other.norm()
    return {
        "cosine": (one @ other / lengths).item(),
        "magnitude_similarity": (2 * lengths / (one @ one + other @ other)).item(),
        "conflicting_share": (one * other < 0).double().mean().item(),
        "conflicting_share_of_active": ((one * other < 0).sum() / (one * other != 0).sum()).item(),
        "scalar_product": (one @ other).item(),
    }


def measure(problem, rows, memory=1e9, by_layer=False):
    network, batch = problem
    tasks = TASKS if "one" in batch.targets else small_problem().tasks
    meter = ConflictMeter(reached_by_all(network, tasks, batch), by_layer, memory)
    return {
        (pairs.kind, pairs.averaged, pairs.layer): pairs.values for pairs in meter.measure(network, tasks, batch, rows)
    }


def test_measures_are_the_closed_forms_of_a_linear_model():
    network, batch, gradients = linear_problem()
    found = measure((network, batch), torch.tensor([0, 2, 3]))
    chosen = gradients[[0, 2, 3]]
    tasks = [expected(chosen[n, 0], chosen[n, 1]) for n in range(3)]
    samples = [expected(chosen[i, t], chosen[j, t]) for t in range(2) for i, j in ((0, 1), (0, 2), (1, 2))]
    of_batch = [expected(gradients[:, 0].mean(0), gradients[:, 1].mean(0))]
    over_tasks = [expected(chosen[i].mean(0), chosen[j].mean(0)) for i, j in ((0, 1), (0, 2), (1, 2))]
    for kind, averaged, pairs in (
        ("inter-task", False, tasks),
        ("inter-sample", False, samples),
        ("inter-task", True, of_batch),
        ("inter-sample", True, over_tasks),
    ):
        for name in MEASURES:
            values = [pair[name] for pair in pairs]
            np.testing.assert_allclose(found[kind, averaged, "all"][name].numpy(), values, rtol=1e-5, atol=1e-6)


def test_gradients_of_samples_sum_to_the_gradient_of_the_batch():
    """So the pairs of whole-batch gradients are those of the mean over all rows."""
    problem = small_problem()
    batch = problem.batch(0)
    parameters = problem.network.shared_parameters()

    def gradient(rows):
        outputs = problem.network({"image": batch.inputs["image"][rows]})
        loss = problem.tasks[1].loss(outputs["task1"], batch.targets["task1"][rows])
        return torch.cat([each.flatten() for each in torch.autograd.grad(loss, parameters)])

    mean = torch.stack([gradient(slice(row, row + 1)) for row in range(len(batch))]).mean(0)
    torch.testing.assert_close(mean, gradient(slice(None)), rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("elements", [1, 7, 50])
def test_pieces_give_what_the_whole_gives(elements):
    problem = small_problem()
    subject = (problem.network, problem.batch(0))
    rows = torch.tensor([1, 4, 9])
    memory = elements * (3 * 3 + 3) * 32
    whole, pieces = measure(subject, rows), measure(subject, rows, memory)
    for group, values in whole.items():
        for name in MEASURES:
            torch.testing.assert_close(pieces[group][name], values[name], rtol=1e-12, atol=1e-14)


def test_no_piece_exceeds_what_memory_allows_and_none_is_lost():
    groups = plan_pieces([3, 10, 1, 4], most=4)
    assert max(sum(piece.stop - piece.start for piece in group) for group in groups) == 4
    covered = [
        (piece.parameter, number) for group in groups for piece in group for number in range(piece.start, piece.stop)
    ]
    assert covered == [(parameter, number) for parameter, size in enumerate([3, 10, 1, 4]) for number in range(size)]


def test_layers_add_up_to_the_whole():
    problem = small_problem()
    found = measure((problem.network, problem.batch(0)), torch.tensor([0, 1, 2]), by_layer=True)
    layers = [
        values["scalar_product"]
        for (kind, averaged, layer), values in found.items()
        if (kind, averaged) == ("inter-task", False) and layer != "all"
    ]
    assert len(layers) == len(problem.network.shared_parameters())
    torch.testing.assert_close(sum(layers), found["inter-task", False, "all"]["scalar_product"])


def test_only_parameters_that_every_task_reaches_are_measured():
    class Branch(nn.Module):
        def __init__(self):
            super().__init__()
            self.common, self.private = nn.Linear(6, 3), nn.Linear(6, 3)

        def forward(self, inputs):
            flat = inputs.flatten(1)
            return self.common(flat), self.private(flat)

    class Head(nn.Module):
        def __init__(self, own):
            super().__init__()
            self.own = own

        def forward(self, parts):
            return (parts[0] + parts[1] if self.own else parts[0]).sum(1, keepdim=True)

    network = MultiTaskNetwork(Branch(), {"one": Head(False), "two": Head(True)})
    batch = Batch({"image": torch.randn(4, 1, 2, 3)}, {"one": torch.randn(4), "two": torch.randn(4)})
    assert set(reached_by_all(network, TASKS, batch)) == {"backbone.common.weight", "backbone.common.bias"}


def test_measuring_leaves_batch_statistics_modes_and_gradients_alone():
    backbone = nn.Sequential(nn.Conv2d(1, 2, 1), nn.BatchNorm2d(2), nn.Flatten(), nn.Dropout(0.5), nn.Linear(12, 3))
    network = MultiTaskNetwork(backbone, {task.name: nn.Linear(3, 1) for task in TASKS})
    network.train()
    backbone[1].eval()
    batch = Batch({"image": torch.randn(4, 1, 2, 3)}, {task.name: torch.randn(4) for task in TASKS})
    before = {name: value.clone() for name, value in network.state_dict().items()}
    random_state = torch.get_rng_state()
    measure((network, batch), torch.tensor([0, 1]))
    assert all(torch.equal(value, before[name]) for name, value in network.state_dict().items())
    assert torch.equal(torch.get_rng_state(), random_state)
    assert backbone[0].training and not backbone[1].training
    assert all(parameter.grad is None for parameter in network.parameters())
    with measuring(network):
        assert not any(module.training for module in network.modules())


def test_a_zero_gradient_has_no_direction_and_is_left_out():
    sums = PairSums()
    sums.add(torch.tensor([[[1.0, 2.0], [0.0, 0.0], [2.0, -1.0]]], dtype=torch.float64))
    values = sums.measures()
    assert values["cosine"].tolist() == [0.0] and values["conflicting_share"].tolist() == [0.5]


def test_zeros_change_the_share_among_all_and_not_among_those_that_are_non_zero_in_both():
    """Two pairs with the same angles between what is not zero; of the second, ReLU has set half to zero."""
    generator = torch.Generator().manual_seed(0)
    dense = torch.randn(1, 2, 1000, generator=generator, dtype=torch.float64)
    sparse = dense.clone()
    sparse[0, 0, :250] = sparse[0, 1, 250:500] = 0.0
    shares = []
    for rows in (dense, sparse):
        sums = PairSums()
        for piece in rows.split(300, dim=-1):
            sums.add(piece)
        values = sums.measures()
        shares.append([values[name].item() for name in ("conflicting_share", "conflicting_share_of_active")])
    (all_of_dense, active_of_dense), (all_of_sparse, active_of_sparse) = shares
    assert all_of_dense == active_of_dense and all_of_sparse == pytest.approx(0.5 * active_of_sparse)
    assert active_of_sparse == pytest.approx(active_of_dense, abs=0.03)


def test_a_pair_without_a_common_coordinate_has_no_share_among_those_and_is_left_out_of_effects():
    sums = PairSums()
    sums.add(torch.tensor([[[1.0, 2.0, 0.0], [0.0, 0.0, 3.0], [1.0, -2.0, 0.0]]], dtype=torch.float64))
    values = {name: each.numpy() for name, each in sums.measures().items()}
    np.testing.assert_array_equal(values["conflicting_share_of_active"], [np.nan, 0.5, np.nan])
    assert describe(values["conflicting_share_of_active"]) == {
        "mean": 0.5,
        "std": 0,
        "low": 0.5,
        "high": 0.5,
        "pairs": 1,
    }
    one = {"cosine": values["cosine"], "conflicting_share_of_active": np.array([np.nan, 0.5, 0.7])}
    other = {"cosine": values["cosine"], "conflicting_share_of_active": np.array([0.1, np.nan, 0.3])}
    found = effect(one, other, "conflicting_share_of_active")
    assert found["difference"] == pytest.approx(0.4) and (found["task_pairs"], found["sample_pairs"]) == (2, 2)


def test_draws_are_different_rows_in_order_and_all_when_there_are_few():
    generator = torch.Generator().manual_seed(3)
    chosen = draw(8, 32, generator)
    assert len(set(chosen.tolist())) == 8 and chosen.tolist() == sorted(chosen.tolist())
    assert draw(8, 3, generator).tolist() == [0, 1, 2]


def test_conflicting_and_supporting_pairs_share_out_all_pairs():
    values = {name: torch.tensor([-0.5, 0.0, 0.5]) for name in MEASURES}
    parts = {name: len(each["cosine"]) for name, each in split_by_sign(values)}
    assert parts == {"all": 3, "conflicting": 1, "supporting": 2}


def test_effects_against_hand_computed_ones():
    one = {"cosine": np.array([1.0, 3.0]), "scalar_product": np.array([1.0, 3.0])}
    other = {"cosine": np.array([-1.0, 1.0]), "scalar_product": np.array([0.0, 2.0])}
    found = effect(one, other, "scalar_product")
    assert found["difference"] == 1.0 and found["cohens_d"] == pytest.approx(1 / np.sqrt(2))
    assert found["task_above_sample"] == 0.75 and (found["task_conflicts"], found["sample_conflicts"]) == (0.0, 0.5)
    assert probability_above(np.array([1.0]), np.array([1.0])) == 0.5
    assert describe(np.array([]))["pairs"] == 0 and np.isnan(describe(np.array([]))["mean"])
