"""Methods that remember, against their official algorithm written down once more in numpy, over several steps."""

import numpy as np
import pytest
import torch
from torchjd.aggregation import CRMOGMWeighting, MoDoWeighting, SDMGradWeighting, Weighting

from mtlsweep.methods.weighting import WEIGHTINGS, JacobianWeighting, LossWeighting
from mtlsweep.params.choice import Choice

torch.set_num_threads(1)
STEPS = 6


def create(name, tasks, **options):
    names = [f"task{i}" for i in range(tasks)]
    return WEIGHTINGS.create(Choice(name=name, options=options), names, torch.Generator().manual_seed(0))


def draws(tasks, seed=0):
    """Yield the losses [T] and gradients [T, P] of a few steps, of very different size from task to task."""
    generator = np.random.default_rng(seed)
    for _ in range(STEPS):
        yield (
            generator.uniform(0.1, 3.0, tasks),
            generator.normal(size=(tasks, 20)) * np.logspace(-1, 1, tasks)[:, None],
        )


def combined(method, losses, rows):
    assert isinstance(method, JacobianWeighting)
    (update,), weights = method.combine(torch.from_numpy(losses), [torch.from_numpy(rows)], None)
    return update.numpy(), weights


def softmax(values):
    shares = np.exp(values - values.max())
    return shares / shares.sum()


@pytest.mark.parametrize("tasks", [2, 3, 8])
def test_moco_is_libmtls(tasks):
    method, y, lambdas = create("moco", tasks, rho=0.2), np.zeros((tasks, 20)), np.full(tasks, 1 / tasks)
    for step, (losses, rows) in enumerate(draws(tasks), start=1):
        scaled = rows / (np.linalg.norm(rows, axis=1) + 1e-8)[:, None] * losses[:, None]
        y = y - 0.5 / step**0.5 * (y - scaled)
        lambdas = softmax(lambdas - 0.1 / step**0.5 * (y @ y.T + 0.2 * np.eye(tasks)) @ lambdas)
        update, weights = combined(method, losses, rows)
        np.testing.assert_allclose(update, lambdas @ y, rtol=1e-5, atol=1e-9)
        np.testing.assert_allclose(weights.shared, lambdas * losses / np.linalg.norm(rows, axis=1), rtol=1e-5)


def test_moco_gives_a_task_without_gradient_no_weight():
    losses, rows = next(draws(3))
    rows[1] = 0.0
    assert combined(create("moco", 3), losses, rows)[1].shared[1] == 0.0


@pytest.mark.parametrize("tasks", [2, 3, 8])
def test_excess_mtl_is_the_official_code(tasks):
    method, squares, first, weights = create("excess_mtl", tasks, step_size=0.5), 0.0, None, np.ones(tasks)
    for losses, rows in draws(tasks):
        squares = squares + rows**2
        excess = (rows * (1 / np.sqrt(squares + 1e-7)) * rows).sum(1)
        if first is None:
            first = excess
        else:
            weights = weights * np.exp(excess / first * 0.5)
            weights = weights / weights.sum() * tasks
        update, given = combined(method, losses, rows)
        np.testing.assert_allclose(given.shared, weights, rtol=1e-5)
        np.testing.assert_allclose(given.heads, weights, rtol=1e-5)
        np.testing.assert_allclose(update, weights @ rows, rtol=1e-5)


def best_split(values, groups):
    """Return the means of the best assignment of `values` to at most `groups` groups, by trying all of them."""
    best, least = None, np.inf
    for number in range(groups ** len(values)):
        labels = np.array([number // groups**i % groups for i in range(len(values))])
        means = np.array([values[labels == label].mean() for label in labels])
        error = ((values - means) ** 2).sum()
        if error < least - 1e-15:
            best, least = means, error
    return best


@pytest.mark.parametrize(("tasks", "groups"), [(2, 2), (3, 2), (5, 2), (5, 3), (6, 1), (2, 5)])
def test_go4align_is_the_official_code_with_the_best_groups(tasks, groups):
    method, shares = create("go4align", tasks, groups=groups, step_size=0.3), np.full(tasks, 1 / tasks)
    assert isinstance(method, LossWeighting)
    for losses, _ in draws(tasks):
        shares = shares * np.exp(-0.3 * losses)
        shares = shares / shares.sum()
        expected = best_split(losses.sum() / losses * shares, min(groups, tasks))
        np.testing.assert_allclose(method.weigh(torch.from_numpy(losses)), expected, rtol=1e-5)


def products(tasks):
    """Yield the products [T, T] of two independent samples of the gradients, at a few steps."""
    generator = np.random.default_rng(1)
    for _, rows in draws(tasks):
        noise = [rows + 0.5 * generator.normal(size=rows.shape) for _ in range(2)]
        yield torch.from_numpy(noise[0] @ noise[1].T)


@pytest.mark.parametrize("tasks", [2, 3, 8])
def test_sdmgrad_gives_torchjds_weights(tasks):
    method, theirs = create("sdmgrad", tasks), SDMGradWeighting(lambda_=0.3)
    for matrix in products(tasks):
        ours = method.weigh(torch.ones(tasks, dtype=torch.float64), matrix).shared
        torch.testing.assert_close(ours, theirs(matrix), rtol=1e-5, atol=1e-7)


@pytest.mark.parametrize("tasks", [2, 3, 8])
def test_modo_gives_torchjds_weights(tasks):
    method, theirs = create("modo", tasks, gamma=0.1), MoDoWeighting(gamma=0.1, rho=0.1)
    for matrix in products(tasks):
        ours = method.weigh(torch.ones(tasks, dtype=torch.float64), matrix).shared
        torch.testing.assert_close(ours, theirs(matrix), rtol=1e-5, atol=1e-7)


def test_sdmgrad_keeps_its_weights_where_all_products_of_a_task_with_itself_are_negative():
    method = create("sdmgrad", 2)
    given = method.weigh(torch.ones(2, dtype=torch.float64), -torch.eye(2, dtype=torch.float64))
    assert given.shared.tolist() == pytest.approx([0.5, 0.5])


class OurCAGrad(Weighting):
    """Our weights of CAGrad behind TorchJD's interface."""

    def forward(self, gramian):
        tasks = len(gramian)
        return create("cagrad", tasks).weigh(torch.ones(tasks, dtype=torch.float64), gramian).shared


@pytest.mark.parametrize("tasks", [2, 3, 8])
def test_cr_mogm_smooths_as_torchjd_does(tasks):
    method, theirs = create("cr_mogm", tasks, method="cagrad"), CRMOGMWeighting(OurCAGrad(), alpha=0.9)
    for _, rows in draws(tasks):
        gramian = torch.from_numpy(rows @ rows.T)
        ours = method.weigh(torch.ones(tasks, dtype=torch.float64), gramian).shared
        torch.testing.assert_close(ours, theirs(gramian), rtol=1e-9, atol=1e-12)
