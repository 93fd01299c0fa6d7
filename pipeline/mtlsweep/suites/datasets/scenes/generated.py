"""What the generated datasets share: scenes are written in MTAN's layout, so the same code reads them and real data."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from mtlsweep.suites.datasets.mtan import MTANDataset
from mtlsweep.suites.datasets.progress_bar import progress
from mtlsweep.suites.datasets.scenes.ray_caster import Surface
from mtlsweep.suites.tasks import Task

BLOB = 4
"""Side, in pixels, of the patches of invalid pixels."""


class GeneratedDataset(MTANDataset):
    """A dataset whose raw files are made by `begin`.

    Args:
        name, tasks, folders, val_share: see `MTANDataset`.
        counts: numbers of scenes in the folders `train` and `val`.
        size: height and width.
        seed: of the scenes.
    """

    def __init__(
        self,
        name: str,
        tasks: Sequence[Task],
        folders: Mapping[str, Sequence[str]],
        val_share: float,
        counts: Mapping[str, int],
        size: tuple[int, int],
        seed: int,
    ) -> None:
        super().__init__(name, tasks, folders, val_share, seed, official={})
        self._counts, self._size, self._seed = counts, size, seed

    @abstractmethod
    def scene(self, size: tuple[int, int], generator: np.random.Generator) -> Mapping[str, np.ndarray]:
        """Return the arrays of one scene by folder name, as MTAN stores them."""

    def begin(self, workspace: Path) -> None:
        self.write_layout(workspace)
        self.read(workspace)

    def write_layout(self, root: Path) -> None:
        """Write `{train,val}/<folder>/{0,1,...}.npy` below `root`."""
        for number, (split, count) in enumerate(self._counts.items()):
            for folder in self._folder_names.values():
                (root / split / folder[0]).mkdir(parents=True, exist_ok=True)
            for index in progress(range(count), f"draw {split}", count):
                generator = np.random.default_rng([self._seed, number, index])
                for name, array in self.scene(self._size, generator).items():
                    np.save(root / split / name / f"{index}.npy", array)


def surface(label: int, colour: Sequence[float], generator: np.random.Generator, spread: float = 0.12) -> Surface:
    """Return a surface of about this colour, with a random texture."""
    varied = np.clip(np.array(colour) + generator.normal(0, spread, 3), 0.02, 1)
    return Surface(label, varied, generator.normal(0, 9, (2, 3)), generator.uniform(0, 0.35))


def blobs(size: tuple[int, int], share: float, generator: np.random.Generator) -> np.ndarray:
    """Return a mask [H, W] of square patches that cover about `share` of it."""
    small = generator.random((-(-size[0] // BLOB), -(-size[1] // BLOB))) < share
    return small.repeat(BLOB, axis=0).repeat(BLOB, axis=1)[: size[0], : size[1]]
