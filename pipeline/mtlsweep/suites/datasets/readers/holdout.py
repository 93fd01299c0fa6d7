"""Validation rows held out of the training split, and a check of row counts against the official ones."""

from __future__ import annotations

import hashlib
import warnings
from collections.abc import Mapping
from typing import Annotated

import numpy as np
from pydantic import Field

Share = Annotated[float, Field(gt=0, lt=1)]


def hold_out(dataset: str, count: int, share: float, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Draw round(share * count) of `count` rows for validation, the same on every machine.

    Returns:
        Row numbers of the training and of the validation split, both ascending.
    """
    name = f"{dataset}/validation/{seed}"
    generator = np.random.default_rng(int.from_bytes(hashlib.sha256(name.encode()).digest()))
    order = generator.permutation(count)
    held_out = round(share * count)
    return np.sort(order[held_out:]), np.sort(order[:held_out])


def compare_with_official(dataset: str, found: Mapping[str, int], official: Mapping[str, int]) -> list[str]:
    """Warn of every count that is not the official one, and return the warnings for the summary."""
    sentences = [
        f"{dataset}: {found[part]} images in `{part}`, officially {count}: results cannot be compared with published ones."
        for part, count in official.items()
        if found[part] != count
    ]
    for sentence in sentences:
        warnings.warn(sentence, stacklevel=3)
    return sentences


Seed = Annotated[int, Field(ge=0)]
