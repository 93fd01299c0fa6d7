"""`mtlsweep`: what would run, how far it is, and the record of what ran."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict
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

Json = Annotated[bool, typer.Option("--json", help="Print JSON.")]


@contextmanager
def user_errors() -> Iterator[None]:
    """Show a `UserError` as its one sentence, without a traceback, and exit with 2."""
    try:
        yield
    except UserError as error:
        print(f"mtlsweep: {error}", file=sys.stderr)
        raise typer.Exit(2) from None


@app.command("plan")
def show_plan(suites: Suites = None, json_output: Json = False) -> None:
    """Show what would run: trials by method, how many of them are finished, and what the rest will cost."""
    from pipeline.sweep.planning import plan_lines, read_plan

    with user_errors():
        params = load_params()
        found = [read_plan(params, suite) for suite in _chosen(params, suites)]
        _show(found, [line for one in found for line in plan_lines(one)], json_output)


@app.command()
def status(suites: Suites = None, json_output: Json = False) -> None:
    """Show how far each stage is; works from any shell, also while a sweep runs."""
    from pipeline.sweep.status import read_status, status_lines

    with user_errors():
        params = load_params()
        found = [read_status(params, suite) for suite in _chosen(params, suites)]
        _show(found, [line for one in found for line in status_lines(one)], json_output)


@app.command()
def failures(suites: Suites = None, json_output: Json = False) -> None:
    """List failed and diverged trials by cause, with the command that repeats each alone."""
    from pipeline.sweep.upkeep import list_failures

    with user_errors():
        params = load_params()
        found = [failure for suite in _chosen(params, suites) for failure in list_failures(params, suite)]
        lines = []
        for failure in found:
            lines.append(f"{failure.outcome} ({failure.cause}): {failure.name}   {failure.repeat}")
            lines += [f"    {line}" for line in failure.detail.strip().splitlines()[-1:]]
        _show([asdict(failure) for failure in found], lines or ["no trial failed"], json_output)


@app.command()
def retry(
    suite: Annotated[str, typer.Argument(help="Suite whose failed trials are tried again.")],
    keys: Annotated[
        list[str] | None, typer.Argument(help="Trials, by key or its beginning; all failed ones if none.")
    ] = None,
    cause: Annotated[str | None, typer.Option(help="Only failures of this cause.")] = None,
    json_output: Json = False,
) -> None:
    """Forget failed trials, so that the next run trains them again."""
    from pipeline.sweep.upkeep import retry as forget

    with user_errors():
        trials = forget(load_params(), suite, keys or [], cause)
        command = f"dvc repro --single-item --force sweep@{suite} && dvc repro"
        lines = [trial.name for trial in trials] + [f"{len(trials)} trials will be trained again by: {command}"]
        _show([trial.key for trial in trials], lines, json_output)


@app.command()
def run(key: Annotated[str, typer.Argument(help="Trial key or its beginning.")], json_output: Json = False) -> None:
    """Train one trial in this process, for a debugger; nothing is recorded."""
    from pipeline.sweep.upkeep import run_alone
    from pipeline.training.trial import EpochEnd

    def report(end: EpochEnd) -> None:
        if not json_output:
            values = ", ".join(f"{k} {v:.4g}" for k, v in end.record.metrics.items() if k.startswith("val/"))
            print(f"epoch {end.record.epoch} ({end.record.seconds:.1f} s): {values}", flush=True)

    with user_errors():
        trial, result = run_alone(load_params(), key, report)
        cause = f" ({result.cause}: {result.detail})" if result.cause else ""
        _show(result.to_json(), [f"{trial.key} {trial.name}: {result.outcome}{cause}"], json_output)


@app.command()
def stop(suites: Suites = None, json_output: Json = False) -> None:
    """End a running sweep; what runs goes on from its resume point next time."""
    from pipeline.sweep.upkeep import stop as stop_sweep

    with user_errors():
        params = load_params()
        answers = [stop_sweep(params, suite) for suite in _chosen(params, suites)]
        _show(answers, answers, json_output)


@app.command()
def gc(suites: Suites = None, json_output: Json = False) -> None:
    """Drop the resume points of trials that ended."""
    from pipeline.sweep.upkeep import collect_garbage

    with user_errors():
        params = load_params()
        freed = {suite: collect_garbage(params, suite) for suite in _chosen(params, suites)}
        _show(freed, [f"{suite}: {count / 1e6:.1f} MB freed" for suite, count in freed.items()], json_output)


@app.command()
def submit(
    address: Annotated[str, typer.Option(help="Job server of the cluster, such as http://HEAD:8265.")],
    stage: Annotated[str | None, typer.Option(help="One DVC stage and what it needs, instead of all.")] = None,
    directory: Annotated[
        str | None, typer.Option(help="Where the project lives on the head; ~/mtlsweep/<name> if not given.")
    ] = None,
) -> None:
    """Run `dvc repro` on a Ray cluster as a job, and show its log until it ends."""
    from pipeline.sweep.submission import submit as submit_project

    with user_errors():
        raise typer.Exit(submit_project(address, stage, directory))


@app.command()
def methods(json_output: Json = False) -> None:
    """List the weightings: paper, kind, scale of the update, heads, cost in backward passes."""
    from pipeline.weighting import describe_methods

    rows = describe_methods()
    if json_output:
        print(json.dumps([asdict(row) for row in rows], indent=1))
        return
    table = Table("name", "kind", "shared update as published", "heads", "backward passes", "paper")
    for row in rows:
        table.add_row(row.name, row.kind, row.scale, row.heads, row.cost, row.paper)
    Console().print(table)


@app.command()
def analyse(
    table: Annotated[
        Path, typer.Argument(help="CSV or Parquet: weighting, optimizer, lr, optionally seed, and metrics.")
    ],
    higher: Annotated[str, typer.Option(help="Metrics for which higher is better, separated by commas.")] = "",
    baseline: Annotated[str, typer.Option(help="Weighting whose rows are the single-task baseline.")] = "stl",
    out: Annotated[Path | None, typer.Option(help="Directory for the whole report.")] = None,
) -> None:
    """Analyse results made elsewhere: Delta_m per row, fronts, and with --out the whole report."""
    from pipeline.reporting.external import analyse_table

    with user_errors():
        print(analyse_table(table, [name for name in higher.split(",") if name], baseline, out))


@app.command()
def ui(port: Annotated[int, typer.Option(help="Port on loopback.")] = 5000) -> None:
    """Open the MLflow UI on loopback, and print links to the views that show a study best."""
    from pipeline.tracking import resolve_uri, shown_uri, view_links

    with user_errors():
        params = load_params()
        uri = resolve_uri(params.resources.tracking_uri)
        if uri.startswith("http"):
            print(f"the MLflow UI is where the server is: {shown_uri(uri)}")
            _print_links(view_links(uri, shown_uri(uri).rstrip("/"), params.active))
            return
        if uri.startswith("sqlite:///") and not Path(uri.removeprefix("sqlite:///")).exists():
            raise UserError(f"{uri.removeprefix('sqlite:///')}: nothing is recorded yet; run `make repro` first.")
        address = f"http://127.0.0.1:{port}"
        print(f"MLflow UI: {address}  (Ctrl-C ends it)")
        _print_links(view_links(uri, address, params.active))
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


def _print_links(links: list[tuple[str, str, str]]) -> None:
    for suite, view, link in links:
        print(f"  {suite}, {view}: {link}")
    sys.stdout.flush()


def _show(content: object, lines: list[str], json_output: bool) -> None:
    print(json.dumps(content, indent=1) if json_output else "\n".join(lines))


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
