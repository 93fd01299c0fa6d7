"""Gradient weightings against independent solutions: TorchJD's, brute force, or the paper's defining equation."""

import itertools
from functools import partial

import numpy as np
import pytest
import torch
from scipy.optimize import least_squares, minimize
from torchjd.aggregation import (
    AlignedMTLWeighting,
    ConFIG,
    FairGradWeighting,
    IMTLGWeighting,
    MGDAWeighting,
    PCGradWeighting,
)

from mtlsweep.methods.weighting import WEIGHTINGS, GramianWeighting, Performance
from mtlsweep.methods.weighting.gradient.gradvac import vaccinate
from mtlsweep.methods.weighting.gradient.pcgrad import project_conflicts, random_orders
from mtlsweep.methods.weighting.solvers.dual_cone import project_onto_dual_cone
from mtlsweep.methods.weighting.solvers.simplex import conflict_averse_weights, minimum_norm_weights
from mtlsweep.params.choice import Choice
from mtlsweep.testing import matrices

torch.set_num_threads(1)
TASKS = (2, 3, 5, 10)
WELL_POSED = ("random", "agreeing", "conflicting")


def bank(tasks, names=None, seeds=3):
    cases = itertools.chain.from_iterable(matrices(tasks, seed) for seed in range(seeds))
    return [(name, rows) for name, rows in cases if names is None or name in names]


def shared_weights(name, rows, losses=None, **options):
    method = WEIGHTINGS.create(
        Choice(name=name, options=options), [f"task{i}" for i in range(len(rows))], torch.Generator()
    )
    losses = torch.ones(len(rows), dtype=torch.float64) if losses is None else losses
    assert isinstance(method, GramianWeighting)
    return method.weigh(losses, rows @ rows.T).shared


# --- CAGrad ---


def cagrad_objective(gramian, c, weights):
    mean, length = gramian.mean(1), np.sqrt(max(weights @ gramian @ weights, 0.0))
    return weights @ mean + c * np.sqrt(max(gramian.mean(), 0.0)) * length


def search_simplex(gramian, c):
    """Return the least objective found from every vertex, the centre and the middles of all edges."""
    tasks, scale = len(gramian), max(gramian.mean(), 1e-300)
    vertices = np.eye(tasks)
    starts = [np.full(tasks, 1 / tasks), *vertices, *((a + b) / 2 for a, b in itertools.combinations(vertices[:4], 2))]
    best = min(cagrad_objective(gramian, c, start) for start in starts)
    simplex = {"bounds": [(0, 1)] * tasks, "constraints": {"type": "eq", "fun": lambda w: w.sum() - 1}}
    for start in starts[:4]:
        found = minimize(
            lambda w: cagrad_objective(gramian / scale, c, w), 0.9 * start + 0.1 / tasks, tol=1e-13, **simplex
        ).x
        found = np.maximum(found, 0)
        best = min(best, cagrad_objective(gramian, c, found / found.sum()))
    return best


def tolerance(gramian, value):
    """Return 1e-6 of the value; near zero, where |g_w| is a root of rounding, of a tenth of |gbar| max |g|."""
    longest = gramian.diagonal().max()
    return 1e-6 * max(abs(value), 0.1 * np.sqrt(max(gramian.mean(), 0.0) * longest)) + 1e-12 * longest


@pytest.mark.slow
@pytest.mark.parametrize("c", [0.2, 0.5, 1.5])
@pytest.mark.parametrize("tasks", TASKS)
def test_cagrad_finds_the_minimum_that_a_search_of_the_simplex_finds(tasks, c):
    for name, rows in matrices(tasks, seed=tasks):
        gramian = (rows @ rows.T).numpy()
        weights = conflict_averse_weights(gramian, c)
        assert weights.min() >= 0
        assert weights.sum() == pytest.approx(1)
        value, best = cagrad_objective(gramian, c, weights), search_simplex(gramian, c)
        assert value <= best + tolerance(gramian, best), name


