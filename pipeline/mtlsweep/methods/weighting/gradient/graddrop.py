"""GradDrop: each coordinate keeps the gradients of one sign, drawn at random."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Annotated, ClassVar

import torch
from pydantic import Field
from torch import Tensor

from mtlsweep.methods.weighting.kinds import GradientWeighting, JacobianWeighting
from mtlsweep.methods.weighting.registry import WEIGHTINGS
from mtlsweep.methods.weighting.weighting import Facts, Weights


@WEIGHTINGS.register("graddrop")
class GradDrop(JacobianWeighting):
    """Positive gradients pass where P > U, negative ones where P < U; of what does not pass, `leak` does.

    Per coordinate, with G_i task i's gradient there, P = (1 + sum_i G_i / sum_i |G_i|) / 2; U is uniform.

    At the representation, as in the paper and LibMTL, G_i is the gradient times the activation's sign,
    summed over the batch, and the mask holds for every sample. On shared parameters, as in TorchJD,
    G_i is the gradient. A task's effective weight is the share of its squared gradient that passes.

    Args:
        leak: between 0 (drop) and 1 (pass everything).
    """

    facts = Facts(
        paper="Chen, Ngiam, Huang, et al. 2020, arXiv 2010.06808",
        scale="sum of g_i masked by coordinate",
        heads="1",
        code="https://github.com/tensorflow/lingvo/blob/master/lingvo/core/graddrop.py",
    )
    cost = "T backwards of heads + 1 of the backbone; on parameters T backwards"
    allows: ClassVar[Mapping[str, Sequence[str]]] = {
        **GradientWeighting.allows,
        "gradients": ("representation", "parameters"),
    }

    def __init__(
        self,
        tasks: Sequence[str],
        generator: torch.Generator,
        *,
        leak: Annotated[float, Field(ge=0, le=1)] = 0.0,
    ) -> None:
        super().__init__(tasks, generator)
        self._leak = leak

    def combine(
        self, losses: Tensor, gradients: Sequence[Tensor], values: Sequence[Tensor] | None
    ) -> tuple[list[Tensor], Weights]:
        device = losses.device
        seed = int(torch.randint(2**62, (), generator=self.generator))  # the random stream lives on the CPU
        draws = torch.Generator(device).manual_seed(seed)
        passed = torch.zeros_like(losses)
        whole = torch.zeros_like(losses)
        combined = []
        for index, part in enumerate(gradients):
            signed = part if values is None else (part * values[index].sign()).sum(1)
            purity = 0.5 * (1.0 + signed.sum(0) / signed.abs().sum(0).clamp(min=torch.finfo(part.dtype).tiny))
            positive = purity > torch.rand(purity.shape, generator=draws, device=device, dtype=part.dtype)
            total = torch.zeros_like(part[0])
            for task, (own, sign) in enumerate(zip(part, signed, strict=True)):
                kept = torch.where(positive, sign > 0, sign < 0).to(part.dtype)
                masked = own * (self._leak + (1.0 - self._leak) * kept)
                total += masked
                passed[task] += (masked * own).sum()
                whole[task] += (own * own).sum()
            combined.append(total)
        shares = torch.where(whole > 0, passed / whole.clamp(min=torch.finfo(whole.dtype).tiny), torch.ones_like(whole))
        return combined, Weights(shares, torch.ones_like(losses))
