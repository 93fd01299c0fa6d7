"""A suite of params.yaml: data, network, training protocol, baselines and sweep."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, Field, SerializerFunctionWrapHandler, model_serializer, model_validator

from mtlsweep.errors import nearest
from mtlsweep.params.choice import Choice
from mtlsweep.params.section import (
    Choices,
    LearningRate,
    LearningRates,
    RatesByOptimizer,
    Section,
    Seeds,
    without_repeats,
)

Stage = Literal["baselines", "sweep", "referee", "referee_refined"]
"""The stages of a suite that train; the last two are those of a study, see `mtlsweep.studies.training_stages`."""

STAGES: tuple[Stage, ...] = ("baselines", "sweep")
"""Those of every suite."""


class Schedule(Section):
    """Learning rate over epochs: `step` multiplies it by `factor` after every `every` epochs."""

    kind: Literal["constant", "step", "cosine"] = "constant"
    every: int = Field(default=1, ge=1)
    factor: float = Field(default=0.5, gt=0, le=1)


class Data(Section):
    """The dataset of a suite."""

    dataset: Choice


class Training(Section):
    """The training protocol of one trial; all fields are part of the trial's key, those that are off by their absence.

    Attributes:
        precision: of the forward passes; parameters, losses, task gradients and the optimizer's state are float32 in both.
        channels_last: whether the network gets images with channels last in memory, also where it would not by itself.
    """

    epochs: int = Field(ge=1)
    batch_size: int = Field(ge=1)
    schedule: Schedule = Schedule()
    augmentation: Literal["none", "paper", "geometric"] = "none"
    precision: Literal["float32", "bfloat16"] = "float32"
    channels_last: bool = False
    explosion_factor: float = Field(default=1e3, gt=1)

    @model_serializer(mode="wrap")
    def _leave_out_what_is_off(self, as_ever: SerializerFunctionWrapHandler) -> dict[str, Any]:
        """Return the fields but those that are off, so that keys from before there were such options stay."""
        return {name: value for name, value in as_ever(self).items() if value is not False}


PARTS = ("network", "training", "optimizer", "weighting")
"""Parts of a cell whose options may be axes."""

AXES = tuple(f"{part}." for part in PARTS)
"""How names of axes begin; so do the columns of tables that hold their values, and no others."""


def _check_axis(name: str) -> str:
    """Check `part.option`. Trials of one sweep have equal epochs: a race compares them, and costs are counted by them."""
    part, _, option = name.partition(".")
    if part not in PARTS or not option:
        raise ValueError(
            f"it names no option{nearest(part, PARTS)} Write one of {', '.join(PARTS)}, then `.` and an option, "
            "such as `network.dropout`"
        )
    if name == "training.epochs":
        raise ValueError("the trials of a sweep have equal epochs; make a suite for each number of epochs")
    return name


def _check_value(value: Any) -> Any:
    if value is not None and not isinstance(value, (bool, int, float, str)):
        raise ValueError("a value of an axis is a number, a text, true, false or null")
    return value


AxisValues = Annotated[tuple[Annotated[Any, AfterValidator(_check_value)], ...], AfterValidator(without_repeats)]
AxisName = Annotated[str, AfterValidator(_check_axis)]


class Axis(Section):
    """The values that a sweep tries of one option; in YAML `{tuned: [...]}`, `{compared: [...]}`, or a list, which is tuned.

    Attributes:
        tuned: each method gets the value that is best on validation, as it gets its learning rate.
        compared: each value makes methods of its own, with the value in their names.
    """

    tuned: AxisValues = ()
    compared: AxisValues = ()

    @model_validator(mode="before")
    @classmethod
    def _read_list(cls, value: Any) -> Any:
        if isinstance(value, (list, tuple)):
            return {"tuned": value}
        if not isinstance(value, Mapping):
            raise ValueError("an axis is a list of values")
        return value

    @model_validator(mode="after")
    def _check_one_role(self) -> Axis:
        if bool(self.tuned) == bool(self.compared):
            raise ValueError("list the values once, as `{tuned: [...]}` or as `{compared: [...]}`")
        return self

    @property
    def values(self) -> tuple[Any, ...]:
        """The values, in the order of the file."""
        return self.tuned or self.compared


Axes = Mapping[AxisName, Axis]
"""By `part.option`, such as `network.dropout`."""


def _check_tuned(axes: Axes) -> Axes:
    for name, axis in axes.items():
        if axis.compared or name.startswith("weighting."):
            raise ValueError(f"`{name}` must be tuned and no option of a weighting: a baseline has a single task")
    return axes


class Baselines(Section):
    """Single-task (STL) trials: every task x optimizer x learning rate x seed.

    Attributes:
        strategy: `grid`, or a `race` of each task's learning rates on its validation loss.
        optimizer: the optimizer of the baselines.
        optimizers: several, in its place: Delta_m compares with the best of them, and also with a method's own.
        learning_rates: of every optimizer but those in `learning_rates_of`.
        learning_rates_of: other lists, by the name of an optimizer.
        axes: options that are tuned for each task, as its learning rate is.
    """

    strategy: Choice = Choice(name="grid")
    optimizer: Choice = Choice(name="adam")
    optimizers: Annotated[tuple[Choice, ...], AfterValidator(without_repeats)] = ()
    learning_rates: LearningRates
    learning_rates_of: RatesByOptimizer = Field(default_factory=dict)
    axes: Annotated[Axes, AfterValidator(_check_tuned)] = Field(default_factory=dict)
    seeds: Seeds


class Method(Section):
    """A weighting with one optimizer."""

    weighting: Choice
    optimizer: Choice


class Sweep(Section):
    """Multi-task trials that the strategy chooses from.

    Methods are all pairs of `weightings` and `optimizers`, and the pairs in `methods` (for example
    AdaTask, which works only with Adam).

    Attributes:
        learning_rates: of every optimizer but those in `learning_rates_of`.
        learning_rates_of: other lists, by the name of an optimizer.
        axes: options of which several values are tried, beside the learning rates.
        settings: how many settings (a learning rate with a value of each tuned axis) each method tries; None for all.
    """

    strategy: Choice = Choice(name="grid")
    weightings: Choices
    optimizers: Choices
    methods: Annotated[tuple[Method, ...], AfterValidator(without_repeats)] = ()
    learning_rates: LearningRates
    learning_rates_of: RatesByOptimizer = Field(default_factory=dict)
    axes: Axes = Field(default_factory=dict)
    settings: Annotated[int, Field(ge=1)] | None = None
    seeds: Seeds


def rates_of(section: Baselines | Sweep, optimizer: Choice) -> tuple[float, ...]:
    """Return the learning rates that a section tries with an optimizer."""
    return section.learning_rates_of.get(optimizer.name, section.learning_rates)


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
