"""With more names than colours no two of them look alike: shape or line pattern tells apart what shares a colour."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

import pytest

from mtlsweep.analysis.suite import analyse_suite
from mtlsweep.report.figures.figure import coloured, render
from mtlsweep.report.page.page import render_page
from mtlsweep.report.style import COLOURS, MOST_NAMES, palette
from mtlsweep.report.suite import SuiteReport
from mtlsweep.testing.simulated_sweep import Truth, simulate_sweep


def signs(names: list[str], channels: dict[str, Any], second: str) -> list[tuple[str, str]]:
    """Return the colour and the second sign of each name, as Vega gives them: a range shorter than the domain repeats."""
    colours = palette()
    shapes = channels[second].to_dict()["scale"]["range"] if second in channels else ["one"] * len(names)
    return [(colours[place % len(colours)], str(shapes[place])) for place in range(len(names))]


@pytest.mark.parametrize("second", ["shape", "strokeDash"])
@pytest.mark.parametrize("count", [1, COLOURS, COLOURS + 1, 30, MOST_NAMES])
def test_no_two_names_look_alike(count: int, second: str) -> None:
    names = [f"adam [batch_size={size}]" for size in range(count)]
    channels = coloured("optimizer", names, second)
    assert (second in channels) == (count > COLOURS)
    assert len(set(signs(names, channels, second))) == count


def test_names_that_no_sign_can_tell_apart_have_none() -> None:
    channels = coloured("optimizer", [str(number) for number in range(MOST_NAMES + 1)], "shape")
    assert channels == {"detail": "optimizer:N"}


@pytest.fixture(scope="module")
def report() -> SuiteReport:
    """Fourteen batch sizes compared: as many names of one optimizer."""
    effects = {f"adam [batch_size={2**power}]": 5.0 + power for power in range(14)}
    truth = Truth({"ew": 0.0}, effects, dict.fromkeys(effects, -3.0), diverges_above={})
    sweep = simulate_sweep((1e-2, 1e-3), seeds=2, epochs=2, truth=truth)
    analysis = analyse_suite(
        sweep.baseline_curves, sweep.baseline_outcomes, sweep.sweep_curves, sweep.sweep_outcomes, sweep.objectives
    )
    return SuiteReport("simulated", analysis, {})


def marks(spec: Any) -> Iterator[dict[str, Any]]:
    for layer in spec.get("layer", [spec]):
        yield {"mark": layer["mark"], **layer["encoding"]} if "encoding" in layer else {"mark": layer["mark"]}


@pytest.mark.slow
def test_every_figure_has_a_second_sign_where_colours_repeat(report: SuiteReport) -> None:
    assert report.overview is not None
    drawn = {figure.name: figure for figure in (report.overview, *report.figures)}
    assert "attainment_differences" not in drawn, "rectangles have no second sign"
    looked_at = 0
    for name in ("methods", "fronts", "parallel_coordinates", "learning_rates", "learning_curves"):
        for spec in drawn[name].specifications:
            coloured_marks = [mark for mark in marks(spec) if mark.get("color", {}).get("field") == "optimizer"]
            looked_at += len(coloured_marks)
            signed = [mark for mark in coloured_marks if {"shape", "strokeDash"} & set(mark)]
            assert signed, name
            for mark in signed:
                second = next(channel for channel in ("shape", "strokeDash") if channel in mark)
                domain, values = mark["color"]["scale"]["domain"], mark[second]["scale"]["range"]
                assert mark[second]["field"] == "optimizer"
                assert len({(place % COLOURS, str(values[place])) for place in range(len(domain))}) == len(domain) == 14
    assert looked_at > 10


@pytest.mark.slow
def test_the_shared_legend_of_the_page_shows_both_signs(report: SuiteReport) -> None:
    first = next(figure for figure in report.figures if figure.name == "learning_rates")
    svg = render(first)["svg"].decode()
    assert int(re.findall(r'width="(\d+)', svg)[0]) < 1200, "the legend of a file has rows"
    page = render_page([report])
    legend = page[page.index('<ul class="legend">') :].split("</ul>", 1)[0]
    looks = re.findall(r'<svg class="sign".*?colour-(\d+).*?dasharray="([\d,]+)".*?<path d="(.*?)"', legend)
    assert len(looks) == len(set(looks)) == 14
    assert (
        len({(colour, mark) for colour, _, mark in looks}) == len({(colour, dash) for colour, dash, _ in looks}) == 14
    )
