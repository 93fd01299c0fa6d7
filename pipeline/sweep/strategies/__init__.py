"""How a sweep chooses its trials: one file per strategy, named by `sweep.strategy` of params.yaml.

A strategy decides from results alone. It knows neither Ray nor the ledger nor MLflow, and what it
wants follows from what is known: a sweep that died is gone on with by asking it again.
"""

from pipeline.sweep.strategies.base import STRATEGIES, Assignment, Known, Strategy

__all__ = ["STRATEGIES", "Assignment", "Known", "Strategy"]
