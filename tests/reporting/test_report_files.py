"""The report on disk: one page that needs nothing else, and every figure and table beside it."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from pathlib import Path

import pandas as pd
import pytest

from mtlsweep.analysis.paper.printed_results import HIGHER_IS_BETTER
from mtlsweep.analysis.suite import SuiteAnalysis, analyse_suite
from mtlsweep.analysis.suite_files import write_analysis
from mtlsweep.errors import UserError
from mtlsweep.report.external import analyse_table
from mtlsweep.report.figures.figure import render
from mtlsweep.report.page.page import render_page
from mtlsweep.report.report import write_report
from mtlsweep.report.sections import read_sections
from mtlsweep.report.suite import SuiteReport, read_suite
from mtlsweep.testing.simulated_sweep import SimulatedSweep, simulate_sweep
from tests.reporting.own_study import write_section

pytestmark = pytest.mark.slow

FIGURES = {
    "slope", "fronts", "parallel_coordinates", "learning_rates", "differences", "attainment_differences", "learning_curves",
    "weights", "hypervolume_compute", "importance", "raw_fronts", "raw_attainment_differences",
}  # fmt: skip
TABLES = {
    "results", "pareto_by_optimizer", "pareto_by_weighting", "comparisons", "rankings", "methods", "baselines", "outcomes", "compute",
}  # fmt: skip


def analysed(sweep: SimulatedSweep) -> SuiteAnalysis:
    return analyse_suite(
        sweep.baseline_curves, sweep.baseline_outcomes, sweep.sweep_curves, sweep.sweep_outcomes, sweep.objectives
    )


def report_on(analysis: SuiteAnalysis, name: str = "multidigits-lenet") -> SuiteReport:
    keys = analysis.trials["trial_key"]
    started = pd.Timestamp("2026-01-01") + pd.to_timedelta(range(len(keys)), unit="min")
    return SuiteReport(
        name=name,
        analysis=analysis,
        provenance={
            "git_sha": "c0ffee",
            "dirty": None,
            "machine": None,
            "started": 1795353729.2,
            "data_fingerprint": "f" * 64,
            "versions": {"torch": "2.13.0"},
        },
        costs=pd.DataFrame({"trial_key": keys, "seconds": 30.0, "started": started}),
        importance=pd.DataFrame(
            {"hyperparameter": ["lr", "optimizer"], "target": "all tasks", "importance": [0.7, 0.3]}
        ),
    )


@pytest.fixture(scope="module")
def report() -> SuiteReport:
    return report_on(analysed(simulate_sweep(epochs=3)))


@pytest.fixture(scope="module")
def page(report: SuiteReport) -> str:
    return render_page([report])


def test_every_figure_and_table_is_there(report: SuiteReport) -> None:
    assert report.overview is not None and report.overview.name == "methods"
    assert {figure.name for figure in report.figures} == FIGURES
    assert {table.name for table in report.tables} == TABLES


def test_the_page_asks_no_network_for_anything(page: str) -> None:
    markup = re.sub(r"<script.*?</script>", "", page, flags=re.DOTALL)
    assert not re.findall(r"(?:src|href|action)=\"(?:https?:)?//", markup)
    assert not re.findall(r"@import|url\(", markup)
    assert page.count("<script>") == 2 and "<script src" not in page and '<link rel="stylesheet"' not in page


def test_the_page_begins_with_a_headline_a_picture_and_at_most_five_sentences(page: str) -> None:
    """Everything before the first fold; the definition of Δm stands once, and no other name for it is shown."""
    first, rest = page.split("<details>", 1)
    assert first.index("Best on validation") < first.index('class="chart"') < first.index("<li>It costs")
    assert "<table" not in first and "<table" in rest
    assert first.count('class="chart"') == 1
    sentences = first[first.index('<ul class="answer">') :]
    assert 3 <= sentences.count("<li>") <= 5
    shown = re.sub(r"<script.*?</script>|<style.*?</style>", "", page, flags=re.DOTALL)
    assert "Delta_m" not in shown and "<em>Δm</em> is the mean change" in first
    assert shown.count("is the mean change of all metrics") == 1


def test_every_figure_says_in_words_what_is_seen_with_figures(page: str, report: SuiteReport) -> None:
    labels = re.findall(r'role="img" aria-label="([^"]+)"', page)
    assert len(labels) == page.count("<figure>") == 1 + len(report.figures)
    assert all(re.search(r"\d", label) for label in labels)
    assert re.match(
        r"20 methods on an axis of test Δm in percent, single-task learning at 0\. First: ew · adam at \d\.\d \(-?\d\.\d to \d+\.\d\)\. "
        r"By optimizer: adam \d+\.\d to \d+\.\d, sgd .*, signsgd .*\. With Pareto-optimal runs: ew · adam",
        labels[0],
    )
    assert b"aria-label=" in render(report.figures[0])["svg"]


def test_the_first_picture_has_single_task_learning_at_zero_and_marks_pareto_members(report: SuiteReport) -> None:
    assert report.overview is not None
    (spec,) = report.overview.specifications
    rows = next(pd.DataFrame(rows) for rows in spec["datasets"].values() if "pareto" in rows[0])
    zero, _, points, *_ = spec["layer"]
    assert zero["encoding"]["x"]["field"] == "zero"
    assert points["encoding"]["fillOpacity"]["condition"]["test"] == "datum.pareto"
    members = report.analysis.members
    optimal = members[members["full"]]
    assert set(rows.loc[rows["pareto"], "method"]) == set(optimal["weighting"] + " · " + optimal["optimizer"])
    results = report.analysis.results
    assert rows["delta_m"].iloc[0] == pytest.approx(results["test_delta_m_mean"].iloc[0])
    assert set(rows["optimizer"]) == set(results["optimizer"]), "the best of each optimizer is there"
    assert len(rows) == 20 and "the 20 best of 21 on validation" in report.overview.caption


def test_provenance_outcomes_and_commands_are_shown(page: str, report: SuiteReport) -> None:
    for words in (
        "c0ffee",
        "f" * 64,
        "112 done",
        "14 diverged",
        "versions torch",
        "2026-11-22 13:22:09 UTC",
        "not recorded",
    ):
        assert words in page
    selected = report.analysis.trials[report.analysis.trials["cell_key"].isin(report.analysis.results["cell_key"])]
    assert all(f"mtlsweep run {key}" in page for key in selected["trial_key"])


def test_every_panel_has_a_place_and_every_place_a_panel(page: str) -> None:
    places = re.findall(r'<div class="chart"[^>]* id="([^"]+)"', page)
    block = re.search(r'<script type="application/json" id="figures">(.*?)</script>', page, re.DOTALL)
    assert block
    drawing = json.loads(block[1])
    assert len(places) == len(set(places)) and set(places) == set(drawing["specs"])
    assert all(spec["width"] == "container" for spec in drawing["specs"].values())
    assert drawing["light"]["range"]["category"] != drawing["dark"]["range"]["category"]


@pytest.mark.slow
def test_names_from_outside_cannot_become_markup(report: SuiteReport) -> None:
    evil = "<script>alert(1)</script>"
    results = report.analysis.results.replace({"weighting": {"ew": evil}})
    text = render_page([replace(report, analysis=replace(report.analysis, results=results))])
    assert evil not in text and "&lt;script&gt;alert(1)" in text


def test_better_is_always_up(report: SuiteReport) -> None:
    """Axes of Δm and of errors are turned; in parallel coordinates the best value of each metric is at 1."""
    parallel = next(figure for figure in report.figures if figure.name == "parallel_coordinates")
    (spec,) = parallel.specifications
    (rows,) = spec["datasets"].values()
    for metric, higher in (("mass mae", False), ("left accuracy", True)):
        own = pd.DataFrame([row for row in rows if row["metric"] == metric])
        best = own.loc[own["value"].idxmax() if higher else own["value"].idxmin()]
        assert best["position"] == 1.0
    fronts = next(figure for figure in report.figures if figure.name == "fronts")
    for spec in fronts.specifications:
        for axis in ("x", "y"):
            encoding = spec["layer"][0]["encoding"][axis]
            assert encoding["scale"]["reverse"] == ("lower is better" in encoding["title"])


@pytest.mark.slow
def test_all_files_are_written_and_are_what_they_are_called(tmp_path: Path, report: SuiteReport) -> None:
    path = write_report([report], tmp_path)
    assert path == tmp_path / "index.html"
    for name in {*FIGURES, "methods"}:
        stem = tmp_path / "figures" / report.name / name
        assert stem.with_suffix(".png").read_bytes()[:4] == b"\x89PNG"
        assert stem.with_suffix(".svg").read_text().startswith("<svg")
        assert stem.with_suffix(".pdf").read_bytes()[:5] == b"%PDF-"
    for name in TABLES:
        stem = tmp_path / "tables" / report.name / name
        assert len(pd.read_csv(stem.with_suffix(".csv"))) == len(pd.read_parquet(stem.with_suffix(".parquet"))) > 0
        assert r"\toprule" in stem.with_suffix(".tex").read_text()
    for link in re.findall(r'href="((?:figures|tables)/[^"]+)"', path.read_text()):
        assert (tmp_path / link).exists(), link


@pytest.mark.slow
def test_one_seed_one_epoch_and_everything_diverged_still_make_a_page() -> None:
    sweep = simulate_sweep(seeds=1, epochs=1)
    outcomes = sweep.sweep_outcomes.assign(outcome="diverged")
    lost = SimulatedSweep(sweep.baseline_curves, sweep.baseline_outcomes, sweep.sweep_curves, outcomes)
    for analysis in (analysed(sweep), analysed(lost)):
        text = render_page([report_on(analysis)])
        assert "<h2" in text and "NaN" not in re.sub(r"<script.*?</script>", "", text, flags=re.DOTALL)


@pytest.mark.slow
def test_a_single_optimizer_has_no_slope_and_no_differences() -> None:
    sweep = simulate_sweep(epochs=2)
    only = sweep.sweep_outcomes[sweep.sweep_outcomes["optimizer"] == "adam"]
    analysis = analysed(SimulatedSweep(sweep.baseline_curves, sweep.baseline_outcomes, sweep.sweep_curves, only))
    names = {figure.name for figure in report_on(analysis).figures}
    assert names == FIGURES - {"slope", "differences", "attainment_differences", "raw_attainment_differences"}


@pytest.mark.slow
def test_many_dominated_runs_are_thinned_and_the_caption_says_so() -> None:
    sweep = simulate_sweep(learning_rates=tuple(10.0**-k for k in range(2, 7)), seeds=20, epochs=1)
    figure = next(figure for figure in report_on(analysed(sweep)).figures if figure.name == "parallel_coordinates")
    assert re.search(r"Of \d+ dominated runs one in 2 is drawn\.", figure.caption)


def test_what_stages_left_is_read_back(tmp_path: Path, report: SuiteReport) -> None:
    directory = tmp_path / "multidigits-lenet"
    write_analysis(directory, report.analysis)
    with pytest.raises(UserError, match=r"provenance\.json` is missing"):
        read_suite("multidigits-lenet", directory)
    (directory / "sweep").mkdir()
    (directory / "sweep" / "provenance.json").write_text("{")
    with pytest.raises(UserError, match=r"provenance\.json` is damaged"):
        read_suite("multidigits-lenet", directory)
    (directory / "sweep" / "provenance.json").write_text('{"git_sha": "c0ffee"}')
    read = read_suite("multidigits-lenet", directory)
    assert read.costs is None and read.importance is None
    assert {figure.name for figure in read.figures} == FIGURES - {"hypervolume_compute", "importance"}


@pytest.mark.slow
def test_studies_of_ones_own_get_their_section_when_they_ran(tmp_path: Path, report: SuiteReport) -> None:
    assert read_sections(tmp_path) == ()
    write_section(tmp_path / "toy")
    sections = read_sections(tmp_path)
    text = render_page([replace(report, sections=sections)], sections)
    assert text.count("Adam with EW needs 22 iterations.") == 2
    assert text.count('aria-label="Falls from 3 to 1."') == 2
    assert 'id="toy-loss-0"' in text and 'id="multidigits-lenet-toy-loss-0"' in text
    assert render(sections[0].figures[0])["svg"].startswith(b"<svg")


PAPER = Path(__file__).parents[2] / "pipeline" / "mtlsweep" / "analysis" / "paper" / "tables" / "cityscapes_segnet.csv"


@pytest.mark.slow
def test_a_table_made_elsewhere_is_answered_and_reported(tmp_path: Path) -> None:
    text = analyse_table(PAPER, ["semseg_miou", "semseg_pixacc"], "stl", tmp_path / "out")
    assert re.search(r"uw\s+adam\s+0\.001\s+0\s+5\.\d+", text) and "Lowest Δm in the table: uw with adam" in text
    rows = pd.read_csv(tmp_path / "out" / "rows.csv")
    assert len(rows) == 23 and (rows["delta_m"] - rows["given_delta_m"]).abs().max() < 0.15
    assert (tmp_path / "out" / "index.html").exists() and (
        tmp_path / "out" / "tables" / "cityscapes_segnet" / "results.tex"
    ).exists()


def test_odd_tables_are_reported_whole(tmp_path: Path) -> None:
    """A method called None, one without a figure, one of one seed, a name with a space, columns that are no metric."""
    rows = [
        "stl,adam,0.01,0,0.70,0.20,9", "stl,adam,0.01,1,0.72,0.22,9", "None,adam,0.01,0,0.68,0.19,9",
        "None,adam,0.01,1,0.70,0.21,9", "uw,adam,,0,0.71,0.20,9", "uw (s, 1),sgd,0.1,0,0.71,,9",
    ]  # fmt: skip
    table = tmp_path / "my table v1.2.csv"
    table.write_text(
        "weighting,optimizer,lr,seed,seg_miou,depth_err,time\n" + "\n".join(rows).replace("uw (s, 1)", '"uw (s, 1)"')
    )
    text = analyse_table(table, [], "stl", tmp_path / "out")
    assert "Better is: seg_miou higher, depth_err lower.\nLeft out: time." in text
    assert (
        "Lowest Δm in the table: uw with adam; it is 2.38 %" in text
        and "1 run with a missing metric was left out" in text
    )
    assert len(pd.read_csv(tmp_path / "out" / "rows.csv", keep_default_na=False)) == 4
    assert (tmp_path / "out" / "tables" / table.stem / "results.tex").exists()


def test_without_a_directory_nothing_is_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert "Report:" not in analyse_table(PAPER, [m for m in HIGHER_IS_BETTER if m.startswith("semseg")], "stl", None)
    assert list(tmp_path.iterdir()) == []
