"""`mtlsweep status`: show the progress of a suite."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from mtlsweep.cli.app import Json, Suites, app, chosen_suites, show, user_errors
from mtlsweep.params.params import load_params
from mtlsweep.studies.training_stages import training_stages
from mtlsweep.sweep.progress import format_seconds


@app.command()
def status(suites: Suites = None, json_output: Json = False) -> None:
    """Show the progress of each stage; works in any shell, also while a sweep runs."""
    from mtlsweep.cli.status import status_lines
    from mtlsweep.sweep.control.status import read_status

    with user_errors():
        params = load_params()
        found = [read_status(training_stages(params, suite), suite) for suite in chosen_suites(params, suites)]
        show(found, [line for one in found for line in status_lines(one)], json_output)


def status_lines(status: Mapping[str, Any]) -> Iterator[str]:
    """Yield the result of `read_status` as lines of text."""
    holder = status["holder"]
    sweeping = f"swept by process {holder['pid']} on {holder['host']} since {holder['since']}" if holder else ""
    yield f"{status['suite']}: {sweeping or 'no sweep is running'}, {status['disk_bytes'] / 1e6:.1f} MB in the ledger"
    for stage, content in status["stages"].items():
        counts = ", ".join(f"{count} {outcome}" for outcome, count in content["outcomes"].items()) or "none finished"
        total = sum(content["outcomes"].values())
        spared = f"; the other {content['not_needed']} of the plan are not needed" if content["not_needed"] else ""
        yield f"  {stage}: {total} of {content['planned']} ({counts}), {content['half_finished']} half finished{spared}"
        for cause, count in content["failures"].items():
            yield f"    {count} failed with cause `{cause}`"
        for sentence in content["devices"]:
            yield f"    {sentence}"
        for running in content["running"]:
            delta_m = f", Δm {running['delta_m']:+.2f} %" if running["delta_m"] is not None else ""
            yield f"    running {running['name']}: epoch {running['epoch']} of {running['epochs']}{delta_m}"
        if content["eta_seconds"] is not None:
            rate = f" at {content['trials_per_hour']:.0f} trials an hour" if content["trials_per_hour"] else ""
            yield f"    about {format_seconds(content['eta_seconds'])} left{rate}"
