"""The fifteen common corruptions (Hendrycks and Dietterich 2019, arXiv 1903.12261), deterministic.

A thin wrapper around `imagecorruptions-imaug`, of which it is the only user. Torch may not enter: pools
of processes import this module to corrupt images in parallel.
"""

from __future__ import annotations

import contextlib
import functools
import importlib.metadata
import io
from collections.abc import Iterator, Sequence
from types import ModuleType
from typing import Any

import numpy as np

from mtlsweep.errors import UserError, first_line, nearest

LIBRARY = "imagecorruptions-imaug"

CORRUPTIONS = (
    *("gaussian_noise", "shot_noise", "impulse_noise"),
    *("defocus_blur", "glass_blur", "motion_blur", "zoom_blur"),
    *("snow", "frost", "fog", "brightness"),
    *("contrast", "elastic_transform", "pixelate", "jpeg_compression"),
)

SMALLEST = 32
"""Fewest pixels of a side that the library takes."""

_OWN_SEED = ("glass_blur", "impulse_noise")
"""These draw from their own generator."""


def resolve_corruptions(names: Sequence[str]) -> tuple[str, ...]:
    """Return the corruptions named; all fifteen when none is.

    Raises:
        UserError: an unknown name.
    """
    for name in names:
        if name not in CORRUPTIONS:
            raise UserError(
                f"`studies.robustness.corruptions` names `{name}`{nearest(name, CORRUPTIONS)} Allowed: {', '.join(CORRUPTIONS)}."
            )
    return tuple(names) or CORRUPTIONS


def library_version() -> str:
    """Return the version of the library: another one may give other images.

    Raises:
        UserError: it is not installed.
    """
    try:
        return importlib.metadata.version(LIBRARY)
    except importlib.metadata.PackageNotFoundError as error:
        raise UserError(
            f"the robustness study needs the package {LIBRARY}; run `pip install 'mtlsweep[robustness]'` "
            "or set `studies.robustness.enabled: false`."
        ) from error


def corrupt(images: np.ndarray, names: Sequence[str], severities: Sequence[int], seeds: Sequence[int]) -> np.ndarray:
    """Return `images` [N, C, H, W] (uint8, C 1 or 3), each corrupted in its own way; numpy's global random state is left alone.

    A grey image is corrupted as three equal channels, of which the first comes back: so noise keeps the
    strength it has in one channel.

    Args:
        names, severities (1 to 5), seeds: one for each image; equal ones give equal bytes.
    """
    library = _library()
    corrupted = np.empty_like(images)
    for number, (image, name, severity, seed) in enumerate(zip(images, names, severities, seeds, strict=True)):
        options = {"seed": seed % 2**32} if name in _OWN_SEED else {}
        with (
            _numpy_seeded(seed % 2**32),
            contextlib.redirect_stdout(io.StringIO()),
        ):  # the library prints a message for images it pads
            colour = np.repeat(image, 3, axis=0) if len(image) == 1 else image
            result = library.corrupt(colour.transpose(1, 2, 0), severity=severity, corruption_name=name, **options)
        corrupted[number] = result.transpose(2, 0, 1)[: len(image)]
    return corrupted


@functools.cache
def _library() -> ModuleType:
    try:
        import cv2
        import imagecorruptions
        from imagecorruptions import corruptions
    except ImportError as error:  # of OpenCV: a machine without a screen has no libGL
        raise UserError(
            f"the robustness study cannot load OpenCV ({first_line(error)}): run `pip uninstall --yes opencv-python && "
            "pip install --force-reinstall --no-deps opencv-python-headless`, or set `studies.robustness.enabled: false`."
        ) from error

    cv2.setNumThreads(1)
    corruptions.cv2 = _DecodedOnce(cv2)
    module: ModuleType = imagecorruptions
    return module


class _DecodedOnce:
    """OpenCV, but every file is decoded once: `frost` reads a whole photograph for each image it corrupts."""

    def __init__(self, opencv: ModuleType) -> None:
        self._opencv = opencv
        self.imread = functools.cache(opencv.imread)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._opencv, name)


@contextlib.contextmanager
def _numpy_seeded(seed: int) -> Iterator[None]:
    """Seed numpy's global generator, from which the library draws, and put its state back."""
    state = np.random.get_state()
    np.random.seed(seed)
    try:
        yield
    finally:
        np.random.set_state(state)
