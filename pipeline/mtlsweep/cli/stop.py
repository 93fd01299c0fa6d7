"""`mtlsweep stop` and `mtlsweep gc`: stop a sweep, and free disk space."""

from __future__ import annotations

from mtlsweep.cli.app import Json, Suites, app, chosen_suites, show, user_errors
from mtlsweep.params.params import load_params


@app.command()
def stop(suites: Suites = None, json_output: Json = False) -> None:
    """Stop a running sweep; the next run continues its trials from their resume points."""
    from mtlsweep.sweep.control.stop import stop as stop_sweep

    with user_errors():
        params = load_params()
        answers = [stop_sweep(params, suite) for suite in chosen_suites(params, suites)]
        show(answers, answers, json_output)


@app.command()
def gc(suites: Suites = None, json_output: Json = False) -> None:
    """Delete the resume points of finished trials."""
    from mtlsweep.sweep.control.clean_up import collect_garbage

    with user_errors():
        params = load_params()
        freed = {suite: collect_garbage(params, suite) for suite in chosen_suites(params, suites)}
        show(freed, [f"{suite}: {count / 1e6:.1f} MB freed" for suite, count in freed.items()], json_output)
