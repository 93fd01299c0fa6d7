"""`dvc metrics` and `dvc plots`: one line a suite, and templates that draw what the stage `analyse` leaves."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import vl_convert
import yaml

from mtlsweep.analysis.suite import SuiteAnalysis, analyse_suite
from mtlsweep.analysis.summary import headline, plot_data, summarise
from mtlsweep.testing.simulated_sweep import simulate_sweep

PROJECT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def analysis() -> SuiteAnalysis:
    sweep = simulate_sweep(epochs=2)
    return analyse_suite(
        sweep.baseline_curves, sweep.baseline_outcomes, sweep.sweep_curves, sweep.sweep_outcomes, sweep.objectives
    )


@pytest.mark.slow
def test_the_headline_is_the_best_method_the_optimizers_and_the_outcomes(analysis: SuiteAnalysis) -> None:
    summary = summarise(analysis)
    line = headline(summary)
    assert line["best"]["method"] == f"{summary['best']['weighting']} {summary['best']['optimizer']}"
    assert line["adam"] == {
        "delta_m": summary["best_by_optimizer"]["adam"]["delta_m"],
        "pareto_full": summary["pareto"]["adam"]["pareto_full"],
    }
    assert line["trials"] == {name: summary["outcomes"][name] for name in ("done", "diverged", "failed")}
    assert sum(len(entries) for entries in line.values()) <= 12


def test_nothing_finished_has_a_headline_too() -> None:
    empty = {"best": {}, "best_by_optimizer": {}, "pareto": {}, "outcomes": {"done": 0, "diverged": 3, "failed": 0}}
    assert headline(empty) == {"best": {}, "trials": {"done": 0, "diverged": 3, "failed": 0}}


def test_the_report_follows_every_file_that_words_or_draws_a_study() -> None:
    followed = yaml.safe_load((PROJECT / "dvc.yaml").read_text())["stages"]["report"]["deps"]
    sections = sorted((PROJECT / "pipeline/mtlsweep/studies").glob("*/*section.py"))
    assert len(sections) > 5
    assert {str(path.relative_to(PROJECT)) for path in sections} <= set(followed)


def declared_plots() -> list[tuple[str, dict[str, str]]]:
    stage = yaml.safe_load((PROJECT / "dvc.yaml").read_text())["stages"]["analyse"]["do"]
    return [(Path(name).stem, settings) for plot in stage["plots"] for name, settings in plot.items()]


@pytest.mark.parametrize(("name", "settings"), declared_plots())
def test_every_template_draws_two_revisions(analysis: SuiteAnalysis, name: str, settings: dict[str, str]) -> None:
    table = plot_data(analysis)[name]
    assert {settings["x"], settings["y"]} <= set(table)
    rows = [
        row | {"rev": revision}
        for revision in ("HEAD", "workspace")
        for row in json.loads(table.to_json(orient="records"))
    ]
    template = (PROJECT / ".dvc" / "plots" / f"{settings['template']}.json").read_text()
    anchors = {"METRIC_X_LABEL": settings.get("x_label", ""), "METRIC_Y_LABEL": settings.get("y_label", "")}
    anchors |= {"METRIC_X": settings["x"], "METRIC_Y": settings["y"], "METRIC_TITLE": settings["title"]}
    for anchor, text in anchors.items():
        template = template.replace(f'"<DVC_{anchor}>"', json.dumps(text))
    template = template.replace('"<DVC_METRIC_DATA>"', json.dumps(rows))
    assert "<DVC_" not in template
    drawn = vl_convert.vegalite_to_svg(template)
    assert all(word in drawn for word in ("adam", "sgd", "HEAD", "workspace"))
