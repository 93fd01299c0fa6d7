"""The planned keys of a stage in a file: what `dvc repro` follows, and what `mtlsweep status` reads.

`results/<suite>/plan/<stage>.json` changes when and only when the stage has something else to do. Making a plan
imports torch and hashes every cell, so `<stage>.basis.json` beside it says what the file was made from.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mtlsweep import paths
from mtlsweep.errors import UserError
from mtlsweep.files import content_hash, file_hash, write_atomically
from mtlsweep.params.params import Params
from mtlsweep.params.source import PACKAGE_FOLDER, module_identity
from mtlsweep.params.suite import STAGES, Stage

if TYPE_CHECKING:  # it imports torch, which takes seconds
    from mtlsweep.sweep.plan.plan import Plan

OWN_NAME = re.compile(r"([\w.]+):\w+")


def write_plans(params: Params, suite: str) -> None:
    """Write the plan of every stage of a suite, if anything has changed that it follows from.

    Raises:
        UserError: as `open_plan`, or the files cannot be written.
    """
    for stage in STAGES:
        if _read(params, suite, stage) is None:
            from mtlsweep.sweep.plan.plan import open_plan  # imports torch, which takes seconds

            try:
                write_plan(params, suite, stage, open_plan(params, suite, stage))
            except OSError as error:
                raise UserError(f"`{paths.plan(suite)}` cannot be written ({error.strerror}).") from error


def write_plan(params: Params, suite: str, stage: Stage, plan: Plan) -> None:
    """Write a plan and what it follows from.

    Raises:
        OSError: the files cannot be written.
    """
    content = json.dumps(_content(plan), indent=1).encode() + b"\n"
    files = sorted(_files(plan))
    basis = {"plan": content_hash(content.hex()), "basis": _basis(params, suite, stage, files), "files": files}
    path = _path(suite, stage)
    if not path.exists() or path.read_bytes() != content:
        write_atomically(path, content)
    write_atomically(path.with_suffix(".basis.json"), json.dumps(basis).encode())


def read_planned_keys(params: Params, suite: str, stage: Stage) -> list[str] | None:
    """Return the keys of the plan that params, code and data at hand lead to; None if it is adaptive or not written."""
    content = _read(params, suite, stage)
    return None if content is None or "trials" not in content else list(content["trials"])


def _content(plan: Plan) -> dict[str, Any]:
    """Return what a stage has to do. An adaptive plan is its space, as its trials are not known in advance."""
    from mtlsweep.sweep.strategies import STRATEGIES  # imports torch, which takes seconds

    content = {
        "strategy": plan.strategy.model_dump(mode="json"),
        "strategy_content": STRATEGIES.content(plan.strategy),
        "metrics": list(plan.metrics),
    }
    if plan.is_adaptive:
        return {**content, "space": plan.space.key, "seeds": list(plan.seeds)}
    return {**content, "trials": dict(sorted((trial.key, trial.name) for trial in plan.trials))}


def _read(params: Params, suite: str, stage: Stage) -> dict[str, Any] | None:
    path = _path(suite, stage)
    with suppress(OSError, ValueError, KeyError, UserError):
        content = path.read_bytes()
        basis = json.loads(path.with_suffix(".basis.json").read_bytes())
        known = basis["plan"] == content_hash(content.hex())
        if known and basis["basis"] == _basis(params, suite, stage, basis["files"]):
            plan: dict[str, Any] = json.loads(content)
            return plan
    return None


def _basis(params: Params, suite: str, stage: Stage, files: Iterable[str]) -> str:
    """Hash what a plan follows from: params, prepared data, this package, own code and files.

    Raises:
        OSError: a file or the prepared data is missing.
        UserError: the source of own code is not found.
    """
    section = params.suite(suite).model_dump(mode="json", include={"data", "network", "training", stage})
    summary = json.loads(paths.prepared_summary(suite).read_bytes())
    what = [section, summary["fingerprint"], summary["tasks"]]
    modules = sorted({own[1] for name in _strings(what) if (own := OWN_NAME.fullmatch(name))})
    return content_hash(
        [
            suite,
            what,
            {module: module_identity(module) for module in modules},
            {file: file_hash(Path(file)) for file in files},
            [content_hash(path.read_bytes().hex()) for path in sorted(PACKAGE_FOLDER.rglob("*.py"))],
        ]
    )


def _strings(value: Any) -> Iterator[str]:
    """Yield every string in JSON, names of fields included."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict):
        for name, inner in value.items():
            yield from (name, *_strings(inner))
    elif isinstance(value, list):
        for inner in value:
            yield from _strings(inner)


def _files(plan: Plan) -> set[str]:
    """Return the files that options of the plan's cells name."""
    return {path for cell in plan.cells for path in cell.files()}


def _path(suite: str, stage: Stage) -> Path:
    return paths.plan(suite) / f"{stage}.json"
