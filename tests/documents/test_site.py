"""The site is built without a warning, shows what the registries and the schema hold, and asks for nothing from the network."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

import mtlsweep
from docs.site import hooks
from mtlsweep.methods.optimizers import OPTIMIZERS
from mtlsweep.methods.weighting import WEIGHTINGS
from mtlsweep.params.params import Params
from mtlsweep.params.resources import Budget, Resources
from mtlsweep.params.suite import Baselines, Schedule, Suite, Sweep, Training
from tests.browser import Browser, browser, needs_axe, needs_browser

__all__ = ["browser"]  # a fixture

ROOT = Path(__file__).parents[2]
MAIN_PAGES = (
    "index.html",
    "tutorial.html",
    "howto/table.html",
    "reference/catalogue.html",
    "reference/python.html",
    "contributing/parts.html",
)


@pytest.fixture(scope="session")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The site, built with warnings as errors."""
    directory = tmp_path_factory.mktemp("site")
    done = subprocess.run(
        [sys.executable, "-m", "mkdocs", "build", "--strict", "--quiet", "--site-dir", str(directory)],
        cwd=ROOT,
        env={**os.environ, "NO_MKDOCS_2_WARNING": "true"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert "WARNING" not in done.stderr, done.stderr
    return directory


@pytest.mark.slow
def test_a_page_of_each_document_is_on_the_site(site: Path) -> None:
    documents = {path.relative_to(ROOT / "docs").with_suffix("") for path in (ROOT / "docs").rglob("*.md")}
    pages = {path.relative_to(site).with_suffix("") for path in site.rglob("*.html")}
    assert documents <= pages
    assert {"CHANGELOG", "CONTRIBUTING", "cluster/index", "cluster/slurm/index"} <= {str(page) for page in pages}


@pytest.mark.slow
def test_nothing_is_loaded_from_elsewhere(site: Path) -> None:
    loads = re.compile(r"<(?:link|script|img|iframe)\b[^>]*\b(?:href|src)=\"?(https?://[^\"\s>]+)")
    assert {url for page in site.rglob("*.html") for url in loads.findall(page.read_text())} == set()


def test_the_catalogue_is_the_registries() -> None:
    named = re.compile(r"^\| \[?`(\w+)`", re.MULTILINE)
    assert sorted(named.findall(hooks.weightings())) == WEIGHTINGS.names()
    assert named.findall(hooks.optimizers()) == OPTIMIZERS.names()


def test_the_page_of_params_has_every_field() -> None:
    page = hooks.params()
    fields = {
        name
        for model in (Params, Resources, Budget, Suite, Training, Schedule, Baselines, Sweep)
        for name in model.model_fields
    }
    assert fields <= set(re.findall(r"^\| `(\w+)`", page, re.MULTILINE))


def test_the_page_of_python_has_every_public_name() -> None:
    page = (ROOT / "docs/reference/python.md").read_text()
    public = re.findall(r"import (\w+) as", Path(mtlsweep.__file__).with_suffix(".pyi").read_text())
    assert len(public) >= 4
    for name in public:
        assert f".{name}\n" in page


@needs_browser
@pytest.mark.slow
@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("page", MAIN_PAGES)
def test_a_page_is_offline_and_fits_a_phone(browser: Browser, site: Path, page: str, scheme: str) -> None:
    browser.requests()
    browser.open((site / page).as_uri(), "phone", scheme)
    assert [url for url in browser.requests() if not url.startswith(("blob:", site.as_uri()))] == []
    assert browser.run("return document.documentElement.scrollWidth <= innerWidth")
    ground = browser.run("return getComputedStyle(document.body).backgroundColor")
    assert (ground == "rgb(255, 255, 255)") == (scheme == "light")


@needs_browser
@needs_axe
@pytest.mark.slow
@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("page", MAIN_PAGES)
def test_axe_finds_no_serious_fault(browser: Browser, site: Path, page: str, scheme: str) -> None:
    browser.open((site / page).as_uri(), "desktop", scheme)
    faults, passes = browser.serious_faults()
    assert passes > 20
    assert faults == []
