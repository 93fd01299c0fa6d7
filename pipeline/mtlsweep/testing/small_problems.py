"""Small problems: a network with tasks and batches, and a collection of task gradients of many kinds."""

from __future__ import annotations

import copy
from collections.abc import Collection, Iterator
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from mtlsweep.suites.inputs import IMAGE
from mtlsweep.suites.networks import MultiTaskNetwork
from mtlsweep.suites.prepared.splits import Batch
from mtlsweep.suites.tasks import Task, task_from_definition


@dataclass(frozen=True)
class SmallProblem:
    """A network of a few hundred parameters, its tasks, and as many batches as needed."""

    network: MultiTaskNetwork
    tasks: tuple[Task, ...]

    def batch(self, index: int, absent: Collection[str] = ()) -> Batch:
        """Return batch number `index`: 16 rows of noise, targets of growing size from task to task, no label of `absent`."""
        generator = torch.Generator().manual_seed(index)
        inputs = torch.randn(16, 1, 2, 3, generator=generator)
        targets: dict[str, Tensor] = {
            task.name: (size + 1) * torch.randn(16, generator=generator) for size, task in enumerate(self.tasks)
        }
        return Batch({IMAGE: inputs}, targets, dict.fromkeys(absent, torch.empty(0, dtype=torch.long)))

    def without(self, absent: Collection[str]) -> SmallProblem:
        """Return a copy of the problem without some of its tasks."""
        network = copy.deepcopy(self.network)
        tasks = tuple(task for task in self.tasks if task.name not in absent)
        heads = {task.name: network.heads[task.name] for task in tasks}
        return SmallProblem(MultiTaskNetwork(network.backbone, heads), tasks)

    def flat_parameters(self) -> Tensor:
        """Return a copy of all parameters in one vector."""
        return torch.cat([parameter.detach().flatten() for parameter in self.network.parameters()])


def small_problem(tasks: int = 3) -> SmallProblem:
    """Return a regression problem with that many tasks (`task0`, ...), always with the same initial weights."""
    definitions = [{"kind": "regression", "name": f"task{index}", "options": {}} for index in range(tasks)]
    made = tuple(task_from_definition(definition) for definition in definitions)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        backbone = nn.Sequential(nn.Flatten(), nn.Linear(6, 8), nn.Tanh(), nn.Linear(8, 5), nn.Tanh())
        network = MultiTaskNetwork(backbone, {task.name: nn.Linear(5, task.outputs) for task in made})
    return SmallProblem(network, made)


def matrices(tasks: int, seed: int = 0) -> Iterator[tuple[str, Tensor]]:
    """Yield (name, task gradients [T, P] float64): well and ill conditioned, dependent, zero, and of all scales."""
    generator = torch.Generator().manual_seed(seed)

    def draw(*shape: int) -> Tensor:
        return torch.randn(*shape, generator=generator, dtype=torch.float64)

    columns = 3 * tasks
    yield "random", draw(tasks, columns)
    yield "agreeing", draw(tasks, columns) + 1.0
    signs = 1.0 - 2.0 * (torch.arange(tasks) % 2)
    yield "conflicting", draw(tasks, columns) + 2.0 * signs[:, None] * draw(columns)
    yield "ill conditioned", draw(tasks, columns) * torch.logspace(0, -4, columns, dtype=torch.float64)
    rank = max(1, tasks // 2)
    yield "dependent", draw(tasks, rank) @ draw(rank, columns)
    zero_row = draw(tasks, columns)
    zero_row[0] = 0.0
    yield "one zero", zero_row
    yield "eight orders", draw(tasks, columns) * torch.logspace(-4, 4, tasks, dtype=torch.float64)[:, None]
    yield "parallel", (0.5 + torch.rand(tasks, 1, generator=generator, dtype=torch.float64)) * draw(columns)
    if tasks > 1:
        opposite = draw(tasks, columns)
        opposite[1] = -opposite[0]
        yield "opposite", opposite
        stationary = draw(tasks, columns)
        stationary[-1] = -stationary[:-1].sum(0)
        yield "stationary", stationary
    yield "all zero", torch.zeros(tasks, columns, dtype=torch.float64)
