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
    higher: Annotated[
        list[str] | None, typer.Option(help="Metrics for which higher is better, separated by commas.")
    ] = None,
    lower: Annotated[
        list[str] | None, typer.Option(help="Metrics for which lower is better. Well-known names need neither.")
    ] = None,
    baseline: Annotated[str, typer.Option(help="Weighting whose rows are the single-task baseline.")] = "stl",
    out: Annotated[Path | None, typer.Option(help="Directory for the whole report.")] = None,
) -> None:
    """Analyse results from other sources: Delta_m per row, fronts, and with --out the whole report."""
    from mtlsweep.report.external import analyse_table

    with user_errors():
        print(analyse_table(table, _names(higher), baseline, out, _names(lower)))


def _names(texts: list[str] | None) -> list[str]:
    """Return the names of an option that may be given several times, each with several names."""
    return [name.strip() for text in texts or [] for name in text.split(",") if name.strip()]
