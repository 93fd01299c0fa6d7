"""Messages on their way to one address, in a thread of their own: a receiver that does not answer delays nothing."""

from __future__ import annotations

import queue
import threading
import time

from mtlsweep.sweep.notify.addresses import NotSentError, Send
from mtlsweep.sweep.notify.message import Message

MOST_WAITING = 20
PAUSES = (1.0, 3.0)
"""Seconds before the second and the third try."""


class Outbox:
    """Sends messages in their order, and gives up each after some tries.

    Args:
        place: the field that names the address, for the log.
        send: sends one message.
    """

    def __init__(self, place: str, send: Send) -> None:
        self._place = place
        self._send = send
        self._waiting: queue.Queue[Message | None] = queue.Queue(MOST_WAITING)
        self._thread = threading.Thread(target=self._run, name="notify", daemon=True)
        self._thread.start()

    def put(self, message: Message | None) -> None:
        """Send a message soon, or None to end the thread; what does not fit is dropped."""
        try:
            self._waiting.put_nowait(message)
        except queue.Full:
            print(f"notify: {self._place}: too many messages wait, so one is dropped", flush=True)

    def join(self, seconds: float) -> None:
        """Wait some seconds for what is on its way."""
        self._thread.join(seconds)

    def _run(self) -> None:
        while (message := self._waiting.get()) is not None:
            for pause in (*PAUSES, None):
                try:
                    self._send(message)
                    break
                except NotSentError as error:
                    if pause is None:
                        print(f"notify: {self._place}: message not sent ({error})", flush=True)
                    else:
                        time.sleep(pause)
