"""Training on a real GPU; skipped where there is none. `make gpu-test` runs these alone."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any

import pytest
import torch
from torch import Tensor

from mtlsweep.methods.combination import check_combination
from mtlsweep.methods.optimizers import OPTIMIZERS
from mtlsweep.methods.weighting import WEIGHTINGS
from mtlsweep.params.choice import Choice
from mtlsweep.params.suite import Training
from mtlsweep.suites.networks import NETWORKS
from mtlsweep.suites.prepared.splits import Batch, PreparedData
from mtlsweep.testing import small_problem
from mtlsweep.training.step import forward
from mtlsweep.training.step.gramian import float32_products
from mtlsweep.training.step.updater import build_updater
from mtlsweep.training.trial import run_trial
from mtlsweep.trials.state import Finished, Outcome, Paused
from mtlsweep.trials.trial import Trial

pytestmark = pytest.mark.gpu

GPU = torch.device("cuda")
NEEDED: dict[str, dict[str, Any]] = {
    "scalar": {"task0": 1.0, "task1": 0.5, "task2": 2.0},
    "pivrg": {"reference": {f"task{index}": {"mae": 1.0} for index in range(3)}},
}


def on(device: torch.device, batch: Batch) -> Batch:
    inputs, targets = (
        {name: each.to(device) for name, each in columns.items()} for columns in (batch.inputs, batch.targets)
    )
    return Batch(inputs, targets)


def parameters_after_three_steps(name: str, device: torch.device, optimizer: str = "sgd") -> Tensor:
    problem = small_problem()
    problem.network.to(device)
    weighting, base = Choice(name=name, options=NEEDED.get(name, {})), Choice(name=optimizer)
    generator = torch.Generator().manual_seed(0)
    updater = build_updater(problem.network, problem.tasks, weighting, base, 0.01, generator=generator)
    for index in range(3):
        updater.step(on(device, problem.batch(index)))
    return problem.flat_parameters().cpu()


@pytest.mark.parametrize("name", WEIGHTINGS.names())
def test_a_gpu_moves_parameters_where_a_cpu_does(name: str) -> None:
    optimizer = "adam" if name == "adatask" else "sgd"
    found = parameters_after_three_steps(name, GPU, optimizer)
    assert found.isfinite().all()
    if name != "graddrop":  # its draws come from the device
        expected = parameters_after_three_steps(name, torch.device("cpu"), optimizer)
        torch.testing.assert_close(found, expected, rtol=1e-3, atol=1e-3)


@pytest.fixture
def waits_forbidden(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Let torch raise an error at every wait for the GPU but the one transfer of a step."""
    moved = forward.in_one_transfer

    def allowed(parts: list[Tensor]) -> list[Tensor]:
        torch.cuda.set_sync_debug_mode("default")
        try:
            return moved(parts)
        finally:
            torch.cuda.set_sync_debug_mode("error")

    monkeypatch.setattr(forward, "in_one_transfer", allowed)
    yield
    torch.cuda.set_sync_debug_mode("default")


@pytest.mark.filterwarnings("ignore:Synchronization debug mode")
@pytest.mark.parametrize("name", WEIGHTINGS.names())
def test_a_step_waits_for_the_gpu_once(name: str, waits_forbidden: None) -> None:
    problem = small_problem()
    problem.network.to(GPU)
    weighting, adam = Choice(name=name, options=NEEDED.get(name, {})), Choice(name="adam")
    generator = torch.Generator().manual_seed(0)
    updater = build_updater(problem.network, problem.tasks, weighting, adam, 0.01, generator=generator)
    batches = [on(GPU, problem.batch(index)) for index in range(3)]
    updater.step(batches[0])  # optimizers make their state, kernels are loaded
    torch.cuda.set_sync_debug_mode("error")
    for batch in batches[1:]:
        updater.step(batch)


