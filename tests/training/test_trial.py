"""One trial: equal seeds give equal metrics, a resumed trial is the same trial, and divergence is an outcome."""

from __future__ import annotations

import io
from collections.abc import Callable, Mapping

import pytest
import torch
from safetensors.torch import load as load_safetensors

from mtlsweep.methods.optimizers import OPTIMIZERS
from mtlsweep.methods.weighting import WEIGHTINGS
from mtlsweep.params.choice import Choice
from mtlsweep.params.suite import Schedule, Training
from mtlsweep.suites.networks import NETWORKS
from mtlsweep.suites.prepared.splits import PreparedData
from mtlsweep.training.epoch import build_network, learning_rate_factor
from mtlsweep.training.seeds import stream, stream_seed
from mtlsweep.training.trial import EpochEnd, run_trial
from mtlsweep.trials.state import Finished, Outcome
from mtlsweep.trials.trial import Trial

pytestmark = pytest.mark.slow

CPU = torch.device("cpu")


def digits_trial(
    make_trial: Callable[..., Trial], data: PreparedData, weighting: str = "cagrad", seed: int = 0, **changes: object
) -> Trial:
    fields: dict[str, object] = {
        "tasks": tuple(task.name for task in data.tasks),
        "network": NETWORKS.resolve(Choice(name="lenet")),
        "weighting": WEIGHTINGS.resolve(Choice(name=weighting)),
        "optimizer": OPTIMIZERS.resolve(Choice(name="adam")),
        "training": Training(epochs=3, batch_size=32, schedule=Schedule(kind="step", every=2)),
        "data_fingerprint": data.fingerprint,
    }
    return make_trial(seed, **{**fields, **changes})


def validation_loss(metrics: Mapping[str, float]) -> float:
    return next(metrics[name] for name in sorted(metrics) if name.startswith("val/") and name.endswith("/loss"))


def train(
    trial: Trial, data: PreparedData, resume: bytes | None = None
) -> tuple[Finished, list[EpochEnd], list[bytes]]:
    ends: list[EpochEnd] = []
    points: list[bytes] = []

    def report(end: EpochEnd) -> None:
        ends.append(end)
        points.append(end.resume_point())

    result = run_trial(trial, data, report, score=validation_loss, device=CPU, resume=resume)
    assert isinstance(result, Finished)
    return result, ends, points


def metrics_of(result: Finished) -> list[object]:
    return [record.metrics for record in result.curve]


@pytest.mark.parametrize("weighting", ["ew", "uw", "rlw", "pcgrad"])
def test_equal_seeds_give_equal_metrics(make_trial: Callable[..., Trial], digits: PreparedData, weighting: str) -> None:
    trial = digits_trial(make_trial, digits, weighting)
    first = train(trial, digits)[0]
    torch.rand(7)  # a reused process has drawn numbers before
    assert metrics_of(train(trial, digits)[0]) == metrics_of(first)
    other = digits_trial(make_trial, digits, weighting, seed=1)
    assert metrics_of(train(other, digits)[0]) != metrics_of(first)


@pytest.mark.parametrize("weighting", ["uw", "rlw", "imtl"])
@pytest.mark.parametrize("stopped_after", [1, 2])
def test_a_resumed_trial_is_the_same_trial(
    make_trial: Callable[..., Trial], digits: PreparedData, weighting: str, stopped_after: int
) -> None:
    trial = digits_trial(make_trial, digits, weighting)
    whole, _, points = train(trial, digits)
    resumed, ends, _ = train(trial, digits, resume=points[stopped_after - 1])
    assert metrics_of(resumed) == metrics_of(whole)
    assert resumed.curve[:stopped_after] == whole.curve[:stopped_after], "the past keeps its times, too"
    assert [end.record.epoch for end in ends] == list(range(stopped_after + 1, 4))


def test_resume_points_are_no_pickles(make_trial: Callable[..., Trial], digits: PreparedData) -> None:
    _, _, points = train(digits_trial(make_trial, digits), digits)
    content = torch.load(io.BytesIO(points[0]), weights_only=True)
    assert sorted(content) == ["best_score", "curve", "network", "updater"]


