"""`mtlsweep methods`: every weighting with its source, scale, heads and cost."""

from __future__ import annotations

import json
from dataclasses import asdict

from rich.console import Console
from rich.table import Table

from mtlsweep.cli.app import Json, app


@app.command()
def methods(json_output: Json = False) -> None:
    """List the weightings: kind, scale of the update, heads, cost in backward passes, paper and its authors' code."""
    from mtlsweep.methods.weighting import describe_methods

    rows = describe_methods()
    if json_output:
        print(json.dumps([asdict(row) for row in rows], indent=1))
        return
    table = Table("name", "kind", "shared update as published", "heads", "backward passes", "paper", "authors' code")
    for row in rows:
        table.add_row(row.name, row.kind, row.scale, row.heads, row.cost, row.paper, row.code or "none known")
    Console().print(table)
