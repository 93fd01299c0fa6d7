"""The page of the live view: words for each state, one file without network, small whatever the study's size."""

from __future__ import annotations

import copy
import re
from typing import Any

import pytest

from mtlsweep.cli.watch.page import content_policy, render

STAGE: dict[str, Any] = {
    "planned": 20,
    "outcomes": {"done": 6, "failed": 2},
    "failures": {"oom": 2},
    "half_finished": 1,
    "running": [],
    "devices": [],
    "eta_seconds": None,
    "trials_per_hour": None,
}
LIVE: dict[str, Any] = {
    "suite": "digits",
    "holder": None,
    "unread": 0,
    "stages": {"baselines": {**STAGE, "planned": 3, "outcomes": {"done": 3}}, "sweep": STAGE},
    "costs": {
        "price": None,
        "stages": {"baselines": {"spent": 1.0, "left": 0.0}, "sweep": {"spent": 10.0, "left": 4.0}},
        "others": 0.0,
        "unfinished": 0.5,
        "spent": 11.5,
        "left": 4.0,
    },
    "failures": {"causes": [], "retry": None},
    "baselines": {"trials": [], "metrics": [], "missing": None},
    "found": {"methods": [], "front": None},
}
RUNNING = {"name": "ew adam lr=1e-3 seed=0", "host": "gpu-1", "epoch": 2, "epochs": 9, "seconds": 3.0, "delta_m": 1.25}
HOLDER = {"pid": 7, "host": "head", "since": "2026-01-01 00:00:00"}


def live(**changes: Any) -> dict[str, Any]:
    return {**copy.deepcopy(LIVE), **changes}


def words(**changes: Any) -> str:
    return " ".join(
        re.sub(r"<style>.*?</style>|<script>.*?</script>|<[^>]+>", " ", page(**changes), flags=re.S).split()
    )


def page(**changes: Any) -> str:
    return render("watch", [live(**changes)], {})


def test_the_headline_says_what_happens_and_what_is_next() -> None:
    running = {**LIVE["stages"], "sweep": {**STAGE, "running": [RUNNING], "eta_seconds": 7500.0}}
    assert "The sweep runs: 8 of 20 trials are finished, about 2 h 05 min left in this stage." in words(
        holder=HOLDER, stages=running
    )
    assert "Process 7 on head since 2026-01-01 00:00:00." in words(holder=HOLDER, stages=running)
    assert "no trial runs at the moment: 11 of 23" in words(holder=HOLDER)
    assert "No sweep is running: 11 of 23 trials are finished; dvc repro continues." in words()
    complete = copy.deepcopy(LIVE["costs"])
    complete["stages"]["sweep"]["left"] = 0.0
    assert "No sweep is running: 11 trials are finished, and nothing is left to train." in words(costs=complete)
    assert "12,000 finished trials are not shown yet" in words(unread=12_000)


def test_costs_are_hours_and_with_a_price_money() -> None:
    assert "Spent: 11.50 device-hours (of them 0.50 in trials that are not finished)." in words()
    assert "Still to come, by what trials have cost so far: 4.00 device-hours." in words()
    priced = words(costs={**LIVE["costs"], "price": 2.5})
    assert "11.50 device-hours, which cost 28.75 (at 2.5 an hour)" in priced
    assert "4.00 device-hours, which cost 10.00" in priced
    unknown = copy.deepcopy(LIVE["costs"])
    unknown["stages"]["sweep"]["left"], unknown["left"] = None, 0.0
    assert "mtlsweep plan digits forecasts sweep." in words(costs=unknown)


def test_a_suite_that_cannot_be_read_keeps_its_last_state_under_the_reason() -> None:
    both = render("watch", [live()], {"digits": "params.yaml: `active` is empty.", "street": "no <data>."})
    assert "params.yaml: <code>active</code> is empty." in both
    assert "8 of 20" in both
    assert "no &lt;data&gt;." in both


def test_names_of_users_are_text_and_nothing_else() -> None:
    hostile = '<img src=x onerror="alert(1)">'
    cause = {"outcome": "failed", "cause": hostile, "count": 1, "name": hostile, "detail": hostile, "repeat": hostile}
    stages = {**LIVE["stages"], "sweep": {**STAGE, "running": [{**RUNNING, "name": hostile, "host": hostile}]}}
    shown = page(failures={"causes": [cause], "retry": hostile}, stages=stages, suite=hostile)
    assert "<img" not in shown
    assert "&lt;img" in shown


def test_the_page_asks_for_nothing_and_its_policy_lets_it_run_its_own_script_alone() -> None:
    shown = page()
    assert re.findall(r"(?:src|href)=\"(?!data:,)[^\"]*\"|url\(|@import|https?://", shown) == []
    assert " style=" not in shown
    assert "'unsafe" not in content_policy()
    assert content_policy().startswith("default-src 'none'; style-src 'sha256-")


def test_the_page_of_a_huge_study_is_small() -> None:
    method = {"weighting": "ew", "optimizer": "adam", "learning_rate": 0.1, "axes": {}, "seeds": 3, "delta_m": 1.0}
    methods = [{**method, "weighting": f"w{number}", "deviation": None} for number in range(500)]
    point = {"name": "ew adam lr=0.1", "optimizer": "adam", "x": 0.5, "y": 0.5, "member": True}
    axis = {"label": "left accuracy", "higher_is_better": True}
    front = {"metrics": 3, "trials": 20_000, "members": 300, "by_method": {"ew adam": 300}, "axes": [axis, axis]}
    front["points"] = [{**point, "x": number / 600} for number in range(600)]
    stages = {**LIVE["stages"], "sweep": {**STAGE, "running": [RUNNING] * 5000}}
    shown = page(found={"methods": methods, "front": front}, stages=stages, holder=HOLDER)
    assert len(shown) < 250_000
    assert "440 methods with a higher Δm are not listed." in shown
    assert "5,000 running trials, of which 200 are listed" in shown


@pytest.mark.parametrize("higher", [True, False])
def test_better_is_right_and_up(higher: bool) -> None:
    axis = {"label": "m", "higher_is_better": higher}
    good, bad = (0.9, 0.1) if higher else (0.1, 0.9)
    points = [
        {"name": name, "optimizer": "adam", "x": value, "y": value, "member": True}
        for name, value in (("good", good), ("bad", bad))
    ]
    front = {
        "metrics": 2,
        "trials": 2,
        "members": 2,
        "by_method": {"ew adam": 2},
        "axes": [axis, axis],
        "points": points,
    }
    shown = page(found={"methods": [], "front": front})
    place = {
        name: (float(x), float(y))
        for x, y, name in re.findall(r'cx="([\d.]+)" cy="([\d.]+)" r="5"><title>(\w+)', shown)
    }
    assert place["good"][0] > place["bad"][0]
    assert place["good"][1] < place["bad"][1]
