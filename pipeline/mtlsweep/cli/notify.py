"""`mtlsweep notify`: who is told about a sweep, and a message to try it."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from mtlsweep.cli.app import app, user_errors
from mtlsweep.errors import UserError
from mtlsweep.params.params import load_params


@app.command()
def notify(
    test: Annotated[bool, typer.Option("--test", help="Send a message to every address now.")] = False,
) -> None:
    """Check the addresses of `notify` in params.yaml; each is in an environment variable."""
    from mtlsweep.sweep.notify.addresses import NotSentError, sender_of
    from mtlsweep.sweep.notify.message import try_out

    with user_errors():
        variables = load_params().notify.variables
        if not variables:
            raise UserError(
                "params.yaml has no `notify.to`; write `notify: {to: [env:MTLSWEEP_NOTIFY]}`, see docs/watch.md."
            )
        for position, variable in enumerate(variables):
            place = f"notify.to[{position}]"
            send = sender_of(place, variable)
            if test:
                try:
                    send(try_out(Path.cwd().name))
                except NotSentError as error:
                    raise UserError(
                        f"`{place}`: the message was not sent to the address in {variable} ({error})."
                    ) from None
            print(
                f"{place}: {variable} {'got a message' if test else 'is set; `mtlsweep notify --test` sends a message'}"
            )
