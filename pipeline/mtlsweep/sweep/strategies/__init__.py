"""How a sweep chooses its trials: one file per strategy, named by `sweep.strategy` of params.yaml.

A strategy decides from results alone. It knows neither Ray nor the ledger nor MLflow, and what it
wants follows from what is known: a sweep that died is gone on with by asking it again.
"""

from __future__ import annotations

from mtlsweep.sweep.strategies.known import Known
from mtlsweep.sweep.strategies.strategy import STRATEGIES, Strategy
from mtlsweep.trials.assignment import Assignment

__all__ = ["STRATEGIES", "Assignment", "Known", "Strategy"]
