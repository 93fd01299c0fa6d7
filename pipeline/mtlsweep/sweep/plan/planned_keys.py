"""The planned keys of a stage in a file: what `dvc repro` follows, and what `mtlsweep status` reads.

`results/<suite>/plan/<stage>.json` changes when and only when the stage has something else to do. Making a plan
imports torch and hashes every cell, which takes seconds. So as long as nothing has changed, the file is read instead.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mtlsweep import paths
from mtlsweep.errors import UserError
from mtlsweep.files import content_hash, indented_json, write_if_changed
from mtlsweep.params.followed import read_followed, write_followed
from mtlsweep.params.params import Params
from mtlsweep.params.suite import Stage

if TYPE_CHECKING:  # it imports torch
    from mtlsweep.sweep.plan.plan import Plan


def write_plans(trained: Mapping[Stage, Params], suite: str) -> None:
    """Write the plan of each stage of a suite, if anything has changed on which it depends.

    Args:
        trained: the params under which each stage trains.
        suite: its name.

    Raises:
        UserError: as `open_plan`, or the files cannot be written.
    """
    for stage, params in trained.items():
        if _read(params, suite, stage) is None:
            from mtlsweep.sweep.plan.plan import open_plan  # imports torch

            try:
                write_plan(params, suite, stage, open_plan(params, suite, stage))
            except OSError as error:
                raise UserError(f"`{paths.plan(suite)}` cannot be written ({error.strerror}).") from error


def write_plan(params: Params, suite: str, stage: Stage, plan: Plan) -> None:
    """Write a plan and what it depends on.

    Raises:
        OSError: the data is not prepared, or the files cannot be written.
    """
    files = {path for cell in plan.cells for path in cell.files()}
    write_followed(_path(suite, stage), _content(plan), _values(params, suite, stage), files)


def write_no_plan(suite: str, stage: Stage) -> None:
    """Write that a stage has nothing to train: DVC wants every file that a stage depends on.

    Raises:
        UserError: the file cannot be written.
    """
    path = _path(suite, stage)
    try:
        write_if_changed(path, indented_json({}))
    except OSError as error:
        raise UserError(f"`{path}` cannot be written ({error.strerror}).") from error


def read_planned_keys(params: Params, suite: str, stage: Stage) -> list[str] | None:
    """Return the keys of the plan that params, code and data at hand lead to; None if it is adaptive or not written."""
    content = _read(params, suite, stage)
    return None if content is None or "trials" not in content else list(content["trials"])


def read_planned_metrics(params: Params, suite: str, stage: Stage) -> list[dict[str, Any]] | None:
    """Return what the plan measures, see `metric_definitions`; None if no plan is written that params, code and data lead to."""
    content = _read(params, suite, stage)
    return None if content is None else list(content["metrics"])


def plan_hash(plan: Plan) -> str:
    """Return a hash of what the stage has to do; it goes into the stage's provenance when that is complete."""
    return content_hash(_content(plan))


def is_complete(params: Params, suite: str, stage: Stage, finished: int) -> bool:
    """Return whether the stage was complete by its present plan with so many finished trials: a race needs only a part of the plan."""
    try:
        ended = json.loads((paths.stage_tables(suite, stage) / "provenance.json").read_bytes())
        if ended["trials"] != finished:  # as while it runs: the plan need not be read and hashed
            return False
        content = _read(params, suite, stage)
        return content is not None and bool(ended["plan"] == content_hash(content))
    except (OSError, ValueError, KeyError):  # it never was complete, or an earlier version wrote it
        return False


def _content(plan: Plan) -> dict[str, Any]:
    """Return what a stage has to do. An adaptive plan is its space, as its trials are not known in advance."""
    from mtlsweep.sweep.strategies import STRATEGIES  # imports torch

    content = {
        "strategy": {**plan.strategy.model_dump(mode="json"), "content": STRATEGIES.content(plan.strategy)},
        "metrics": list(plan.metrics),
    }
    if plan.is_adaptive:
        return {**content, "space": plan.space.key, "seeds": list(plan.seeds)}
    return {**content, "trials": dict(sorted((trial.key, trial.name) for trial in plan.trials))}


def _read(params: Params, suite: str, stage: Stage) -> dict[str, Any] | None:
    try:
        content: dict[str, Any] | None = read_followed(_path(suite, stage), _values(params, suite, stage))
    except (OSError, ValueError, KeyError):  # the data is not prepared
        return None
    return content


def _values(params: Params, suite: str, stage: Stage) -> list[Any]:
    """Return the params and the prepared data on which a plan depends."""
    section = params.suite(suite).model_dump(
        mode="json", include={"data", "network", "training", "baselines" if stage == "baselines" else "sweep"}
    )
    summary = json.loads(paths.prepared_summary(suite).read_bytes())
    return [suite, section, summary["fingerprint"], summary["tasks"]]


def _path(suite: str, stage: Stage) -> Path:
    return paths.plan(suite) / f"{stage}.json"
