"""DVC stage `dataset`: write what the prepared data of a suite depends on: its dataset's options and code.

It always runs, so that `prepare` runs when one of them has changed, and only then.
"""

from __future__ import annotations

import sys

from mtlsweep.project.dvc_stages import dataset
from stages.command import run_for_suite

if __name__ == "__main__":
    sys.exit(run_for_suite("dataset", __doc__, dataset))