@pytest.mark.slow
@pytest.mark.parametrize("tasks", TASKS)
def test_cagrad_is_as_good_as_torchjds(tasks):
    from torchjd.aggregation import CAGradWeighting

    for name, rows in bank(tasks):
        gramian = rows @ rows.T
        theirs = CAGradWeighting(c=0.5)(gramian).numpy() - 1 / tasks
        if theirs.sum() <= 0:  # no update at all: all gradients zero, or Pareto stationary
            continue
        theirs = np.maximum(theirs, 0)
        value = cagrad_objective(gramian.numpy(), 0.5, conflict_averse_weights(gramian.numpy(), 0.5))
        reference = cagrad_objective(gramian.numpy(), 0.5, theirs / theirs.sum())
        assert value <= reference + tolerance(gramian.numpy(), reference), name
        if name in WELL_POSED:
            assert value == pytest.approx(reference, rel=1e-6)
            ours = shared_weights("cagrad", rows, rescale=0)
            torch.testing.assert_close(ours.numpy() - 1 / tasks, theirs, rtol=1e-3, atol=1e-4)


def test_cagrad_maximises_the_least_gain_within_its_ball():
    for _, rows in bank(3, WELL_POSED):
        gradient = rows.mean(0)
        update = shared_weights("cagrad", rows, rescale=0) @ rows
        assert (update - gradient).norm() <= 0.5 * gradient.norm() * (1 + 1e-9)
        generator = torch.Generator().manual_seed(0)
        others = torch.randn(2000, rows.shape[1], generator=generator, dtype=torch.float64)
        others = gradient + 0.5 * gradient.norm() * others / others.norm(dim=1, keepdim=True)
        assert (others @ rows.T).amin(1).max() <= (rows @ update).min() + 1e-9


# --- MGDA ---


@pytest.mark.parametrize("tasks", TASKS)
def test_mgda_meets_the_conditions_of_the_shortest_combination(tasks):
    for name, rows in bank(tasks):
        gramian = (rows @ rows.T).numpy()
        weights = minimum_norm_weights(gramian)
        shortest = weights @ gramian @ weights
        slack = 1e-9 * gramian.diagonal().max()
        assert (gramian @ weights).min() >= shortest - slack, name
        theirs = MGDAWeighting()(rows @ rows.T).numpy()
        assert shortest <= theirs @ gramian @ theirs + slack


@pytest.mark.slow
@pytest.mark.parametrize("tasks", TASKS)
def test_mgda_gives_torchjds_weights_where_those_have_converged(tasks):
    compared = 0
    for name, rows in bank(tasks, (*WELL_POSED, "ill conditioned", "one zero", "eight orders")):
        gramian = rows @ rows.T
        theirs = MGDAWeighting(epsilon=1e-7, max_iters=400)(gramian)
        gap = theirs @ gramian @ theirs - (gramian @ theirs).min()
        if gap <= 1e-11 * torch.linalg.eigvalsh(gramian)[0]:  # so their error is below 1e-5
            torch.testing.assert_close(shared_weights("mgda", rows), theirs, rtol=0, atol=1e-5, msg=name)
            compared += 1
    assert compared >= 3


# --- IMTL-G, Aligned-MTL, ConFIG ---


@pytest.mark.parametrize("tasks", TASKS)
def test_imtl_g_gives_torchjds_weights(tasks):
    for name, rows in bank(tasks, (*WELL_POSED, "ill conditioned", "dependent", "one zero", "stationary")):
        ours, theirs = shared_weights("imtl_g", rows), IMTLGWeighting()(rows @ rows.T)
        named = partial("{}: {}".format, name)
        torch.testing.assert_close(ours, theirs, rtol=1e-5, atol=1e-5 * theirs.abs().max().item(), msg=named)


