"""The conformance suite: the checks that every weighting must pass, one function each.

Every check takes a `Choice` that names a registered weighting or a `package.module:Class`, with the
options that work for the tasks `task0`, `task1`, ... of `small_problem`.
"""

from __future__ import annotations

from collections.abc import Callable

from mtlsweep.params.choice import Choice
from mtlsweep.testing.absence_checks import (
    equals_the_problem_without_an_absent_task,
    keeps_the_state_of_an_absent_task,
)
from mtlsweep.testing.training_checks import (
    diverges_without_a_crash,
    gives_a_single_task_a_positive_weight,
    resumes,
    resumes_on_another_device,
    runs_in_bfloat16,
    trains,
    unit_scale_sums_to_the_number_of_tasks,
    uses_only_its_own_random_stream,
)
from mtlsweep.testing.weight_checks import (
    declares_its_facts,
    declares_which_losses_it_needs,
    does_not_depend_on_task_order,
    does_not_write_to_its_inputs,
    gives_finite_weights,
    is_non_conflicting_if_claimed,
)

Check = Callable[[Choice], None]

CHECKS: tuple[Check, ...] = (
    declares_its_facts,
    declares_which_losses_it_needs,
    trains,
    uses_only_its_own_random_stream,
    resumes,
    resumes_on_another_device,
    runs_in_bfloat16,
    gives_a_single_task_a_positive_weight,
    diverges_without_a_crash,
    unit_scale_sums_to_the_number_of_tasks,
    gives_finite_weights,
    does_not_write_to_its_inputs,
    does_not_depend_on_task_order,
    is_non_conflicting_if_claimed,
    equals_the_problem_without_an_absent_task,
    keeps_the_state_of_an_absent_task,
)


def check_weighting(weighting: Choice | str) -> None:
    """Run every check on `weighting`.

    Raises:
        AssertionError: a check fails; the message says which, and why.
        UserError: there is no such weighting, or its options are wrong.
    """
    choice = Choice(name=weighting) if isinstance(weighting, str) else weighting
    for check in CHECKS:
        check(choice)
