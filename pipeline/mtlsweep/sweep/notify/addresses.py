"""Addresses of people: read from the environment, and a way to send a message to each."""

from __future__ import annotations

import importlib.util
import json
import logging
import os
import urllib.error
import urllib.request
from collections.abc import Callable
from dataclasses import asdict

from mtlsweep.addresses import split_address
from mtlsweep.errors import UserError
from mtlsweep.sweep.notify.message import Message

SECONDS_FOR_AN_ANSWER = 5.0

Send = Callable[[Message], None]
"""Sends a message, or raises an exception whose text holds no secret."""


class NotSentError(Exception):
    """A message was not delivered."""


def sender_of(place: str, variable: str) -> Send:
    """Return how to send messages to the address in an environment variable.

    An `http://` or `https://` address is a plain webhook and gets JSON; any other one belongs to the package apprise.

    Args:
        place: the field that names the variable, for messages.
        variable: its name.

    Raises:
        UserError: the variable is not set, its value is no address, or apprise is needed and missing.
    """
    address = os.environ.get(variable, "")
    if not address:
        raise UserError(f"`{place}`: the environment variable {variable} is not set; set it to the address.")
    parts = split_address(address)
    if parts is None or not parts.scheme:
        raise UserError(
            f"`{place}`: the environment variable {variable} holds no address; "
            "allowed are https://... (a webhook) and the addresses of apprise, such as mailto://... or slack://..."
        )
    if parts.scheme in ("http", "https"):
        return lambda message: _post(address, message)
    if importlib.util.find_spec("apprise") is None:
        raise UserError(
            f"`{place}`: an address of the kind {parts.scheme}://... needs the package apprise; "
            "run `pip install 'mtlsweep[notify]'`, or use a webhook (https://...)."
        )
    return _apprise_sender(place, variable, address)


def _post(address: str, message: Message) -> None:
    body = json.dumps({**asdict(message), "text": f"{message.title}\n{message.text}"}).encode()
    request = urllib.request.Request(address, body, {"Content-Type": "application/json", "User-Agent": "mtlsweep"})
    try:
        with urllib.request.urlopen(request, timeout=SECONDS_FOR_AN_ANSWER):
            pass
    except urllib.error.HTTPError as error:
        error.close()
        raise NotSentError(f"it answered {error.code}") from None
    except (OSError, ValueError) as error:
        raise NotSentError(type(error).__name__) from None  # its text may hold the address


def _apprise_sender(place: str, variable: str, address: str) -> Send:
    import apprise

    logging.getLogger("apprise").setLevel(logging.CRITICAL + 1)  # its messages may hold parts of an address
    service = apprise.Apprise()
    if not service.add(address):
        raise UserError(f"`{place}`: the environment variable {variable} holds an address that apprise does not know.")

    def send(message: Message) -> None:
        try:
            sent = service.notify(title=message.title, body=message.text)
        except Exception as error:  # of a service's plugin
            raise NotSentError(type(error).__name__) from None
        if not sent:
            raise NotSentError("the service did not take it")

    return send
