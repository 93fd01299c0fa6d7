"""What each stage of `dvc.yaml` does, for the scripts in `stages/` and for `mtlsweep stage`.

Imports are inside the functions: a stage that always runs takes a second, and torch alone takes longer.
"""

from __future__ import annotations

import sys
from collections.abc import Callable

from mtlsweep import paths
from mtlsweep.errors import UserError, nearest
from mtlsweep.params.params import load_params
from mtlsweep.project.followed_fields import check_followed_fields
from mtlsweep.record.outputs import check_outputs


def dataset(suite: str) -> None:
    """Write what the prepared data depends on (the dataset's options and code), if it has changed.

    It is the first stage of a suite, so here params.yaml is checked for what DVC asks for later.
    """
    from mtlsweep.params.followed import read_followed, write_followed

    choice, path = load_params().suite(suite).data.dataset, paths.plan(suite) / "dataset.json"
    check_followed_fields(suite)
    values = choice.model_dump(mode="json")
    if read_followed(path, values) is None:
        from mtlsweep.suites.prepared.preparation import preparation_identity

        identity = preparation_identity(choice)
        write_followed(path, identity, values, identity.get("files", {}))


def prepare(suite: str) -> None:
    """Convert raw or bundled data to memory-mapped Arrow splits."""
    from mtlsweep.suites import prepared

    prepared.prepare(load_params().suite(suite).data.dataset, paths.prepared(suite))


def plan(suite: str) -> None:
    """Write the planned keys of every stage that trains."""
    from mtlsweep.studies.training_stages import training_stages
    from mtlsweep.sweep.plan.planned_keys import write_no_plan, write_plans

    trained = training_stages(load_params(), suite)
    write_plans(trained, suite)
    if "referee" not in trained:
        write_no_plan(suite, "referee")


def baselines(suite: str) -> None:
    """Run the single-task trials that the ledger lacks."""
    from mtlsweep.sweep.stage import run_stage

    run_stage(load_params(), suite, "baselines")


def sweep(suite: str) -> None:
    """Run the multi-task trials that the ledger lacks."""
    from mtlsweep.sweep.stage import run_stage

    run_stage(load_params(), suite, "sweep")


def analyse(suite: str) -> str:
    """Compute trial table, results, fronts and summary from the raw curves; return a short summary."""
    from mtlsweep.project import steps

    return steps.analyse(load_params(), suite)


def methods() -> None:
    """Write the own code and files that the methods of studies without a suite use."""
    from mtlsweep.studies.methods_used import write_methods_used

    write_methods_used(load_params())


def package() -> str | None:
    """Write which mtlsweep is installed; return a sentence if the project was made by another version."""
    from mtlsweep.project.upgrade import outdated, write_package

    write_package()
    return outdated()


def report() -> str:
    """Write page, figures and tables of the active suites, also to MLflow; return a message with the page's path."""
    from mtlsweep.project import steps

    params = load_params()
    page, problems = steps.report(params)
    for problem in problems:
        print(f"report: {problem}", file=sys.stderr)
    return f"{len(params.active)} suite(s) -> {page}"


def study(name: str, suite: str | None = None) -> str:
    """Run a study, of a suite if it needs one; return its summary."""
    from mtlsweep.studies.study import run_study

    return run_study(name, load_params(), suite)


OF_A_SUITE: dict[str, Callable[[str], str | None]] = {
    "dataset": dataset,
    "prepare": prepare,
    "plan": plan,
    "baselines": baselines,
    "sweep": sweep,
    "analyse": analyse,
}
OF_THE_PROJECT: dict[str, Callable[[], str | None]] = {"package": package, "methods": methods, "report": report}


def run(title: str, work: Callable[[], str | None]) -> int:
    """Do the work of a stage and print its message; return the exit code, 2 for a user error."""
    try:
        message = work()
    except UserError as error:
        print(f"{title}: {error}", file=sys.stderr)
        return 2
    if message:
        print(f"{title}: {message}")
    return 0


def run_for_suite(stage: str, suite: str, work: Callable[[str], str | None]) -> int:
    """Do the work of a stage of a suite, unless DVC would refuse what it writes; see `run`."""

    def checked() -> str | None:
        check_outputs(suite)
        return work(suite)

    return run(f"{stage} {suite}", checked)


def run_by_name(stage: str, words: list[str]) -> int:
    """Do what the script of a stage does; return the exit code."""
    if stage in OF_A_SUITE and words:
        return run_for_suite(stage, " ".join(words), OF_A_SUITE[stage])  # DVC gives a name with a space in parts
    if stage in OF_THE_PROJECT and not words:
        return run(stage, OF_THE_PROJECT[stage])
    if stage == "study" and len(words) in (1, 2):
        return run(" ".join(words), lambda: study(*words))
    return run("stage", lambda: _refuse(stage))


def _refuse(stage: str) -> str:
    if stage in OF_A_SUITE:
        raise UserError(f"`{stage}` is a stage of a suite: name one, as in `mtlsweep stage {stage} SUITE`.")
    if stage in OF_THE_PROJECT:
        raise UserError(f"`{stage}` is a stage of the whole project: `mtlsweep stage {stage}`.")
    if stage == "study":
        raise UserError("name a study, and a suite if it looks at one: `mtlsweep stage study NAME [SUITE]`.")
    allowed = [*OF_A_SUITE, *OF_THE_PROJECT, "study"]
    raise UserError(f"unknown stage `{stage}`{nearest(stage, allowed)} Allowed: {', '.join(allowed)}.")
