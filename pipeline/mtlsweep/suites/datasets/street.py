"""Street: generated outdoor scenes in Cityscapes' format, for users without Cityscapes."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated

import numpy as np
from pydantic import Field

from mtlsweep.suites.datasets.dataset import DATASETS
from mtlsweep.suites.datasets.readers.holdout import Seed, Share
from mtlsweep.suites.datasets.scenes.generated import GeneratedDataset, blobs, surface
from mtlsweep.suites.datasets.scenes.ray_caster import Camera, Scene, draw
from mtlsweep.suites.tasks.depth import Depth
from mtlsweep.suites.tasks.segmentation import Segmentation

Count = Annotated[int, Field(ge=2)]
Side = Annotated[int, Field(ge=16)]
FLAT, CONSTRUCTION, OBJECT, NATURE, SKY, HUMAN, VEHICLE = range(7)
VOID_LABEL = -1
INVALID_SHARE = 0.02

INVERSE_DEPTH_AT_ONE_METRE = 1.94
"""Of Cityscapes' stereo camera: 0.209 m x 2262 px x 256 / 65535, rounded up; 0.4922 is its largest value."""

LARGEST_INVERSE_DEPTH = 0.4922

HORIZON = 300.0
"""Metres; farther things, and the sky, have no disparity."""

_COLOURS = {
    FLAT: (0.42, 0.41, 0.43),
    CONSTRUCTION: (0.6, 0.5, 0.42),
    OBJECT: (0.3, 0.32, 0.3),
    NATURE: (0.25, 0.45, 0.18),
    SKY: (0.75, 0.85, 0.97),
    HUMAN: (0.55, 0.3, 0.35),
    VEHICLE: (0.35, 0.35, 0.5),
}


@DATASETS.register("street")
class Street(GeneratedDataset):
    """A road between buildings: 7 classes of Cityscapes and inverse depth; the sky's is 0, invalid.

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
        size: tuple[Side, Side] = (64, 128),
        val_share: Share = 0.2,
        seed: Seed = 0,
    ) -> None:
        tasks = (Segmentation("segmentation", classes=7), Depth("depth", inverse=True))
        folders = {"segmentation": ("label",), "depth": ("depth",)}
        super().__init__("street", tasks, folders, val_share, {"train": train, "val": test}, size, seed)

    def scene(self, size: tuple[int, int], generator: np.random.Generator) -> Mapping[str, np.ndarray]:
        view = draw(road_between_buildings(generator), size, generator)
        invalid = blobs(size, INVALID_SHARE, generator) | (view.label == SKY) | (view.depth > HORIZON)
        inverse = np.minimum(INVERSE_DEPTH_AT_ONE_METRE / view.depth, LARGEST_INVERSE_DEPTH)
        label = np.where(blobs(size, INVALID_SHARE, generator), VOID_LABEL, view.label)
        return {
            "image": view.image.astype(np.float32),
            "label": label.astype(np.float32),
            "depth": np.where(invalid, 0, inverse)[..., None].astype(np.float32),
        }


def road_between_buildings(generator: np.random.Generator) -> Scene:
    """Return a street seen from a car: pavements, buildings, trees, poles, cars and people."""
    eye = np.array((generator.uniform(-1.5, 1.5), generator.uniform(1.2, 1.6), 0.0))
    camera = Camera(eye, yaw=generator.normal(0, 0.08), pitch=generator.normal(-0.03, 0.03))
    sky, road = (surface(label, _COLOURS[label], generator, 0.05) for label in (SKY, FLAT))
    light = np.array((generator.uniform(-400, 400), 500.0, generator.uniform(-300, 300)))
    far = np.array((1000.0, 1000.0, 1000.0))
    scene = Scene(camera, light, np.array((-1000.0, 0.0, -1000.0)), far, (sky, road, sky, sky, sky, sky))
    kerb = generator.uniform(4, 6)
    for side in (-1, 1):
        _add(scene, FLAT, (side * (kerb + 2), 0.08, 100), (2, 0.08, 110), generator, spread=0.04)
        z = generator.uniform(2, 10)
        while z < 90:
            half = generator.uniform((3, 3, 4), (5, 9, 10))
            if generator.random() < 0.85:
                _add(scene, CONSTRUCTION, (side * (kerb + 4 + half[0]), half[1], z + half[2]), half, generator)
            z += 2 * half[2] + generator.uniform(0, 6)
        for z in generator.uniform(6, 60, generator.integers(1, 4)):
            _add_tree(scene, np.array((side * (kerb + generator.uniform(1, 3)), z)), generator)
        for z in generator.uniform(5, 50, generator.integers(1, 4)):
            height = generator.uniform(1.2, 3)
            _add(scene, OBJECT, (side * (kerb + 0.5), height, z), (0.08, height, 0.08), generator)
            if generator.random() < 0.5:
                _add(scene, OBJECT, (side * (kerb + 0.5), 2 * height, z), (0.4, 0.4, 0.05), generator, spread=0.25)
        for z in generator.uniform(7, 30, generator.integers(0, 4)):
            height = generator.uniform(0.75, 0.95)
            _add(
                scene,
                HUMAN,
                (side * (kerb + generator.uniform(0, 3)), height, z),
                (0.25, height, 0.2),
                generator,
                spread=0.2,
            )
    for z in generator.uniform(8, 60, generator.integers(1, 6)):
        lane = generator.choice((-1, 1)) * generator.uniform(1.5, kerb - 1)
        half = generator.uniform((0.8, 0.65, 1.8), (1.0, 0.9, 2.5))
        _add(scene, VEHICLE, (lane, half[1] + 0.15, z), half, generator, spread=0.25)
    return scene


def _add_tree(scene: Scene, place: np.ndarray, generator: np.random.Generator) -> None:
    height, radius = generator.uniform(2.5, 4.5), generator.uniform(1, 2.2)
    _add(scene, NATURE, (place[0], height / 2, place[1]), (0.15, height / 2, 0.15), generator)
    crown = np.array((place[0], height + radius / 2, place[1]))
    scene.balls.append((crown, radius, surface(NATURE, _COLOURS[NATURE], generator, 0.07)))


def _add(
    scene: Scene,
    label: int,
    centre: tuple[float, float, float],
    half: tuple[float, float, float] | np.ndarray,
    generator: np.random.Generator,
    spread: float = 0.12,
) -> None:
    scene.boxes.append((np.array(centre), np.array(half), 0.0, surface(label, _COLOURS[label], generator, spread)))
