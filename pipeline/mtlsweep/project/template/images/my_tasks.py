"""Data, tasks and network of one's own: three questions about scikit-learn's 1797 handwritten digits.

params.yaml names the functions `my_tasks:digits` and `my_tasks:network`. Their source is part of what a trial's key follows:
edit it, and `dvc repro` prepares and trains again what uses it.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from sklearn.datasets import load_digits
from torch import nn
from torch.utils.data import TensorDataset, random_split

import mtlsweep
from mtlsweep.suites.tasks import Task
from mtlsweep.suites.tasks.classification import Classification
from mtlsweep.suites.tasks.regression import Regression

TASKS = (Classification("digit", classes=10), Classification("odd", classes=2), Regression("ink"))


def digits() -> Any:
    """Return the dataset; any `torch.utils.data.Dataset` of images and targets does."""
    images, labels = (torch.tensor(values) for values in load_digits(return_X_y=True))
    ink = images.float().mean(1)
    rows = TensorDataset(images.float().view(-1, 1, 8, 8) / 16, labels, labels % 2, (ink - ink.mean()) / ink.std())
    train, val, test = random_split(rows, [0.6, 0.2, 0.2], torch.Generator().manual_seed(0))
    return mtlsweep.from_torch(train, val, test, TASKS)


class Net(nn.Module):
    """A trunk that all tasks share, and a head for each."""

    def __init__(self) -> None:
        super().__init__()
        self.trunk = nn.Sequential(nn.Conv2d(1, 16, 3), nn.ReLU(), nn.Flatten(), nn.Linear(16 * 36, 64), nn.ReLU())
        self.heads = nn.ModuleDict({task.name: nn.Linear(64, task.outputs) for task in TASKS})


def network(tasks: Sequence[Task], image: Any) -> Any:
    """Return the network for these tasks; `image` is the shape of an input."""
    return mtlsweep.from_module(
        Net(), tasks, backbone="trunk", heads={task.name: f"heads.{task.name}" for task in TASKS}
    )
