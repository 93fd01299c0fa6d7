"""`mtlsweep new`, `schema` and `stage`: a project of one's own, and what its files call."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer

from mtlsweep.cli.app import app, user_errors


@app.command()
def new(
    folder: Annotated[
        Path | None, typer.Argument(help="The project's folder, such as `my-study`; it may exist.")
    ] = None,
    example: Annotated[str, typer.Option(help="What its first suite is about: `table`, `images` or `qm9`.")] = "table",
    upgrade: Annotated[
        bool,
        typer.Option("--upgrade", help="Change nothing; show what the installed version has changed for a project."),
    ] = False,
) -> None:
    """Make a project of your own: a git and DVC repository with an example that runs, or --upgrade one."""
    from mtlsweep.project.creation import create_project
    from mtlsweep.project.upgrade import describe_upgrade

    with user_errors():
        lines = describe_upgrade(folder or Path()) if upgrade else create_project(folder, example)
        for line in lines:
            print(line)


@app.command()
def schema() -> None:
    """Print the JSON schema of params.yaml, by which editors complete and check it."""
    from mtlsweep.project.params_schema import params_schema

    print(json.dumps(params_schema(), indent=1))


@app.command("stage")
def run_stage(
    stage: Annotated[str, typer.Argument(help="Name of the stage in dvc.yaml, or `study`.")],
    words: Annotated[
        list[str] | None, typer.Argument(metavar="[SUITE]", help="The suite; for `study` its name, then the suite.")
    ] = None,
) -> None:
    """Run one stage of dvc.yaml; `dvc repro` calls this for each that must run."""
    from mtlsweep.project.dvc_stages import run_by_name

    raise typer.Exit(run_by_name(stage, words or []))