def test_imtl_g_projects_equally_on_gradients_that_differ_by_eight_orders():
    for _, rows in bank(5, ("eight orders",)):
        update = shared_weights("imtl_g", rows) @ rows
        projections = (rows / rows.norm(dim=1, keepdim=True)) @ update
        torch.testing.assert_close(projections, projections.mean().expand(5), rtol=1e-5, atol=0)


@pytest.mark.parametrize("scale_mode", ["min", "median", "rmse"])
@pytest.mark.parametrize("tasks", TASKS)
def test_aligned_mtl_gives_t_times_torchjds_weights(tasks, scale_mode):
    for _, rows in bank(tasks):
        ours = shared_weights("aligned_mtl", rows, scale_mode=scale_mode)
        torch.testing.assert_close(ours, tasks * AlignedMTLWeighting(scale_mode=scale_mode)(rows @ rows.T))


def test_aligned_mtl_makes_components_orthogonal_and_equally_long():
    for _, rows in bank(4, WELL_POSED):
        values, vectors = torch.linalg.eigh(rows @ rows.T)
        balance = values[0].sqrt() * vectors @ torch.diag(values.rsqrt()) @ vectors.T
        aligned = balance @ rows
        torch.testing.assert_close(
            aligned @ aligned.T, values[0] * torch.eye(4, dtype=torch.float64), rtol=1e-6, atol=1e-8
        )
        torch.testing.assert_close(shared_weights("aligned_mtl", rows) @ rows, aligned.sum(0))


@pytest.mark.parametrize("tasks", TASKS)
def test_config_gives_torchjds_update(tasks):
    for name, rows in bank(tasks, (*WELL_POSED, "one zero", "eight orders")):
        ours = shared_weights("config", rows) @ rows
        torch.testing.assert_close(ours, ConFIG()(rows), rtol=1e-6, atol=1e-8 * rows.norm().item(), msg=name)


# --- Nash-MTL, FairGrad ---


@pytest.mark.parametrize("tasks", TASKS)
def test_nash_mtl_solves_the_bargaining_equation(tasks):
    for name, rows in bank(tasks, (*WELL_POSED, "ill conditioned", "eight orders")):
        gramian = rows @ rows.T
        weights = shared_weights("nash_mtl", rows, max_norm=0.0)
        torch.testing.assert_close(
            weights * (gramian @ weights), torch.ones(tasks, dtype=torch.float64), rtol=1e-5, atol=0, msg=name
        )
        assert (shared_weights("nash_mtl", rows) @ rows).norm().item() == pytest.approx(1, rel=1e-6)


@pytest.mark.parametrize("alpha", [0.5, 1.0, 2.0, 5.0])
@pytest.mark.parametrize("tasks", TASKS)
def test_fairgrad_solves_its_equation_and_agrees_with_torchjd(tasks, alpha):
    for _, rows in bank(tasks, ("random", "agreeing")):
        gramian = rows @ rows.T
        weights = shared_weights("fairgrad", rows, alpha=alpha)
        torch.testing.assert_close(gramian @ weights, weights ** (-1 / alpha), rtol=1e-6, atol=0)
        torch.testing.assert_close(weights, FairGradWeighting(alpha)(gramian), rtol=1e-3, atol=1e-4)


# --- UPGrad ---


@pytest.mark.parametrize("tasks", TASKS)
def test_upgrad_projects_each_gradient_onto_the_cone_without_conflict(tasks):
    for name, rows in bank(tasks, (*WELL_POSED, "ill conditioned", "one zero", "eight orders", "parallel")):
        weights = torch.from_numpy(project_onto_dual_cone((rows @ rows.T).numpy(), np.eye(len(rows))))
        projections, lengths = weights @ rows, rows.norm(dim=1)
        gains = projections @ rows.T
        assert (gains >= -1e-7 * lengths[:, None] * lengths).all(), name
        added = weights - torch.eye(tasks, dtype=torch.float64)
        assert (added >= 0).all()
        assert ((added * gains).abs() <= 1e-7 * (lengths**2)[:, None]).all(), name  # only binding tasks are added


