"""Results made elsewhere: one table of runs, made comparable with what our own sweeps produce.

The table has a row per run with `weighting`, `optimizer`, `lr`, optionally `seed`, and a column per
metric named `<task>_<metric>` (`semseg_miou`). Other columns are left out by name. There is no
validation in it, so nothing is selected: every combination of weighting, optimizer and learning rate
is a result of its own.
"""

from __future__ import annotations

from mtlsweep.analysis.external.metrics import metrics_of
from mtlsweep.analysis.external.printed import printed_claims
from mtlsweep.analysis.external.read import read_runs
from mtlsweep.analysis.external.runs import analyse_runs

__all__ = ["analyse_runs", "metrics_of", "printed_claims", "read_runs"]
