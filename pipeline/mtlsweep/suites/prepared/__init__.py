"""From a dataset's examples to memory-mapped splits on the device.

`prepare` writes a dataset into Arrow files, `open_prepared` reads them. Networks, methods, training and
results may not enter.
"""

from mtlsweep.suites.prepared.preparation import prepare
from mtlsweep.suites.prepared.splits import Batch, PreparedData, Split, open_prepared

__all__ = ["Batch", "PreparedData", "Split", "open_prepared", "prepare"]
