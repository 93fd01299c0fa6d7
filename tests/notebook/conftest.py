"""A small study of a user's own `torch` data and module, in files that a notebook would write."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

MY_TASKS = """
import torch
from sklearn.datasets import load_digits
from torch import nn
from torch.utils.data import TensorDataset, random_split

import mtlsweep
from mtlsweep.suites.tasks.classification import Classification

TASKS = (Classification("digit", classes=10), Classification("odd", classes=2))


class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.trunk = nn.Sequential(nn.Flatten(), nn.Linear(64, 16), nn.ReLU())
        self.digit, self.odd = nn.Linear(16, 10), nn.Linear(16, 2)


def digits():
    images, labels = (torch.tensor(values[:120]) for values in load_digits(return_X_y=True))
    rows = TensorDataset(images.float().view(-1, 1, 8, 8) / 16, labels, labels % 2)
    return mtlsweep.from_torch(*random_split(rows, [80, 20, 20], torch.Generator().manual_seed(0)), TASKS)


def net(tasks, image):
    return mtlsweep.from_module(Net(), tasks, backbone="trunk", heads={"digit": "digit", "odd": "odd"})
"""

CONTENT: dict[str, Any] = {
    "active": ["mine"],
    "resources": {"executor": "inline"},
    "suites": {
        "mine": {
            "data": {"dataset": "my_tasks:digits"},
            "network": "my_tasks:net",
            "training": {"epochs": 1, "batch_size": 20},
            "baselines": {"learning_rates": [0.01], "seeds": [0]},
            "sweep": {
                "strategy": "grid",
                "weightings": ["ew"],
                "optimizers": ["adam", "sgd"],
                "learning_rates": [0.01],
                "seeds": [0],
            },
        }
    },
}


@pytest.fixture
def my_tasks(tmp_path: Path) -> Iterator[Path]:
    """A directory with the user's file; this process forgets it afterwards."""
    (tmp_path / "my_tasks.py").write_text(MY_TASKS)
    path = list(sys.path)
    yield tmp_path
    sys.path[:] = path
    sys.modules.pop("my_tasks", None)
