"""Metrics of a network on one split, each reduced over the whole split (never averaged over batches)."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch

from mtlsweep.suites.networks.multitask import MultiTaskNetwork
from mtlsweep.suites.prepared.splits import Split
from mtlsweep.suites.tasks import Task
from mtlsweep.trials.metric_names import LOSS, MetricName


@torch.no_grad()
def evaluate(
    network: MultiTaskNetwork, split: Split, tasks: Sequence[Task], batch_size: int, device: torch.device, name: str
) -> dict[str, float]:
    """Return every metric and the loss of every task over the whole of `split`, as metrics of the split `name`.

    Only rows with a label of a task count for it; where there is none, its figures are NaN. The loss is the mean over
    batches weighted by their number of such rows.

    Raises:
        ValueError: an evaluator left out a metric that its task declares.
    """
    network.eval()
    evaluators = {task.name: task.evaluator() for task in tasks}
    loss_sums = torch.zeros(len(tasks), dtype=torch.float64, device=device)
    rows = dict.fromkeys(evaluators, 0)
    for batch in split.batches(None, batch_size, device):
        outputs = network(batch.inputs)
        for position, task in enumerate(tasks):
            if batch.lacks(task.name):
                continue
            output, target = batch.with_label(task.name, outputs[task.name].float())
            loss_sums[position] += task.loss(output, target).double() * len(target)
            rows[task.name] += len(target)
            evaluators[task.name].update(output, target)
    values: dict[str, float] = {}
    for task, loss_sum in zip(tasks, loss_sums.tolist(), strict=True):
        labels = rows[task.name]
        values[str(MetricName(name, task.name, LOSS))] = loss_sum / labels if labels else math.nan
        nothing = dict.fromkeys((metric.name for metric in task.metrics), math.nan)
        computed = evaluators[task.name].compute() if labels else nothing
        for metric in task.metrics:
            if metric.name not in computed:
                raise ValueError(
                    f"the evaluator of task `{task.name}` gives no `{metric.name}`, which the task declares"
                )
            values[str(MetricName(name, task.name, metric.name))] = computed[metric.name]
    return values
