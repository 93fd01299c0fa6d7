"""Aligned-MTL: gradients made orthogonal and equally long, as close as possible to what they were."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import torch
from torch import Tensor

from mtlsweep.methods.weighting.kinds import AT_REPRESENTATION, GramianWeighting
from mtlsweep.methods.weighting.registry import WEIGHTINGS
from mtlsweep.methods.weighting.weighting import Facts, Weights


@WEIGHTINGS.register("aligned_mtl")
class AlignedMTL(GramianWeighting):
    """With M = V Lambda V^T: B = sqrt(s) V Lambda^{-1/2} V^T and weights B 1, by TorchJD.

    Eigenvalues at or below lambda_max T eps count as zero. `s` is the smallest (`min`), the median
    or the mean (`rmse`) of the others.

    Deviations: TorchJD's weights are 1/T of these, which are the sum form of the official code.
    LibMTL's copy calls the removed `torch.symeig`.

    Args:
        scale_mode: which eigenvalue gives all components their length.
    """

    facts = Facts(
        paper="Senushkin, Patakin, Kuznetsov, Konushin 2023, arXiv 2305.19000",
        scale="sum of (B 1)_i g_i",
        heads="1",
        code="https://github.com/SamsungLabs/MTL",
    )
    allows = AT_REPRESENTATION

    def __init__(
        self,
        tasks: Sequence[str],
        generator: torch.Generator,
        *,
        scale_mode: Literal["min", "median", "rmse"] = "min",
    ) -> None:
        from torchjd.aggregation import AlignedMTLWeighting  # slow import, of this method only

        super().__init__(tasks, generator)
        self._mean_form = AlignedMTLWeighting(scale_mode=scale_mode)

    def weigh(self, losses: Tensor, gramian: Tensor) -> Weights:
        return Weights(len(losses) * self._mean_form(gramian), torch.ones_like(losses))
