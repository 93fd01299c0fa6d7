"""One backbone that all tasks share, and a head for each.

One file per architecture. Losses, weightings and data may not enter.
"""

from __future__ import annotations

from mtlsweep.suites.networks.multitask import NETWORKS, MultiTaskNetwork, create_network

__all__ = ["NETWORKS", "MultiTaskNetwork", "create_network"]
