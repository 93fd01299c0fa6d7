"""The checks of a weighting, one function each.

Every check takes a `Choice` that names a registered weighting or a `package.module:Class`, with the
options that work for the tasks `task0`, `task1`, ... of `small_problem`.
"""

from __future__ import annotations

import contextlib
import io
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from mtlsweep.errors import UserError
from mtlsweep.methods.combination import check_combination
from mtlsweep.methods.weighting import (
    WEIGHTINGS,
    Facts,
    GramianWeighting,
    LossWeighting,
    TaskOptimizers,
    Weighting,
    Weights,
)
from mtlsweep.params.choice import Choice
from mtlsweep.testing.small_problems import SmallProblem, matrices, small_problem
from mtlsweep.training.step.divergence import Diverged
from mtlsweep.training.step.updater import Updater, build_updater
from mtlsweep.trials.metric_names import MetricName

Check = Callable[[Choice], None]


def check_weighting(weighting: Choice | str) -> None:
    """Run every check on `weighting`.

    Raises:
        AssertionError: a check fails; the message says which, and why.
        UserError: there is no such weighting, or its options are wrong.
    """
    choice = Choice(name=weighting) if isinstance(weighting, str) else weighting
    for check in CHECKS:
        check(choice)


def declares_its_facts(choice: Choice) -> None:
    """The class says where it comes from, what its scale and heads are, and what a step costs."""
    method = WEIGHTINGS.get(choice.name)
    facts = getattr(method, "facts", None)
    assert isinstance(facts, Facts), f"`{choice.name}` has no class attribute `facts`"
    for field in ("paper", "scale", "heads"):
        assert getattr(facts, field), f"`{choice.name}`: facts.{field} is empty"
    assert method.cost, f"`{choice.name}` does not say what a step costs"


def trains(choice: Choice) -> None:
    """A few steps leave finite parameters that have moved, and all figures of the epoch are finite."""
    problem = small_problem()
    before = problem.flat_parameters()
    updater = _updater(problem, choice)
    _run(problem, updater, range(4))
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
            _run(problem, _updater(problem, choice), range(3))
            assert torch.equal(state, torch.get_rng_state()), f"`{choice.name}` draws from torch's global stream"
        results.append(problem.flat_parameters())
    assert torch.equal(*results), f"`{choice.name}` depends on more than its own random stream"


def resumes(choice: Choice) -> None:
    """Saved in the third epoch and loaded into a new updater, training continues to the bit."""
    problem, other = small_problem(), small_problem()
    whole = _updater(problem, choice)
    _epochs(problem, whole)
    first = _updater(other, choice)
    _epochs(other, first)
    buffer = io.BytesIO()
    torch.save(first.state_dict(), buffer)
    buffer.seek(0)
    resumed = _updater(other, choice)
    resumed.load_state_dict(torch.load(buffer, weights_only=True))
    _run(problem, whole, range(6, 9))
    _run(other, resumed, range(6, 9))
    assert torch.equal(problem.flat_parameters(), other.flat_parameters()), (
        f"`{choice.name}` does not resume to the bit"
    )
    assert whole.end_epoch() == resumed.end_epoch(), f"`{choice.name}`: figures of a resumed epoch differ"


def runs_in_bfloat16(choice: Choice) -> None:
    """Autocast to bfloat16 leaves finite float32 parameters."""
    problem = small_problem()
    _run(problem, _updater(problem, choice, precision="bfloat16"), range(3))
    parameters = problem.flat_parameters()
    assert parameters.dtype == torch.float32, f"`{choice.name}` changed the type of parameters"
    assert parameters.isfinite().all(), f"`{choice.name}` left parameters that are not finite under bfloat16"


def gives_a_single_task_a_positive_weight(choice: Choice) -> None:
    """With a single task the shared weight is positive: the update follows its gradient."""
    options = {name: value for name, value in choice.options.items() if name not in ("task1", "task2")}
    problem = small_problem(1)
    updater = _updater(problem, Choice(name=choice.name, options=options))
    _run(problem, updater, range(2))
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
        _epochs(problem, updater)
        _run(problem, updater, range(6, 80))


def unit_scale_sums_to_the_number_of_tasks(choice: Choice) -> None:
    """Under `scale: unit` the shared weights and the heads' weights of a step each sum to T."""
    if issubclass(WEIGHTINGS.get(choice.name), TaskOptimizers):
        return
    problem = small_problem()
    updater = _updater(problem, Choice(name=choice.name, options={**choice.options, "scale": "unit"}))
    _run(problem, updater, range(1))
    figures = updater.end_epoch()
    for kind in ("weight", "head_weight"):
        total = sum(figures[str(MetricName("train", task.name, kind))] for task in problem.tasks)
        assert abs(total - 3) < 1e-6, f"`{choice.name}`: {kind}s sum to {total} under `scale: unit`"


def gives_finite_weights(choice: Choice) -> None:
    """Weights are finite for zero, parallel, opposite and badly scaled gradients, and for losses of any size."""
    for name, losses, gramian in _inputs(3):
        weights = _weigh(_method(choice, 3), losses, gramian)
        if weights is None:
            return
        for kind in ("shared", "heads"):
            values: Tensor = getattr(weights, kind)
            assert values.shape == (3,), f"`{choice.name}` gives {kind} weights of shape {tuple(values.shape)}"
            assert values.isfinite().all(), f"`{choice.name}`: {kind} weights {values.tolist()} for {name} gradients"


