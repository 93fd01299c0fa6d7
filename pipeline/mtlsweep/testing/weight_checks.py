"""The checks of a weighting that ask it for weights, over a bank of Gramians and losses of many sizes."""

from __future__ import annotations

import torch
from torch import Tensor

from mtlsweep.methods.weighting import WEIGHTINGS, Facts
from mtlsweep.params.choice import Choice
from mtlsweep.testing.handling import inputs, meet, new_method, weigh


def declares_its_facts(choice: Choice) -> None:
    """The class says where it comes from, what its scale and heads are, and what a step costs."""
    method = WEIGHTINGS.get(choice.name)
    facts = getattr(method, "facts", None)
    assert isinstance(facts, Facts), f"`{choice.name}` has no class attribute `facts`"
    for field in ("paper", "scale", "heads"):
        assert getattr(facts, field), f"`{choice.name}`: facts.{field} is empty"
    assert method.cost, f"`{choice.name}` does not say what a step costs"


def declares_which_losses_it_needs(choice: Choice) -> None:
    """Weights stay finite and moderate where losses are 0 or negative, or the method says that it needs positive losses."""
    gramian = inputs(3)[0][2]
    for values in ((0.0, 0.5, 1.0), (-1.0, 0.5, 1.0), (0.0, 0.0, 0.0)):
        method, losses = new_method(choice, 3), torch.tensor(values, dtype=torch.float64)
        if method.needs_positive_losses == "always":
            return
        for _ in range(3):
            weights = meet(method, losses, gramian, torch.device("cpu"))
            if weights is None:
                return
            largest = torch.cat([weights.shared, weights.heads]).abs().max().item()
            assert largest < 1e6, (  # NaN is not
                f"`{choice.name}`: weights reach {largest:.3g} for losses {values}; set `needs_positive_losses`"
            )
            if method.needs_positive_losses == "never":
                method.end_epoch(losses)


def gives_finite_weights(choice: Choice) -> None:
    """Weights are finite for zero, parallel, opposite and badly scaled gradients, and for losses of any size."""
    for name, losses, gramian in inputs(3):
        weights = weigh(new_method(choice, 3), losses, gramian)
        if weights is None:
            return
        for kind in ("shared", "heads"):
            values: Tensor = getattr(weights, kind)
            assert values.shape == (3,), f"`{choice.name}` gives {kind} weights of shape {tuple(values.shape)}"
            assert values.isfinite().all(), f"`{choice.name}`: {kind} weights {values.tolist()} for {name} gradients"


def does_not_write_to_its_inputs(choice: Choice) -> None:
    """The method does not write to the losses or the Gramian."""
    for _, losses, gramian in inputs(3):
        kept = losses.clone(), gramian.clone()
        if weigh(new_method(choice, 3), losses, gramian) is None:
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
    for name, losses, gramian in inputs(3):
        if name not in ("random", "agreeing", "conflicting"):
            continue
        weights = weigh(new_method(choice, 3), losses, gramian)
        if weights is None:
            return
        swapped = weigh(new_method(choice, 3), losses[order], gramian[order][:, order])
        assert swapped is not None
        for kind in ("shared", "heads"):
            difference = (getattr(weights, kind)[order] - getattr(swapped, kind)).abs().max().item()
            size = getattr(weights, kind).abs().max().item()
            assert difference <= 1e-6 * size, f"`{choice.name}`: {kind} weights depend on the order of tasks ({name})"


def is_non_conflicting_if_claimed(choice: Choice) -> None:
    """If the facts say `non_conflicting`, the update raises no task's loss, to rounding."""
    if not WEIGHTINGS.get(choice.name).facts.non_conflicting:
        return
    for name, losses, gramian in inputs(3):
        if name == "dependent":  # claimed for linearly independent gradients by some papers
            continue
        weights = weigh(new_method(choice, 3), losses, gramian)
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


def _draws(choice: Choice) -> bool:
    """Return whether two streams give two results, on gradients where orders and draws matter."""
    _, losses, gramian = next(inputs for inputs in inputs(3) if inputs[0] == "conflicting")
    results = [weigh(new_method(choice, 3, seed), losses, gramian) for seed in range(8)]
    return len({tuple(weights.shared.tolist()) for weights in results if weights is not None}) > 1
