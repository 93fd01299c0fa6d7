"""The page of `mtlsweep watch`: the present state of each suite in words, tables and one small figure; no network, no library."""

from __future__ import annotations

import base64
import hashlib
import re
import time
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from functools import cache
from importlib.resources import files
from typing import Any

import jinja2
from markupsafe import Markup, escape

from mtlsweep.cli.watch.front import draw_front
from mtlsweep.report.page.frame import page_css, template_environment
from mtlsweep.report.style import COLOURS, optimizer_order
from mtlsweep.sweep.progress import format_seconds
from mtlsweep.trials.state import Outcome

MOST_METHODS = 60
MOST_RUNNING = 200
"""A cluster may run thousands; the page stays small."""

_OUTCOMES = [outcome.value for outcome in Outcome]
_NOTHING = "–"


def render(title: str, suites: Sequence[Mapping[str, Any]], problems: Mapping[str, str]) -> str:
    """Return the page as one self-contained HTML document.

    Args:
        title: of the browser's tab.
        suites: what `LiveSuite.look` returned last, for each suite that could be read once.
        problems: by suite, why it cannot be read now.
    """
    now = time.time()
    known = {one["suite"]: one for one in suites}
    shown = [
        {"name": name, "problem": problems.get(name), **(_suite(known[name]) if name in known else {"shown": False})}
        for name in dict.fromkeys([*known, *problems])
    ]
    return _template().render(
        title=title,
        suites=shown,
        outcomes=_OUTCOMES,
        complete=not problems and not any(one["unread"] for one in suites),
        written=time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(now)),
        written_at=f"{now:.0f}",
        css=Markup(_css()),
        js=Markup(_js()),
    )


