"""`mtlsweep watch`: a live view of the sweeps, on loopback or in a file."""

from __future__ import annotations

import os
import socket
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Annotated

import typer

from mtlsweep.cli.app import Suites, app, chosen_suites, user_errors
from mtlsweep.errors import UserError
from mtlsweep.params.params import PARAMS_FILE, Params, load_params

PORT = 5055


@app.command()
def watch(
    suites: Suites = None,
    port: Annotated[int, typer.Option(help="Port on loopback; 0 takes a free one.", min=0, max=65535)] = PORT,
    file: Annotated[
        Path | None, typer.Option(help="Write the page to this file again and again, and serve nothing.")
    ] = None,
    once: Annotated[bool, typer.Option("--once", help="With --file: write the page once.")] = False,
    with_parent: Annotated[bool, typer.Option("--with-parent", hidden=True)] = False,
) -> None:
    """Show the sweeps live in a browser: progress, costs, failures, the best methods so far; also of a finished study."""
    with user_errors():
        if once and file is None:
            raise UserError("`--once` writes one page to a file; say which with `--file PAGE.html`.")
        chosen = chosen_suites(load_params(), suites)
        stop = threading.Event()
        if with_parent:
            threading.Thread(target=_end_with_parent, daemon=True).start()
        try:
            if file is not None:
                _write(chosen, file, once, stop)
            else:
                _serve(chosen, port, stop)
        except KeyboardInterrupt:
            stop.set()


def _serve(suites: list[str], port: int, stop: threading.Event) -> None:
    from mtlsweep.cli.watch.looking import Looking
    from mtlsweep.cli.watch.server import make_server

    looking = Looking(suites, _present_params())
    with make_server(port, lambda: looking.page) as server:
        looking.look()
        port = server.server_address[1]
        print(f"live view: http://127.0.0.1:{port}  (Ctrl-C stops it)")
        print(
            f"from another machine: ssh -N -L {port}:127.0.0.1:{port} {socket.gethostname()}, then open the same address there"
        )
        sys.stdout.flush()
        threading.Thread(target=looking.keep_looking, args=(stop, lambda: None), daemon=True).start()
        server.serve_forever()


def _write(suites: list[str], file: Path, once: bool, stop: threading.Event) -> None:
    from mtlsweep.cli.watch.looking import Looking
    from mtlsweep.files import write_atomically

    looking = Looking(suites, _present_params())

    def write() -> None:
        if once and not looking.complete:
            return
        try:
            write_atomically(file, looking.page)
        except OSError as error:
            raise UserError(f"{file} cannot be written ({error.strerror}).") from error
        if once:
            stop.set()

    print(f"live view: {file.absolute().as_uri()}" + ("" if once else "  (Ctrl-C ends its updates)"), flush=True)
    looking.keep_looking(stop, write)


def _present_params() -> Callable[[], Params]:
    """Return a function that reads params.yaml, and reads it again when the file has changed."""
    state: list[object] = [None, None]

    def read() -> Params:
        stat = PARAMS_FILE.stat()
        if state[0] != (version := (stat.st_mtime_ns, stat.st_size)):
            state[:] = version, load_params()
        params = state[1]
        assert isinstance(params, Params)
        return params

    return read


def _end_with_parent() -> None:
    """End this process when the one that started it has ended."""
    parent = os.getppid()
    while os.getppid() == parent:
        time.sleep(1)
    os._exit(0)
