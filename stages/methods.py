"""DVC stage `methods`: write the own code and files that the methods of studies without a suite use.

It always runs, so that such a study runs again when one of them has changed. If nothing has, it takes a second.
"""

from __future__ import annotations

import sys

from mtlsweep.params.params import load_params
from mtlsweep.studies.methods_used import write_methods_used
from stages.command import run

if __name__ == "__main__":
    sys.exit(run("methods", lambda: write_methods_used(load_params())))
