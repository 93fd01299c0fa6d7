"""`params.yaml`, typed: what a study is, before anything runs.

Every key is known and every value has a type and a range; a mistake is answered with the dotted
path of the field, the value found there, what is allowed and the nearest correct name. Names of
weightings, optimizers, networks and datasets are checked against their registries when the plan
is made (`pipeline.sweep.plan`), since those rooms lie above this one.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal

import yaml
from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError

from pipeline.errors import UserError, nearest
from pipeline.registry import Choice

PARAMS_FILE = Path("params.yaml")


def _without_repeats(values: tuple[Any, ...]) -> tuple[Any, ...]:
    seen: list[Any] = []
    for value in values:
        if value in seen:
            raise ValueError(f"{value} stands there twice")
        seen.append(value)
    return values


LearningRate = Annotated[float, Field(gt=0, allow_inf_nan=False)]
LearningRates = Annotated[tuple[LearningRate, ...], Field(min_length=1), AfterValidator(_without_repeats)]
Seeds = Annotated[tuple[Annotated[int, Field(ge=0)], ...], Field(min_length=1), AfterValidator(_without_repeats)]
Choices = Annotated[tuple[Choice, ...], Field(min_length=1), AfterValidator(_without_repeats)]


class Section(BaseModel):
    """A part of `params.yaml`: immutable, and no key is taken that it does not know."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class Schedule(Section):
    """Learning rate over epochs: `step` multiplies it by `factor` after every `every` epochs."""

    kind: Literal["constant", "step", "cosine"] = "constant"
    every: int = Field(default=1, ge=1)
    factor: float = Field(default=0.5, gt=0, le=1)


class Data(Section):
    """Which data a suite learns from."""

    dataset: Choice


class Training(Section):
    """The training protocol of one trial; all of it enters the trial's identity."""

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
    """A weighting with the one optimizer it goes with."""

    weighting: Choice
    optimizer: Choice


class Sweep(Section):
    """Multi-task trials: what the strategy chooses from.

    Methods are every weighting with every optimizer, and beside them the pairs under `methods`
    (AdaTask with Adam, say, which no other optimizer can take).
    """

    strategy: Choice = Choice(name="grid")
    weightings: Choices
    optimizers: Choices
    methods: Annotated[tuple[Method, ...], AfterValidator(_without_repeats)] = ()
    learning_rates: LearningRates
    seeds: Seeds


class NamedCell(Section):
    """A cell of a suite's sweep by the labels people read; without a learning rate the one that validation selected."""

    weighting: str
    optimizer: str
    learning_rate: LearningRate | None = None


class Gradients(Section):
    """Gradient conflicts while a cell trains: between tasks of one sample, and between samples of one task.

    Attributes:
        cells: what is trained and measured; none means the best equal-weights (EW) cell.
        seeds: how many replicates of each cell.
        every: a measurement is taken at every so many iterations.
        samples, tasks: how many of each are drawn at random for a measurement.
        epochs: the first so many; None means all.
        by_layer: whether to measure each parameter tensor for itself, too.
        memory_mb: room for gradients; more are computed piece by piece.
    """

    enabled: bool = True
    cells: tuple[NamedCell, ...] = ()
    seeds: int = Field(default=1, ge=1)
    every: int = Field(default=5, ge=1)
    samples: int = Field(default=8, ge=2)
    tasks: int = Field(default=8, ge=2)
    epochs: Annotated[int, Field(ge=1)] | None = None
    by_layer: bool = False
    memory_mb: float = Field(default=512, gt=0)


class FineTuning(Section):
    """How heads are trained anew on corrupted images over a frozen backbone."""

    optimizer: Choice = Choice(name="adam")
    learning_rate: LearningRate = 1e-3
    epochs: int = Field(default=2, ge=0)
    batch_size: int = Field(default=32, ge=1)
    train_samples: Annotated[int, Field(ge=1)] | None = None  # None: all


class Robustness(Section):
    """How the selected cells and the baselines bear corrupted images.

    Attributes:
        weightings, optimizers: labels of the methods to take; none means all.
        seeds: how many replicates of each cell.
        corruptions, severities: what is done to test images; no corruption named means all fifteen.
        test_samples: evenly spaced rows of the test split; None means all.
        seed: of the corruptions, and of what fine-tuning draws.
        keep_corrupted: whether corrupted sets stay on disk for the next time.
    """

    enabled: bool = True
    weightings: tuple[str, ...] = ()
    optimizers: tuple[str, ...] = ()
    seeds: int = Field(default=1, ge=1)
    corruptions: Annotated[tuple[str, ...], AfterValidator(_without_repeats)] = ()
    severities: Annotated[
        tuple[Annotated[int, Field(ge=1, le=5)], ...], Field(min_length=1), AfterValidator(_without_repeats)
    ] = (1, 2, 3, 4, 5)
    test_samples: Annotated[int, Field(ge=1)] | None = None
    fine_tuning: FineTuning = FineTuning()
    seed: int = Field(default=0, ge=0)
    keep_corrupted: bool = True


