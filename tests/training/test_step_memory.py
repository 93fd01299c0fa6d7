"""A step holds every task's gradient once: no more memory than TorchJD's `mtl_backward` needs."""

import subprocess
import sys

import pytest

PROBLEM = """
import resource
import torch
from torch import nn
from mtlsweep.suites.prepared.splits import Batch
from mtlsweep.suites.networks import MultiTaskNetwork
from mtlsweep.params.choice import Choice
from mtlsweep.suites.tasks import task_from_definition

torch.set_num_threads(1)
tasks = [task_from_definition({"kind": "regression", "name": f"task{i}", "options": {}}) for i in range(4)]
backbone = nn.Sequential(nn.Flatten(), nn.Linear(3000, 3000), nn.ReLU(), nn.Linear(3000, 100))  # 37 MB
network = MultiTaskNetwork(backbone, {task.name: nn.Linear(100, 1) for task in tasks})
batch = Batch({"image": torch.randn(8, 3, 10, 100)}, {task.name: torch.randn(8) for task in tasks})
"""
OURS = """
from mtlsweep.training.step.updater import build_updater
updater = build_updater(network, tasks, Choice(name="pcgrad"), Choice(name="sgd"), 1e-6, generator=torch.Generator())
step = lambda: updater.step(batch)
"""
TORCHJD = """
from torchjd.aggregation import PCGrad
from torchjd.autojac import jac_to_grad, mtl_backward
optimizer = torch.optim.SGD(network.parameters(), 1e-6, momentum=0.9, weight_decay=1e-5, fused=True)
shared, aggregator = network.shared_parameters(), PCGrad()
heads = [network.head_parameters(task.name) for task in tasks]
def step():
    optimizer.zero_grad()
    features = network.representation(batch.inputs)
    losses = [task.loss(network.heads[task.name](features), batch.targets[task.name]) for task in tasks]
    mtl_backward(losses, features=features, tasks_params=heads, shared_params=shared, parallel_chunk_size=1)
    jac_to_grad(shared, aggregator)
    optimizer.step()
"""
PEAK = """
for _ in range(3):
    step()
print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)
"""


def peak_kilobytes(route):
    code = PROBLEM + route + PEAK
    return int(subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout)


@pytest.mark.slow
def test_a_step_needs_no_more_memory_than_torchjds():
    assert peak_kilobytes(OURS) <= peak_kilobytes(TORCHJD)
