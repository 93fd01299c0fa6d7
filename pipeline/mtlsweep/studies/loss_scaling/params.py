"""`studies.loss_scaling` of params.yaml."""

from __future__ import annotations

from typing import Annotated, ClassVar

from pydantic import AfterValidator, Field

from mtlsweep.params.choice import Choice
from mtlsweep.params.section import LearningRate, without_repeats
from mtlsweep.params.studies import StudySection
from mtlsweep.params.suite import Method


class LossScaling(StudySection):
    """What changes when the losses of two small regressions are multiplied, with the backbone free and frozen.

    Attributes:
        methods: weightings with their optimizers; no weight decay unless `weight_decay` is given.
        optimizers: more of them, each with equal weights and for its verdicts alone, without curves.
        optimizer_epochs: of these.
        scales: of the two losses, compared with (1, 1).
        epochs: of one step each, on all samples.
        tolerance: largest relative difference of updates that still counts as equal; one sample whose L1 loss changes
            sign a step earlier makes a difference of about 1 / samples.
    """

    per_suite: ClassVar[bool] = False

    methods: Annotated[tuple[Method, ...], Field(min_length=1), AfterValidator(without_repeats)] = (
        Method(weighting=Choice(name="ew"), optimizer=Choice(name="sgd", options={"momentum": 0.0})),
        Method(weighting=Choice(name="ew"), optimizer=Choice(name="adam", options={"epsilon": 1e-16})),
        Method(weighting=Choice(name="uw_o"), optimizer=Choice(name="sgd", options={"momentum": 0.0})),
        Method(weighting=Choice(name="adatask"), optimizer=Choice(name="adam", options={"epsilon": 1e-16})),
    )
    optimizers: Annotated[tuple[Choice, ...], AfterValidator(without_repeats)] = ()
    optimizer_epochs: int = Field(default=25, ge=1)
    scales: tuple[Annotated[float, Field(gt=0)], Annotated[float, Field(gt=0)]] = (10.0, 0.1)
    learning_rate: LearningRate = 1e-3
    epochs: int = Field(default=100, ge=1)
    samples: int = Field(default=256, ge=1)
    seed: int = Field(default=0, ge=0)
    tolerance: float = Field(default=1e-2, gt=0)
