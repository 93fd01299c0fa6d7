"""From raw files to memory-mapped splits on the device.

`prepare` writes a dataset into an Arrow store, `open_prepared` reads it; one file per dataset.
Losses' gradients, networks, training and results may not enter.
"""

from pipeline.data.dataset import DATASETS, Dataset
from pipeline.data.preparation import prepare
from pipeline.data.store import Batch, PreparedData, Split, open_prepared

__all__ = ["DATASETS", "Batch", "Dataset", "PreparedData", "Split", "open_prepared", "prepare"]
