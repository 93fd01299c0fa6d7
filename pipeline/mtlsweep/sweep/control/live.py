"""Data for `mtlsweep watch`: what `mtlsweep status` and `failures` say, costs, and what the sweep has found so far."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Mapping
from typing import Any

from mtlsweep.analysis.objectives import Objective
from mtlsweep.errors import UserError
from mtlsweep.params.params import Params
from mtlsweep.params.suite import Stage
from mtlsweep.record.ledger import Ledger
from mtlsweep.sweep.control.failures import failures_among
from mtlsweep.sweep.control.findings import describe_baselines, find_baselines, find_so_far
from mtlsweep.sweep.control.seen_trials import SeenTrials
from mtlsweep.sweep.control.status import StageStatus, read_stages
from mtlsweep.sweep.lease import find_holder
from mtlsweep.sweep.plan.planned_keys import read_planned_keys, read_planned_metrics
from mtlsweep.sweep.reference import Reference
from mtlsweep.sweep.retry_command import retry_hint
from mtlsweep.trials.state import Outcome


class LiveSuite:
    """What there is to see of one suite; each look reads what is new.

    Args:
        suite: its name.
        ledger: of the suite.
    """

    def __init__(self, suite: str, ledger: Ledger) -> None:
        self._suite = suite
        self._ledger = ledger
        self._seen = SeenTrials(ledger)
        self._baselines = _NO_BASELINES
        self._reference: Reference | None = None
        self._found: tuple[int, dict[str, Any]] = (-1, {"methods": [], "front": None})
        self._compared: list[object] = []

    def look(self, trained: Mapping[Stage, Params], seconds: float) -> dict[str, Any]:
        """Return the present state as plain data.

        Args:
            trained: the stages of the suite that train, with the params of each.
            seconds: how long new trials may be read; the next looks read the rest.

        Raises:
            UserError: invalid params, missing raw data, or a ledger that cannot be read.
        """
        holder = find_holder(self._ledger)
        objectives = self._read_baselines(trained["baselines"])
        self._seen.read(self._reference, seconds)
        by_stage = read_stages(trained, self._suite, self._ledger, self._seen)
        self._notice_changes(by_stage)
        price = trained["sweep"].resources.price_per_device_hour
        return {
            "suite": self._suite,
            "holder": holder,
            "unread": self._seen.unread,
            "stages": {stage: one.to_json(holder is not None) for stage, one in by_stage.items()},
            "costs": self._costs(by_stage, price, holder is not None),
            "failures": self._failures(),
            "baselines": self._baselines,
            "found": self._find(objectives, by_stage["sweep"]),
        }

    def _read_baselines(self, params: Params) -> tuple[Objective, ...]:
        """Read the single-task trials, if there are others than before; return the metrics of the suite."""
        keys, metrics = _planned(params, self._suite)
        objectives = tuple(Objective(**definition) for definition in metrics)
        finished = [key for key, *_ in self._ledger.read_ends(keys)]
        if finished == self._baselines["trials"]:
            return objectives
        self._reference, self._baselines = None, {**_NO_BASELINES, "trials": finished}
        try:
            baselines = find_baselines(list(self._ledger.read_those(finished)), objectives)
            reference = Reference(objectives, baselines.values)
            reference.compare([], "val")
        except UserError as error:
            self._baselines["missing"] = str(error)
        else:
            self._reference = reference
            self._baselines |= {"metrics": describe_baselines(baselines), "missing": None}
        return objectives

    def _notice_changes(self, by_stage: Mapping[Stage, StageStatus]) -> None:
        """Let unsettled trials be read again when the driver counts other outcomes."""
        theirs = [one.progress.get("outcomes") for one in by_stage.values()]
        ours = [one.to_json(is_running=True)["outcomes"] for one in by_stage.values()]
        differ = any(their is not None and their != our for their, our in zip(theirs, ours, strict=True))
        if differ and not self._seen.unread and theirs != self._compared:
            self._compared = [*theirs]
            self._seen.read_unsettled_again()

    def _find(self, objectives: tuple[Objective, ...], sweep: StageStatus) -> dict[str, Any]:
        """Return what is found among the trials of the sweep; while the ledger is being read, what was found before."""
        if self._found[0] != self._seen.version and not self._seen.unread:
            own = [one for one in self._seen.read_all() if one.trial.key in sweep.ends]
            self._found = self._seen.version, find_so_far(own, self._seen.measured, objectives)
        return self._found[1]

    def _failures(self) -> dict[str, Any]:
        """Return failures by outcome and cause, most first, each with one trial that shows it."""
        failures = failures_among(self._seen.read_all())
        counts = Counter((one.outcome, one.cause) for one in failures)
        examples = {(one.outcome, one.cause): one for one in reversed(failures)}
        failed = [one.trial for one in self._seen.read_all() if one.state.outcome is Outcome.FAILED]
        return {
            "causes": [
                {"outcome": outcome, "cause": cause, "count": count, "name": example.name}
                | {"detail": example.detail, "repeat": example.repeat}
                for (outcome, cause), count in counts.most_common()
                for example in [examples[outcome, cause]]
            ],
            "retry": retry_hint(self._suite, failed) if failed else None,
        }

    def _costs(self, by_stage: Mapping[Stage, StageStatus], price: float | None, is_running: bool) -> dict[str, Any]:
        """Return device-hours by stage: spent, and left by the driver's last forecast.

        What a driver said of its running trials counts while it lives: later they are finished, or among the paused ones.
        """
        hours: defaultdict[str, float] = defaultdict(float)
        stage_of = {key: stage for stage, one in by_stage.items() for key in one.ends}
        for one in self._seen.read_all():
            hours[stage_of.get(one.trial.key, "other")] += one.execution.cost_seconds / 3600
        seconds = sum(status.progress.get("device_seconds_unfinished", 0.0) for status in by_stage.values())
        running = seconds / 3600 if is_running else 0.0
        paused = sum(one.execution.cost_seconds for one in self._ledger.read_paused()) / 3600
        left = {stage: _hours_left(one) for stage, one in by_stage.items()}
        known = [own for own in left.values() if own is not None]
        return {
            "price": price,
            "stages": {stage: {"spent": hours[stage], "left": left[stage]} for stage in by_stage},
            "others": hours["other"],
            "unfinished": running + paused,
            "spent": sum(hours.values()) + running + paused,
            "left": sum(known) if known else None,
        }


_NO_BASELINES: dict[str, Any] = {"trials": [], "metrics": [], "missing": "no single-task trial is finished"}


def _planned(params: Params, suite: str) -> tuple[list[str], list[dict[str, Any]]]:
    """Return keys and metrics of the planned baselines."""
    keys = read_planned_keys(params, suite, "baselines")
    metrics = read_planned_metrics(params, suite, "baselines")
    if keys is None or metrics is None:
        from mtlsweep.sweep.plan.plan import open_plan  # imports torch, which takes seconds

        plan = open_plan(params, suite, "baselines")
        return sorted(trial.key for trial in plan.trials), list(plan.metrics)
    return keys, metrics


def _hours_left(status: StageStatus) -> float | None:
    """Return hours of training left; None while nobody knows them."""
    if len(status.ends) >= status.planned:
        return 0.0
    left = status.progress.get("device_seconds_left")
    return None if left is None else left / 3600
