"""How rows are cut into batches.

A batch of one row has no variance. BatchNorm refuses it on maps of 1 x 1 (the pooled branch of DeepLab), and elsewhere
takes its statistics from a single image. So training has one rule: a last batch of one row joins the batch before it.
"""

from __future__ import annotations

import torch
from torch import Tensor


def has_lone_row(rows: int, batch_size: int) -> bool:
    """Return whether the last of several batches of `rows` rows would hold a single row; not where every batch does."""
    return rows > batch_size > 1 and rows % batch_size == 1


def cut(rows: Tensor, batch_size: int, merge_lone_row: bool) -> list[Tensor]:
    """Return `rows` [M], `batch_size` at a time. The last batch may be smaller, or larger by a lone row that it takes in."""
    pieces = list(rows.split(batch_size))
    if merge_lone_row and has_lone_row(len(rows), batch_size):
        pieces[-2:] = [torch.cat(pieces[-2:])]
    return pieces
