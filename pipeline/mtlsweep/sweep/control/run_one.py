"""One trial in this process, beside any sweep."""

from __future__ import annotations

from collections.abc import Callable

import torch

from mtlsweep.errors import UserError
from mtlsweep.params.params import Params
from mtlsweep.paths import prepared
from mtlsweep.suites.prepared.splits import open_prepared
from mtlsweep.sweep.control.clean_up import open_ledger
from mtlsweep.sweep.plan.plan import open_plan
from mtlsweep.training.device import choose_device
from mtlsweep.training.trial import EpochEnd, run_trial
from mtlsweep.trials.state import TrialResult
from mtlsweep.trials.trial import Trial


def run_alone(params: Params, key: str, report: Callable[[EpochEnd], None]) -> tuple[Trial, TrialResult]:
    """Train one planned or finished trial in this process, from the start; nothing is recorded.

    Raises:
        UserError: no trial, or more than one, begins with `key`.
        Exception: whatever the trial itself raises, for a debugger.
    """
    found: dict[str, Trial] = {}
    for suite in params.suites:
        ledger = open_ledger(params, suite)
        finished = {name: ledger.read(name).trial for name in ledger.finished_keys() if name.startswith(key)}
        planned: dict[str, Trial] = {}
        if suite in params.active:
            for stage in ("baselines", "sweep"):
                planned |= {t.key: t for t in open_plan(params, suite, stage).trials if t.key.startswith(key)}
        found |= planned | finished
    if len(found) != 1:
        raise UserError(
            f"{'no trial begins' if not found else f'{len(found)} trials begin'} with `{key}`; "
            "`mtlsweep failures` and the tags `trial_key` in MLflow show whole keys."
        )
    (trial,) = found.values()
    data = open_prepared(prepared(trial.cell.suite))
    device = torch.device(choose_device(params.resources.device))
    torch.set_num_threads(params.resources.threads)
    return trial, run_trial(trial, data, report, score=lambda metrics: 0.0, device=device)
