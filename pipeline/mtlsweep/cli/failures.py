"""`mtlsweep failures` and `mtlsweep retry`: list failed trials, and retry them."""

from __future__ import annotations

from dataclasses import asdict
from typing import Annotated

import typer

from mtlsweep.cli.app import Json, Suites, app, chosen_suites, show, user_errors
from mtlsweep.params.params import load_params


@app.command()
def failures(suites: Suites = None, json_output: Json = False) -> None:
    """List failed and diverged trials by cause, with the command that repeats each trial."""
    from mtlsweep.sweep.control.failures import list_failures

    with user_errors():
        params = load_params()
        found = [failure for suite in chosen_suites(params, suites) for failure in list_failures(params, suite)]
        lines = []
        for failure in found:
            lines.append(f"{failure.outcome} ({failure.cause}): {failure.name}   {failure.repeat}")
            lines += [f"    {line}" for line in failure.detail.strip().splitlines()[-1:]]
        show([asdict(failure) for failure in found], lines or ["no trial failed"], json_output)


@app.command()
def retry(
    suite: Annotated[str, typer.Argument(help="Suite whose failed trials to retry.")],
    keys: Annotated[
        list[str] | None, typer.Argument(help="Trial keys or prefixes; default: all failed trials.")
    ] = None,
    cause: Annotated[str | None, typer.Option(help="Only failures with this cause.")] = None,
    json_output: Json = False,
) -> None:
    """Delete the records of failed trials, so that the next run trains them again."""
    from mtlsweep.sweep.control.failures import retry as forget
    from mtlsweep.sweep.retry_command import training_command

    with user_errors():
        trials = forget(load_params(), suite, keys or [], cause)
        count = "1 trial" if len(trials) == 1 else f"{len(trials)} trials"
        again = f"{count} will be trained again by: {training_command(suite, trials)}"
        lines = [*(trial.name for trial in trials), again] if trials else ["no trial failed"]
        show([trial.key for trial in trials], lines, json_output)
