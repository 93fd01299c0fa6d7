"""A small ray caster: boxes and balls inside a shell; gives colour, class, depth and normal of every pixel.

World coordinates are in metres, y up. One scene is drawn with a few dozen operations on whole arrays.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

FOCAL_LENGTH = 0.81
"""Over the image's width; NYUv2's camera."""

AMBIENT = 0.45
NOISE = 0.02

NEAR = 0.1
"""Metres; an object nearer than this may cover the whole image."""

_AXES = np.arange(3)[:, None, None]
_CORNERS = np.array([(x, y, z) for x in (-1, 1) for y in (-1, 1) for z in (-1, 1)], np.float32).T
SHELL_FACES = ("left", "floor", "back", "right", "ceiling", "front")


@dataclass(frozen=True)
class Surface:
    """The look of an object: its class, its colour (0 to 1) and a solid texture of two waves per metre."""

    label: int
    colour: np.ndarray
    waves: np.ndarray
    contrast: float


@dataclass(frozen=True)
class Camera:
    """Where the viewer stands and looks; yaw 0 looks along +z, positive pitch looks up (radians)."""

    position: np.ndarray
    yaw: float
    pitch: float

    def axes(self) -> np.ndarray:
        """Return the directions right, up and forward as rows [3, 3]."""
        sin_yaw, cos_yaw, sin_pitch, cos_pitch = (
            np.sin(self.yaw),
            np.cos(self.yaw),
            np.sin(self.pitch),
            np.cos(self.pitch),
        )
        right = (cos_yaw, 0.0, -sin_yaw)
        up = (-sin_yaw * sin_pitch, cos_pitch, -cos_yaw * sin_pitch)
        forward = (sin_yaw * cos_pitch, sin_pitch, cos_yaw * cos_pitch)
        return np.array([right, up, forward], np.float32)


@dataclass
class Scene:
    """A shell (low and high corner, a surface for each of `SHELL_FACES`) with the viewer in it, and things.

    `boxes` are (centre, half extents, yaw, surface), `balls` (centre, radius, surface).
    """

    camera: Camera
    light: np.ndarray
    low: np.ndarray
    high: np.ndarray
    faces: tuple[Surface, ...]
    boxes: list[tuple[np.ndarray, np.ndarray, float, Surface]] = field(default_factory=list)
    balls: list[tuple[np.ndarray, float, Surface]] = field(default_factory=list)


@dataclass(frozen=True)
class View:
    """A drawn scene: image [H, W, 3] in 0 to 1, label [H, W], z-depth [H, W] in metres, normal [H, W, 3].

    Normals are in the camera's frame: x right, y up, z towards the viewer.
    """

    image: np.ndarray
    label: np.ndarray
    depth: np.ndarray
    normal: np.ndarray


class _Canvas:
    """The nearest hit of each pixel so far: depth [H, W], index of the surface [H, W], world normal [3, H, W]."""

    def __init__(self, camera: Camera, size: tuple[int, int]) -> None:
        height, width = size
        self.position, self.axes, self.pixels = camera.position.astype(np.float32), camera.axes(), FOCAL_LENGTH * width
        self.centre = np.array((width / 2 - 0.5, height / 2 - 0.5), np.float32)
        x = (np.arange(width, dtype=np.float32) - self.centre[0]) / self.pixels
        y = (self.centre[1] - np.arange(height, dtype=np.float32)) / self.pixels
        right, up, forward = self.axes[:, :, None, None]
        # Directions whose forward component is 1, so that distances along them are z-depths.
        rays = right * x + up * y[:, None] + forward
        self.rays = np.where(np.abs(rays) < 1e-6, np.float32(1e-6), rays)
        self.depth = np.full(size, np.inf, np.float32)
        self.index = np.zeros(size, np.int64)
        self.normal = np.zeros((3, *size), np.float32)

    def window(self, centre: np.ndarray, half: np.ndarray, yaw: float) -> tuple[slice, slice] | None:
        """Return the rows and columns that a box can cover, or None if it is out of sight."""
        corners = centre[:, None] + _from_box(half[:, None] * _CORNERS, yaw) - self.position[:, None]
        x, y, z = self.axes @ corners
        height, width = self.depth.shape
        if z.max() <= 0:
            return None
        if z.min() < NEAR:
            return slice(0, height), slice(0, width)
        columns, rows = self.centre[0] + self.pixels * x / z, self.centre[1] - self.pixels * y / z
        top, bottom = max(0, int(rows.min())), min(height, int(rows.max()) + 2)
        left, right = max(0, int(columns.min())), min(width, int(columns.max()) + 2)
        return (slice(top, bottom), slice(left, right)) if left < right and top < bottom else None

    def put(self, window: tuple[slice, slice], depth: np.ndarray, index: int | np.ndarray, normal: np.ndarray) -> None:
        """Write the pixels that are nearer than the present ones."""
        nearer = depth < self.depth[window]
        np.copyto(self.depth[window], depth, where=nearer)
        np.copyto(self.index[window], index, where=nearer)
        np.copyto(self.normal[:, *window], normal, where=nearer)


def draw(scene: Scene, size: tuple[int, int], generator: np.random.Generator) -> View:
    """Draw a scene; `generator` makes the sensor's noise."""
    canvas = _Canvas(scene.camera, size)
    surfaces = list(scene.faces)
    _put_shell(canvas, scene)
    for centre, half, yaw, surface in scene.boxes:
        _put_box(canvas, centre, half, yaw, len(surfaces))
        surfaces.append(surface)
    for centre, radius, surface in scene.balls:
        _put_ball(canvas, centre, radius, len(surfaces))
        surfaces.append(surface)
    normal = np.tensordot(canvas.axes, canvas.normal, axes=1)
    normal[2] *= -1
    return View(
        image=_shade(canvas, scene.light.astype(np.float32), surfaces, generator),
        label=np.array([surface.label for surface in surfaces])[canvas.index],
        depth=canvas.depth,
        normal=normal.transpose(1, 2, 0),
    )


