"""Rooms: generated indoor scenes in NYUv2's format, for users without NYUv2."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated

import numpy as np
from pydantic import Field

from mtlsweep.suites.datasets.dataset import DATASETS
from mtlsweep.suites.datasets.mtan import NYUV2_FOLDERS, nyuv2_tasks
from mtlsweep.suites.datasets.readers.holdout import Seed, Share
from mtlsweep.suites.datasets.scenes.generated import GeneratedDataset, blobs, surface
from mtlsweep.suites.datasets.scenes.ray_caster import Camera, Scene, draw

Count = Annotated[int, Field(ge=2)]
Side = Annotated[int, Field(ge=16)]
BED, BOOKS, CEILING, CHAIR, FLOOR, FURNITURE, OBJECTS, PICTURE, SOFA, TABLE, TV, WALL, WINDOW = range(13)
VOID_LABEL = -1
INVALID_SHARE = 0.02

CLEARANCE = 0.9
"""Smallest distance, in metres, between the viewer and an object."""


# Width, height and depth in metres: smallest and largest; and the usual colour.
_FURNITURE = {
    BED: ((1.0, 0.4, 1.9), (1.8, 0.6, 2.1), (0.65, 0.45, 0.55)),
    TABLE: ((0.7, 0.65, 0.6), (1.4, 0.8, 1.4), (0.55, 0.38, 0.22)),
    CHAIR: ((0.4, 0.8, 0.4), (0.5, 1.0, 0.5), (0.3, 0.3, 0.38)),
    SOFA: ((1.5, 0.7, 0.8), (2.2, 0.9, 1.0), (0.35, 0.45, 0.35)),
    FURNITURE: ((0.5, 1.0, 0.35), (1.3, 2.0, 0.6), (0.6, 0.48, 0.33)),
}

_OTHERS = {
    BOOKS: (0.6, 0.25, 0.25),
    OBJECTS: (0.75, 0.55, 0.2),
    PICTURE: (0.45, 0.5, 0.65),
    TV: (0.07, 0.07, 0.09),
    WINDOW: (0.75, 0.87, 0.97),
    CEILING: (0.92, 0.92, 0.9),
    FLOOR: (0.5, 0.4, 0.32),
    WALL: (0.78, 0.74, 0.68),
}


@DATASETS.register("rooms")
class Rooms(GeneratedDataset):
    """Rooms with furniture: 13 classes of NYUv2, z-depth in metres, normals; about 2 % of pixels invalid.

    Options:
        train: scenes in MTAN's `train`, of which `val_share` are held out for validation.
        test: scenes in MTAN's `val`.
        size: height and width.
        seed: of the scenes and of the held-out draw.
    """

    def __init__(
        self,
        *,
        train: Count = 500,
        test: Count = 150,
        size: tuple[Side, Side] = (64, 96),
        val_share: Share = 0.2,
        seed: Seed = 0,
    ) -> None:
        super().__init__("rooms", nyuv2_tasks(), NYUV2_FOLDERS, val_share, {"train": train, "val": test}, size, seed)

    def scene(self, size: tuple[int, int], generator: np.random.Generator) -> Mapping[str, np.ndarray]:
        view = draw(furnished_room(generator), size, generator)
        invalid = blobs(size, INVALID_SHARE, generator)
        label = np.where(blobs(size, INVALID_SHARE / 2, generator), VOID_LABEL, view.label)
        return {
            "image": view.image.astype(np.float32),
            "label": label.astype(np.float32),
            "depth": np.where(invalid, 0, view.depth)[..., None].astype(np.float32),
            "normal": np.where(invalid[..., None], 0, view.normal).astype(np.float32),
        }


def furnished_room(generator: np.random.Generator) -> Scene:
    """Return a room 3 to 6.5 m wide, seen from eye height, with furniture, small things and pictures."""
    extent = generator.uniform((3.0, 2.4, 3.5), (6.5, 3.2, 7.5))
    low, high = np.array((-extent[0] / 2, 0, 0)), np.array((extent[0] / 2, extent[1], extent[2]))
    eye = np.array((generator.uniform(-0.3, 0.3) * extent[0], generator.uniform(1.2, 1.7), generator.uniform(0.3, 0.8)))
    camera = Camera(eye, yaw=generator.normal(0, 0.35), pitch=generator.normal(-0.15, 0.12))
    wall = surface(WALL, _OTHERS[WALL], generator)
    floor, ceiling = (surface(label, _OTHERS[label], generator) for label in (FLOOR, CEILING))
    light = np.array((generator.uniform(-1, 1), extent[1] - 0.2, generator.uniform(0.5, extent[2] - 0.5)))
    scene = Scene(camera, light, low, high, (wall, floor, wall, wall, ceiling, wall))
    for _ in range(generator.integers(3, 7)):
        _add_furniture(scene, generator)
    for _ in range(generator.integers(1, 4)):
        _add_panel(scene, generator)
    for _ in range(generator.integers(0, 3)):
        radius = generator.uniform(0.12, 0.3)
        place = _free_place(scene, generator)
        scene.balls.append(
            (np.array((place[0], radius, place[1])), radius, surface(OBJECTS, _OTHERS[OBJECTS], generator, 0.25))
        )
    return scene


def _add_furniture(scene: Scene, generator: np.random.Generator) -> None:
    label = int(generator.choice(list(_FURNITURE)))
    smallest, largest, colour = _FURNITURE[label]
    half = generator.uniform(smallest, largest) / 2
    x, z = _free_place(scene, generator)
    yaw = generator.choice((0, np.pi / 2)) + generator.normal(0, 0.15)
    scene.boxes.append((np.array((x, half[1], z)), half, yaw, surface(label, colour, generator)))
    top = 2 * half[1]
    if label in (TABLE, FURNITURE) and generator.random() < 0.7:
        small = generator.uniform((0.1, 0.08, 0.08), (0.25, 0.18, 0.15))
        scene.boxes.append(
            (np.array((x, top + small[1], z)), small, yaw, surface(BOOKS, _OTHERS[BOOKS], generator, 0.25))
        )
    elif label in (TABLE, FURNITURE):
        small = generator.uniform((0.3, 0.2, 0.03), (0.5, 0.35, 0.05))
        scene.boxes.append((np.array((x, top + small[1], z)), small, yaw, surface(TV, _OTHERS[TV], generator, 0.03)))


def _add_panel(scene: Scene, generator: np.random.Generator) -> None:
    """Hang a picture or a window on a wall."""
    label = int(generator.choice((PICTURE, WINDOW)))
    width, height = generator.uniform((0.3, 0.25), (0.8, 0.55))
    y = generator.uniform(1.3, 1.8)
    wall = generator.integers(3)
    if wall == 0:  # ahead
        centre, half = (generator.uniform(scene.low[0] + 1, scene.high[0] - 1), y, scene.high[2]), (width, height, 0.03)
    else:
        x = scene.low[0] if wall == 1 else scene.high[0]
        centre, half = (x, y, generator.uniform(1.5, scene.high[2] - 0.5)), (0.03, height, width)
    spread = 0.3 if label == PICTURE else 0.05
    scene.boxes.append((np.array(centre), np.array(half), 0.0, surface(label, _OTHERS[label], generator, spread)))


def _free_place(scene: Scene, generator: np.random.Generator) -> np.ndarray:
    """Return x and z on the floor, farther from the viewer than a thing's half diagonal."""
    eye = scene.camera.position[[0, 2]]
    low, high = np.array((scene.low[0] + 0.3, eye[1] + CLEARANCE)), np.array((scene.high[0] - 0.3, scene.high[2] - 0.3))
    while True:
        place: np.ndarray = generator.uniform(low, high)
        if np.linalg.norm(place - eye) > CLEARANCE + 1.0:
            return place
