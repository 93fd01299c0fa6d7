"""The figure of the page: two metrics of every run that is drawn, as an SVG that the page writes itself."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

LEFT, RIGHT, TOP, BOTTOM = 66.0, 432.0, 8.0, 252.0
"""Edges of the panel in the view box of 440 x 300, in which text of 13 units is legible on a phone."""

_TICKS = (0.0, 0.5, 1.0)


def draw_front(front: Mapping[str, Any], colours: Mapping[str, int]) -> dict[str, Any]:
    """Return the sentence about the front, and the circles, numbers and words of its figure; better is right and up.

    Args:
        front: of `LiveSuite.look`.
        colours: number of the colour of each optimizer.
    """
    x_axis, y_axis = front["axes"]
    points = front["points"]
    spans = {
        name: _span([point[name] for point in points if point["member"]], [point[name] for point in points])
        for name in ("x", "y")
    }
    inside = [point for point in points if all(spans[name][0] <= point[name] <= spans[name][1] for name in ("x", "y"))]
    circles = [
        {
            "x": f"{_place(point['x'], spans['x'], LEFT, RIGHT, x_axis):.1f}",
            "y": f"{_place(point['y'], spans['y'], BOTTOM, TOP, y_axis):.1f}",
            "colour": colours[point["optimizer"]],
            "member": point["member"],
            "name": f"{point['name']}: {point['x']:.4g}, {point['y']:.4g}",
        }
        for point in inside
    ]
    first = ", ".join(f"{count} of {name}" for name, count in list(front["by_method"].items())[:5])
    sentence = (
        f"Of {front['trials']:,} trials that are done, {front['members']:,} {'is' if front['members'] == 1 else 'are'} Pareto-optimal on validation data over all "
        f"{front['metrics']} metrics that count in Δm: {first}{', and others' if len(front['by_method']) > 5 else ''}."
    )
    return {
        "sentence": sentence,
        "points": circles,
        "legend": [{"name": name, "colour": colour} for name, colour in colours.items()],
        "ticks": [*_ticks(spans["x"], x_axis, True), *_ticks(spans["y"], y_axis, False)],
        "x_label": _label(x_axis),
        "y_label": _label(y_axis),
        "caption": "Validation figures of two of the metrics; full colour: Pareto-optimal over all of them. Better is right and up; runs far from the front, and of many every second or third, are left out.",
        "seen": f"{len(circles)} runs; of the Pareto-optimal ones {_label(x_axis)} is {_range(points, 'x')}, {_label(y_axis)} {_range(points, 'y')}.",
    }  # fmt: skip


def _span(members: Sequence[float], every: Sequence[float]) -> tuple[float, float]:
    """Return the values at the panel's edges: the front with room for what is near it, or all runs if they are nearer."""
    low, high = min(members or every), max(members or every)
    room = (high - low) or 0.05 * abs(high) or 1e-6
    return max(low - room, min(every) - 0.05 * room), min(high + room, max(every) + 0.05 * room)


def _place(value: float, span: tuple[float, float], worst: float, best: float, axis: Mapping[str, Any]) -> float:
    share = (value - span[0]) / ((span[1] - span[0]) or 1.0)
    return worst + (share if axis["higher_is_better"] else 1 - share) * (best - worst)


def _ticks(span: tuple[float, float], axis: Mapping[str, Any], is_x: bool) -> list[dict[str, Any]]:
    ticks = []
    for share in _TICKS:
        value = span[0] + share * (span[1] - span[0])
        if is_x:
            x = _place(value, span, LEFT, RIGHT, axis)
            anchor = "start" if x < LEFT + 40 else "end" if x > RIGHT - 40 else "middle"
            ticks.append({"x": f"{x:.0f}", "y": "269", "anchor": anchor, "text": f"{value:.3g}"})
        else:
            y = _place(value, span, BOTTOM, TOP, axis)
            ticks.append(
                {"x": "60", "y": f"{min(max(y + 4, 14), BOTTOM):.0f}", "anchor": "end", "text": f"{value:.3g}"}
            )
    return ticks


def _label(axis: Mapping[str, Any]) -> str:
    return f"{axis['label']} ({'higher' if axis['higher_is_better'] else 'lower'} is better)"


def _range(points: Sequence[Mapping[str, Any]], name: str) -> str:
    values = [point[name] for point in points if point["member"]]
    return f"{min(values):.3g} to {max(values):.3g}" if values else "not known"
