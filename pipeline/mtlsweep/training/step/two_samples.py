"""The route of methods that take weights from the gradients of two further batches."""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor
from torch.optim import Optimizer

from mtlsweep.methods.weighting import TwoSampleWeighting, Weights
from mtlsweep.suites.prepared.splits import Batch
from mtlsweep.training.step.backward import RepresentationBackward
from mtlsweep.training.step.divergence import DivergenceCheck
from mtlsweep.training.step.forward import Forward, to_host
from mtlsweep.training.step.jacobian import Jacobian
from mtlsweep.training.step.route import Measured


class TwoSamples(RepresentationBackward):
    """T backwards on each of two further batches; then the weighted update of the step's own batch.

    On the own batch each head is passed once and the backbone once. The meter gets no Gramian: products of
    two batches are no lengths and cosines.
    """

    def __init__(
        self, forward: Forward, check: DivergenceCheck, optimizers: Sequence[Optimizer], weighting: TwoSampleWeighting
    ) -> None:
        super().__init__(forward, check, optimizers, weighting)
        self._samples = [Jacobian(len(forward.tasks), self.shared) for _ in range(2)]

    def gradients(self, batch: Batch) -> Measured:
        for sample, jacobian in zip(batch.further or (batch, batch), self._samples, strict=True):
            losses = self.forward.losses(sample)
            self._clear_gradients()
            jacobian.first(len(losses)).differentiate(losses, retain_graph=True)
        return super().gradients(batch)

    def _combine(
        self, losses: Sequence[Tensor], jacobian: Jacobian, values: Sequence[Tensor]
    ) -> tuple[Tensor, Tensor | None, Weights]:
        assert isinstance(self.weighting, TwoSampleWeighting)
        first, second = (sample.first(len(losses)) for sample in self._samples)
        on_host, products = to_host(losses, first.products(second))
        self.check.losses(on_host)
        self.check.gramian(products)
        weights = self.weighting.conventions.apply(self.weighting.weigh(on_host, products))
        self.check.weights(weights)
        jacobian.combine(weights.shared)
        return on_host, None, weights
