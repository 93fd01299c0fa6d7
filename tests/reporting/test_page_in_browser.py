"""The page in a real browser: silent, offline, as wide as the screen, and accessible; skipped where there is no Chromium."""

from __future__ import annotations

import importlib.util
import json
import shutil
import subprocess
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from mtlsweep.analysis.suite import analyse_suite
from mtlsweep.report.figures.methods import slope
from mtlsweep.report.page.page import render_page
from mtlsweep.report.sections import Section
from mtlsweep.report.suite import SuiteReport
from mtlsweep.report.tables.table import from_frame
from mtlsweep.testing.simulated_sweep import Truth, simulate_sweep

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
DRIVER = shutil.which("chromedriver")
AXE = importlib.util.find_spec("axe_core_python")

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(
        CHROMIUM is None or DRIVER is None, reason="no chromium and chromedriver here (Debian: chromium-driver)"
    ),
]

MANY_ROWS = from_frame("rows", "So many that they fold.", pd.DataFrame({"row": range(40), "value": range(40)}))
SCREENS = {"desktop": (1280, 900, False), "phone": (390, 844, True)}


class Browser:
    """As much of the WebDriver protocol as looking at a page takes."""

    def __init__(self, port: int) -> None:
        self._server = f"http://127.0.0.1:{port}"
        arguments = ["--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--hide-scrollbars"]
        options = {"binary": CHROMIUM, "args": arguments}
        logging = {"browser": "ALL", "performance": "ALL"}
        wanted = {"alwaysMatch": {"browserName": "chrome", "goog:chromeOptions": options, "goog:loggingPrefs": logging}}
        self._session = f"/session/{self._post('/session', {'capabilities': wanted})['sessionId']}"
        self._post(f"{self._session}/timeouts", {"script": 110_000})

    def _post(self, path: str, body: dict[str, Any], method: str = "POST") -> Any:
        request = urllib.request.Request(self._server + path, json.dumps(body).encode(), method=method)
        with urllib.request.urlopen(request, timeout=120) as answer:
            return json.load(answer)["value"]

    def command(self, name: str, **parameters: Any) -> Any:
        """Run a DevTools command."""
        return self._post(f"{self._session}/goog/cdp/execute", {"cmd": name, "params": parameters})

    def open(self, page: Path, screen: str, scheme: str) -> None:
        """Show `page` and scroll through it, so that every figure is drawn."""
        width, height, mobile = SCREENS[screen]
        self.command(
            "Emulation.setDeviceMetricsOverride", width=width, height=height, deviceScaleFactor=1, mobile=mobile
        )
        self.command("Emulation.setEmulatedMedia", features=[{"name": "prefers-color-scheme", "value": scheme}])
        self._post(f"{self._session}/url", {"url": page.as_uri()})
        self.run("document.querySelectorAll('details').forEach((part) => { part.open = true; })")
        deadline = time.monotonic() + 90
        while (
            self.run("return document.querySelectorAll('.chart:not(:has(svg))').length") and time.monotonic() < deadline
        ):
            self.run("const next = document.querySelector('.chart:not(:has(svg))'); if (next) next.scrollIntoView()")
            time.sleep(0.1)

    def run(self, script: str) -> Any:
        """Run a script and return its result."""
        return self._post(f"{self._session}/execute/sync", {"script": script, "args": []})

    def run_promise(self, script: str) -> Any:
        """Run a script that calls `done(result)`, and return that."""
        return self._post(
            f"{self._session}/execute/async", {"script": f"const done = arguments[0]; {script}", "args": []}
        )

    def log(self, kind: str) -> list[dict[str, Any]]:
        """Return the entries of the `browser` or `performance` log since the last call."""
        entries: list[dict[str, Any]] = self._post(f"{self._session}/se/log", {"type": kind})
        return entries

    def close(self) -> None:
        """End the session."""
        self._post(self._session, {}, method="DELETE")


@pytest.fixture(scope="module")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browser]:
    assert DRIVER is not None
    log = tmp_path_factory.mktemp("driver") / "log"
    with log.open("w") as output, subprocess.Popen([DRIVER, "--port=0"], stdout=output, stderr=output) as process:
        try:
            session = Browser(_port(log))
            yield session
            session.close()
        finally:
            process.terminate()


def _port(log: Path) -> int:
    """Wait until the driver has said on which port it listens."""
    for _ in range(300):
        words = [line for line in log.read_text().splitlines() if "started successfully on port" in line]
        if words:
            return int(words[0].rstrip(".").rsplit(" ", 1)[1])
        time.sleep(0.1)
    raise AssertionError(f"chromedriver did not start: {log.read_text()}")