@pytest.mark.parametrize("tasks", TASKS)
def test_upgrad_gives_torchjds_weights_without_its_regularisation(tasks):
    from torchjd.aggregation import UPGradWeighting
    from torchjd.linalg import QuadprogProjector

    projector = QuadprogProjector(reg_eps=1e-12)
    for _, rows in bank(tasks, WELL_POSED):
        theirs = UPGradWeighting(projector=projector)(rows @ rows.T)
        torch.testing.assert_close(shared_weights("upgrad", rows), theirs, rtol=1e-5, atol=1e-6)


# --- PCGrad, GradVac ---


def pcgrad_on_gradients(rows, orders):
    projected = rows.clone()
    for i, others in enumerate(orders):
        for j in others:
            product = projected[i] @ rows[j]
            if product < 0:
                projected[i] -= product / (rows[j] @ rows[j]) * rows[j]
    return projected.sum(0)


def gradvac_on_gradients(rows, orders, targets, beta):
    turned = rows.clone()
    for i, others in enumerate(orders):
        for j in others:
            cosine = torch.cosine_similarity(turned[i], rows[j], dim=0)
            wanted = targets[i, j]
            if cosine < wanted:
                rise = wanted * (1 - cosine**2).sqrt() - cosine * (1 - wanted**2).sqrt()
                turned[i] += turned[i].norm() * rise / (rows[j].norm() * (1 - wanted**2).sqrt()) * rows[j]
            targets[i, j] = (1 - beta) * wanted + beta * cosine
    return turned.sum(0)


@pytest.mark.parametrize("tasks", TASKS)
def test_pcgrad_on_the_gramian_is_pcgrad_on_gradients_for_any_order(tasks):
    generator = torch.Generator().manual_seed(tasks)
    for name, rows in bank(tasks):
        if name in ("one zero", "all zero"):  # the paper's formula divides by their length
            continue
        orders = random_orders(tasks, generator)
        weights = torch.from_numpy(project_conflicts((rows @ rows.T).numpy(), orders))
        expected = pcgrad_on_gradients(rows, orders)
        torch.testing.assert_close(weights @ rows, expected, rtol=1e-9, atol=1e-9 * rows.norm().item(), msg=name)


def test_pcgrads_orders_are_uniform_and_leave_the_task_itself_out():
    generator = torch.Generator().manual_seed(0)
    counts: dict[tuple[int, ...], int] = {}
    for _ in range(3000):
        orders = random_orders(4, generator)
        assert all(i not in others for i, others in enumerate(orders.tolist()))
        counts[tuple(orders[1])] = counts.get(tuple(orders[1]), 0) + 1
    assert set(counts) == set(itertools.permutations((0, 2, 3)))
    assert all(420 < count < 580 for count in counts.values())


def test_pcgrad_has_torchjds_mean_over_orders():
    (_, rows) = bank(3, ("conflicting",))[0]
    gramian = rows @ rows.T
    every = [
        np.array(orders)
        for orders in itertools.product(*([list(itertools.permutations({0, 1, 2} - {i})) for i in range(3)]))
    ]
    exact = np.mean([project_conflicts(gramian.numpy(), orders) for orders in every], axis=0)
    with torch.random.fork_rng():
        torch.manual_seed(0)
        theirs = torch.stack([PCGradWeighting()(gramian) for _ in range(1500)]).mean(0).numpy()
    spread = np.std([project_conflicts(gramian.numpy(), orders) for orders in every], axis=0)
    np.testing.assert_array_less(abs(theirs - exact), 4 * spread / np.sqrt(1500) + 1e-12)


