"""Messages reach a real receiver within seconds; secrets stay in the environment; a dead receiver costs the sweep nothing."""

from __future__ import annotations

import json
import socket
import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from mtlsweep.errors import UserError
from mtlsweep.params.params import parse_params
from mtlsweep.params.resources import Notify
from mtlsweep.sweep.notify import Notifier
from mtlsweep.sweep.notify.addresses import NotSentError, sender_of
from mtlsweep.sweep.notify.message import try_out
from mtlsweep.sweep.progress import Progress
from tests.small_study import call, small_study, write

VARIABLE = "MTLSWEEP_NOTIFY"
NOTIFY = Notify(to=(f"env:{VARIABLE}",))


class Receiver:
    """A webhook: what it got, when, and with which status it answers."""

    def __init__(self) -> None:
        self.got: list[tuple[float, dict[str, Any]]] = []
        self.status = 200
        receiver = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
                receiver.got.append((time.monotonic(), body))
                self.send_response(receiver.status)
                self.end_headers()

            def log_message(self, format: str, *arguments: object) -> None: ...

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.address = f"http://127.0.0.1:{self.server.server_address[1]}/hook/secret-token"

    @property
    def events(self) -> list[str]:
        return [body["event"] for _, body in self.got]


@pytest.fixture
def receiver(monkeypatch: pytest.MonkeyPatch) -> Iterator[Receiver]:
    receiver = Receiver()
    with receiver.server:
        threading.Thread(target=receiver.server.serve_forever, daemon=True).start()
        monkeypatch.setenv(VARIABLE, receiver.address)
        yield receiver
        receiver.server.shutdown()


def new_progress() -> Progress:
    return Progress("digits sweep", 4, {})


def test_an_event_reaches_the_receiver_within_ten_seconds_and_the_end_at_once(receiver: Receiver) -> None:
    used_up: list[str] = []
    with Notifier(NOTIFY, "digits", "sweep", new_progress()) as notifier:
        notifier.watch(lambda: used_up[0] if used_up else None)
        used_up.append("`resources.budget.trials` (3) is used up")
        happened = time.monotonic()
        while not receiver.got and time.monotonic() < happened + 10:
            time.sleep(0.05)
    assert receiver.events == ["budget", "ended"]
    assert receiver.got[0][0] - happened < 10
    body = receiver.got[1][1]
    assert body["title"].endswith("digits sweep: finished")
    assert "suite digits, stage sweep" in body["text"]
    assert "Next: `mtlsweep watch digits`" in body["text"]


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (
            UserError("stopped with 3 of 4 trials because X; run `dvc repro` again to continue."),
            "run `dvc repro` again to continue.",
        ),
        (ZeroDivisionError("by zero"), "ZeroDivisionError: by zero."),
    ],
)
def test_a_sweep_that_ends_early_says_why(receiver: Receiver, error: Exception, said: str) -> None:
    with pytest.raises(type(error)), Notifier(NOTIFY, "digits", "sweep", new_progress()):
        raise error
    assert receiver.got[0][1]["title"].endswith("digits sweep: stopped")
    assert said in receiver.got[0][1]["text"]


def test_a_receiver_that_is_away_for_a_moment_gets_the_message(receiver: Receiver) -> None:
    receiver.status = 503
    notifier = Notifier(NOTIFY, "digits", "sweep", new_progress())
    threading.Timer(0.5, lambda: setattr(receiver, "status", 200)).start()
    with notifier:
        pass
    assert receiver.events == ["ended", "ended"], "once refused, once taken"


