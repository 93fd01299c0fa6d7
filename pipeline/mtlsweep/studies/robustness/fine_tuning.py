"""Trains heads again on corrupted images, with a frozen backbone."""

from __future__ import annotations

from collections.abc import Sequence

import torch

from mtlsweep.methods.optimizers import OPTIMIZERS
from mtlsweep.params.choice import Choice
from mtlsweep.studies.robustness.corrupted_sets import ChosenRows
from mtlsweep.studies.robustness.params import Robustness
from mtlsweep.suites.networks import MultiTaskNetwork
from mtlsweep.suites.tasks import Task
from mtlsweep.training.seeds import stream, stream_seed
from mtlsweep.training.step.updater import build_updater


def fine_tune(
    network: MultiTaskNetwork,
    tasks: Sequence[Task],
    epochs: Sequence[ChosenRows],
    section: Robustness,
    seed: int,
    device: torch.device,
) -> None:
    """Train the heads of `network` on corrupted images, each on its own task's loss; the backbone stays as it is.

    Frozen also means that the backbone's BatchNorm keeps its statistics.

    Raises:
        Diverged: a loss is not finite or exploded.
    """
    tuning = section.fine_tuning
    network.backbone.requires_grad_(False)
    updater = build_updater(
        network,
        tasks,
        Choice(name="ew"),
        OPTIMIZERS.resolve(tuning.optimizer),
        tuning.learning_rate,
        generator=stream(seed, "weighting"),
    )
    for epoch, rows in enumerate(epochs, start=1):
        torch.manual_seed(stream_seed(seed, "fine-tuning forward", epoch))
        order = torch.randperm(len(rows), generator=stream(seed, "fine-tuning order", epoch))
        network.train()
        network.backbone.eval()
        for batch in rows.batches(order, tuning.batch_size, device, merge_lone_row=True):
            updater.step(batch)
    updater.show_average()