@pytest.mark.parametrize("tasks", TASKS)
def test_gradvac_on_the_gramian_is_gradvac_on_gradients(tasks):
    generator = torch.Generator().manual_seed(tasks)
    targets, expected_targets = np.zeros((tasks, tasks)), torch.zeros(tasks, tasks, dtype=torch.float64)
    for _, rows in bank(tasks, WELL_POSED):  # one after another: the targets remember
        orders = random_orders(tasks, generator)
        weights = torch.from_numpy(vaccinate((rows @ rows.T).numpy(), orders, targets, 0.5))
        expected = gradvac_on_gradients(rows, orders, expected_targets, 0.5)
        torch.testing.assert_close(weights @ rows, expected, rtol=1e-8, atol=1e-9)
    np.testing.assert_allclose(targets, expected_targets, atol=1e-9)


@pytest.mark.parametrize("tasks", TASKS)
def test_dual_proj_gives_torchjds_weights_without_its_regularisation(tasks):
    from torchjd.aggregation import DualProjWeighting
    from torchjd.linalg import QuadprogProjector

    projector = QuadprogProjector(reg_eps=1e-12)
    for _, rows in bank(tasks, WELL_POSED):
        theirs = DualProjWeighting(projector=projector)(rows @ rows.T)
        torch.testing.assert_close(shared_weights("dual_proj", rows), theirs, rtol=1e-5, atol=1e-6)


# --- ConsMTL and PIVRG: the official code's equations, fitted as it does, to the last digit ---


def fitted_weights(gramian, claims):
    """Return x > 0 with M x = (claims / x)^{1/2}, by the official code's fit; not from where it stops, but to the end."""
    scale = np.sqrt(gramian.diagonal())
    cosines = gramian / scale[:, None] / scale
    residual = lambda y: cosines @ y - np.sqrt(claims / scale / y)  # noqa: E731  # x = y / scale
    fit = least_squares(residual, np.ones(len(gramian)), bounds=(0, np.inf), xtol=1e-15, ftol=1e-15, gtol=1e-15)
    return fit.x / scale


def clipped(update):
    return update / max(1.0, np.linalg.norm(update))


@pytest.mark.parametrize("tasks", [2, 3, 5])
def test_cons_mtl_has_the_official_codes_shared_update(tasks):
    for _, rows in bank(tasks, WELL_POSED):
        weights = fitted_weights((rows @ rows.T).numpy(), np.ones(tasks))
        expected = clipped(tasks * weights @ rows.numpy())
        np.testing.assert_allclose(shared_weights("cons_mtl", rows) @ rows, expected, rtol=1e-5, atol=1e-7)


@pytest.mark.parametrize(
    ("scores", "temperature"), [((0.0, 3.0, -3.0), 10.0), ((0.0, 60.0, -20.0), 80.0 / np.log(2.0))]
)
def test_pivrg_has_the_official_codes_update_after_a_validation(scores, temperature):
    reference = {f"task{i}": {"acc": 0.5, "err": 2.0} for i in range(3)}
    method = WEIGHTINGS.create(
        Choice(name="pivrg", options={"reference": reference}), [f"task{i}" for i in range(3)], torch.Generator()
    )
    assert isinstance(method, GramianWeighting)
    method.end_validation(
        [
            performance
            for task, score in enumerate(scores)
            for performance in (
                Performance(f"task{task}", "acc", 0.5 * (1 - (score - 3) / 100), higher_is_better=True),
                Performance(f"task{task}", "err", 2.0 * (1 + (score + 3) / 100), higher_is_better=False),
            )
        ]
    )
    shares = np.exp(np.array(scores) / temperature)
    claims = 3 * shares / shares.sum()
    for _, rows in bank(3, WELL_POSED):
        expected = clipped(3 * fitted_weights((rows @ rows.T).numpy(), claims) @ rows.numpy())
        given = method.weigh(torch.ones(3, dtype=torch.float64), rows @ rows.T).shared @ rows
        np.testing.assert_allclose(given, expected, rtol=1e-5, atol=1e-7)
