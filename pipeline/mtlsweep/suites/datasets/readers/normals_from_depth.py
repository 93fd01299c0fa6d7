"""Surface normals from a depth map."""

from __future__ import annotations

import numpy as np
from scipy.ndimage import maximum_filter, minimum_filter, uniform_filter1d

FOCAL_LENGTH = (518.858, 519.470)

PRINCIPAL_POINT = (325.582, 253.736)
"""Intrinsics (x, y; pixels) of NYUv2's colour camera at 480x640, counted from the top left."""

REACH = 5

LARGEST_STEP = 0.1
"""Where depth varies by more than this share within `REACH` pixels, there is an edge and no normal."""


def normals_from_depth(
    depth: np.ndarray,
    focal_length: tuple[float, float] = FOCAL_LENGTH,
    principal_point: tuple[float, float] = PRINCIPAL_POINT,
) -> np.ndarray:
    """Return unit normals, float32 [3, H, W], of a z-depth map in metres [H, W].

    x points right, y up, z towards the viewer. A tangent is the difference of the points `REACH` pixels
    to either side, averaged over as many pixels across, which reduces the sensor's noise; the normal is the
    product of the two tangents. (0, 0, 0) where depth is missing or broken within reach.
    """
    height, width = depth.shape
    x = (np.arange(width) - principal_point[0]) / focal_length[0]
    y = (principal_point[1] - np.arange(height)[:, None]) / focal_length[1]
    points = np.stack([x * depth, y * depth, -depth])
    normals = np.cross(_tangent(points, axis=2), -_tangent(points, axis=1), axis=0)
    length = np.linalg.norm(normals, axis=0)
    window = 2 * REACH + 1
    nearest, farthest = minimum_filter(depth, window), maximum_filter(depth, window)
    valid = (nearest > 0) & (farthest - nearest < LARGEST_STEP * depth) & (length > 0)
    valid[:REACH] = valid[-REACH:] = valid[:, :REACH] = valid[:, -REACH:] = False
    return np.where(valid, normals / np.where(valid, length, 1), 0).astype(np.float32)


def _tangent(points: np.ndarray, axis: int) -> np.ndarray:
    across = 3 - axis
    smooth = uniform_filter1d(points, 2 * REACH + 1, axis=across)
    return np.roll(smooth, -REACH, axis) - np.roll(smooth, REACH, axis)
