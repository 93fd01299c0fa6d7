"""`mtlsweep plan`: show trials by method, and their forecast cost."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Annotated, Any

import typer

from mtlsweep.cli.app import Json, Suites, app, chosen_suites, show, user_errors
from mtlsweep.params.params import Params, load_params
from mtlsweep.studies.training_stages import later_stages, training_stages
from mtlsweep.sweep.progress import format_seconds


@app.command("plan")
def show_plan(
    suites: Suites = None,
    settle: Annotated[
        bool, typer.Option("--settle", help="Plan as many seeds as would decide the comparisons that are open.")
    ] = False,
    json_output: Json = False,
) -> None:
    """Show what would run: trials by method, how many are finished, and the forecast cost of the rest."""
    from mtlsweep.sweep.control.settle import read_settling

    with user_errors():
        params = load_params()
        read, lines = (read_settling, settling_lines) if settle else (_planned, plan_lines)
        found = [read(params, suite) for suite in chosen_suites(params, suites)]
        show(found, [line for one in found for line in lines(one)], json_output)


def _planned(params: Params, suite: str) -> dict[str, Any]:
    from mtlsweep.sweep.control.plan_overview import read_plan

    return {**read_plan(training_stages(params, suite), suite), "later": later_stages(params, suite)}


def settling_lines(settling: Mapping[str, Any]) -> Iterator[str]:
    """Yield the result of `read_settling` as lines of text."""
    suite, left = settling["suite"], settling["open"]
    yield f"comparisons of {suite}: {settling['decided']} decided, {left} open with {settling['seeds_now']} seeds"
    steps = [f"{step['seeds']} seeds would decide {step['decides']}" for step in settling["steps"]]
    if steps:
        yield f"  of these, each with power {settling['power']:g}: {', '.join(steps)}"
    if never := settling["open_for_good"]:
        yield f"  {never} stay open: they are too small or too uncertain for up to {settling['most_seeds']} seeds"
    if settling["plan"] is None:
        yield "  no further seeds are asked for"
        return
    yield f"  in params.yaml: suites.{suite}.sweep.seeds: {settling['seeds']}"
    yield from plan_lines(settling["plan"])


def plan_lines(plan: Mapping[str, Any]) -> Iterator[str]:
    """Yield the result of `read_plan` as lines of text."""
    yield f"plan of {plan['suite']}"
    for stage, content in plan["stages"].items():
        methods, settings = content["methods"], content.get("settings")
        width = max((len(method) for method in methods), default=0)
        yield f"  {stage} (strategy {content['strategy']})"
        for method, count in methods.items():
            planned = "" if count["planned"] is None else f"{count['planned']:5d} planned  "
            yield f"    {method:<{width}}  {planned}{count['finished']:5d} finished"
        if settings is not None:
            yield (
                f"    each of them tries {settings['each_method']} settings of the learning rate and of "
                f"{' and '.join(settings['axes'])} (where it has that option)"
            )
        if (prior := content.get("prior")) is not None:
            yield from _prior_lines(prior)
        left = content["planned"] - content["finished"]
        cost = content["forecast"]
        if cost is not None and not cost["trials_wanted_now"]:
            yield "    complete: nothing to run"
        else:
            at_most = "" if content["strategy"] == "grid" else "at most "
            yield f"    {at_most}{left} trials to run" + (f"; {_cost(cost)}" if cost is not None else "")
        for sentence in content["devices"]:
            yield f"    {sentence}"
        for what, count in content["outdated"].items():
            yield f"    {count} of them were trained before and are trained again, because this has changed: {what}"
        if content["past_errors"]:
            yield "    past forecasts were off by " + ", ".join(
                f"{error:+.0%}" for error in content["past_errors"][-5:]
            )
    for sentence in plan.get("later", ()):
        yield f"  {sentence}"


def _prior_lines(prior: Mapping[str, Any]) -> Iterator[str]:
    rates = "; ".join(f"{name} {', '.join(f'{rate:g}' for rate in own)}" for name, own in prior["rates"].items())
    sources = " and ".join(f"{path} ({count} survived)" for path, count in prior["ledgers"].items())
    yield f"    prior from {sources}: {rates}; at most {prior['share']:.0%} of the cells follow it, fewer if they do badly"
    if prior["outside"]:
        yield f"    of the prior {prior['outside']} are left out: their rates are outside of those that the sweep searches"
    if prior["missing"]:
        yield f"    the prior has no rate for {', '.join(prior['missing'])}"


def _cost(cost: Mapping[str, Any]) -> str:
    source = (
        "observed costs" if cost["observed_share"] == 1 else f"{cost['observed_share']:.0%} observed, the rest timed"
    )
    share = f"{cost['epochs'] / cost['epochs_without_cuts']:.0%} of the epochs without cuts"
    return (
        f"about {format_seconds(3600 * cost['wall_clock_hours'])} at {cost['slots']} parallel trials, "
        f"{cost['device_hours']:.2f} device-hours ({share}; {source})"
    )
