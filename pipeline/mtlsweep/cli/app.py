"""The `mtlsweep` command's parser, and helpers of its subcommands."""

from __future__ import annotations

import importlib.metadata
import json
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Annotated

import typer

from mtlsweep.errors import UserError
from mtlsweep.params.params import Params

app = typer.Typer(
    help="Which optimizer, which task weighting, which learning rate, and what does each cost the other tasks?",
    no_args_is_help=True,
    add_completion=False,
)

mlflow_app = typer.Typer(help="The MLflow record, a view of the ledger.", no_args_is_help=True)
app.add_typer(mlflow_app, name="mlflow")


def _print_version(wanted: bool) -> None:
    if wanted:
        print(f"mtlsweep {importlib.metadata.version('mtlsweep')}")
        raise typer.Exit


@app.callback()
def _options(
    version: Annotated[
        bool, typer.Option("--version", help="Print the version.", is_eager=True, callback=_print_version)
    ] = False,
) -> None:
    pass  # `--version` is all that comes before a command


Suites = Annotated[
    list[str] | None, typer.Argument(metavar="[SUITE]...", help="Default: all active suites of params.yaml.")
]

Json = Annotated[bool, typer.Option("--json", help="Print JSON.")]


@contextmanager
def user_errors() -> Iterator[None]:
    """Print the message of a `UserError` without a traceback, and exit with 2."""
    try:
        yield
    except UserError as error:
        print(f"mtlsweep: {error}", file=sys.stderr)
        raise typer.Exit(2) from None


def show(content: object, lines: list[str], json_output: bool) -> None:
    """Print `content` as JSON, or `lines` as text."""
    print(json.dumps(content, indent=1) if json_output else "\n".join(lines))


def chosen_suites(params: Params, suites: list[str] | None) -> list[str]:
    """Return the named suites, each checked, or all active ones."""
    for suite in suites or []:
        params.suite(suite)
    return suites or list(params.active)
