"""A real browser for tests of pages, driven by as much of the WebDriver protocol as that takes."""

from __future__ import annotations

import importlib.util
import json
import shutil
import subprocess
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
DRIVER = shutil.which("chromedriver")
AXE = importlib.util.find_spec("axe_core_python")

needs_browser = pytest.mark.skipif(
    CHROMIUM is None or DRIVER is None, reason="no chromium and chromedriver here (Debian: chromium-driver)"
)
needs_axe = pytest.mark.skipif(AXE is None, reason="no axe-core here (pip install axe-core-python)")

SCREENS = {"desktop": (1280, 900, False), "phone": (390, 844, True)}


class Browser:
    """A session of a browser."""

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

    def open(self, page: str, screen: str, scheme: str) -> None:
        """Show the page at an address."""
        width, height, mobile = SCREENS[screen]
        self.command(
            "Emulation.setDeviceMetricsOverride", width=width, height=height, deviceScaleFactor=1, mobile=mobile
        )
        self.command("Emulation.setEmulatedMedia", features=[{"name": "prefers-color-scheme", "value": scheme}])
        self._post(f"{self._session}/url", {"url": page})

    def run(self, script: str) -> Any:
        """Run a script and return its result."""
        return self._post(f"{self._session}/execute/sync", {"script": script, "args": []})

    def run_promise(self, script: str) -> Any:
        """Run a script that calls `done(result)`, and return that."""
        return self._post(
            f"{self._session}/execute/async", {"script": f"const done = arguments[0]; {script}", "args": []}
        )

    def serious_faults(self) -> tuple[list[tuple[str, str]], int]:
        """Return impact and id of each serious fault that axe finds on the page with everything unfolded, and how many rules it passes."""
        assert AXE is not None and AXE.submodule_search_locations is not None
        self.run("document.querySelectorAll('details').forEach((part) => { part.open = true; })")
        self.run((Path(AXE.submodule_search_locations[0]) / "axe.min.js").read_text())
        result = self.run_promise("axe.run().then(done)")
        faults = [(fault["impact"], fault["id"]) for fault in result["violations"]]
        return [fault for fault in faults if fault[0] in ("serious", "critical")], len(result["passes"])

    def requests(self) -> list[str]:
        """Return the addresses asked for since the last call, but for data that stands in the address itself."""
        messages = [json.loads(entry["message"])["message"] for entry in self.log("performance")]
        asked = [m["params"]["request"]["url"] for m in messages if m["method"] == "Network.requestWillBeSent"]
        return [url for url in asked if not url.startswith("data:")]

    def log(self, kind: str) -> list[dict[str, Any]]:
        """Return the entries of the `browser` or `performance` log since the last call."""
        entries: list[dict[str, Any]] = self._post(f"{self._session}/se/log", {"type": kind})
        return entries

    def close(self) -> None:
        """End the session."""
        self._post(self._session, {}, method="DELETE")


@pytest.fixture(scope="module")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browser]:
    """Return a session for the tests of a module, which imports this fixture."""
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
