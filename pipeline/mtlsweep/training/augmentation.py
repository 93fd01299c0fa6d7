"""Random scaling, cropping and flipping of whole batches, on the device that holds them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor

from mtlsweep.errors import UserError
from mtlsweep.suites.inputs import IMAGE
from mtlsweep.suites.prepared.splits import Batch
from mtlsweep.suites.tasks import Task
from mtlsweep.suites.tasks.depth import Depth
from mtlsweep.suites.tasks.normals import Normals, is_valid
from mtlsweep.suites.tasks.segmentation import Segmentation

SCALES = (1.0, 1.2, 1.5)


@dataclass(frozen=True)
class Geometry:
    """What happens to each of N images of H x W: a window is cut out, enlarged to H x W, perhaps flipped.

    Attributes:
        scale: enlargement [N].
        rows, columns: source coordinates [N, H] and [N, W], float64, of each new pixel's centre;
            whole numbers are the centres of source pixels.
        flipped: [N], bool; `columns` runs backwards where it is set.
    """

    scale: Tensor
    rows: Tensor
    columns: Tensor
    flipped: Tensor


def augment(
    batch: Batch, tasks: Sequence[Task], mode: Literal["paper", "geometric"], generator: torch.Generator
) -> Batch:
    """Return the batch with each image scaled by 1, 1.2 or 1.5, cropped back to its size, and randomly flipped.

    Images and normals are sampled bilinearly, and normals renormalised; labels and depth come from the
    nearest pixel. Depth is divided by the scale. Inverse depth is divided too in mode `paper`, as in the
    study's code; in mode `geometric` it is multiplied, because enlarged objects are nearer. Flipping negates
    the normals' x.

    Differences from MTAN's code, on which the study's code is based: image and labels use the same source
    coordinates (MTAN aligns corners in only one of them), a normal is invalid where the nearest one is
    invalid, and normals are scaled to length 1 again.

    Args:
        batch: on any device.
        tasks: the tasks whose targets are returned; all must be dense.
        mode: see above.
        generator: on the CPU.

    Raises:
        UserError: a task is not dense, so augmentation may change what its target means.
    """
    images = batch.inputs[IMAGE]
    height, width = images.shape[-2:]
    geometry = draw_geometry(len(images), (height, width), generator, images.device)
    targets = {task.name: _augment_target(batch.targets[task.name], task, geometry, mode) for task in tasks}
    return replace(batch, inputs={**batch.inputs, IMAGE: sample_bilinear(images, geometry)}, targets=targets)


def draw_geometry(count: int, size: tuple[int, int], generator: torch.Generator, device: torch.device) -> Geometry:
    """Draw `count` geometries on the CPU, so that they are the same on every device, and move them on `device`."""
    scale = torch.tensor(SCALES, dtype=torch.float64)[torch.randint(len(SCALES), (count,), generator=generator)]
    flipped = torch.rand(count, generator=generator) < 0.5
    rows, columns = (_source_coordinates(length, scale, torch.rand(count, generator=generator)) for length in size)
    columns = torch.where(flipped[:, None], columns.flip(1), columns)
    return Geometry(*(part.to(device, non_blocking=True) for part in (scale, rows, columns, flipped)))


def sample_nearest(values: Tensor, geometry: Geometry) -> Tensor:
    """Sample [N, H, W] or [N, C, H, W] at the nearest pixels."""
    rows, columns = ((coordinate + 0.5).floor().long() for coordinate in (geometry.rows, geometry.columns))
    return _gather(values, rows, columns)


def sample_bilinear(values: Tensor, geometry: Geometry) -> Tensor:
    """Sample [N, C, H, W] bilinearly; outside the image the nearest edge pixel counts."""
    above, left = geometry.rows.floor(), geometry.columns.floor()
    down = (geometry.rows - above).to(values.dtype)[:, None, :, None]
    across = (geometry.columns - left).to(values.dtype)[:, None, None, :]
    height, width = values.shape[-2:]
    rows = [(above.long() + step).clamp(0, height - 1) for step in (0, 1)]
    columns = [(left.long() + step).clamp(0, width - 1) for step in (0, 1)]
    top, bottom = (
        torch.lerp(_gather(values, row, columns[0]), _gather(values, row, columns[1]), across) for row in rows
    )
    return torch.lerp(top, bottom, down)


def _augment_target(target: Tensor, task: Task, geometry: Geometry, mode: str) -> Tensor:
    if isinstance(task, Segmentation):
        return sample_nearest(target, geometry)
    if isinstance(task, Depth):
        scale = geometry.scale.to(target.dtype)[:, None, None]
        multiply = task.inverse and mode == "geometric"
        return sample_nearest(target, geometry) * (scale if multiply else 1 / scale)
    if isinstance(task, Normals):
        there = is_valid(sample_nearest(target, geometry)).unsqueeze(1)
        normals = F.normalize(sample_bilinear(target, geometry), dim=1).where(there, 0.0)
        mirror = torch.where(geometry.flipped, -1.0, 1.0)[:, None, None]
        return torch.cat([normals[:, :1] * mirror[:, None], normals[:, 1:]], dim=1)
    raise UserError(
        f"augmentation `{mode}` does not support task `{task.name}` ({task.kind}): "
        "it supports segmentation, depth and normals; set `training.augmentation: none`."
    )


def _source_coordinates(length: int, scale: Tensor, where: Tensor) -> Tensor:
    """Return [N, length] coordinates in windows of length / scale pixels, placed by `where` in [0, 1)."""
    window = (length / scale).floor()
    start = (where.double() * (length - window + 1)).floor()
    centres = torch.arange(length, dtype=torch.float64) + 0.5
    return start[:, None] + centres * (window / length)[:, None] - 0.5


def _gather(values: Tensor, rows: Tensor, columns: Tensor) -> Tensor:
    """Return values[n, ..., rows[n, i], columns[n, j]]."""
    every = torch.arange(len(values), device=values.device)[:, None, None]
    if values.ndim == 3:
        return values[every, rows[:, :, None], columns[:, None, :]]
    return values.movedim(1, -1)[every, rows[:, :, None], columns[:, None, :]].movedim(-1, 1)
