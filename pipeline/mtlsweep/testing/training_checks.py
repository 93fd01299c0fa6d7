"""The checks of a weighting that train with it."""

from __future__ import annotations

import contextlib
import io
from collections.abc import Iterator, Mapping
from typing import Any

import torch
from torch import Tensor

from mtlsweep.errors import UserError
from mtlsweep.methods.combination import check_combination
from mtlsweep.methods.weighting import WEIGHTINGS, JacobianWeighting, TaskOptimizers
from mtlsweep.params.choice import Choice
from mtlsweep.testing.handling import inputs, meet, new_method, new_updater, run_epochs, run_steps
from mtlsweep.testing.small_problems import small_problem
from mtlsweep.training.step.divergence import Diverged
from mtlsweep.training.step.updater import build_updater
from mtlsweep.trials.metric_names import MetricName


def trains(choice: Choice) -> None:
    """A few steps leave finite parameters that have moved, and all figures of the epoch are finite."""
    problem = small_problem()
    before = problem.flat_parameters()
    updater = new_updater(problem, choice)
    run_steps(problem, updater, range(4))
    after = problem.flat_parameters()
    assert after.isfinite().all(), f"`{choice.name}` left parameters that are not finite"
    assert not torch.equal(after, before), f"`{choice.name}` moved nothing"
    figures = updater.end_epoch()
    infinite = [name for name, value in figures.items() if not torch.tensor(value).isfinite()]
    assert not infinite, f"`{choice.name}` reports figures that are not finite: {', '.join(infinite)}"


def uses_only_its_own_random_stream(choice: Choice) -> None:
    """Equal random streams give equal bits; torch's global stream has no influence and is not used."""
    results = []
    for global_seed in (1, 2):
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(global_seed)
            state = torch.get_rng_state()
            problem = small_problem()
            run_steps(problem, new_updater(problem, choice), range(3))
            assert torch.equal(state, torch.get_rng_state()), f"`{choice.name}` draws from torch's global stream"
        results.append(problem.flat_parameters())
    assert torch.equal(*results), f"`{choice.name}` depends on more than its own random stream"


def resumes(choice: Choice) -> None:
    """Saved in the third epoch and loaded into a new updater, training continues to the bit."""
    problem, other = small_problem(), small_problem()
    whole = new_updater(problem, choice)
    run_epochs(problem, whole)
    first = new_updater(other, choice)
    run_epochs(other, first)
    buffer = io.BytesIO()
    torch.save(first.state_dict(), buffer)
    buffer.seek(0)
    resumed = new_updater(other, choice)
    resumed.load_state_dict(torch.load(buffer, weights_only=True))
    run_steps(problem, whole, range(6, 9))
    run_steps(other, resumed, range(6, 9))
    assert torch.equal(problem.flat_parameters(), other.flat_parameters()), (
        f"`{choice.name}` does not resume to the bit"
    )
    assert whole.end_epoch() == resumed.end_epoch(), f"`{choice.name}`: figures of a resumed epoch differ"


def resumes_on_another_device(choice: Choice) -> None:
    """Restored for another device, state lives there or on the CPU, wherever that of a new method lives, and a step works.

    The other device is torch's `meta`, which every machine has: its tensors have a place and no values. A
    method that reads values in `combine` cannot step there; of its state only the place is checked.
    """
    elsewhere = torch.device("meta")
    saved, restored, new = (new_method(choice, 3) for _ in range(3))
    _, losses, gramian = inputs(3)[0]
    meet(saved, losses, gramian, torch.device("cpu"))
    restored.restore(saved.state_dict(), elsewhere)
    expected = elsewhere if isinstance(saved, JacobianWeighting) else torch.device("cpu")
    extra = {place for name, place in _places(restored.state_dict()) if "_extra_state" in name}
    assert extra <= {expected}, f"`{choice.name}` restores extra state to {extra}; it belongs to {expected}"
    try:
        meet(new, losses, gramian, elsewhere)
    except (RuntimeError, NotImplementedError):
        return
    try:
        meet(restored, losses, gramian, elsewhere)
    except RuntimeError as error:
        raise AssertionError(f"`{choice.name}` cannot continue on another device: {error}") from error
    places = [dict(_places(method.state_dict())) for method in (restored, new)]
    assert places[0] == places[1], f"`{choice.name}` resumes with state on {places[0]}; a new start has {places[1]}"


def runs_in_bfloat16(choice: Choice) -> None:
    """Autocast to bfloat16 leaves finite float32 parameters."""
    problem = small_problem()
    run_steps(problem, new_updater(problem, choice, precision="bfloat16"), range(3))
    parameters = problem.flat_parameters()
    assert parameters.dtype == torch.float32, f"`{choice.name}` changed the type of parameters"
    assert parameters.isfinite().all(), f"`{choice.name}` left parameters that are not finite under bfloat16"


def gives_a_single_task_a_positive_weight(choice: Choice) -> None:
    """With a single task the shared weight is positive: the update follows its gradient."""
    options = {name: value for name, value in choice.options.items() if name not in ("task1", "task2")}
    problem = small_problem(1)
    updater = new_updater(problem, Choice(name=choice.name, options=options))
    run_steps(problem, updater, range(2))
    weight = updater.end_epoch().get(str(MetricName("train", "task0", "weight")))
    assert weight is None or weight > 0, f"`{choice.name}` gives a single task the weight {weight}"


def diverges_without_a_crash(choice: Choice) -> None:
    """At a huge learning rate a step either works or raises `Diverged`; no error of a solver escapes."""
    problem = small_problem()
    try:
        check_combination(choice, Choice(name="sgd"), [task.name for task in problem.tasks])
        optimizer, rate = Choice(name="sgd"), 5.0
    except UserError:
        optimizer, rate = Choice(name="adam"), 100.0
    generator = torch.Generator().manual_seed(7)
    updater = build_updater(
        problem.network, problem.tasks, choice, optimizer, rate, generator=generator, explosion_factor=1e300
    )
    with contextlib.suppress(Diverged):
        run_epochs(problem, updater)
        run_steps(problem, updater, range(6, 80))


def unit_scale_sums_to_the_number_of_tasks(choice: Choice) -> None:
    """Under `scale: unit` the shared weights and the heads' weights of a step each sum to T."""
    if issubclass(WEIGHTINGS.get(choice.name), TaskOptimizers):
        return
    problem = small_problem()
    updater = new_updater(problem, Choice(name=choice.name, options={**choice.options, "scale": "unit"}))
    run_steps(problem, updater, range(1))
    figures = updater.end_epoch()
    for kind in ("weight", "head_weight"):
        total = sum(figures[str(MetricName("train", task.name, kind))] for task in problem.tasks)
        assert abs(total - 3) < 1e-6, f"`{choice.name}`: {kind}s sum to {total} under `scale: unit`"


def _places(state: Any, name: str = "") -> Iterator[tuple[str, torch.device]]:
    """Yield (name, device) for every tensor in `state`, at any depth."""
    if isinstance(state, Tensor):
        yield name, state.device
    elif isinstance(state, Mapping):
        for key, value in state.items():
            yield from _places(value, f"{name}/{key}")
    elif isinstance(state, list | tuple):
        for position, value in enumerate(state):
            yield from _places(value, f"{name}/{position}")
