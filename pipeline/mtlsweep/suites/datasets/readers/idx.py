"""MNIST's idx files: a magic number, the sizes, then unsigned bytes (yann.lecun.com/exdb/mnist)."""

from __future__ import annotations

import gzip
import struct
from pathlib import Path

import numpy as np

from mtlsweep.errors import UserError
from mtlsweep.suites.datasets.readers.downloads import Download, absent

_PAGE = "ossci-datasets.s3.amazonaws.com/mnist"
_FILES = {
    "train": ("train-images-idx3-ubyte", "train-labels-idx1-ubyte"),
    "test": ("t10k-images-idx3-ubyte", "t10k-labels-idx1-ubyte"),
}


def read_mnist(root: Path) -> tuple[tuple[np.ndarray, np.ndarray], tuple[np.ndarray, np.ndarray]]:
    """Return images [N, 28, 28] and classes [N] of the training and the test digits, all uint8.

    Args:
        root: directory of the four files, each as it is or with `.gz`; torchvision's `MNIST/raw` is one.

    Raises:
        UserError: a file is missing or damaged.
    """
    found = {name: _find(root, name) for names in _FILES.values() for name in names}
    missing = [name for name, path in found.items() if path is None]
    if missing:
        raise absent(root, [Download(name, f"{name}.gz", _PAGE) for name in missing])
    train, test = (tuple(read_idx(path) for name in names if (path := found[name])) for names in _FILES.values())
    for images, classes in (train, test):
        if images.ndim != 3 or classes.ndim != 1 or len(images) != len(classes):
            raise UserError(
                f"`{root}` has images of shape {images.shape} and classes of shape {classes.shape}: download it again."
            )
    return (train[0], train[1]), (test[0], test[1])


def read_idx(path: Path) -> np.ndarray:
    """Return the array of unsigned bytes in an idx file.

    Raises:
        UserError: the file is damaged or holds another type.
    """
    try:
        content = gzip.decompress(path.read_bytes()) if path.suffix == ".gz" else path.read_bytes()
        zero, kind, dimensions = struct.unpack(">HBB", content[:4])
        shape = struct.unpack(f">{dimensions}I", content[4 : 4 + 4 * dimensions])
    except (OSError, EOFError, struct.error) as error:
        raise UserError(f"`{path}` cannot be read ({error}): download it again.") from error
    data = np.frombuffer(content, np.uint8, offset=4 + 4 * dimensions)
    if zero or kind != 8 or len(data) != np.prod(shape):
        raise UserError(f"`{path}` is not a complete idx file of unsigned bytes: download it again.")
    return data.reshape(shape)


def _find(root: Path, name: str) -> Path | None:
    return next((path for path in (root / name, root / f"{name}.gz") if path.exists()), None)
