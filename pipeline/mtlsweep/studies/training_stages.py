"""Every stage of a suite that trains: its baselines, its sweep, and those of studies that train trials of their own."""

from __future__ import annotations

import importlib
from collections.abc import Iterator
from types import ModuleType

from mtlsweep.params.params import Params
from mtlsweep.params.studies import STUDIES
from mtlsweep.params.suite import STAGES, Stage


def training_stages(params: Params, suite: str) -> dict[Stage, Params]:
    """Return each stage that trains, in its order, with the params under whose `sweep` it trains.

    A study that trains has `sweeps.py` with `stages(params, suite)`, which changes the sweep of the suite to its own, and
    `later(params, suite)`, which says what cannot be planned yet. So its trials have plan, strategy, ledger, MLflow runs and tables as all others.

    Raises:
        UserError: unknown suite, or the study cannot be made of its sweep.
    """
    found = dict.fromkeys(STAGES, params)
    for module in _training_studies(params, suite):
        found |= module.stages(params, suite)
    return found


def later_stages(params: Params, suite: str) -> list[str]:
    """Return a sentence for each stage whose plan depends on results that are not there yet."""
    return [sentence for module in _training_studies(params, suite) for sentence in module.later(params, suite)]


def _training_studies(params: Params, suite: str) -> Iterator[ModuleType]:
    for name, section in params.suite(suite).studies:
        if section.trains and section.enabled:
            yield importlib.import_module(f"{STUDIES}.{name}.sweeps")