def test_validation_and_test_are_measured_at_the_same_epochs(
    make_trial: Callable[..., Trial], digits: PreparedData
) -> None:
    result = train(digits_trial(make_trial, digits), digits)[0]
    for record in result.curve:
        names = set(record.metrics)
        assert {name.removeprefix("val/") for name in names if name.startswith("val/")} == {
            name.removeprefix("test/") for name in names if name.startswith("test/")
        }
        assert {"val/left/accuracy", "val/mass/mae", "val/mass/r2", "train/left/loss", "train/left/weight"} <= names


def test_the_best_epoch_by_the_given_score_is_marked_and_its_weights_are_whole(
    make_trial: Callable[..., Trial], digits: PreparedData
) -> None:
    trial = digits_trial(make_trial, digits)
    _, ends, _ = train(trial, digits)
    scores = [validation_loss(end.record.metrics) for end in ends]
    assert [end.is_best for end in ends] == [
        score < min(scores[:i], default=float("inf")) for i, score in enumerate(scores)
    ]
    network = build_network(trial, digits, CPU)
    network.load_state_dict(load_safetensors(ends[-1].weights()))


@pytest.mark.parametrize("optimizer", ["sgd", "adam"])
def test_divergence_is_an_outcome_with_its_place(
    make_trial: Callable[..., Trial], digits: PreparedData, optimizer: str
) -> None:
    wild = digits_trial(
        make_trial, digits, "ew", learning_rate=1e4, optimizer=OPTIMIZERS.resolve(Choice(name=optimizer))
    )
    result, ends, _ = train(wild, digits)
    assert result.outcome is Outcome.DIVERGED
    assert result.cause in ("nan", "explosion")
    assert (result.detail or "").startswith(f"epoch {len(ends) + 1}: ")


def test_a_trial_refuses_data_it_was_not_planned_on(make_trial: Callable[..., Trial], digits: PreparedData) -> None:
    with pytest.raises(ValueError, match="was planned on data eeee"):
        train(digits_trial(make_trial, digits, data_fingerprint="e" * 64), digits)


def test_a_baseline_trains_its_own_task_alone(make_trial: Callable[..., Trial], digits: PreparedData) -> None:
    trial = digits_trial(make_trial, digits, "ew", role="stl", tasks=("mass",))
    names = {name for record in train(trial, digits)[0].curve for name in record.metrics}
    assert {name.split("/")[1] for name in names} == {"mass"}


GOLDEN = {"val/left/loss": 1.771609, "val/right/loss": 1.918503, "val/mass/mae": 0.710650}


def test_the_golden_trial(make_trial: Callable[..., Trial], digits: PreparedData) -> None:
    """When this fails, training has come to mean something else: bump TRAINER_VERSION, then pin the new values."""
    trial = digits_trial(make_trial, digits, "uw", learning_rate=3e-3, training=Training(epochs=6, batch_size=8))
    last = train(trial, digits)[0].curve[-1].metrics
    assert {name: last[name] for name in GOLDEN} == pytest.approx(
        GOLDEN, rel=2e-3
    )  # other processors round differently


@pytest.mark.parametrize(
    ("schedule", "factors"),
    [
        (Schedule(kind="constant"), [1, 1, 1, 1, 1]),
        (Schedule(kind="step", every=2, factor=0.5), [1, 1, 0.5, 0.5, 0.25]),
        (Schedule(kind="cosine"), [1, 0.904508, 0.654508, 0.345492, 0.095492]),
    ],
)
def test_schedules(schedule: Schedule, factors: list[float]) -> None:
    assert [learning_rate_factor(schedule, epoch, 5) for epoch in range(1, 6)] == pytest.approx(factors, abs=1e-6)


def test_random_streams_are_independent_and_pinned() -> None:
    assert stream_seed(0, "init") == 1519069808562059438
    assert (
        len({stream_seed(seed, name) for seed in (0, 1) for name in ("init", "order", "augmentation", "weighting")})
        == 8
    )
    assert torch.equal(torch.rand(3, generator=stream(3, "order", 1)), torch.rand(3, generator=stream(3, "order", 1)))
