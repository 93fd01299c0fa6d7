"""`mtlsweep`: what would run, how far it is, and the record of what ran."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.table import Table

from pipeline.errors import UserError
from pipeline.params import Params, load_params

app = typer.Typer(
    help="Which optimizer, which task weighting, which learning rate, and what does each cost the other tasks?",
    no_args_is_help=True,
    add_completion=False,
)
mlflow_app = typer.Typer(help="The MLflow record, a view of the ledger.", no_args_is_help=True)
app.add_typer(mlflow_app, name="mlflow")

Suites = Annotated[
    list[str] | None, typer.Argument(metavar="[SUITE]...", help="All active suites of params.yaml if none is named.")
]


@contextmanager
def user_errors() -> Iterator[None]:
    """Show a `UserError` as its one sentence, without a traceback, and exit with 2."""
    try:
        yield
    except UserError as error:
        print(f"mtlsweep: {error}", file=sys.stderr)
        raise typer.Exit(2) from None


@app.command("plan")
def show_plan(suites: Suites = None) -> None:
    """Show what would run: trials by method, and how many of them are finished."""
    from pipeline.sweep.plan import check_names, count_by_method
    from pipeline.sweep.context import open_plan

    with user_errors():
        params = load_params()
        for suite in _chosen(params, suites):
            check_names(suite, params.suite(suite))
            table = Table(
                "stage", "method", "planned", "finished", "to run", title=f"plan of {suite}", title_justify="left"
            )
            total = 0
            for stage in ("baselines", "sweep"):
                plan = open_plan(params, suite, stage)
                for row in count_by_method(plan.trials, plan.ledger.finished_keys()):
                    table.add_row(
                        stage, row.method, str(row.planned), str(row.finished), str(row.planned - row.finished)
                    )
                    total += row.planned - row.finished
            Console().print(table)
            print(f"{total} trials to run")


@app.command()
def status(suites: Suites = None) -> None:
    """Show how far each stage is; works from any shell, also while a sweep runs."""
    from pipeline.sweep.status import read_status

    with user_errors():
        params = load_params()
        for suite in _chosen(params, suites):
            for line in read_status(params, suite):
                print(line)


@app.command()
def ui(port: Annotated[int, typer.Option(help="Port on loopback.")] = 5000) -> None:
    """Open the MLflow UI on loopback."""
    from pipeline.tracking import resolve_uri

    with user_errors():
        uri = resolve_uri(load_params().resources.tracking_uri)
        if uri.startswith("http"):
            print(f"the MLflow UI is where the server is: {uri}")
            return
        if uri.startswith("sqlite:///") and not Path(uri.removeprefix("sqlite:///")).exists():
            raise UserError(f"{uri.removeprefix('sqlite:///')}: nothing is recorded yet; run `make repro` first.")
        print(f"MLflow UI: http://127.0.0.1:{port}  (Ctrl-C ends it)", flush=True)
        command = [
            sys.executable,
            "-m",
            "mlflow",
            "server",
            "--host",
            "127.0.0.1",
            "--port",
            str(port),
            "--workers",
            "1",
        ]
        environment = {**os.environ, "MLFLOW_BACKEND_STORE_URI": uri}
        raise typer.Exit(subprocess.run(command, env=environment, check=False).returncode)


@mlflow_app.command()
def rebuild(suites: Suites = None) -> None:
    """Write every finished trial into MLflow anew, from the ledger."""
    from pipeline.sweep.runner import rebuild_tracking

    with user_errors():
        params = load_params()
        for suite in _chosen(params, suites):
            print(f"{suite}: {rebuild_tracking(params, suite)} runs written to MLflow")


def _chosen(params: Params, suites: list[str] | None) -> list[str]:
    """Return the named suites, each checked, or all active ones."""
    for suite in suites or []:
        params.suite(suite)
    return suites or list(params.active)


def main() -> None:
    """Run the command line; the user's own modules are found beside params.yaml."""
    sys.path.insert(0, os.getcwd())
    app()


if __name__ == "__main__":
    main()
