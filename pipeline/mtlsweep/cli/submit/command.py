"""`mtlsweep submit`: `dvc repro` as a job on a Ray cluster."""

from __future__ import annotations

from typing import Annotated

import typer

from mtlsweep.cli.app import app, user_errors
from mtlsweep.errors import UserError


@app.command()
def submit(
    address: Annotated[str, typer.Option(help="Job server of the cluster, such as http://HEAD:8265.")],
    stage: Annotated[str | None, typer.Option(help="One DVC stage and its dependencies; default: all stages.")] = None,
    directory: Annotated[
        str | None, typer.Option(help="Directory of the project on the head; default: ~/mtlsweep/<name>.")
    ] = None,
    watch: Annotated[
        bool, typer.Option("--watch", help="Serve the live view on the head's loopback; the log says how to reach it.")
    ] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Show what would be sent, and send nothing.")] = False,
    attach: Annotated[
        str | None, typer.Option(metavar="JOB", help="Send nothing; follow a job that was submitted before.")
    ] = None,
) -> None:
    """Run `dvc repro` on a Ray cluster as a job, and show its log until it ends."""
    from mtlsweep.cli.submit import client

    with user_errors():
        if attach is not None:
            if stage or directory or watch or dry_run:
                raise UserError(
                    "`--attach` sends nothing; use it without `--stage`, `--directory`, `--watch` and `--dry-run`."
                )
            raise typer.Exit(client.attach(address, attach))
        if dry_run:
            client.dry_run(address, stage, directory, watch)
        else:
            raise typer.Exit(client.submit(address, stage, directory, watch))