def content_policy() -> str:
    """Return the Content-Security-Policy under which a browser runs the page's own style and script and nothing else."""
    style, script = (base64.b64encode(hashlib.sha256(text.encode()).digest()).decode() for text in (_css(), _js()))
    return (
        f"default-src 'none'; style-src 'sha256-{style}'; script-src 'sha256-{script}'; img-src data:; "
        "connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    )


@cache
def _template() -> jinja2.Template:
    environment = template_environment()
    environment.filters["coded"] = _coded
    return environment.from_string(_asset("page.html"))


def _coded(sentence: str) -> Markup:
    """Return a sentence with its `commands` marked as code."""
    return Markup(re.sub(r"`([^`]+)`", r"<code>\1</code>", str(escape(sentence))))


@cache
def _css() -> str:
    fills = "".join(f".fill-{number} {{ fill: var(--colour-{number}); }}\n" for number in range(COLOURS))
    return page_css() + _asset("page.css") + fills


@cache
def _js() -> str:
    return _asset("page.js")


def _asset(name: str) -> str:
    return (files("mtlsweep.cli.watch") / "assets" / name).read_text()


def _suite(live: Mapping[str, Any]) -> dict[str, Any]:
    stages = [_stage(name, stage, live["costs"]) for name, stage in live["stages"].items()]
    running = [trial for stage in live["stages"].values() for trial in stage["running"]]
    found, methods = live["found"], live["found"]["methods"]
    colours = _colours([*(method["optimizer"] for method in methods), *_optimizers(found["front"])])
    hidden = len(methods) - MOST_METHODS
    return {
        "shown": True,
        "headline": _headline(live),
        "reading": f"The ledger is being read: {live['unread']:,} finished trials are not shown yet." if live["unread"] else None,
        "holder": _holder(live["holder"]),
        "devices": [sentence for stage in live["stages"].values() for sentence in stage["devices"]],
        "stages": stages,
        "has_price": live["costs"]["price"] is not None,
        "cost_sentence": _costs(live),
        "failures": live["failures"]["causes"],
        "retry": live["failures"]["retry"],
        "running": [_running(trial) for trial in running[:MOST_RUNNING]],
        "running_words": f"{len(running):,} running trials" + (f", of which {MOST_RUNNING} are listed" if len(running) > MOST_RUNNING else ""),
        "hosts": dict(Counter(trial["host"] or "a host that has not reported yet" for trial in running).most_common()),
        "methods": _methods(methods[:MOST_METHODS], colours),
        "more_methods": f"{hidden} methods with a higher Δm are not listed." if hidden > 0 else None,
        "no_methods": _no_methods(live),
        "axes": sorted({axis for method in methods for axis in method["axes"]}),
        "front": draw_front(found["front"], colours) if found["front"] else None,
        "baselines": [
            {**row, "learning_rate": f"{row['learning_rate']:g}", "mean": _spread(row["mean"], row["deviation"], 4)}
            for row in live["baselines"]["metrics"]
        ],
    }  # fmt: skip


def _stage(name: str, stage: Mapping[str, Any], costs: Mapping[str, Any]) -> dict[str, Any]:
    finished, own, price = sum(stage["outcomes"].values()), costs["stages"][name], costs["price"]
    return {
        "name": name,
        "planned": max(stage["planned"], 1),
        "finished": finished,
        "finished_of": f"{finished:,} of {stage['planned']:,}",
        "outcomes": {outcome: f"{stage['outcomes'].get(outcome, 0):,}" for outcome in _OUTCOMES},
        "half_finished": f"{stage['half_finished']:,}",
        "left": _NOTHING if stage["eta_seconds"] is None else format_seconds(stage["eta_seconds"]),
        "hours": f"{own['spent']:,.2f}",
        "hours_left": "?" if own["left"] is None else f"{own['left']:,.2f}",
        "costs": None if price is None else f"{own['spent'] * price:,.2f}",
    }


def _headline(live: Mapping[str, Any]) -> str:
    by_stage = live["stages"]
    counts = {name: (sum(stage["outcomes"].values()), stage["planned"]) for name, stage in by_stage.items()}
    finished, planned = (sum(column) for column in zip(*counts.values(), strict=True))
    active = [name for name, stage in by_stage.items() if stage["running"]]
    if live["holder"] and active:
        name = active[0]
        done, total = counts[name]
        eta = by_stage[name]["eta_seconds"]
        left = f", about {format_seconds(eta)} left in this stage" if eta is not None else ""
        return f"The {name} runs: {done:,} of {total:,} trials are finished{left}."
    if live["holder"]:
        return f"A sweep is at work, and no trial runs at the moment: {finished:,} of {planned:,} trials are finished."
    state = f"No sweep is running: {finished:,} of {planned:,} trials are finished"
    if live["unread"]:
        return f"{state}."
    if all(own["left"] == 0.0 for own in live["costs"]["stages"].values()):
        return f"No sweep is running: {finished:,} trials are finished, and nothing is left to train."
    return f"{state}; `dvc repro` continues."


def _holder(holder: Mapping[str, Any] | None) -> str | None:
    return None if holder is None else f"Process {holder['pid']} on {holder['host']} since {holder['since']}."


def _costs(live: Mapping[str, Any]) -> str:
    costs, price, suite = live["costs"], live["costs"]["price"], live["suite"]
    parts = {
        "in trials that are not finished": costs["unfinished"],
        "in trials that are no longer planned": costs["others"],
    }
    of_them = ", ".join(f"{hours:,.2f} {what}" for what, hours in parts.items() if hours >= 0.005)
    spent = f"Spent: {_priced(costs['spent'], price)}{f' (of them {of_them})' if of_them else ''}."
    unknown = [name for name, own in costs["stages"].items() if own["left"] is None]
    forecast = f" `mtlsweep plan {suite}` forecasts {' and '.join(unknown)}." if unknown else ""
    if not costs["left"]:
        return f"{spent}{forecast}"
    return f"{spent} Still to come, by what trials have cost so far: {_priced(costs['left'], price)}.{forecast}"


def _priced(hours: float, price: float | None) -> str:
    return f"{hours:,.2f} device-hours" + (
        "" if price is None else f", which cost {hours * price:,.2f} (at {price:g} an hour)"
    )


def _running(trial: Mapping[str, Any]) -> dict[str, Any]:
    delta_m = trial["delta_m"]
    return {**trial, "host": trial["host"] or "?", "delta_m": _NOTHING if delta_m is None else f"{delta_m:+.2f}"}


def _no_methods(live: Mapping[str, Any]) -> str | None:
    missing, sweep = live["baselines"]["missing"], live["stages"]["sweep"]
    if live["unread"]:
        return "They are shown when the ledger is read."
    if missing is not None:
        return f"Δm compares with single-task learning, which is not complete: {missing.rstrip('.')}."
    return "No trial of the sweep is finished." if not sum(sweep["outcomes"].values()) else None


def _methods(methods: Sequence[Mapping[str, Any]], colours: Mapping[str, int]) -> list[dict[str, Any]]:
    low, high = (choose([0.0, *(method["delta_m"] for method in methods)]) for choose in (min, max))
    scale = 100 / ((high - low) or 1.0)
    return [
        {
            **method,
            "learning_rate": f"{method['learning_rate']:g}",
            "delta_m": _spread(method["delta_m"], method["deviation"], 2, sign="+"),
            "colour": colours[method["optimizer"]],
            "bar": {
                "x": f"{scale * (min(method['delta_m'], 0.0) - low):.1f}",
                "width": f"{scale * abs(method['delta_m']):.1f}",
                "zero": f"{min(scale * -low, 99.4):.1f}",
            },
        }
        for method in methods
    ]


def _spread(mean: float, deviation: float | None, digits: int, sign: str = "") -> str:
    spread = "" if deviation is None or deviation != deviation else f" ± {deviation:.{digits}f}"
    return f"{mean:{sign}.{digits}f}{spread}"


def _optimizers(front: Mapping[str, Any] | None) -> Iterable[str]:
    return [] if front is None else [point["optimizer"] for point in front["points"]]


def _colours(optimizers: Iterable[str]) -> dict[str, int]:
    """Return the number of each optimizer's colour, as the report gives them; beyond the palette they repeat."""
    return {name: position % COLOURS for position, name in enumerate(optimizer_order(optimizers))}
