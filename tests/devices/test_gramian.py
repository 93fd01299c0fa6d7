"""Products of task gradients in float32: near enough to float64 for every solver, and in a few calls on a GPU."""

from collections import Counter

import pytest
import torch
from torch.utils._python_dispatch import TorchDispatchMode

from mtlsweep.methods.weighting import WEIGHTINGS, GramianWeighting
from mtlsweep.params.choice import Choice
from mtlsweep.testing import matrices, small_problem
from mtlsweep.training.step import gramian, jacobian
from mtlsweep.training.step.gramian import float32_products, multiplies_in_float64, positive_semidefinite
from mtlsweep.training.step.jacobian import Jacobian
from mtlsweep.training.step.updater import build_updater

torch.set_num_threads(1)
CPU = torch.device("cpu")


def gradients(tasks, elements, seed=0):
    return torch.randn(tasks, elements, generator=torch.Generator().manual_seed(seed))


def exact(rows, other=None):
    return rows.double() @ (rows if other is None else other).double().T


def error(found, rows, other=None):
    """Return the largest difference from float64, as a share of |g_i| |g_j|."""
    other = rows if other is None else other
    sizes = rows.double().norm(dim=1)[:, None] * other.double().norm(dim=1)
    return ((found - exact(rows, other)).abs() / sizes).max().item()


@pytest.mark.parametrize("width", [None, 256])
@pytest.mark.parametrize("elements", [1, 700, 8192, 8193, 100_000])
def test_products_in_float32_are_those_of_float64_to_rounding(elements, width):
    rows, other = gradients(20, elements), gradients(20, elements, seed=1)
    found = float32_products(rows, other, width)
    assert found.dtype == torch.float64
    assert error(found, rows, other) < 5e-7
    assert error(float32_products(rows, rows, width), rows) < 5e-7


def test_the_error_falls_with_the_number_of_blocks():
    rows = gradients(16, 400_000)
    assert error(float32_products(rows, rows), rows) < 1e-7
    assert error(float32_products(rows, rows, 256), rows) < 2e-8
    assert error((rows @ rows.T).double(), rows) > 2e-7, "one float32 product of all would do as well"


def test_a_cpu_takes_many_long_rows_in_float32_and_every_other_device_all():
    million = 1 << 20
    assert multiplies_in_float64(CPU, 15, 10 * million) and multiplies_in_float64(CPU, 40, million - 1)
    assert not multiplies_in_float64(CPU, 16, million)
    assert not any(multiplies_in_float64(torch.device(kind), 2, 10) for kind in ("cuda", "mps", "meta"))


def test_neither_tf32_nor_bfloat16_enters_and_settings_stay(monkeypatch):
    seen, multiply = [], torch.bmm

    def watched(*arguments):
        backends = torch.backends.cuda.matmul, torch.backends.mkldnn.matmul  # type: ignore[attr-defined]
        seen.append([backend.fp32_precision for backend in backends])
        return multiply(*arguments)

    monkeypatch.setattr(torch, "bmm", watched)
    rows, before = gradients(2, 10), torch.get_float32_matmul_precision()
    try:
        torch.set_float32_matmul_precision("medium")
        float32_products(rows, rows)
        assert seen == [["ieee", "ieee"]]
        assert torch.get_float32_matmul_precision() == "medium"
        assert torch.backends.cuda.matmul.fp32_precision == "tf32"
    finally:
        torch.set_float32_matmul_precision(before)


def test_dependent_gradients_leave_no_eigenvalue_that_is_rounding():
    rows = (gradients(24, 6).double() @ gradients(6, 50_000, seed=1).double()).float()
    found = float32_products(rows, rows)
    assert torch.linalg.eigvalsh(found)[0] < 0, "the repair has nothing to do"
    mended = positive_semidefinite(found)
    lengths = mended.diagonal().sqrt()
    assert torch.linalg.eigvalsh(mended / lengths / lengths[:, None])[0] > 0.9e-7
    assert error(mended, rows) < 1e-6
    torch.testing.assert_close(mended, mended.T, rtol=1e-12, atol=0)


def test_a_task_without_a_gradient_keeps_none():
    rows = gradients(4, 1000)
    rows[1] = 0
    mended = positive_semidefinite(float32_products(rows, rows))
    assert mended[1].count_nonzero() == 0 and torch.linalg.eigvalsh(mended[[0, 2, 3]][:, [0, 2, 3]])[0] > 0


def test_a_matrix_that_float32_can_tell_from_a_singular_one_is_left_as_it_is():
    matrix = exact(gradients(5, 100))
    assert torch.equal(positive_semidefinite(matrix), (matrix + matrix.T) / 2)


