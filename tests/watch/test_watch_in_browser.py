"""The live view in a real browser: it refreshes itself, fits a phone, follows dark mode, and axe finds no serious fault."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from mtlsweep.cli.watch.looking import Looking
from mtlsweep.cli.watch.server import make_server
from mtlsweep.params.params import load_params
from mtlsweep.record.ledger import Ledger
from tests.browser import SCREENS, Browser, browser, needs_axe, needs_browser
from tests.watch.watched_study import SUITE, failed, finish, sweeping, trials_of

__all__ = ["browser"]  # a fixture

pytestmark = [pytest.mark.slow, needs_browser]


@pytest.fixture
def looking(ledger: Ledger) -> Iterator[Looking]:
    """Look at a sweep in its middle, some of whose trials failed in three ways."""
    for number, trial in enumerate(trials_of("sweep")[-6:]):
        ledger.finish(failed(trial, number))
    with sweeping(ledger, finished=20):
        looking = Looking([SUITE], load_params)
        looking.look()
        yield looking


@pytest.fixture
def address(looking: Looking) -> Iterator[str]:
    with make_server(0, lambda: looking.page) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_address[1]}/"
        server.shutdown()


@needs_axe
def test_it_is_silent_fits_the_screen_and_axe_finds_no_serious_fault(browser: Browser, address: str) -> None:
    for screen in SCREENS:
        for scheme in ("light", "dark"):
            browser.requests()
            browser.open(address, screen, scheme)
            ground = browser.run("return getComputedStyle(document.body).backgroundColor")
            assert (ground == "rgb(255, 255, 255)") == (scheme == "light"), (
                "the policy lets the page's own style through"
            )
            assert browser.run("return document.documentElement.scrollWidth <= innerWidth")
            assert set(browser.requests()) == {address}
            assert browser.log("browser") == []
            browser.command("Page.setBypassCSP", enabled=True)  # axe puts its own style on the page
            browser.open(address, screen, scheme)
            faults, passes = browser.serious_faults()
            browser.command("Page.setBypassCSP", enabled=False)
            assert faults == []
            assert passes > 15


def test_it_shows_what_is_new_keeps_what_is_folded_and_can_be_paused(
    browser: Browser, looking: Looking, address: str, ledger: Ledger
) -> None:
    browser.open(address, "desktop", "light")
    finished = "return [...document.querySelectorAll('progress')][1].value"
    baselines = f"document.getElementById('{SUITE}-baselines')"
    assert browser.run(finished) == 26
    browser.run(f"{baselines}.open = true")
    finish(ledger, "sweep", slice(24))
    looking.look()
    deadline = time.monotonic() + 30
    while browser.run(finished) != 30 and time.monotonic() < deadline:
        time.sleep(0.2)
    assert browser.run(finished) == 30
    assert browser.run(f"return {baselines}.open")
    browser.run("document.getElementById('pause').click()")
    finish(ledger, "sweep", slice(26))
    looking.look()
    time.sleep(6)
    assert browser.run(finished) == 30
    assert browser.run("return document.getElementById('pause').textContent") == "Refresh again"
    browser.run("document.getElementById('pause').click()")


def test_a_page_in_a_file_loads_itself_again_and_says_when_it_is_old(
    browser: Browser, looking: Looking, tmp_path: Path
) -> None:
    file = tmp_path / "live.html"
    file.write_bytes(looking.page)
    browser.open(file.as_uri(), "phone", "dark")
    browser.run(f"document.getElementById('{SUITE}-baselines').open = true")
    written = browser.run("return document.getElementById('written').dataset.at")
    file.write_bytes(looking.page.replace(written.encode(), b"1700000000"))
    notice, deadline = "return document.getElementById('notice').textContent", time.monotonic() + 30
    while not browser.run(notice) and time.monotonic() < deadline:
        time.sleep(0.2)
    assert "is `mtlsweep watch` still running?" in browser.run(notice)
    assert browser.run(f"return document.getElementById('{SUITE}-baselines').open")
