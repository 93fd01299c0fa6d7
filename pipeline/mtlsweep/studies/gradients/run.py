"""The experiment `gradients`: do gradients of tasks conflict more than gradients of samples do?

A finished trial of the suite is trained again, bit for bit, and measured meanwhile. The tables say
how the measures of `mtlsweep.studies.gradients.meter` are distributed in every epoch, and how much tasks and
samples differ over the whole training.
"""

from __future__ import annotations

import torch

from mtlsweep import paths
from mtlsweep.files import indented_json, write_atomically
from mtlsweep.params.params import Params
from mtlsweep.params.studies import find_section
from mtlsweep.record.ledger import Ledger
from mtlsweep.record.tables.parquet import write_table
from mtlsweep.studies.finished_trials import ChosenTrial, FinishedSuite
from mtlsweep.studies.gradients.params import Gradients
from mtlsweep.studies.gradients.watcher import (
    EFFECT_COLUMNS,
    EPOCH_COLUMNS,
    SHARE_COLUMNS,
    Measured,
    cell_labels,
    concatenate,
    measure_training,
)
from mtlsweep.suites.prepared.splits import open_prepared
from mtlsweep.training.device import choose_device, torch_threads

EPOCHS, EFFECTS, SHARES = "epochs.parquet", "effects.parquet", "shares.parquet"
ABOUT, COSTS = "about.json", "costs.json"


def run(params: Params, suite: str) -> str:
    """Measure the suite's chosen cells and write tables under `results/<suite>/gradients/`; return where they are.

    `costs.json` holds times and is not part of the result.

    Raises:
        UserError: the suite is not analysed, a named cell has not finished, or the ledger has lost a trial.
    """
    section, directory = find_section(params.suite(suite).studies, Gradients), paths.results(suite) / "gradients"
    measured: list[tuple[ChosenTrial, Measured]] = []
    if section.enabled:
        data = open_prepared(paths.prepared(suite))
        finished, ledger = FinishedSuite.read(paths.results(suite)), Ledger(params.resources.ledger_root, suite)
        cells = [finished.named(cell) for cell in section.cells] or [finished.best_equal_weights()]
        device = torch.device(choose_device(params.resources.device))
        for cell in cells:
            for chosen in finished.replicates(cell, section.seeds, ledger, params.suite(suite).network):
                with torch_threads(params.resources.threads):
                    measured.append((chosen, measure_training(chosen, data, section, device)))
    epochs = [one.epochs.assign(**cell_labels(chosen)) for chosen, one in measured]
    effects = [one.effects.assign(**cell_labels(chosen)) for chosen, one in measured]
    write_table(directory / EPOCHS, concatenate(epochs, EPOCH_COLUMNS))
    write_table(directory / EFFECTS, concatenate(effects, EFFECT_COLUMNS))
    shares = [one.shares.assign(**cell_labels(chosen)) for chosen, one in measured]
    write_table(directory / SHARES, concatenate(shares, SHARE_COLUMNS))
    about = [{**cell_labels(chosen), **one.about} for chosen, one in measured]
    costs = {chosen.trial.key: dict(zip(("measuring", "total"), one.seconds, strict=True)) for chosen, one in measured}
    for name, content in ((ABOUT, about), (COSTS, costs)):
        write_atomically(directory / name, indented_json(content))
    return f"-> {directory}" if section.enabled else "not enabled"
