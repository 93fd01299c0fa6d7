"""MATLAB files: small ones of version 5, and NYUv2's large HDF5 one with its axes reversed."""

from __future__ import annotations

import struct
import zlib
from pathlib import Path

import h5py
import numpy as np
from scipy.io import loadmat
from scipy.io.matlab import MatReadError

from mtlsweep.errors import UserError
from mtlsweep.suites.datasets.readers.images import require_all

_ARRAYS = {"images": (4, "u1"), "depths": (3, "f4"), "labels": (3, "u2")}


def read_variable(path: Path, name: str) -> np.ndarray:
    """Return one array of numbers of a MATLAB 5 file.

    Raises:
        UserError: the file is damaged, or has no such array.
    """
    try:
        variable = loadmat(path)[name]
    except KeyError as error:
        raise UserError(f"{path}: there is no variable `{name}` in it.") from error
    except (
        MatReadError,
        OSError,
        ValueError,
        TypeError,
        EOFError,
        zlib.error,
        struct.error,
        NotImplementedError,
    ) as error:
        raise UserError(
            f"{path}: damaged, or not a MATLAB 5 file ({' '.join(str(error).split())}); get it again."
        ) from error
    if variable.dtype.kind not in "iuf" or not variable.size:
        raise UserError(f"{path}: `{name}` is {variable.dtype}; expected an array of numbers.")
    array: np.ndarray = variable
    return array


class LabeledMat:
    """`nyu_depth_v2_labeled.mat`: images, depths and labels of N frames, read frame by frame.

    Raises:
        UserError: the file is truncated or lacks an array, or an array has another type or shape.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        try:
            file = h5py.File(path, "r")
            self._arrays = {name: file[name] for name in _ARRAYS}
        except (OSError, KeyError) as error:
            raise UserError(
                f"{path}: damaged, or not the labelled NYUv2 file ({' '.join(str(error).split())})."
            ) from error
        frames, *size = self._arrays["depths"].shape
        for name, (dimensions, kind) in _ARRAYS.items():
            array = self._arrays[name]
            expected = (frames, *([3] if dimensions == 4 else []), *size)
            if array.shape != expected or array.dtype.str[1:] != kind:
                raise UserError(
                    f"{path}: `{name}` is {array.dtype} {array.shape}; expected {np.dtype(kind)} {expected} "
                    f"(frames, {'channels, ' if dimensions == 4 else ''}width, height)."
                )

    def __len__(self) -> int:
        return int(self._arrays["depths"].shape[0])

    def image_and_depth(self, frame: int) -> tuple[np.ndarray, np.ndarray]:
        """Return the image, uint8 [H, W, 3], and the depth in metres, float32 [H, W]."""
        image = self._read("images", frame).transpose(2, 1, 0)
        depth = self._read("depths", frame).T
        allowed = np.isfinite(depth) & (depth >= 0)
        require_all(allowed, depth, self.place("depths", frame), "depth", "a positive number, or 0 for invalid")
        return np.ascontiguousarray(image), np.ascontiguousarray(depth)

    def label(self, frame: int) -> np.ndarray:
        """Return the labels, uint16 [H, W]; 0 = none."""
        return np.ascontiguousarray(self._read("labels", frame).T)

    def place(self, name: str, frame: int) -> Path:
        """Return how a message names an array of a frame."""
        return self.path / f"{name}[{frame}]"

    def _read(self, name: str, frame: int) -> np.ndarray:
        try:
            array: np.ndarray = self._arrays[name][frame]
        except OSError as error:
            raise UserError(
                f"{self.place(name, frame)}: damaged ({' '.join(str(error).split())}); get the file again."
            ) from error
        return array
