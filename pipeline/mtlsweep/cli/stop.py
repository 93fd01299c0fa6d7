"""`mtlsweep stop` and `mtlsweep gc`: end a sweep, and free the disk of what it no longer needs."""

from __future__ import annotations

from mtlsweep.cli.app import Json, Suites, app, chosen_suites, show, user_errors
from mtlsweep.params.params import load_params


@app.command()
def stop(suites: Suites = None, json_output: Json = False) -> None:
    """End a running sweep; what runs goes on from its resume point next time."""
    from mtlsweep.sweep.control.stop import stop as stop_sweep

    with user_errors():
        params = load_params()
        answers = [stop_sweep(params, suite) for suite in chosen_suites(params, suites)]
        show(answers, answers, json_output)


@app.command()
def gc(suites: Suites = None, json_output: Json = False) -> None:
    """Drop the resume points of trials that ended."""
    from mtlsweep.sweep.control.clean_up import collect_garbage

    with user_errors():
        params = load_params()
        freed = {suite: collect_garbage(params, suite) for suite in chosen_suites(params, suites)}
        show(freed, [f"{suite}: {count / 1e6:.1f} MB freed" for suite, count in freed.items()], json_output)
