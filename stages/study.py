"""DVC stages of the studies: `python -m stages.study NAME [SUITE]`."""

from __future__ import annotations

import argparse
import sys

from mtlsweep.project.dvc_stages import run, study

if __name__ == "__main__":
    parser = argparse.ArgumentParser(prog="python -m stages.study", description=__doc__)
    parser.add_argument("name", help="name of a study, a folder of mtlsweep/studies")
    parser.add_argument("suite", nargs="?", help="name of a suite of params.yaml, for a study of a suite")
    arguments = parser.parse_args()
    title = " ".join(filter(None, (arguments.name, arguments.suite)))
    sys.exit(run(title, lambda: study(arguments.name, arguments.suite)))
