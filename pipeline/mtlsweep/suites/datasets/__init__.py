"""Where the data comes from: one file per dataset.

A dataset yields raw examples; `mtlsweep.suites.prepared` writes them to disk.
"""

from mtlsweep.suites.datasets.dataset import DATASETS, Dataset

__all__ = ["DATASETS", "Dataset"]
