"""A suite of params.yaml: data, network, training protocol, baselines and sweep."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import AfterValidator, Field

from mtlsweep.params.choice import Choice
from mtlsweep.params.section import Choices, LearningRate, LearningRates, Section, Seeds, without_repeats

Stage = Literal["baselines", "sweep"]
"""The stages of a suite that train."""

STAGES: tuple[Stage, ...] = ("baselines", "sweep")


class Schedule(Section):
    """Learning rate over epochs: `step` multiplies it by `factor` after every `every` epochs."""

    kind: Literal["constant", "step", "cosine"] = "constant"
    every: int = Field(default=1, ge=1)
    factor: float = Field(default=0.5, gt=0, le=1)


class Data(Section):
    """The dataset of a suite."""

    dataset: Choice


class Training(Section):
    """The training protocol of one trial; all fields are part of the trial's key."""

    epochs: int = Field(ge=1)
    batch_size: int = Field(ge=1)
    schedule: Schedule = Schedule()
    augmentation: Literal["none", "paper", "geometric"] = "none"
    precision: Literal["float32", "bfloat16"] = "float32"
    explosion_factor: float = Field(default=1e3, gt=1)


class Baselines(Section):
    """Single-task (STL) trials: every task x learning rate x seed."""

    optimizer: Choice = Choice(name="adam")
    learning_rates: LearningRates
    seeds: Seeds


class Method(Section):
    """A weighting with one optimizer."""

    weighting: Choice
    optimizer: Choice


class Sweep(Section):
    """Multi-task trials that the strategy chooses from.

    Methods are all pairs of `weightings` and `optimizers`, and the pairs in `methods` (for example
    AdaTask, which works only with Adam).
    """

    strategy: Choice = Choice(name="grid")
    weightings: Choices
    optimizers: Choices
    methods: Annotated[tuple[Method, ...], AfterValidator(without_repeats)] = ()
    learning_rates: LearningRates
    seeds: Seeds


class Analysis(Section):
    """How results are compared; nothing here changes what is trained.

    Attributes:
        front_metrics: axes of Pareto fronts: the metrics that count in Delta_m, or all.
    """

    front_metrics: Literal["counted", "all"] = "counted"


class NamedCell(Section):
    """A cell of a suite's sweep by its labels; by default with the learning rate selected on validation."""

    weighting: str
    optimizer: str
    learning_rate: LearningRate | None = None


class Suite(Section):
    """Dataset + network + training protocol: the setting inside which results are comparable."""

    data: Data
    network: Choice
    training: Training
    baselines: Baselines
    sweep: Sweep
    analysis: Analysis = Analysis()
    studies: Section = Section()
