"""`mtlsweep ui` and `mtlsweep mlflow rebuild`: open the MLflow UI, and rebuild its runs."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from pathlib import Path
from typing import Annotated

import typer

from mtlsweep.cli.app import Suites, app, chosen_suites, mlflow_app, user_errors
from mtlsweep.errors import UserError
from mtlsweep.params.params import load_params


@app.command()
def ui(port: Annotated[int, typer.Option(help="Port on loopback.", min=1, max=65535)] = 5000) -> None:
    """Open the MLflow UI on loopback, and print links to the saved views."""
    from mtlsweep.record.mlflow import find_moved_artifacts, resolve_uri, shown_uri, view_links

    with user_errors():
        params = load_params()
        uri = resolve_uri(params.resources.tracking_uri)
        if uri.startswith("http"):
            print(f"the MLflow UI runs on the server: {shown_uri(uri)}")
            _print_links(view_links(uri, shown_uri(uri).rstrip("/"), params.active))
            return
        if uri.startswith("sqlite:///") and not Path(uri.removeprefix("sqlite:///")).exists():
            raise UserError(
                f"{uri.removeprefix('sqlite:///')}: file not found, no trial is recorded yet; run `make repro` first."
            )
        if _answers(port):
            raise UserError(
                f"port {port} of 127.0.0.1 is taken (perhaps by another `mtlsweep ui`, on macOS by the AirPlay receiver); "
                "choose another one, such as `mtlsweep ui --port 5001`."
            )
        find_moved_artifacts(uri, params.active)
        address = f"http://127.0.0.1:{port}"
        print(f"MLflow UI: {address}  (Ctrl-C stops it)")
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
    """Rewrite every finished trial to MLflow, from the ledger."""
    from mtlsweep.sweep.control.rebuild import rebuild_tracking

    with user_errors():
        params = load_params()
        for suite in chosen_suites(params, suites):
            print(f"{suite}: {rebuild_tracking(params, suite)} runs written to MLflow")


def _answers(port: int) -> bool:
    """Return whether a program listens on this port of loopback."""
    with socket.socket() as probe:
        probe.settimeout(1)
        return probe.connect_ex(("127.0.0.1", port)) == 0


def _print_links(links: list[tuple[str, str, str]]) -> None:
    for suite, view, link in links:
        print(f"  {suite}, {view}: {link}")
    sys.stdout.flush()
