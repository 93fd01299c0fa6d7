"""The state from which a trial continues: network, optimizer, weighting and random number generators."""

from __future__ import annotations

import io
import math
from dataclasses import dataclass, field
from typing import Any

import torch
from safetensors.torch import save as save_safetensors

from mtlsweep.suites.networks.multitask import MultiTaskNetwork
from mtlsweep.training.step.updater import Updater
from mtlsweep.trials.curve import EpochRecord


@dataclass
class RunState:
    """Everything that changes while a trial trains."""

    network: MultiTaskNetwork
    updater: Updater
    curve: list[EpochRecord] = field(default_factory=list)
    best_score: float = math.inf

    def weights(self) -> bytes:
        return save_safetensors({name: tensor.contiguous() for name, tensor in self.network.state_dict().items()})

    def resume_point(self) -> bytes:
        buffer = io.BytesIO()
        curve = [(record.epoch, dict(record.metrics), record.finished_at, record.seconds) for record in self.curve]
        content: dict[str, Any] = {
            "network": self.network.state_dict(),
            "updater": self.updater.state_dict(),
            "curve": curve,
            "best_score": self.best_score,
        }
        torch.save(content, buffer)
        return buffer.getvalue()

    def restore(self, resume: bytes) -> None:
        content = torch.load(io.BytesIO(resume), map_location="cpu", weights_only=True)
        self.network.load_state_dict(content["network"])
        self.updater.load_state_dict(content["updater"])
        self.curve = [EpochRecord(*record) for record in content["curve"]]
        self.best_score = content["best_score"]
