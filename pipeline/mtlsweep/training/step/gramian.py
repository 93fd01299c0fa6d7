"""Inner products of task gradients: in float64, or in float32 by blocks where float64 is slow."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor

MANY_TASKS, MANY_ELEMENTS = 16, 1 << 20
"""From here on products in float64 take more than 5 % of a step on a CPU: there are T^2 of them for T backwards."""

_WIDTH_ON_CPU, _WIDTH = 1 << 13, 1 << 8
"""Elements of each row that are multiplied and summed in float32. The rounding of all products grows with this number over the
root of the row's length; a CPU needs longer blocks to be fast, and takes longer rows."""

_CALL, _BLOCKS = 1 << 25, 1 << 15
"""Elements of all rows, and blocks, in one call on an accelerator: a few calls for any network."""

_LEAST = 1e-7
"""Smallest eigenvalue of a matrix of cosines that float32 can tell from 0."""


def multiplies_in_float64(device: torch.device, tasks: int, elements: int) -> bool:
    """Return whether products of `tasks` rows of `elements` are taken in float64: on a CPU, unless they are many and long."""
    return device.type == "cpu" and (tasks < MANY_TASKS or elements < MANY_ELEMENTS)


def accumulator(rows: Tensor, other: Tensor) -> Tensor:
    """Return zeros for the products of `rows` [T, P] and `other` [U, P]: [T, U], float64 where the device has it."""
    exact = torch.float32 if rows.device.type == "mps" else torch.float64
    return torch.zeros(len(rows), len(other), dtype=exact, device=rows.device)


def float32_products(rows: Tensor, other: Tensor, width: int | None = None) -> Tensor:
    """Return the inner products of `rows` [T, P] and `other` [U, P], both float32: [T, U].

    Products and sums within a block are float32, never TF32 or bfloat16; blocks are summed in float64. The error is about
    1e-8 of |g_i| |g_j| for random gradients, and at most 6e-8 times the block's width. The result may have eigenvalues below 0
    by as much, see `positive_semidefinite`.

    Args:
        rows, other: on one device.
        width: of a block; by default what the device is fast with.
    """
    total = accumulator(rows, other)
    on_cpu = rows.device.type == "cpu"
    width = width or (_WIDTH_ON_CPU if on_cpu else _WIDTH)
    at_once = 1 if on_cpu else max(1, min(_BLOCKS, _CALL // (width * len(rows))))
    with _plain_float32():
        for own, theirs in zip(_blocks(rows, width, at_once), _blocks(other, width, at_once), strict=True):
            total += torch.bmm(own, theirs.mT).sum(0, dtype=total.dtype)
    return total


def _blocks(rows: Tensor, width: int, at_once: int) -> Iterator[Tensor]:
    """Yield views [N, T, width] of `at_once` blocks of `rows` [T, P] at a time, the rest of a block last."""
    whole = rows.shape[1] // width
    if whole:
        blocks = rows[:, : whole * width].view(len(rows), whole, width).transpose(0, 1)
        yield from blocks.split(at_once)
    if whole * width < rows.shape[1]:
        yield rows[:, whole * width :].unsqueeze(0)


@contextmanager
def _plain_float32() -> Iterator[None]:
    """Within, products of float32 matrices are float32, whatever a network or its user has set."""
    backends: tuple[Any, ...] = (torch.backends.cuda.matmul, torch.backends.mkldnn.matmul)  # type: ignore[attr-defined]
    before = [backend.fp32_precision for backend in backends]
    for backend in backends:
        backend.fp32_precision = "ieee"
    try:
        yield
    finally:
        for backend, precision in zip(backends, before, strict=True):
            backend.fp32_precision = precision


def positive_semidefinite(gramian: Tensor) -> Tensor:
    """Return `gramian` [T, T], float64 on the host and finite, symmetric and without eigenvalues that are rounding.

    Eigenvalues of the matrix of cosines below 1e-7, and those below 0, become 1e-7: so gradients that depend on
    each other count as nearly, never as exactly dependent, and no solver divides by the rest of a difference.
    """
    symmetric = (gramian + gramian.T) / 2
    lengths = symmetric.diagonal().sqrt()
    scale = torch.where(lengths > 0, lengths, 1.0)
    eigenvalues, vectors = torch.linalg.eigh(symmetric / scale / scale[:, None])
    if eigenvalues[0] >= _LEAST:
        return symmetric
    return (vectors * eigenvalues.clamp(min=_LEAST)) @ vectors.T * lengths * lengths[:, None]
