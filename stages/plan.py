"""DVC stage `plan`: write the planned keys of a suite, which the stages that train depend on.

It always runs. If nothing has changed that a key follows from, it takes a second.
"""

from __future__ import annotations

import sys

from mtlsweep.params.params import load_params
from mtlsweep.studies.training_stages import training_stages
from mtlsweep.sweep.plan.planned_keys import write_no_plan, write_plans
from stages.command import run_for_suite


def plan(suite: str) -> None:
    """Plan every stage of a suite that trains."""
    trained = training_stages(load_params(), suite)
    write_plans(trained, suite)
    if "referee" not in trained:
        write_no_plan(suite, "referee")


if __name__ == "__main__":
    sys.exit(run_for_suite("plan", __doc__, plan))