def _put_shell(canvas: _Canvas, scene: Scene) -> None:
    corner = np.where(canvas.rays > 0, scene.high[:, None, None], scene.low[:, None, None]).astype(np.float32)
    distances = (corner - canvas.position[:, None, None]) / canvas.rays
    axis = distances.argmin(axis=0)
    normal = np.where(axis == _AXES, -np.sign(canvas.rays), 0)
    towards_high = (normal < 0).any(axis=0)
    canvas.put((slice(None), slice(None)), distances.min(axis=0), axis + 3 * towards_high, normal)


def _put_box(canvas: _Canvas, centre: np.ndarray, half: np.ndarray, yaw: float, index: int) -> None:
    """Intersect the rays with a box, in its own frame (Kay and Kajiya's slabs)."""
    window = canvas.window(centre, half, yaw)
    if window is None:
        return
    start = _from_box(canvas.position - centre, -yaw).astype(np.float32)
    rays = _from_box(canvas.rays[:, *window], -yaw)
    inverse = 1 / np.where(np.abs(rays) < 1e-6, np.float32(1e-6), rays)
    middle, reach = -start[:, None, None] * inverse, half.astype(np.float32)[:, None, None] * np.abs(inverse)
    enter, leave = middle - reach, (middle + reach).min(axis=0)
    distance = enter.max(axis=0)
    side = np.where(enter.argmax(axis=0) == _AXES, -np.sign(rays), 0)
    met = (distance < leave) & (distance > 0)
    canvas.put(window, np.where(met, distance, np.float32(np.inf)), index, _from_box(side, yaw))


def _from_box(vectors: np.ndarray, yaw: float) -> np.ndarray:
    """Turn vectors [3, ...] from the frame of a box into the world's, or back with -yaw."""
    if not yaw:
        return vectors
    x, y, z = vectors
    sin, cos = np.float32(np.sin(yaw)), np.float32(np.cos(yaw))
    return np.stack([cos * x + sin * z, y, cos * z - sin * x])


def _put_ball(canvas: _Canvas, centre: np.ndarray, radius: float, index: int) -> None:
    window = canvas.window(centre, np.full(3, radius), 0.0)
    if window is None:
        return
    rays, to_centre = canvas.rays[:, *window], centre.astype(np.float32) - canvas.position
    squared = (rays * rays).sum(axis=0)
    projected = np.tensordot(to_centre, rays, axes=1)
    discriminant = projected**2 - squared * np.float32((to_centre**2).sum() - radius**2)
    distance = (projected - np.sqrt(np.maximum(discriminant, 0))) / squared
    met = (discriminant > 0) & (distance > 0)
    normal = (distance * rays - to_centre[:, None, None]) / np.float32(radius)
    canvas.put(window, np.where(met, distance, np.float32(np.inf)), index, normal)


def _shade(canvas: _Canvas, light: np.ndarray, surfaces: list[Surface], generator: np.random.Generator) -> np.ndarray:
    """Return colours [H, W, 3]: texture, Lambert's cosine, noise."""
    points = canvas.position[:, None, None] + canvas.depth * canvas.rays
    waves, contrast, colours = (
        np.array([getattr(surface, name) for surface in surfaces], np.float32)
        for name in ("waves", "contrast", "colour")
    )
    first, second = ((waves[canvas.index, wave].transpose(2, 0, 1) * points).sum(axis=0) for wave in range(2))
    # A wave shorter than a pixel's footprint is not seen; drawn, it would give false rings (aliasing).
    footprint = canvas.depth * (np.abs(waves).max(axis=(1, 2))[canvas.index] / canvas.pixels)
    texture = 1 + contrast[canvas.index] / (1 + (2 * footprint) ** 4) * np.sin(first) * np.sin(second)
    to_light = light[:, None, None] - points
    cosine = (canvas.normal * to_light).sum(axis=0) / np.sqrt((to_light * to_light).sum(axis=0))
    brightness = texture * (AMBIENT + (1 - AMBIENT) * np.maximum(cosine, 0))
    noise = NOISE * generator.standard_normal((*canvas.depth.shape, 3), dtype=np.float32)
    return np.clip(colours[canvas.index] * brightness[..., None] + noise, 0, 1)
