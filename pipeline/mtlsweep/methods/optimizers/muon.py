"""Muon: orthogonal steps for hidden matrices, AdamW for everything else."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Any, Literal

import torch
from torch import Tensor, optim
from torch.nn import Parameter

from mtlsweep.methods.optimizers.joint import Joint
from mtlsweep.methods.optimizers.parameters import Group, Parameters
from mtlsweep.methods.optimizers.registry import OPTIMIZERS, BelowOne, NotNegative, Positive, has_fused_kernel


@OPTIMIZERS.register("muon")
def muon(
    parameters: Parameters,
    learning_rate: float,
    *,
    weight_decay: NotNegative = 1e-5,
    momentum: BelowOne = 0.95,
    nesterov: bool = True,
    adjust: Literal["match_rms_adamw", "original"] = "match_rms_adamw",
    precision: Literal["float32", "bfloat16"] = "float32",
    adamw_learning_rate: Positive | None = None,
    beta1: BelowOne = 0.9,
    beta2: BelowOne = 0.999,
    epsilon: Positive = 1e-8,
) -> optim.Optimizer:
    """Muon (Jordan et al. 2024, kellerjordan.github.io/posts/muon) on shared matrices, AdamW elsewhere.

    A matrix moves along U V^T of its averaged gradient U S V^T, found by torch's five Newton-Schulz steps. A
    convolution's kernel is the matrix [outputs, inputs x height x width]. Embeddings, norms, biases and heads take
    AdamW.

    Deviation: torch iterates in bfloat16, which few CPUs compute fast; here `precision` is `float32` unless asked
    otherwise. With `bfloat16` the step is torch's to the bit.

    Args:
        parameters: with their groups.
        learning_rate: of the matrices.
        weight_decay: shrinks the parameters directly, in both parts.
        momentum: of Muon.
        nesterov: whether the current gradient counts once more.
        adjust: how a matrix's shape scales its rate. `match_rms_adamw` (0.2 sqrt(longer side); Liu et al. 2025,
            arXiv 2502.16982) makes steps as long as AdamW's, so both parts can share a rate; `original` is
            sqrt(max(1, rows / columns)).
        precision: of the Newton-Schulz steps.
        adamw_learning_rate: of AdamW; None means that of the matrices. The schedule applies to both.
        beta1, beta2, epsilon: of AdamW.
    """
    matrices = parameters.of(Group.MATRIX)
    others = parameters.of(Group.EMBEDDING, Group.VECTOR, Group.HEAD)
    adamw = optim.AdamW(
        [{"params": others}],
        learning_rate if adamw_learning_rate is None else adamw_learning_rate,
        (beta1, beta2),
        epsilon,
        weight_decay,
        fused=has_fused_kernel(others),
    )
    of_matrices = optim.Muon if precision == "bfloat16" else _FloatMuon
    return _MuonWithAdamW(
        matrices,
        of_matrices(
            [{"params": [Parameter(_flat(matrix)) for matrix in matrices]}],
            learning_rate,
            weight_decay,
            momentum,
            nesterov,
            adjust_lr_fn=adjust,
        ),
        adamw,
    )


class _FloatMuon(optim.Muon):
    """torch's Muon with Newton-Schulz steps in the parameters' own precision, float32."""

    @torch.no_grad()
    def step(self, closure: Callable[[], float] | None = None) -> None:  # type: ignore[override]
        for group in self.param_groups:
            for matrix in group["params"]:
                if matrix.grad is not None:
                    self._move(matrix, matrix.grad, group)

    def _move(self, matrix: Tensor, gradient: Tensor, group: Mapping[str, Any]) -> None:
        state, momentum, rate = self.state[matrix], group["momentum"], group["lr"]
        average = state.setdefault("momentum_buffer", torch.zeros_like(gradient))
        average.lerp_(gradient, 1 - momentum)
        update = gradient.lerp(average, momentum) if group["nesterov"] else average
        rows, columns = matrix.shape
        longer = 0.2 * math.sqrt(max(rows, columns))
        scale = longer if group["adjust_lr_fn"] == "match_rms_adamw" else math.sqrt(max(1, rows / columns))
        direction = _orthogonal(update, group["ns_coefficients"], group["ns_steps"], group["eps"])
        matrix.mul_(1 - rate * group["weight_decay"]).add_(direction, alpha=-rate * scale)


def _orthogonal(matrix: Tensor, coefficients: tuple[float, float, float], steps: int, epsilon: float) -> Tensor:
    """Return about U V^T of `matrix` = U S V^T by Newton-Schulz steps, whose singular values lie near 1."""
    a, b, c = coefficients
    wide = matrix if len(matrix) <= matrix.shape[1] else matrix.T
    found = wide / wide.norm().clamp(min=epsilon)
    for _ in range(steps):
        gram = found @ found.T
        found = torch.addmm(found, torch.addmm(gram, gram, gram, beta=b, alpha=c), found, beta=a)
    return found if wide is matrix else found.T


class _MuonWithAdamW(Joint):
    """Shows each matrix to torch's Muon in two dimensions.

    Args:
        matrices: of two dimensions or more.
        of_matrices: over one parameter of two dimensions for each of `matrices`.
        of_others: for everything else.
    """

    def __init__(self, matrices: list[Tensor], of_matrices: optim.Muon, of_others: optim.AdamW) -> None:
        self._pairs = list(zip(matrices, of_matrices.param_groups[0]["params"], strict=True))
        self._matrix_of = {seen: matrix for matrix, seen in self._pairs}
        super().__init__([of_matrices, of_others])

    def whole(self, parameter: Tensor) -> Tensor:
        return self._matrix_of.get(parameter, parameter)

    @torch.no_grad()
    def step(self, closure: Callable[[], float] | None = None) -> None:  # type: ignore[override]
        for matrix, seen in self._pairs:
            seen.data = _flat(matrix)
            seen.grad = None if matrix.grad is None else _flat(matrix.grad)
        super().step()
        for matrix, seen in self._pairs:
            if seen.data_ptr() != matrix.data_ptr():  # another memory format, so it was copied
                matrix.copy_(seen.view(matrix.shape))


def _flat(tensor: Tensor) -> Tensor:
    """Return `tensor` [rows, ...] as [rows, columns]; a view where its memory format allows."""
    return tensor.detach().flatten(1)
