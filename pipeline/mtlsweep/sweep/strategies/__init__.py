"""How a sweep chooses its trials: one file per strategy, named by `sweep.strategy` of params.yaml.

A strategy decides only from results, without Ray, the ledger or MLflow. The same results give the
same decisions, so an interrupted sweep continues when a new strategy reads the results so far.
"""

from __future__ import annotations

from mtlsweep.sweep.strategies.known import Known
from mtlsweep.sweep.strategies.strategy import STRATEGIES, Strategy
from mtlsweep.trials.assignment import Assignment

__all__ = ["STRATEGIES", "Assignment", "Known", "Strategy"]