@pytest.mark.parametrize(("tasks", "elements"), [(3, 1_000_000), (40, 1_000_000)])
def test_products_on_a_gpu_are_those_of_float64_to_rounding(tasks: int, elements: int) -> None:
    rows = torch.randn(tasks, elements, generator=torch.Generator().manual_seed(0)).to(GPU)
    before = torch.get_float32_matmul_precision()
    try:
        torch.set_float32_matmul_precision("high")  # TF32, whose error is 1e-4
        found = float32_products(rows, rows).cpu()
    finally:
        torch.set_float32_matmul_precision(before)
    exact = rows.double().cpu() @ rows.double().cpu().T
    sizes = exact.diagonal().sqrt()
    assert ((found - exact).abs() / sizes / sizes[:, None]).max() < 1e-6


def validation_loss(metrics: Mapping[str, float]) -> float:
    return sum(value for name, value in metrics.items() if name.startswith("val/") and name.endswith("/loss"))


@pytest.mark.parametrize("name", WEIGHTINGS.names())
def test_a_trial_that_a_race_paused_goes_on_from_its_checkpoint(
    name: str, make_trial: Callable[..., Trial], digits: PreparedData
) -> None:
    tasks = tuple(task.name for task in digits.tasks)
    needed: dict[str, dict[str, object]] = {
        "scalar": dict.fromkeys(tasks, 1.0),
        "pivrg": {"reference": {task.name: {task.metrics[0].name: 0.5} for task in digits.tasks}},
    }
    weighting = WEIGHTINGS.resolve(Choice(name=name, options=needed.get(name, {})))
    adam = OPTIMIZERS.resolve(Choice(name="adam"))
    check_combination(weighting, adam, tasks)
    trial = make_trial(
        tasks=tasks,
        network=NETWORKS.resolve(Choice(name="lenet")),
        weighting=weighting,
        optimizer=adam,
        training=Training(epochs=2, batch_size=64),
        data_fingerprint=digits.fingerprint,
    )
    points: list[bytes] = []
    paused = run_trial(
        trial, digits, lambda end: points.append(end.resume_point()), score=validation_loss, device=GPU, until=1
    )
    assert isinstance(paused, Paused)
    resumed = run_trial(trial, digits, lambda end: None, score=validation_loss, device=GPU, resume=points[0])
    assert isinstance(resumed, Finished) and resumed.outcome is Outcome.DONE
    whole = run_trial(trial, digits, lambda end: None, score=validation_loss, device=GPU)
    assert validation_loss(resumed.curve[-1].metrics) == pytest.approx(
        validation_loss(whole.curve[-1].metrics), rel=0.01
    )


@pytest.mark.parametrize("options", [{"precision": "bfloat16"}, {"precision": "bfloat16", "channels_last": True}])
def test_reduced_precision_learns_what_full_precision_does(
    options: dict[str, Any], make_trial: Callable[..., Trial], digits: PreparedData
) -> None:
    losses = []
    for changes in ({}, options):
        trial = make_trial(
            tasks=tuple(task.name for task in digits.tasks),
            network=NETWORKS.resolve(Choice(name="lenet")),
            weighting=WEIGHTINGS.resolve(Choice(name="pcgrad")),
            optimizer=OPTIMIZERS.resolve(Choice(name="adam")),
            training=Training(epochs=3, batch_size=64, **changes),
            data_fingerprint=digits.fingerprint,
        )
        ended = run_trial(trial, digits, lambda end: None, score=validation_loss, device=GPU)
        losses.append(validation_loss(ended.curve[-1].metrics))
    assert losses[1] == pytest.approx(losses[0], rel=0.1)


def test_a_split_too_large_for_the_gpu_arrives_as_a_resident_one_does(digits: PreparedData) -> None:
    from mtlsweep.suites.prepared.splits import open_prepared

    order = torch.randperm(256, generator=torch.Generator().manual_seed(0))
    streamed = open_prepared(digits.directory, resident_bytes=0).splits["train"]
    pairs = zip(
        digits.splits["train"].batches(order, 32, GPU),
        streamed.batches(order, 32, GPU),
        digits.splits["train"].batches(order, 32, torch.device("cpu")),
        strict=True,
    )
    for resident, sent, on_host in pairs:
        for name, image in on_host.inputs.items():
            assert torch.equal(resident.inputs[name].cpu(), image) and torch.equal(sent.inputs[name].cpu(), image)
        for name, target in on_host.targets.items():
            assert torch.equal(resident.targets[name].cpu(), target) and torch.equal(sent.targets[name].cpu(), target)
