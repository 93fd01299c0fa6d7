"""The keys of a stage's planned trials, kept beside the ledger.

Making a plan imports torch and hashes every cell. `mtlsweep status` needs only the keys, so whoever
makes the plan of a stage writes them down, together with a hash of everything they follow from.
"""

from __future__ import annotations

import json
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

from mtlsweep import paths
from mtlsweep.files import content_hash, write_atomically
from mtlsweep.params.params import Params
from mtlsweep.params.suite import Stage
from mtlsweep.record.ledger import Ledger
from mtlsweep.trials.cell import SCHEMA_VERSION, TRAINER_VERSION

if TYPE_CHECKING:  # it imports torch, which takes seconds
    from mtlsweep.sweep.plan.plan import Plan


def write_planned_keys(params: Params, suite: str, stage: Stage, plan: Plan) -> None:
    """Keep the keys of a plan, unless it is adaptive or its ledger was not begun; a full disk is no error here."""
    if plan.is_adaptive or not plan.ledger.directory.exists():
        return
    content = {"basis": _basis(params, suite, stage), "keys": [trial.key for trial in plan.trials]}
    with suppress(OSError):
        write_atomically(_path(plan.ledger, stage), json.dumps(content).encode())


def read_planned_keys(params: Params, suite: str, stage: Stage, ledger: Ledger) -> list[str] | None:
    """Return the keys of the plan that params and data at hand lead to, or None if they were not kept."""
    try:
        content = json.loads(_path(ledger, stage).read_bytes())
    except (OSError, ValueError):
        return None
    keys: list[str] = content["keys"]
    return keys if content["basis"] == _basis(params, suite, stage) else None


def _basis(params: Params, suite: str, stage: Stage) -> str:
    section = params.suite(suite)
    chosen = section.baselines if stage == "baselines" else section.sweep
    try:
        fingerprint = json.loads(paths.prepared_summary(suite).read_bytes())["fingerprint"]
    except (OSError, ValueError, KeyError):
        fingerprint = None
    sections = (section.data, section.network, section.training, chosen)
    return content_hash(
        [SCHEMA_VERSION, TRAINER_VERSION, suite, fingerprint, *(one.model_dump(mode="json") for one in sections)]
    )


def _path(ledger: Ledger, stage: Stage) -> Path:
    return ledger.directory / f"plan-{stage}.json"
