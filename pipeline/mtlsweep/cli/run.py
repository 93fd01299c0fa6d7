"""`mtlsweep run`: train one trial in this process."""

from __future__ import annotations

from typing import Annotated

import typer

from mtlsweep.cli.app import Json, app, show, user_errors
from mtlsweep.params.params import load_params
from mtlsweep.studies.training_stages import training_stages
from mtlsweep.trials.metric_names import of_split


@app.command()
def run(key: Annotated[str, typer.Argument(help="Trial key or a prefix of it.")], json_output: Json = False) -> None:
    """Train one trial in this process, for a debugger; nothing is recorded."""
    from mtlsweep.sweep.control.run_one import run_alone
    from mtlsweep.trials.curve import EpochRecord
    from mtlsweep.trials.state import state_to_json

    def report(record: EpochRecord) -> None:
        if not json_output:
            values = ", ".join(f"{k} {v:.4g}" for k, v in of_split(record.metrics, "val").items())
            print(f"epoch {record.epoch} ({record.seconds:.1f} s): {values}", flush=True)

    with user_errors():
        trial, state = run_alone(load_params(), key, report, training_stages)
        cause = f" ({state.cause}: {state.detail})" if state.cause else ""
        show(state_to_json(state), [f"{trial.key} {trial.name}: {state.outcome}{cause}"], json_output)
