"""Our metrics are torchmetrics', to the bit. (Importing it takes as long as importing torch, so it is only an oracle.)"""

from __future__ import annotations

import math
from collections.abc import Sequence

import pytest
import torch
from torch import Tensor
from torchmetrics import Metric
from torchmetrics.classification import MulticlassAccuracy, MulticlassConfusionMatrix
from torchmetrics.regression import MeanAbsoluteError, MeanAbsolutePercentageError, R2Score

from mtlsweep.suites.tasks import Task
from mtlsweep.suites.tasks.classification import Classification
from mtlsweep.suites.tasks.depth import Depth
from mtlsweep.suites.tasks.regression import Regression
from mtlsweep.suites.tasks.segmentation import VOID, Segmentation

Batches = Sequence[tuple[Tensor, Tensor]]


def evaluate(task: Task, batches: Batches) -> dict[str, float]:
    evaluator = task.evaluator()
    for output, target in batches:
        evaluator.update(output, target)
    return evaluator.compute()


def oracle(metric: Metric, batches: Batches) -> Tensor:
    for output, target in batches:
        metric.update(output, target)
    found = metric.compute()
    assert isinstance(found, Tensor)
    return found


def equal(ours: float, theirs: Tensor) -> bool:
    return ours == float(theirs) or (math.isnan(ours) and bool(theirs.isnan()))


@pytest.fixture(params=range(5))
def generator(request: pytest.FixtureRequest) -> torch.Generator:
    return torch.Generator().manual_seed(request.param)


def test_accuracy(generator: torch.Generator) -> None:
    batches = [
        (torch.randn(rows, 7, generator=generator), torch.randint(7, (rows,), generator=generator))
        for rows in (13, 1, 29)
    ]
    theirs = oracle(MulticlassAccuracy(7, average="micro"), batches)
    assert equal(evaluate(Classification("a", classes=7), batches)["accuracy"], theirs)


@pytest.mark.parametrize("change", ["none", "constant target", "no error", "constant target without error", "nan"])
def test_errors_and_variance_of_numbers(generator: torch.Generator, change: str) -> None:
    batches = []
    for rows in (13, 1, 29):
        output, target = torch.randn(rows, 1, generator=generator), torch.randn(rows, generator=generator) * 3 + 100
        if "constant" in change:
            target = torch.full_like(target, 2.5)
        if "error" in change:
            output = target.clone().unsqueeze(1)
        if change == "nan":
            output[0] = math.nan
        batches.append((output, target))
    wide = [(output.squeeze(1).double(), target.double()) for output, target in batches]
    found = evaluate(Regression("m"), batches)
    assert equal(found["mae"], oracle(MeanAbsoluteError().set_dtype(torch.float64), wide))
    assert equal(found["r2"], oracle(R2Score().set_dtype(torch.float64), wide))


def test_errors_of_depths(generator: torch.Generator) -> None:
    batches, valid = [], []
    for images in (3, 1, 5):
        output = torch.randn(images, 1, 6, 8, generator=generator)
        target = torch.rand(images, 6, 8, generator=generator)
        target[target < 0.3] = 0
        target[0, 0, 0] = 1e-9
        batches.append((output, target))
        there = target > 0
        valid.append((output.squeeze(1)[there].double(), target[there].double()))
    found = evaluate(Depth("d"), batches)
    assert equal(found["abs_err"], oracle(MeanAbsoluteError().set_dtype(torch.float64), valid))
    assert equal(found["rel_err"], oracle(MeanAbsolutePercentageError().set_dtype(torch.float64), valid))


def test_the_confusion_matrix(generator: torch.Generator) -> None:
    batches = []
    for images in (3, 1, 5):
        target = torch.randint(4, (images, 6, 8), generator=generator)
        void = torch.rand(images, 6, 8, generator=generator) < 0.3
        batches.append((torch.randn(images, 5, 6, 8, generator=generator), target.masked_fill(void, VOID)))
    predicted = [(output.argmax(dim=1), target) for output, target in batches]
    matrix = oracle(MulticlassConfusionMatrix(5, ignore_index=VOID), predicted).double()
    found = evaluate(Segmentation("s", classes=5), batches)
    hits = matrix.diagonal()
    union = matrix.sum(dim=0) + matrix.sum(dim=1) - hits
    assert equal(found["miou"], (hits / union).mean())
    assert equal(found["pixel_accuracy"], hits.sum() / matrix.sum())