class Calls(TorchDispatchMode):
    """Counts the operations that a device would be asked for."""

    def __init__(self):
        super().__init__()
        self.seen: Counter[str] = Counter()

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        self.seen[func.overloadpacket.__name__] += 1
        return func(*args, **(kwargs or {}))


@pytest.mark.parametrize(("tasks", "elements", "most"), [(3, 60_000, 2), (3, 25_000_000, 4), (40, 11_000_000, 15)])
def test_an_accelerator_gets_a_few_large_products(tasks, elements, most):
    rows = torch.empty(tasks, elements, device="meta")  # stands for a GPU
    with Calls() as calls:
        float32_products(rows, rows)
    assert 1 <= calls.seen["bmm"] <= most
    assert calls.seen["clone"] == calls.seen["_to_copy"] == calls.seen["copy_"] == 0, "gradients are copied"


WELL_POSED = ("random", "agreeing", "conflicting", "ill conditioned", "eight orders")
"""Where weights are a continuous function of the gradients, so that their own rounding does not decide either."""

TOLERANCES = {"sdmgrad": 2e-3}
"""SDMGrad misses 1e-5: half a unit in the last place of the gradients themselves moves its weights by 1e-4, these products by 1.2e-3."""

WEIGHTED = [name for name in WEIGHTINGS.names() if issubclass(WEIGHTINGS.get(name), GramianWeighting)]
NEEDED = {"pivrg": lambda names: {"reference": {name: {"metric": 1.0} for name in names}}}


def weights_of(name, tasks, products):
    names = [f"task{index}" for index in range(tasks)]
    choice = Choice(name=name, options=NEEDED.get(name, lambda names: {})(names))
    method = WEIGHTINGS.create(choice, names, torch.Generator().manual_seed(0))
    assert isinstance(method, GramianWeighting)
    return method.weigh(torch.linspace(0.5, 1.5, tasks, dtype=torch.float64), products).shared


def gradients_like(matrix, elements=30_000):
    """Return float32 gradients [T, elements] with nearly the cosines of the rows of `matrix`, and lengths about a tenth of theirs."""
    generator = torch.Generator().manual_seed(1)
    spread = torch.randn(matrix.shape[1], elements, generator=generator, dtype=torch.float64)
    return (matrix @ spread / elements**0.5 / 10).float()


@pytest.mark.parametrize("tasks", [3, 20])
@pytest.mark.parametrize("name", WEIGHTED)
def test_every_method_but_one_gets_its_weights_within_1e_5(name, tasks):
    for kind, matrix in matrices(tasks):
        if kind in WELL_POSED:
            rows = gradients_like(matrix)
            expected = weights_of(name, tasks, exact(rows))
            found = weights_of(name, tasks, positive_semidefinite(float32_products(rows, rows, 256)))
            assert (found - expected).abs().max() <= TOLERANCES.get(name, 1e-5) * expected.abs().max(), kind


@pytest.mark.parametrize("name", WEIGHTED)
def test_no_method_loses_its_head_over_dependent_gradients(name):
    for kind, matrix in matrices(20):
        rows = gradients_like(matrix)
        products = exact(rows)
        weights = weights_of(name, 20, positive_semidefinite(float32_products(rows, rows, 256)))
        assert weights.isfinite().all(), kind
        length = (weights @ products @ weights).clamp(min=0).sqrt()
        assert length <= 10 * max(1.0, products.diagonal().sqrt().sum()), kind


def test_a_step_of_many_tasks_is_that_of_float64(monkeypatch):
    reached = []
    for in_float64 in (False, True):
        monkeypatch.setattr(jacobian, "multiplies_in_float64", lambda *shape, answer=in_float64: answer)
        problem = small_problem(gramian.MANY_TASKS)
        generator = torch.Generator().manual_seed(0)
        rate = 0.01
        updater = build_updater(
            problem.network, problem.tasks, Choice(name="upgrad"), Choice(name="sgd"), rate, generator=generator
        )
        for index in range(4):
            updater.step(problem.batch(index))
        reached.append((problem.flat_parameters(), updater.end_epoch()))
    (found, figures), (expected, of_float64) = reached
    torch.testing.assert_close(found, expected, rtol=1e-5, atol=1e-6)
    assert figures == pytest.approx(of_float64, rel=1e-4, abs=1e-6)


def test_a_batch_without_some_labels_takes_products_as_the_whole_does(monkeypatch):
    monkeypatch.setattr(gramian, "MANY_ELEMENTS", 5)
    whole = Jacobian(gramian.MANY_TASKS, [torch.zeros(5, requires_grad=True)])
    whole.rows.copy_(gradients(gramian.MANY_TASKS, 5))
    part = whole.first(3)
    assert torch.equal(part.gramian(), float32_products(whole.rows[:3], whole.rows[:3]))
    assert torch.equal(part.products(part), part.gramian())
