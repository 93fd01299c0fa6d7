"""One backbone that all tasks share, and a head for each.

One file per architecture. Losses, weightings and data may not enter.
"""

from pipeline.networks.multitask import NETWORKS, MultiTaskNetwork

__all__ = ["NETWORKS", "MultiTaskNetwork"]