def test_a_dead_receiver_costs_the_sweep_nothing_but_a_line(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    with socket.socket() as silent:  # takes connections and never answers
        silent.bind(("127.0.0.1", 0))
        silent.listen()
        monkeypatch.setenv(VARIABLE, f"http://127.0.0.1:{silent.getsockname()[1]}/secret-token")
        monkeypatch.setattr("mtlsweep.sweep.notify.addresses.SECONDS_FOR_AN_ANSWER", 0.2)
        monkeypatch.setattr("mtlsweep.sweep.notify.outbox.PAUSES", (0.1,))
        began = time.monotonic()
        with Notifier(NOTIFY, "digits", "sweep", new_progress()) as notifier:
            notifier.watch(lambda: "budget")
            assert time.monotonic() - began < 1
            for _ in range(100):  # more than wait
                notifier._tell(try_out("study"))
            assert time.monotonic() - began < 2
    assert time.monotonic() - began < 20
    said = capsys.readouterr().out
    assert "notify: notify.to[0]: message not sent" in said
    assert "too many messages wait" in said
    assert "secret-token" not in said


def test_an_address_that_is_not_set_is_a_line_in_the_log(capsys: pytest.CaptureFixture[str]) -> None:
    with Notifier(NOTIFY, "digits", "sweep", new_progress()):
        pass
    assert f"the environment variable {VARIABLE} is not set" in capsys.readouterr().out


@pytest.mark.parametrize(
    "literal", ["https://hooks.example/T0/secret", "mailto://me:secret@host", "env:", "${HOOK}", 7]
)
def test_an_address_in_params_is_refused_and_not_shown(literal: object) -> None:
    raw = {**small_study(), "notify": {"to": [literal]}}
    with pytest.raises(UserError, match=r"`notify.to` is not of the form env:NAME") as caught:
        parse_params(raw)
    assert "secret" not in str(caught.value).replace("a secret", "")


def test_an_error_of_a_webhook_does_not_show_its_address(receiver: Receiver) -> None:
    receiver.status = 404
    with pytest.raises(NotSentError, match=r"^it answered 404$"):
        sender_of("notify.to[0]", VARIABLE)(try_out("study"))


@pytest.mark.filterwarnings("ignore:'imghdr' is deprecated:DeprecationWarning")  # apprise imports it
def test_other_addresses_go_through_apprise(monkeypatch: pytest.MonkeyPatch, receiver: Receiver) -> None:
    apprise = pytest.importorskip("apprise")
    monkeypatch.setenv(VARIABLE, receiver.address.replace("http://", "json://"))
    sender_of("notify.to[0]", VARIABLE)(try_out("study"))
    assert receiver.got[0][1]["title"] == "study: test of mtlsweep"
    receiver.status = 500
    with pytest.raises(NotSentError):
        sender_of("notify.to[0]", VARIABLE)(try_out("study"))
    monkeypatch.setenv(VARIABLE, "nonsense://x")
    with pytest.raises(UserError, match=r"holds an address that apprise does not know"):
        sender_of("notify.to[0]", VARIABLE)
    assert apprise


def test_without_apprise_the_package_to_install_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(VARIABLE, "mailto://me:secret@host")
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(
        UserError, match=r"kind mailto://... needs the package apprise; run `pip install 'mtlsweep\[notify\]'`"
    ):
        sender_of("notify.to[0]", VARIABLE)


def test_the_command_checks_addresses_and_sends_a_test(
    in_directory: Path, receiver: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    write(small_study())
    assert call("notify")[0] == 2
    write({**small_study(), "notify": {"to": [f"env:{VARIABLE}"]}})
    assert call("notify") == (0, f"notify.to[0]: {VARIABLE} is set; `mtlsweep notify --test` sends a message")
    assert call("notify", "--test") == (0, f"notify.to[0]: {VARIABLE} got a message")
    assert receiver.events == ["test"]
    receiver.status = 403
    assert call("notify", "--test") == (
        2,
        f"mtlsweep: `notify.to[0]`: the message was not sent to the address in {VARIABLE} (it answered 403).",
    )
    monkeypatch.delenv(VARIABLE)
    assert "the environment variable MTLSWEEP_NOTIFY is not set" in call("notify", "--test")[1]
