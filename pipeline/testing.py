"""What any weighting, a user's own included, can be held to.

A problem small enough for a test, and checks that raise `AssertionError` with a sentence.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from pipeline.data.store import Batch
from pipeline.networks import MultiTaskNetwork
from pipeline.tasks import Task, task_from_definition


@dataclass(frozen=True)
class SmallProblem:
    """A network of a few hundred parameters, its tasks, and batches that never end."""

    network: MultiTaskNetwork
    tasks: tuple[Task, ...]
    seed: int

    def batch(self, index: int) -> Batch:
        """Return batch number `index`: 16 rows of noise, targets of growing size from task to task."""
        generator = torch.Generator().manual_seed(1000 * self.seed + index)
        inputs = torch.randn(16, 1, 2, 3, generator=generator)
        targets: dict[str, Tensor] = {
            task.name: (size + 1) * torch.randn(16, generator=generator) for size, task in enumerate(self.tasks)
        }
        return Batch(inputs, targets)


def small_problem(tasks: int = 3, seed: int = 0) -> SmallProblem:
    """Return a regression problem with `tasks` tasks; equal arguments give equal weights."""
    definitions = [{"kind": "regression", "name": f"task{index}", "options": {}} for index in range(tasks)]
    made = tuple(task_from_definition(definition) for definition in definitions)
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        backbone = nn.Sequential(nn.Flatten(), nn.Linear(6, 8), nn.Tanh(), nn.Linear(8, 5), nn.Tanh())
        network = MultiTaskNetwork(backbone, {task.name: nn.Linear(5, task.outputs) for task in made})
    return SmallProblem(network, made, seed)