class SuiteStudies(Section):
    """Experiments on a suite's finished trials."""

    gradients: Gradients = Gradients()
    robustness: Robustness = Robustness()


class Suite(Section):
    """Dataset + network + training protocol: the setting inside which results are comparable."""

    data: Data
    network: Choice
    training: Training
    baselines: Baselines
    sweep: Sweep
    studies: SuiteStudies = SuiteStudies()


class Toy(Section):
    """The toy problem: which settings reach its global minimum, and after how many iterations.

    Attributes:
        optimizers: of the registry, or `gd` for gradient descent without momentum.
        iterations: after which a start counts as not arriving.
    """

    weightings: Choices = (Choice(name="ew"), Choice(name="pcgrad"), Choice(name="cagrad"))
    optimizers: Choices = (Choice(name="gd"), Choice(name="adam"))
    learning_rates: LearningRates = (10.0, 5.0, 1.0, 0.5, 0.1, 0.05, 0.01, 0.005, 0.001)
    iterations: int = Field(default=100_000, ge=1)


class LossScaling(Section):
    """What multiplying the losses of two small regressions changes, with the backbone free and frozen.

    Attributes:
        methods: weightings with their optimizers; nothing decays unless `weight_decay` is given.
        scales: of the two losses, compared with (1, 1).
        epochs: of one step each, on all samples.
        tolerance: largest relative difference of updates that still counts as none; one sample whose L1 loss
            turns a step earlier is worth about 1 / samples.
    """

    methods: Annotated[tuple[Method, ...], Field(min_length=1), AfterValidator(_without_repeats)] = (
        Method(weighting=Choice(name="ew"), optimizer=Choice(name="sgd", options={"momentum": 0.0})),
        Method(weighting=Choice(name="ew"), optimizer=Choice(name="adam", options={"epsilon": 1e-16})),
        Method(weighting=Choice(name="uw_o"), optimizer=Choice(name="sgd", options={"momentum": 0.0})),
        Method(weighting=Choice(name="adatask"), optimizer=Choice(name="adam", options={"epsilon": 1e-16})),
    )
    scales: tuple[Annotated[float, Field(gt=0)], Annotated[float, Field(gt=0)]] = (10.0, 0.1)
    learning_rate: LearningRate = 1e-3
    epochs: int = Field(default=100, ge=1)
    samples: int = Field(default=256, ge=1)
    seed: int = Field(default=0, ge=0)
    tolerance: float = Field(default=1e-2, gt=0)


class Studies(Section):
    """Experiments that need no suite."""

    toy: Toy = Toy()
    loss_scaling: LossScaling = LossScaling()


class Budget(Section):
    """When a sweep stops although more is wanted; what is missing then is trained by the next run.

    Attributes:
        trials: trials started by one run.
        hours: wall-clock hours of one run.
        device_hours: hours times trials at once, of one run.
    """

    trials: Annotated[int, Field(ge=1)] | None = None
    hours: Annotated[float, Field(gt=0)] | None = None
    device_hours: Annotated[float, Field(gt=0)] | None = None


class Resources(Section):
    """Where and how trials run. Nothing here changes a result, so DVC does not track it."""

    cpus_per_trial: float = Field(default=1, gt=0)
    gpus_per_trial: float = Field(default=0, ge=0)
    concurrency: Annotated[int, Field(ge=1)] | None = None  # None: as many as the cluster has room for
    device: Literal["auto", "cpu", "cuda"] = "auto"
    address: str = "local"
    tracking_uri: str = "sqlite:///mlflow.db"
    ledger_root: Path = Path("results")
    checkpoint_seconds: float = Field(default=30, ge=0)
    keep_weights: Literal["all", "leading", "none"] = "all"  # of the best epoch; what is not kept is trained again
    worker_retries: int = Field(default=3, ge=0)
    trial_hours: Annotated[float, Field(gt=0)] | None = None  # a trial that takes longer is taken to hang
    budget: Budget = Budget()
    failed_share_limit: float = Field(default=0.2, ge=0, le=1)

    @property
    def threads(self) -> int:
        """How many threads a trial computes with."""
        return max(1, int(self.cpus_per_trial))


class Params(Section):
    """The whole of `params.yaml`, with the shared defaults already laid under each suite."""

    active: Annotated[tuple[str, ...], Field(min_length=1), AfterValidator(_without_repeats)]
    suites: Mapping[str, Suite]
    studies: Studies = Studies()
    resources: Resources = Resources()

    def suite(self, name: str) -> Suite:
        """Return the suite called `name`.

        Raises:
            UserError: there is none.
        """
        if name not in self.suites:
            allowed = ", ".join(sorted(self.suites))
            raise UserError(
                f"unknown suite `{name}`{nearest(name, self.suites)} Allowed: {allowed} (suites of params.yaml)."
            )
        return self.suites[name]