def does_not_write_to_its_inputs(choice: Choice) -> None:
    """The method does not write to the losses or the Gramian."""
    for _, losses, gramian in _inputs(3):
        kept = losses.clone(), gramian.clone()
        if _weigh(_method(choice, 3), losses, gramian) is None:
            return
        assert torch.equal(losses, kept[0]), f"`{choice.name}` writes to the losses"
        assert torch.equal(gramian, kept[1]), f"`{choice.name}` writes to the Gramian"


def does_not_depend_on_task_order(choice: Choice) -> None:
    """Swapping tasks swaps weights. Checked where weights are unique; random methods are left out."""
    method = WEIGHTINGS.get(choice.name)
    named = any(name.startswith("task") for name in choice.options)
    if named or not method.facts.symmetric or _draws(choice):
        return
    order = torch.tensor([2, 0, 1])
    for name, losses, gramian in _inputs(3):
        if name not in ("random", "agreeing", "conflicting"):
            continue
        weights = _weigh(_method(choice, 3), losses, gramian)
        if weights is None:
            return
        swapped = _weigh(_method(choice, 3), losses[order], gramian[order][:, order])
        assert swapped is not None
        for kind in ("shared", "heads"):
            difference = (getattr(weights, kind)[order] - getattr(swapped, kind)).abs().max().item()
            size = getattr(weights, kind).abs().max().item()
            assert difference <= 1e-6 * size, f"`{choice.name}`: {kind} weights depend on the order of tasks ({name})"


def is_non_conflicting_if_claimed(choice: Choice) -> None:
    """If the facts say `non_conflicting`, the update raises no task's loss, to rounding."""
    if not WEIGHTINGS.get(choice.name).facts.non_conflicting:
        return
    for name, losses, gramian in _inputs(3):
        if name == "dependent":  # claimed for linearly independent gradients by some papers
            continue
        weights = _weigh(_method(choice, 3), losses, gramian)
        if weights is None:
            return
        gains = gramian @ weights.shared
        update = (weights.shared @ gramian @ weights.shared).clamp(min=0.0).sqrt()
        lengths = gramian.diagonal().sqrt()
        parts = (weights.shared.abs() * lengths).sum()
        tolerance = lengths * (1e-6 * update + 1e-8 * parts + 1e-12 * lengths.max())
        assert (gains >= -tolerance).all(), (
            f"`{choice.name}` conflicts: <g_i, update> = {gains.tolist()} for {name} gradients"
        )


CHECKS: tuple[Check, ...] = (
    declares_its_facts,
    trains,
    uses_only_its_own_random_stream,
    resumes,
    runs_in_bfloat16,
    gives_a_single_task_a_positive_weight,
    diverges_without_a_crash,
    unit_scale_sums_to_the_number_of_tasks,
    gives_finite_weights,
    does_not_write_to_its_inputs,
    does_not_depend_on_task_order,
    is_non_conflicting_if_claimed,
)


def _updater(problem: SmallProblem, choice: Choice, **options: Any) -> Updater:
    generator = torch.Generator().manual_seed(7)
    adam = Choice(name="adam")
    return build_updater(problem.network, problem.tasks, choice, adam, 0.01, generator=generator, **options)


def _run(problem: SmallProblem, updater: Updater, batches: range) -> None:
    for index in batches:
        updater.step(problem.batch(index))


def _epochs(problem: SmallProblem, updater: Updater) -> None:
    """Train two epochs of two steps, and two steps of the third."""
    for start in (0, 2):
        _run(problem, updater, range(start, start + 2))
        updater.end_epoch()
    _run(problem, updater, range(4, 6))


def _method(choice: Choice, tasks: int, seed: int = 7) -> Weighting:
    names = [f"task{index}" for index in range(tasks)]
    return WEIGHTINGS.create(choice, names, torch.Generator().manual_seed(seed))


def _weigh(method: Weighting, losses: Tensor, gramian: Tensor) -> Weights | None:
    """Return the weights for one step, or None if the method does not give any by itself."""
    if isinstance(method, LossWeighting):
        weights = method.weigh(losses)
        return Weights(weights, weights)
    return method.weigh(losses, gramian) if isinstance(method, GramianWeighting) else None


def _draws(choice: Choice) -> bool:
    """Return whether two streams give two results, on gradients where orders and draws matter."""
    _, losses, gramian = next(inputs for inputs in _inputs(3) if inputs[0] == "conflicting")
    results = [_weigh(_method(choice, 3, seed), losses, gramian) for seed in range(8)]
    return len({tuple(weights.shared.tolist()) for weights in results if weights is not None}) > 1


def _inputs(tasks: int) -> list[tuple[str, Tensor, Tensor]]:
    """Return (name, losses, Gramian) for every matrix of the bank, with losses from 1e-6 to 1e3."""
    sizes = torch.logspace(-6, 3, tasks, dtype=torch.float64)
    return [
        (name, sizes if number % 2 else torch.linspace(0.5, 1.5, tasks, dtype=torch.float64), rows @ rows.T)
        for number, (name, rows) in enumerate(matrices(tasks))
    ]
