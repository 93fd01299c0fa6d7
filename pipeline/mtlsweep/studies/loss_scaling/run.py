"""The experiment `loss_scaling`: measures what changes when the losses of two tasks are multiplied.

Two networks start from the same weights; one trains on the losses as they are, the other on losses multiplied by
`scales`. Both are trained by the project's own trainer. Where a method is invariant their updates
coincide; the verdict is the largest relative difference between them.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
from torch import Tensor

from mtlsweep import paths
from mtlsweep.files import write_atomically
from mtlsweep.methods.combination import check_combination
from mtlsweep.methods.optimizers import OPTIMIZERS
from mtlsweep.methods.weighting import WEIGHTINGS
from mtlsweep.params.choice import Choice
from mtlsweep.params.params import Params
from mtlsweep.params.studies import find_section
from mtlsweep.params.suite import Method
from mtlsweep.record.tables.parquet import write_table
from mtlsweep.studies.loss_scaling.course import PARTS, TARGETS, Course, train_course
from mtlsweep.studies.loss_scaling.params import LossScaling
from mtlsweep.training.device import torch_threads

CURVES, VERDICTS = "curves.parquet", "verdicts.csv"


@dataclass(frozen=True)
class LossScalingTables:
    """What the experiment found.

    Attributes:
        curves: weighting, optimizer, backbone (free, frozen), losses (unscaled, scaled), epoch, quantity
            (loss, scaled loss, gradient norm, update norm), part, value.
        verdicts: a row per weighting, optimizer, state of the backbone and part that moves: relative
            difference between scaled and unscaled update (`first`, `median` and `largest` over steps),
            `first_norm_ratio` of the two updates' lengths, and whether the first and all are `invariant`.
    """

    curves: pd.DataFrame
    verdicts: pd.DataFrame

    def write(self, directory: Path) -> None:
        """Write `curves.parquet` and `verdicts.csv`."""
        write_table(directory / CURVES, self.curves)
        write_atomically(directory / VERDICTS, self.verdicts.to_csv(index=False, lineterminator="\n").encode())


def run(params: Params, suite: str | None = None) -> str:
    """Run the experiment and write its tables under `results/loss_scaling/`; return a summary."""
    directory = paths.RESULTS / "loss_scaling"
    with torch_threads(1):  # for these small matrices, more threads only wait for each other
        tables = run_loss_scaling(find_section(params.studies, LossScaling))
    tables.write(directory)
    return f"{int(tables.verdicts['invariant'].sum())} of {len(tables.verdicts)} parts invariant -> {directory}"


def methods(section: LossScaling) -> list[tuple[Choice, Choice]]:
    """Return the weightings and optimizers that the experiment trains with."""
    return [(method.weighting, method.optimizer) for method in (*section.methods, *_equal(section))]


def _equal(section: LossScaling) -> list[Method]:
    """Return equal weights with each of the optimizers that get verdicts alone."""
    return [Method(weighting=Choice(name="ew"), optimizer=optimizer) for optimizer in section.optimizers]


def run_loss_scaling(section: LossScaling) -> LossScalingTables:
    """Train every method with scaled and unscaled losses, backbone free and frozen, and compare.

    Raises:
        UserError: an unknown name, a wrong option, or a pair that cannot be combined.
    """
    for weighting, optimizer in methods(section):
        check_combination(weighting, optimizer, list(TARGETS))
    curves: list[pd.DataFrame] = []
    verdicts: list[dict[str, object]] = []
    for method in section.methods:
        for state, courses in _courses(section, method, section.epochs):
            verdicts += _verdicts(method, state, courses, section.tolerance)
            for losses, course in zip(("unscaled", "scaled"), courses, strict=True):
                frame = pd.DataFrame(course.rows, columns=["epoch", "quantity", "part", "value"])
                curves.append(frame.assign(**_names(method), backbone=state, losses=losses))
    for method in _equal(section):
        for state, courses in _courses(section, method, section.optimizer_epochs):
            verdicts += _verdicts(method, state, courses, section.tolerance)
    order = ["weighting", "optimizer", "backbone", "losses", "epoch", "quantity", "part", "value"]
    return LossScalingTables(pd.concat(curves, ignore_index=True)[order], pd.DataFrame(verdicts))


def relative_differences(one: Tensor, other: Tensor) -> np.ndarray:
    """Return |other - one| / |one| of each row; 0 where neither moves."""
    difference, length = (other - one).norm(dim=1).numpy(), one.norm(dim=1).numpy()
    with np.errstate(divide="ignore", invalid="ignore"):
        ratio = difference / length
    return np.where(difference == 0, 0.0, ratio)


def _courses(section: LossScaling, method: Method, epochs: int) -> Iterator[tuple[str, tuple[Course, Course]]]:
    """Yield for a free and a frozen backbone the courses without and with scales."""
    for state in ("free", "frozen"):
        unscaled, scaled = (
            train_course(section, method, scales, state == "frozen", epochs) for scales in ((1.0, 1.0), section.scales)
        )
        yield state, (unscaled, scaled)


def _names(method: Method) -> dict[str, str]:
    return {"weighting": WEIGHTINGS.label(method.weighting), "optimizer": OPTIMIZERS.label(method.optimizer)}


def _verdicts(
    method: Method, state: str, courses: tuple[Course, Course], tolerance: float
) -> Iterator[dict[str, object]]:
    """Yield the verdict on each part that moves."""
    for part in PARTS if state == "free" else PARTS[1:]:
        yield {**_names(method), "backbone": state, **_verdict(part, *courses, tolerance)}


def _verdict(part: str, unscaled: Course, scaled: Course, tolerance: float) -> dict[str, object]:
    one, other = unscaled.updates[part], scaled.updates[part]
    steps = min(len(one), len(other))  # a run that diverged is shorter
    differences = relative_differences(one[:steps], other[:steps])
    moving = (one[:steps].norm(dim=1) > 0).nonzero()
    first = int(moving[0]) if len(moving) else 0  # SOAP's first step moves nothing
    whole = len(one) == len(other)
    return {
        "part": part,
        "first": differences[first],
        "median": float(np.median(differences)),
        "largest": differences.max() if whole else np.inf,
        "first_norm_ratio": float(other[first].norm() / one[first].norm()),
        "first_invariant": bool(differences[first] < tolerance),
        "invariant": whole and bool(differences.max() < tolerance),
    }
