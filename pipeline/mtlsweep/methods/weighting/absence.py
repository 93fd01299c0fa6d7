"""A method without some of its tasks, for a step on a batch that has no label of them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor
from torch.optim import Optimizer

from mtlsweep.methods.weighting.weighting import Weighting


@contextmanager
def only(method: Weighting, present: Sequence[int], optimizers: Sequence[Optimizer] = ()) -> Iterator[None]:
    """Within, `method` is that of the tasks at the positions `present`; afterwards the other tasks are as they were.

    What `Weighting.per_task` names is cut down to these tasks, and so are the moments that optimizers keep of it. An
    optimizer's count of steps is one for all tasks. State that begins within starts at 0 for the other tasks.

    Args:
        method: of more tasks than `present`.
        optimizers: of the method's parameters; those of `Weighting.optimizers` are taken too.
    """
    tasks, everyone = method.tasks, [*optimizers, *method.optimizers()]
    parts = [_Part(method, name, torch.tensor(present), everyone) for name in method.per_task]
    method.tasks = tuple(tasks[position] for position in present)
    for part in parts:
        part.cut()
    try:
        yield
    finally:
        method.tasks = tasks
        for part in parts:
            part.join()


class _Part:
    """One tensor of a method with a value for each task, and the moments of it in optimizers."""

    def __init__(self, method: Weighting, name: str, places: Tensor, optimizers: Sequence[Optimizer]) -> None:
        self._method, self._name, self._places, self._tasks = method, name, places, len(method.tasks)
        self._dimensions = method.per_task[name]
        self._tensor: Tensor | None = getattr(method, name)
        self._whole = None if self._tensor is None else self._tensor.data
        self._optimizers = optimizers
        self._moments = [
            {key: value for key, value in state.items() if _is_like(value, self._tensor)} for state in self._states()
        ]

    def _states(self) -> list[dict[str, Any]]:
        """Return what each optimizer keeps of the tensor; nothing before its first step."""
        tensor = self._tensor
        return [] if tensor is None else [optimizer.state.get(tensor, {}) for optimizer in self._optimizers]

    def cut(self) -> None:
        for state, moments in zip(self._states(), self._moments, strict=True):
            state.update({key: self._select(value) for key, value in moments.items()})
        if self._tensor is not None and self._whole is not None:
            self._tensor.data = self._select(self._whole)  # the same object, which optimizers know

    def join(self) -> None:
        part: Tensor | None = getattr(self._method, self._name)
        if part is None:
            return
        for state, moments in zip(self._states(), self._moments, strict=True):
            state.update(
                {key: self._put(moments.get(key), value) for key, value in state.items() if _is_like(value, part)}
            )
        whole = self._put(self._whole, part.data)
        if part is self._tensor:
            part.data, part.grad = whole, None
        else:
            setattr(self._method, self._name, whole)

    def _select(self, whole: Tensor) -> Tensor:
        for dimension in self._dimensions:
            whole = whole.index_select(dimension, self._places.to(whole.device, non_blocking=True))
        return whole

    def _put(self, whole: Tensor | None, part: Tensor) -> Tensor:
        """Write `part` into `whole`, or into zeros, and return that."""
        if whole is None:
            whole = part.new_zeros(
                [self._tasks if d in self._dimensions else size for d, size in enumerate(part.shape)]
            )
        index: list[Any] = [slice(None)] * part.ndim
        for position, dimension in enumerate(self._dimensions, start=1):
            index[dimension] = self._places.view(-1, *[1] * (len(self._dimensions) - position))
        whole[tuple(index)] = part
        return whole


def _is_like(value: Any, tensor: Tensor | None) -> bool:
    """Return whether `value`, out of an optimizer's state, has an entry for each of `tensor`."""
    return isinstance(value, Tensor) and tensor is not None and value.shape == tensor.shape
