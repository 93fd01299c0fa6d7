"""What a trial uses that the names in its cell do not show: own code, files, and the metrics that are measured."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from mtlsweep.errors import UserError
from mtlsweep.methods.optimizers import OPTIMIZERS
from mtlsweep.methods.weighting import WEIGHTINGS
from mtlsweep.params.choice import Choice
from mtlsweep.suites.networks import NETWORKS
from mtlsweep.suites.tasks import TASKS, Task
from mtlsweep.suites.tasks.metric_definitions import measured_metrics
from mtlsweep.trials.cell import Content, ContentChangedError
from mtlsweep.trials.trial import Trial


def used_content(network: Choice, weighting: Choice, optimizer: Choice, tasks: Sequence[Task]) -> Content:
    """Return the content of a cell with these parts, without the parts that need none.

    Raises:
        UserError: a file cannot be read, or the source of a class is not found.
    """
    found: dict[str, Mapping[str, str]] = {
        "network": NETWORKS.content(network),
        "weighting": WEIGHTINGS.content(weighting),
        "optimizer": OPTIMIZERS.content(optimizer),
    }
    for task in tasks:
        choice = Choice(name=task.kind, options=task.definition()["options"])
        found[f"task {task.name}"] = {**TASKS.content(choice), **measured_metrics(task)}
    return {name: hashes for name, hashes in found.items() if hashes}


def check_content(trial: Trial, tasks: Sequence[Task]) -> None:
    """Check that code, files and metrics here are those that the trial was planned with.

    Args:
        trial: about to be trained.
        tasks: the trial's tasks.

    Raises:
        ContentChangedError: something has changed since, is gone, or differs on this machine.
    """
    cell, named = trial.cell, f"trial `{trial.key}` ({trial.name})"
    try:
        found = used_content(cell.network, cell.weighting, cell.optimizer, tasks)
    except UserError as error:
        raise ContentChangedError(f"{named}: {str(error).rstrip('.')}") from error
    if changed := changed_content(cell.content, found):
        raise ContentChangedError(f"{named} was planned with other content than there is here: {', '.join(changed)}")


def changed_content(before: Content, after: Content) -> list[str]:
    """Return what differs, in words such as `source code of weighting` and `pretrained of network`."""
    parts = sorted({*before, *after})
    return [
        f"{name} of {part}"
        for part in parts
        for name in sorted({*before.get(part, {}), *after.get(part, {})})
        if before.get(part, {}).get(name) != after.get(part, {}).get(name)
    ]
