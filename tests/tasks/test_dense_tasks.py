"""Dense tasks: metrics of the whole split in closed form, whatever the batches, and nothing invalid counts."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor

from mtlsweep.suites.tasks import Task, task_from_definition
from mtlsweep.suites.tasks.attribute import Attribute
from mtlsweep.suites.tasks.depth import Depth
from mtlsweep.suites.tasks.normals import Normals, angles_in_degrees
from mtlsweep.suites.tasks.segmentation import Segmentation
from mtlsweep.suites.tasks.target import VOID

IMAGES, HEIGHT, WIDTH = 15, 6, 8
DENSE: tuple[Task, ...] = (
    Segmentation("label", classes=4),
    Depth("depth"),
    Depth("disparity", inverse=True),
    Normals("normal"),
)


def example(task: Task, seed: int = 0) -> tuple[Tensor, Tensor]:
    """Return outputs and targets of 15 images, about a third of the pixels invalid, one image wholly so."""
    generator = torch.Generator().manual_seed(seed)
    output = torch.randn(IMAGES, task.outputs, HEIGHT, WIDTH, generator=generator)
    invalid = torch.rand(IMAGES, HEIGHT, WIDTH, generator=generator) < 0.3
    invalid[3] = True
    if isinstance(task, Segmentation):
        target = torch.randint(
            task.classes - 1, (IMAGES, HEIGHT, WIDTH), generator=generator
        )  # the last class is absent
        output[:, -1] = -9
        return output, target.masked_fill(invalid, VOID)
    if isinstance(task, Depth):
        return output, (0.1 + torch.rand(IMAGES, HEIGHT, WIDTH, generator=generator)).masked_fill(invalid, 0)
    return output, torch.randn(output.shape, generator=generator).masked_fill(invalid.unsqueeze(1), 0)


def evaluate(task: Task, output: Tensor, target: Tensor, batch_size: int = IMAGES) -> dict[str, float]:
    evaluator = task.evaluator()
    for part, wanted in zip(output.split(batch_size), target.split(batch_size), strict=True):
        evaluator.update(part, wanted)
    return evaluator.compute()


@pytest.mark.parametrize("task", [*DENSE, Attribute("smiling")], ids=lambda task: task.name)
def test_batches_do_not_matter(task: Task) -> None:
    if task.dense:
        output, target = example(task)
    else:
        output, target = torch.randn(IMAGES, 1), torch.randint(2, (IMAGES,))
    whole = evaluate(task, output, target)
    assert set(whole) == {metric.name for metric in task.metrics}
    for batch_size in (1, 7):
        assert evaluate(task, output, target, batch_size) == pytest.approx(whole, rel=1e-9)


@pytest.mark.parametrize("task", DENSE, ids=lambda task: task.name)
def test_invalid_pixels_count_for_nothing(task: Task) -> None:
    output, target = example(task)
    invalid = target == VOID if isinstance(task, Segmentation) else target == 0
    changed = output.where(~invalid.view(IMAGES, -1, HEIGHT, WIDTH).all(dim=1, keepdim=True), 77.0)
    assert evaluate(task, changed, target) == pytest.approx(evaluate(task, output, target))
    torch.testing.assert_close(task.loss(changed, target), task.loss(output, target))


@pytest.mark.parametrize("task", DENSE, ids=lambda task: task.name)
def test_a_batch_without_a_valid_pixel_has_loss_and_gradient_zero(task: Task) -> None:
    output, target = example(task)
    nothing = target[3:4]
    leaf = output[3:4].clone().requires_grad_()
    loss = task.loss(leaf, nothing)
    loss.backward()
    assert loss.item() == 0
    assert leaf.grad is not None
    assert not leaf.grad.any()
    assert all(math.isnan(value) for value in evaluate(task, leaf.detach(), nothing).values())


@pytest.mark.parametrize("task", DENSE, ids=lambda task: task.name)
def test_the_loss_is_the_mean_over_valid_pixels_of_the_batch(task: Task) -> None:
    output, target = example(task)
    total, count = 0.0, 0
    for image in range(IMAGES):
        valid = (target[image] != VOID) if isinstance(task, Segmentation) else (target[image] != 0)
        pixels = int(valid.any(dim=0).sum() if isinstance(task, Normals) else valid.sum())
        total += task.loss(output[image : image + 1], target[image : image + 1]).item() * pixels
        count += pixels
    assert task.loss(output, target).item() == pytest.approx(total / count, rel=1e-5)


@pytest.mark.parametrize("task", [*DENSE, Attribute("smiling")], ids=lambda task: task.name)
def test_a_definition_makes_the_task_again(task: Task) -> None:
    assert task_from_definition(task.definition()) == task


def test_segmentation_in_closed_form() -> None:
    target = torch.tensor([[[0, 0, 1, VOID]], [[1, 1, 2, 2]]])
    predicted = torch.tensor([[[0, 1, 1, 3]], [[1, 1, 2, 1]]])
    output = torch.nn.functional.one_hot(predicted, 4).permute(0, 3, 1, 2).float()
    found = evaluate(Segmentation("label", classes=4), output, target, batch_size=1)
    # Class 3 is in no target, and in a prediction only where the target is void: it is absent.
    assert found == pytest.approx({"miou": (1 / 2 + 3 / 5 + 1 / 2) / 3, "pixel_accuracy": 5 / 7})


def test_a_class_that_is_only_predicted_counts_as_missed() -> None:
    target, output = torch.zeros(1, 1, 2, dtype=torch.long), torch.tensor([[[[1.0, 0]], [[0, 1.0]]]])
    assert evaluate(Segmentation("label", classes=2), output, target)["miou"] == pytest.approx(0.25)


def test_depth_in_closed_form() -> None:
    target = torch.tensor([[[1.0, 2.0, 0.0]], [[4.0, 0.0, 0.0]]])
    output = torch.tensor([[[[1.5, 1.0, 9.0]]], [[[4.0, 9.0, 9.0]]]])
    expected = {"abs_err": 1.5 / 3, "rel_err": (0.5 + 0.5 + 0) / 3}
    assert evaluate(Depth("depth"), output, target, batch_size=1) == pytest.approx(expected)
    assert Depth("depth").loss(output, target).item() == pytest.approx(0.5)


def test_angles_are_exact_from_0_to_180_degrees() -> None:
    angles = torch.tensor([0.0, 1e-3, 11.25, 45, 90, 135, 179.999, 180]).view(1, 1, -1)
    radians = torch.deg2rad(angles)
    output = torch.stack([radians.cos(), radians.sin(), torch.zeros_like(radians)], dim=1) * 3
    target = torch.zeros_like(output)
    target[:, 0] = 0.5
    torch.testing.assert_close(angles_in_degrees(output, target), angles, atol=1e-4, rtol=1e-5)


def test_normal_metrics_are_of_all_pixels_of_the_split() -> None:
    task = Normals("normal")
    output, target = example(task)
    angles = angles_in_degrees(output, target)[(target != 0).any(dim=1)].double()
    found = evaluate(task, output, target, batch_size=1)
    assert found["mean_angle"] == pytest.approx(angles.mean().item(), rel=1e-9)
    assert found["median_angle"] == pytest.approx(angles.quantile(0.5).item(), abs=1)  # between the two middle angles
    assert found["within_30"] == pytest.approx((angles < 30).double().mean().item())


def test_the_median_is_within_one_bin() -> None:
    angles = torch.linspace(3, 77, 20_001).view(1, 1, -1)
    radians = torch.deg2rad(angles)
    output = torch.stack([radians.cos(), radians.sin(), torch.zeros_like(radians)], dim=1)
    target = torch.zeros_like(output)
    target[:, 0] = 1
    assert evaluate(Normals("normal"), output, target)["median_angle"] == pytest.approx(40, abs=180 / 2**18 + 1e-4)


def test_metrics_of_outputs_that_are_not_numbers_do_not_look_like_numbers() -> None:
    for task, metric in (
        (Depth("depth"), "abs_err"),
        (Normals("normal"), "mean_angle"),
        (Normals("normal"), "median_angle"),
    ):
        output, target = example(task)
        assert math.isnan(evaluate(task, output * math.nan, target)[metric])


def test_attributes_in_closed_form() -> None:
    output = torch.tensor([2.0, 1.0, -1.0, -1.0, 3.0]).unsqueeze(1)
    target = torch.tensor([1, 0, 1, 0, 1])
    expected = {"accuracy": 3 / 5, "balanced_accuracy": (2 / 3 + 1 / 2) / 2, "f1": 4 / 6}
    assert evaluate(Attribute("smiling"), output, target, batch_size=2) == pytest.approx(expected)
    assert Attribute("smiling").loss(torch.zeros(5, 1), target).item() == pytest.approx(math.log(2))


def test_an_attribute_that_is_never_there_has_no_balanced_accuracy() -> None:
    found = evaluate(Attribute("bald"), torch.full((4, 1), -1.0), torch.zeros(4, dtype=torch.long))
    assert found["accuracy"] == 1
    assert math.isnan(found["balanced_accuracy"])
    assert math.isnan(found["f1"])
