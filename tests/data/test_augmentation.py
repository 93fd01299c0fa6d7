"""Augmentation moves pixels, and changes a value only where geometry says so."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from mtlsweep.errors import UserError
from mtlsweep.suites.prepared.splits import Batch
from mtlsweep.suites.tasks import Task
from mtlsweep.suites.tasks.classification import Classification
from mtlsweep.suites.tasks.depth import Depth
from mtlsweep.suites.tasks.normals import Normals
from mtlsweep.suites.tasks.segmentation import Segmentation
from mtlsweep.suites.tasks.target import VOID
from mtlsweep.training.augmentation import SCALES, Geometry, augment, draw_geometry, sample_bilinear, sample_nearest

CPU = torch.device("cpu")
SIZE = (30, 42)
COUNT = 64
TASKS: tuple[Task, ...] = (
    Segmentation("label", classes=5),
    Depth("depth"),
    Depth("disparity", inverse=True),
    Normals("normal"),
)


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def batch_of(*, normal: tuple[float, float, float] = (0.6, 0.0, 0.8)) -> Batch:
    """Return images whose two first channels are their own coordinates."""
    rows, columns = torch.meshgrid(torch.arange(SIZE[0]).float(), torch.arange(SIZE[1]).float(), indexing="ij")
    image = torch.stack([rows, columns, torch.zeros(SIZE)]).expand(COUNT, -1, -1, -1)
    label = ((rows.long() // 7 + columns.long() // 5) % 5).expand(COUNT, -1, -1).clone()
    label[:, 10:14, 20:25] = VOID
    depth = (1 + rows + columns).expand(COUNT, -1, -1).clone()
    depth[:, :4] = 0
    normals = torch.tensor(normal).view(1, 3, 1, 1).expand(COUNT, -1, *SIZE).clone()
    normals[:, :, 15:18, 3:9] = 0
    return Batch({"image": image}, {"label": label, "depth": depth, "disparity": 1 / (1 + depth), "normal": normals})


def test_scale_1_without_flip_changes_nothing_and_a_flip_mirrors() -> None:
    batch, geometry = batch_of(), draw_geometry(COUNT, SIZE, generator(), CPU)
    augmented = augment(batch, TASKS, "paper", generator())
    for row in torch.nonzero(geometry.scale == 1).flatten().tolist():
        expected = batch.inputs["image"][row].flip(-1) if geometry.flipped[row] else batch.inputs["image"][row]
        assert torch.equal(augmented.inputs["image"][row], expected)
        for task in ("label", "depth", "disparity"):
            target = batch.targets[task][row]
            assert torch.equal(augmented.targets[task][row], target.flip(-1) if geometry.flipped[row] else target)


def test_every_scale_and_both_directions_are_drawn_evenly() -> None:
    geometry = draw_geometry(6000, SIZE, generator(), CPU)
    for scale in SCALES:
        assert (geometry.scale == scale).double().mean().item() == pytest.approx(1 / 3, abs=0.03)
    assert geometry.flipped.double().mean().item() == pytest.approx(0.5, abs=0.03)


@pytest.mark.parametrize("scale", SCALES)
def test_windows_lie_inside_and_reach_both_edges(scale: float) -> None:
    geometry = draw_geometry(6000, SIZE, generator(), CPU)
    rows = geometry.rows[geometry.scale == scale]
    window = int(SIZE[0] / scale)
    starts = rows[:, 0] + 0.5 - 0.5 * window / SIZE[0]
    assert torch.equal(starts.round().unique(), torch.arange(SIZE[0] - window + 1, dtype=torch.float64))
    torch.testing.assert_close(rows[:, 1] - rows[:, 0], torch.full_like(starts, window / SIZE[0]))


def test_images_are_sampled_at_the_source_coordinates() -> None:
    """Bilinear interpolation of a plane is exact, so an image of coordinates shows them."""
    batch, geometry = batch_of(), draw_geometry(COUNT, SIZE, generator(), CPU)
    rows, columns = geometry.rows.clamp(0, SIZE[0] - 1).float(), geometry.columns.clamp(0, SIZE[1] - 1).float()
    found = augment(batch, TASKS, "paper", generator()).inputs["image"]
    torch.testing.assert_close(found[:, 0], rows[:, :, None].expand(-1, -1, SIZE[1]), atol=1e-4, rtol=0)
    torch.testing.assert_close(found[:, 1], columns[:, None, :].expand(-1, SIZE[0], -1), atol=1e-4, rtol=0)


def test_labels_come_from_the_nearest_pixel() -> None:
    batch, geometry = batch_of(), draw_geometry(COUNT, SIZE, generator(), CPU)
    found = augment(batch, TASKS, "paper", generator()).targets["label"]
    assert found.dtype == torch.int64
    for number in range(0, COUNT, 7):
        for i, j in ((0, 0), (13, 20), (29, 41)):
            row = int(torch.floor(geometry.rows[number, i] + 0.5))
            column = int(torch.floor(geometry.columns[number, j] + 0.5))
            assert found[number, i, j] == batch.targets["label"][number, row, column]


@pytest.mark.parametrize(("mode", "factor"), [("paper", -1), ("geometric", 1)])
def test_depth_is_divided_and_inverse_depth_divided_or_multiplied(mode: str, factor: int) -> None:
    batch, geometry = batch_of(), draw_geometry(COUNT, SIZE, generator(), CPU)
    augmented = augment(batch, TASKS, mode, generator()).targets  # type: ignore[arg-type]
    scale = geometry.scale.float()[:, None, None]
    torch.testing.assert_close(augmented["depth"], sample_nearest(batch.targets["depth"], geometry) / scale)
    torch.testing.assert_close(
        augmented["disparity"], sample_nearest(batch.targets["disparity"], geometry) * scale**factor
    )
    assert not augmented["depth"][sample_nearest(batch.targets["depth"], geometry) == 0].any()


def test_a_flip_negates_the_normals_x_alone() -> None:
    batch, geometry = batch_of(), draw_geometry(COUNT, SIZE, generator(), CPU)
    normals = augment(batch, TASKS, "paper", generator()).targets["normal"]
    valid = normals.any(dim=1)
    expected = torch.where(geometry.flipped, -0.6, 0.6)[:, None, None].expand_as(valid)
    torch.testing.assert_close(normals[:, 0][valid], expected[valid])
    torch.testing.assert_close(normals[:, 2][valid], torch.full_like(expected, 0.8)[valid])
    assert torch.equal(valid, sample_nearest(batch.targets["normal"], geometry).any(dim=1))


def test_normals_have_length_1_between_different_normals() -> None:
    batch, geometry = batch_of(), draw_geometry(COUNT, SIZE, generator(), CPU)
    batch.targets["normal"][:, :, :, ::2] = torch.tensor((0.0, 1.0, 0.0)).view(1, 3, 1, 1)
    length = augment(batch, TASKS, "paper", generator()).targets["normal"].norm(dim=1)
    torch.testing.assert_close(length[length > 0], torch.ones_like(length[length > 0]))
    assert geometry.scale.max() > 1


def test_images_are_augmented_independently_of_each_other() -> None:
    geometry = draw_geometry(2, SIZE, generator(), CPU)
    values = torch.rand(2, 3, *SIZE)
    alone = Geometry(*(part[1:] for part in (geometry.scale, geometry.rows, geometry.columns, geometry.flipped)))
    assert torch.equal(sample_bilinear(values, geometry)[1:], sample_bilinear(values[1:], alone))


def test_same_seed_same_augmentation() -> None:
    one, same, other = (augment(batch_of(), TASKS, "paper", generator(seed)).inputs["image"] for seed in (0, 0, 1))
    assert torch.equal(one, same)
    assert not torch.equal(one, other)


def test_the_batch_given_is_left_alone() -> None:
    batch = batch_of()
    before: dict[str, Tensor] = {name: target.clone() for name, target in batch.targets.items()}
    augment(batch, TASKS, "geometric", generator())
    assert all(torch.equal(batch.targets[name], target) for name, target in before.items())


def test_only_the_targets_of_the_tasks_are_kept() -> None:
    assert set(augment(batch_of(), TASKS[:1], "paper", generator()).targets) == {"label"}


def test_a_task_for_whole_images_is_refused() -> None:
    batch = Batch({"image": torch.zeros(2, 1, 8, 8)}, {"left": torch.zeros(2, dtype=torch.long)})
    with pytest.raises(UserError, match=r"task `left` \(classification\).*`training.augmentation: none`"):
        augment(batch, [Classification("left", classes=10)], "paper", generator())
