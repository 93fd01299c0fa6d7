"""DVC stage `loss_scaling`: what multiplying the losses changes, for each weighting and optimizer."""

from __future__ import annotations

import sys

from pipeline import paths
from pipeline.errors import UserError
from pipeline.params import load_params
from pipeline.studies.loss_scaling import run_loss_scaling


def main() -> int:
    """Run the experiment; return the exit code."""
    directory = paths.RESULTS / "loss_scaling"
    try:
        tables = run_loss_scaling(load_params().studies.loss_scaling)
    except UserError as error:
        print(f"loss_scaling: {error}", file=sys.stderr)
        return 2
    tables.write(directory)
    print(
        f"loss_scaling: {int(tables.verdicts['invariant'].sum())} of {len(tables.verdicts)} parts invariant -> {directory}"
    )
    return 0


if __name__ == "__main__":
    sys.exit(main())
