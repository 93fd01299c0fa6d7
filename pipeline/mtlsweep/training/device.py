"""Which device a trial uses, and how many threads torch computes with."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager

import torch

from mtlsweep.errors import UserError


@contextmanager
def torch_threads(count: int) -> Iterator[None]:
    """Let torch use `count` threads inside the context: another number of threads changes the last bits of sums."""
    before = torch.get_num_threads()
    torch.set_num_threads(count)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def choose_device(wanted: str) -> str:
    """Return the device that `resources.device` means on this machine: `auto` is a GPU where there is one.

    Raises:
        UserError: it is `cuda`, and there is no GPU.
    """
    if wanted == "cuda" and not torch.cuda.is_available():
        hidden = os.environ.get("CUDA_VISIBLE_DEVICES")
        raise UserError(
            "params.yaml: `resources.device` is `cuda`, but torch finds no GPU on this machine"
            f"{'' if hidden is None else f' (the environment variable CUDA_VISIBLE_DEVICES, which hides GPUs, is `{hidden}`)'}; "
            "set it to `auto` or `cpu`, or mend the driver (`nvidia-smi` shows it)."
        )
    return ("cuda" if torch.cuda.is_available() else "cpu") if wanted == "auto" else wanted
