"""DVC stage `loss_scaling`: what multiplying the losses changes, for each weighting and optimizer."""

from __future__ import annotations

import sys

from pipeline import paths
from pipeline.params import load_params
from pipeline.studies.loss_scaling import run_loss_scaling
from stages.command import run


def loss_scaling() -> str:
    """Run the experiment; return what came out."""
    directory = paths.RESULTS / "loss_scaling"
    tables = run_loss_scaling(load_params().studies.loss_scaling)
    tables.write(directory)
    return f"{int(tables.verdicts['invariant'].sum())} of {len(tables.verdicts)} parts invariant -> {directory}"


if __name__ == "__main__":
    sys.exit(run("loss_scaling", loss_scaling))
