"""`studies.robustness` of params.yaml."""

from __future__ import annotations

from typing import Annotated, ClassVar

from pydantic import AfterValidator, Field

from mtlsweep.params.choice import Choice
from mtlsweep.params.section import LearningRate, Section, without_repeats
from mtlsweep.params.studies import StudySection


class FineTuning(Section):
    """How heads are trained again on corrupted images, with a frozen backbone."""

    optimizer: Choice = Choice(name="adam")
    learning_rate: LearningRate = 1e-3
    epochs: int = Field(default=2, ge=0)
    batch_size: int = Field(default=32, ge=1)
    train_samples: Annotated[int, Field(ge=1)] | None = None  # None: all


class Robustness(StudySection):
    """How the selected cells and the baselines perform on corrupted images.

    Attributes:
        weightings, optimizers: labels of the methods to take; none means all.
        seeds: how many replicates of each cell.
        corruptions, severities: corruptions of the test images; an empty list means all fifteen.
        test_samples: evenly spaced rows of the test split; None means all.
        seed: of the corruptions and of fine-tuning.
        keep_corrupted: whether corrupted sets stay on disk for the next run.
    """

    per_suite: ClassVar[bool] = True

    enabled: bool = True
    weightings: tuple[str, ...] = ()
    optimizers: tuple[str, ...] = ()
    seeds: int = Field(default=1, ge=1)
    corruptions: Annotated[tuple[str, ...], AfterValidator(without_repeats)] = ()
    severities: Annotated[
        tuple[Annotated[int, Field(ge=1, le=5)], ...], Field(min_length=1), AfterValidator(without_repeats)
    ] = (1, 2, 3, 4, 5)
    test_samples: Annotated[int, Field(ge=1)] | None = None
    fine_tuning: FineTuning = FineTuning()
    seed: int = Field(default=0, ge=0)
    keep_corrupted: bool = True
