"""`mtlsweep analyse`: analyse results from other sources."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from mtlsweep.cli.app import app, user_errors


@app.command()
def analyse(
    table: Annotated[
        Path, typer.Argument(help="CSV or Parquet: weighting, optimizer, lr, optionally seed, and metrics.")
    ],
    higher: Annotated[str, typer.Option(help="Metrics for which higher is better, separated by commas.")] = "",
    baseline: Annotated[str, typer.Option(help="Weighting whose rows are the single-task baseline.")] = "stl",
    out: Annotated[Path | None, typer.Option(help="Directory for the whole report.")] = None,
) -> None:
    """Analyse results from other sources: Delta_m per row, fronts, and with --out the whole report."""
    from mtlsweep.report.external import analyse_table

    with user_errors():
        print(analyse_table(table, [name for name in higher.split(",") if name], baseline, out))