def load_params(path: Path = PARAMS_FILE) -> Params:
    """Read and check `params.yaml`.

    Raises:
        UserError: the file is missing, is not YAML, or a field is wrong; the message names it.
    """
    try:
        raw = yaml.safe_load(path.read_text())
    except FileNotFoundError as error:
        raise UserError(f"{path}: there is no such file here; run from the project's root.") from error
    except yaml.YAMLError as error:
        raise UserError(f"{path}: not valid YAML: {' '.join(str(error).split())}.") from error
    if not isinstance(raw, Mapping):
        raise UserError(f"{path}: found {type(raw).__name__}, allowed is a mapping with the keys active, suites.")
    return parse_params(raw, source=str(path))


def parse_params(raw: Mapping[str, Any], source: str = "params.yaml") -> Params:
    """Check the content of a `params.yaml`; see `load_params`."""
    merged = {key: value for key, value in raw.items() if key != "defaults"}
    defaults = _mapping(raw.get("defaults") or {}, "defaults", source)
    suites = _mapping(raw.get("suites") or {}, "suites", source)
    merged["suites"] = {
        name: _with_defaults(_mapping(suite, f"suites.{name}", source), defaults) for name, suite in suites.items()
    }
    try:
        params = Params.model_validate(merged)
    except ValidationError as error:
        raise UserError(_sentence(error, raw, source)) from error
    for position, name in enumerate(params.active):
        if name not in params.suites:
            allowed = ", ".join(sorted(params.suites))
            raise UserError(
                f"{source}: `active[{position}]` is `{name}`, an unknown suite{nearest(name, params.suites)} Allowed: {allowed}."
            )
    return params


def _mapping(value: Any, path: str, source: str) -> Mapping[str, Any]:
    if not isinstance(value, Mapping):
        raise UserError(f"{source}: `{path}` is {value!r}; allowed is a mapping of names to values.")
    return value


def _with_defaults(suite: Mapping[str, Any], defaults: Mapping[str, Any]) -> dict[str, Any]:
    """Lay `defaults` under `suite`, section by section; a field the suite names replaces the default whole."""
    merged = dict(suite)
    for section, fields in defaults.items():
        own = merged.get(section, {})
        if isinstance(fields, Mapping) and isinstance(own, Mapping) and section != "network":
            merged[section] = {**fields, **own}
        else:
            merged.setdefault(section, fields)
    return merged


def _sentence(error: ValidationError, raw: Mapping[str, Any], source: str) -> str:
    """Say the first mistake of `error` as one sentence."""
    first = error.errors()[0]
    parts = list(first["loc"])
    path = _dotted(_blame_defaults(parts, raw))
    if first["type"] == "extra_forbidden":
        allowed = _fields_at(parts[:-1])
        return f"{source}: `{path}` is an unknown key{nearest(str(parts[-1]), allowed)} Allowed: {', '.join(allowed)}."
    if first["type"] == "missing":
        return f"{source}: `{path}` is missing; add it (see the suites that come with the project)."
    if first["type"] == "too_short":
        return f"{source}: `{path}` is empty; allowed is a list of at least one value."
    message = first["msg"]
    if message.startswith("Value error, "):
        return f"{source}: `{path}` is {first['input']!r}: {message.removeprefix('Value error, ')}."
    return f"{source}: `{path}` is {first['input']!r}; it should be {message.removeprefix('Input should be ')}."


def _blame_defaults(parts: list[int | str], raw: Mapping[str, Any]) -> list[int | str]:
    """Return the path as it stands in the file: `defaults....` where the wrong value stands there."""
    if len(parts) < 4 or parts[0] != "suites":
        return parts
    own = raw["suites"][parts[1]].get(parts[2])
    if isinstance(own, Mapping) and parts[3] in own:
        return parts
    shared = (raw.get("defaults") or {}).get(parts[2])
    return ["defaults", *parts[2:]] if isinstance(shared, Mapping) and parts[3] in shared else parts


def _dotted(parts: list[int | str]) -> str:
    return "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in parts).removeprefix(".")


def _fields_at(parts: list[int | str]) -> list[str]:
    """Return the keys allowed in the section at `parts`."""
    if not parts:
        return [*Params.model_fields, "defaults"]
    first: dict[str, type[BaseModel]] = {"resources": Resources, "studies": Studies}
    model = first.get(str(parts[0]), Suite)
    for part in parts[1:] if parts[0] in first else parts[2:]:
        annotation = model.model_fields[str(part)].annotation
        if isinstance(annotation, type) and issubclass(annotation, BaseModel):
            model = annotation
    return list(model.model_fields)
