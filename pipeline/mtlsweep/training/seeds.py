"""Random streams of a trial: one each for initialisation, data order, augmentation and weighting.

Streams are derived by hashing names, so drawing more numbers from one never shifts another.
"""

from __future__ import annotations

import hashlib

import torch


def stream_seed(seed: int, *names: object) -> int:
    """Return the 63-bit seed of a named random stream (`init`, `order`, ...) of a trial's `seed`.

    Streams are independent of each other: drawing more from one never shifts another.
    """
    digest = hashlib.sha256("/".join(map(str, (seed, *names))).encode()).digest()
    return int.from_bytes(digest[:8], "big") >> 1


def stream(seed: int, *names: object) -> torch.Generator:
    """Return a CPU generator for a named random stream of a trial's `seed`."""
    return torch.Generator().manual_seed(stream_seed(seed, *names))
