"""DVC stage `methods`: write the own code and files that the methods of studies without a suite use.

It always runs, so that such a study runs again when one of them has changed. If nothing has, it takes a second.
"""

from __future__ import annotations

import sys

from mtlsweep.project.dvc_stages import methods, run

if __name__ == "__main__":
    sys.exit(run("methods", methods))
