"""`mtlsweep schema`: the JSON schema of params.yaml."""

from __future__ import annotations

import json

from mtlsweep.cli.app import app


@app.command()
def schema() -> None:
    """Print the JSON schema of params.yaml, by which editors complete and check it."""
    from mtlsweep.project.params_schema import params_schema

    print(json.dumps(params_schema(), indent=1))