@pytest.fixture(scope="module")
def page(tmp_path_factory: pytest.TempPathFactory) -> Path:
    suites = []
    for position, name in enumerate(("multidigits-lenet", "cityscapes-segnet")):
        sweep = simulate_sweep(
            epochs=3, truth=Truth(weighting_effect={"ew": 0.0, "uw": 2.0}), suite=name, generator_seed=position
        )
        analysis = analyse_suite(
            sweep.baseline_curves, sweep.baseline_outcomes, sweep.sweep_curves, sweep.sweep_outcomes, sweep.objectives
        )
        keys = analysis.trials["trial_key"]
        started = pd.Timestamp("2026-01-01") + pd.to_timedelta(range(len(keys)), unit="min")
        costs = pd.DataFrame({"trial_key": keys, "seconds": 30.0, "started": started})
        section = Section("mine", "A study", ("It found this.",), (MANY_ROWS,), tuple(filter(None, [slope(analysis)])))
        provenance = {"git_sha": "c0ffee", "data_fingerprint": "f" * 64}
        suites.append(SuiteReport(name, analysis, provenance, costs, sections=(section,)))
    path = tmp_path_factory.mktemp("report") / "index.html"
    path.write_text(render_page(suites, [section]))
    return path


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("screen", list(SCREENS))
def test_the_page_is_silent_offline_and_fits_the_screen(browser: Browser, page: Path, screen: str, scheme: str) -> None:
    browser.log("performance")
    browser.open(page, screen, scheme)
    drawn = browser.run(
        "return [document.querySelectorAll('.chart').length, document.querySelectorAll('.chart svg').length]"
    )
    assert drawn[0] == drawn[1] > 40
    assert browser.log("browser") == []
    messages = [json.loads(entry["message"])["message"] for entry in browser.log("performance")]
    asked = [m["params"]["request"]["url"] for m in messages if m["method"] == "Network.requestWillBeSent"]
    assert [url for url in asked if not url.startswith(("data:", "blob:", page.as_uri()))] == []
    assert browser.run("return document.documentElement.scrollWidth <= innerWidth")
    ground = browser.run("return getComputedStyle(document.body).backgroundColor")
    assert (ground == "rgb(255, 255, 255)") == (scheme == "light")


@pytest.mark.skipif(AXE is None, reason="no axe-core here (pip install axe-core-python)")
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_axe_finds_no_serious_fault(browser: Browser, page: Path, scheme: str) -> None:
    assert AXE is not None and AXE.submodule_search_locations is not None
    browser.open(page, "desktop", scheme)
    browser.run("document.querySelectorAll('details').forEach((part) => { part.open = true; })")
    browser.run((Path(AXE.submodule_search_locations[0]) / "axe.min.js").read_text())
    result = browser.run_promise("axe.run().then(done)")
    faults = [(fault["impact"], fault["id"]) for fault in result["violations"]]
    assert [fault for fault in faults if fault[0] in ("serious", "critical")] == []
    assert len(result["passes"]) > 20


def test_the_first_screen_is_a_headline_a_picture_and_sentences(browser: Browser, page: Path) -> None:
    """Of the first suite; what is folded is closed again, as the reader finds it."""
    browser.open(page, "desktop", "light")
    browser.run("document.querySelectorAll('details').forEach((part) => { part.open = false; })")
    ends = browser.run(
        "return ['.lead', 'figure', '.answer'].map((place) => document.querySelector(place).getBoundingClientRect().bottom "
        "+ window.scrollY)"
    )
    assert ends == sorted(ends)
    assert ends[1] < SCREENS["desktop"][1]
    assert ends[2] < 1.25 * SCREENS["desktop"][1]


def test_a_heading_sorts_its_table_and_a_change_of_colours_redraws(browser: Browser, page: Path) -> None:
    browser.open(page, "desktop", "light")
    first_column = (
        "[...document.querySelector('table.sortable').tBodies[0].rows].map((row) => row.cells[4].dataset.sort)"
    )
    heading = "document.querySelectorAll('table.sortable th button')[4].click()"
    ascending = [float(text) for text in browser.run(f"{heading}; return {first_column}")]
    descending = [float(text) for text in browser.run(f"{heading}; return {first_column}")]
    assert ascending == sorted(ascending) == descending[::-1]
    label = "return document.querySelector('.chart svg text').getAttribute('fill')"
    light = browser.run(label)
    browser.command("Emulation.setEmulatedMedia", features=[{"name": "prefers-color-scheme", "value": "dark"}])
    time.sleep(3)
    assert browser.run(label) != light
