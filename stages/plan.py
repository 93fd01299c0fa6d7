"""DVC stage `plan`: write the planned keys of a suite, which the stages that train depend on.

It always runs. If nothing has changed that a key depends on, it takes a second.
"""

from __future__ import annotations

import sys

from mtlsweep.project.dvc_stages import plan
from stages.command import run_for_suite

if __name__ == "__main__":
    sys.exit(run_for_suite("plan", __doc__, plan))
