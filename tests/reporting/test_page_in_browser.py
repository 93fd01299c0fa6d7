"""The page in a real browser: silent, offline, as wide as the screen, and accessible; skipped where there is no Chromium."""

from __future__ import annotations

import time
from pathlib import Path

import pandas as pd
import pytest

from mtlsweep.analysis.suite import analyse_suite
from mtlsweep.report.figures.methods import slope
from mtlsweep.report.page.page import render_page
from mtlsweep.report.sections import Section
from mtlsweep.report.suite import SuiteReport
from mtlsweep.report.tables.table import from_frame
from mtlsweep.testing.simulated_sweep import Truth, simulate_sweep
from tests.browser import SCREENS, Browser, browser, needs_axe, needs_browser

__all__ = ["browser"]  # a fixture

pytestmark = [pytest.mark.slow, needs_browser]

MANY_ROWS = from_frame("rows", "So many that they fold.", pd.DataFrame({"row": range(40), "value": range(40)}))


def draw(browser: Browser, page: Path, screen: str, scheme: str) -> None:
    """Show `page` and scroll through it, so that every figure is drawn."""
    browser.open(page.as_uri(), screen, scheme)
    browser.run("document.querySelectorAll('details').forEach((part) => { part.open = true; })")
    deadline = time.monotonic() + 90
    while (
        browser.run("return document.querySelectorAll('.chart:not(:has(svg))').length") and time.monotonic() < deadline
    ):
        browser.run("const next = document.querySelector('.chart:not(:has(svg))'); if (next) next.scrollIntoView()")
        time.sleep(0.1)


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
    browser.requests()
    draw(browser, page, screen, scheme)
    drawn = browser.run(
        "return [document.querySelectorAll('.chart').length, document.querySelectorAll('.chart svg').length]"
    )
    assert drawn[0] == drawn[1] > 40
    assert browser.log("browser") == []
    assert [url for url in browser.requests() if not url.startswith(("blob:", page.as_uri()))] == []
    assert browser.run("return document.documentElement.scrollWidth <= innerWidth")
    ground = browser.run("return getComputedStyle(document.body).backgroundColor")
    assert (ground == "rgb(255, 255, 255)") == (scheme == "light")


@needs_axe
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_axe_finds_no_serious_fault(browser: Browser, page: Path, scheme: str) -> None:
    draw(browser, page, "desktop", scheme)
    faults, passes = browser.serious_faults()
    assert faults == []
    assert passes > 20


def test_the_first_screen_is_a_headline_a_picture_and_sentences(browser: Browser, page: Path) -> None:
    """Of the first suite; what is folded is closed again, as the reader finds it."""
    draw(browser, page, "desktop", "light")
    browser.run("document.querySelectorAll('details').forEach((part) => { part.open = false; })")
    ends = browser.run(
        "return ['.lead', 'figure', '.answer'].map((place) => document.querySelector(place).getBoundingClientRect().bottom "
        "+ window.scrollY)"
    )
    assert ends == sorted(ends)
    assert ends[1] < SCREENS["desktop"][1]
    assert ends[2] < 1.25 * SCREENS["desktop"][1]


def test_a_heading_sorts_its_table_and_a_change_of_colours_redraws(browser: Browser, page: Path) -> None:
    draw(browser, page, "desktop", "light")
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
