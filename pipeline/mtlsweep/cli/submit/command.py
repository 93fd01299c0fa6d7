"""`mtlsweep submit`: `dvc repro` as a job on a Ray cluster."""

from __future__ import annotations

from typing import Annotated

import typer

from mtlsweep.cli.app import app, user_errors


@app.command()
def submit(
    address: Annotated[str, typer.Option(help="Job server of the cluster, such as http://HEAD:8265.")],
    stage: Annotated[str | None, typer.Option(help="One DVC stage and its dependencies; default: all stages.")] = None,
    directory: Annotated[
        str | None, typer.Option(help="Directory of the project on the head; default: ~/mtlsweep/<name>.")
    ] = None,
) -> None:
    """Run `dvc repro` on a Ray cluster as a job, and show its log until it ends."""
    from mtlsweep.cli.submit.client import submit as submit_project

    with user_errors():
        raise typer.Exit(submit_project(address, stage, directory))
