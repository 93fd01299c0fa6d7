"""Reads raw arrays and pictures; an error names the file and says what is wrong with it."""

from __future__ import annotations

import struct
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from PIL import Image

from mtlsweep.errors import UserError

Size = tuple[int, int]
"""Height and width."""


def read_rgb(path: Path) -> np.ndarray:
    """Return a picture as uint8 [H, W, 3].

    Raises:
        UserError: the file is missing, damaged, or not an 8-bit colour picture.
    """
    picture = _open(path)
    if picture.mode not in ("RGB", "L"):
        raise UserError(f"{path}: a picture of mode {picture.mode}; expected 8-bit RGB.")
    return np.asarray(picture.convert("RGB"))


def read_grey(path: Path, bits: int) -> np.ndarray:
    """Return a picture of one channel as uint8 or uint16 [H, W].

    Raises:
        UserError: the file is missing, damaged, or has more channels or other bits.
    """
    picture = _open(path)
    modes = {8: ("L", "P"), 16: ("I;16", "I;16B", "I")}[bits]
    if picture.mode not in modes:
        raise UserError(f"{path}: a picture of mode {picture.mode}; expected one channel of {bits} bits.")
    return np.asarray(picture).astype(np.uint8 if bits == 8 else np.uint16)


def read_array(path: Path) -> np.ndarray:
    """Return the array of a .npy file.

    Raises:
        UserError: the file is missing or damaged, or does not hold numbers.
    """
    try:
        array = np.load(path, allow_pickle=False)
    except FileNotFoundError as error:
        raise UserError(f"{path}: there is no such file.") from error
    except (OSError, ValueError, EOFError) as error:
        raise UserError(
            f"{path}: damaged, or not a .npy file of numbers ({_one_line(error)}); get it again."
        ) from error
    if not isinstance(array, np.ndarray) or array.dtype.kind not in "iufb":
        raise UserError(f"{path}: not an array of numbers; expected a .npy file of a float or integer type.")
    return array


def resize_rgb(image: np.ndarray, size: Size) -> np.ndarray:
    """Resize uint8 [H, W, 3] bilinearly, averaging over what a pixel covers when it shrinks."""
    if image.shape[:2] == size:
        return image
    return np.asarray(Image.fromarray(image).resize(size[::-1], Image.Resampling.BILINEAR))


def resize_nearest(array: np.ndarray, size: Size) -> np.ndarray:
    """Resize [H, W, ...] by taking the pixel under each new pixel's centre; this never creates a new value."""
    rows, columns = (_centres(old, new) for old, new in zip(array.shape[:2], size, strict=True))
    return array[rows[:, None], columns]


def channels_first(image: np.ndarray) -> np.ndarray:
    """Return [H, W, C] as contiguous [C, H, W]."""
    return np.ascontiguousarray(image.transpose(2, 0, 1))


def require_shape(array: np.ndarray, shape: Sequence[int], path: Path, of: str) -> None:
    """Raise UserError unless `array` has `shape`, which is that of `of`."""
    if array.shape != tuple(shape):
        raise UserError(f"{path}: shape {array.shape}, but {of} asks for {tuple(shape)}.")


def require_all(allowed: np.ndarray, values: np.ndarray, path: Path, what: str, range_allowed: str) -> None:
    """Raise UserError that names the first pixel where `allowed` is False."""
    if not allowed.all():
        place = tuple(int(index) for index in np.argwhere(~allowed)[0])
        where = ", ".join(f"{axis} {index}" for axis, index in zip(("row", "column", "channel"), place, strict=False))
        raise UserError(f"{path}: {what} {values[place]:g} at {where}; allowed is {range_allowed}.")


def _open(path: Path) -> Image.Image:
    try:
        with Image.open(path) as picture:
            picture.load()
            return picture
    except FileNotFoundError as error:
        raise UserError(f"{path}: there is no such file.") from error
    except (OSError, SyntaxError, ValueError, EOFError, struct.error) as error:  # what Pillow raises for damaged files
        raise UserError(f"{path}: damaged, or not a picture ({_one_line(error)}); get it again.") from error


def _centres(old: int, new: int) -> np.ndarray:
    return ((2 * np.arange(new) + 1) * old) // (2 * new)


def _one_line(error: BaseException) -> str:
    return " ".join(str(error).split())[:200] or type(error).__name__
