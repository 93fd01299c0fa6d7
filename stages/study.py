"""DVC stages of the studies: `python -m stages.study NAME [SUITE]`."""

from __future__ import annotations

import argparse
import sys

from mtlsweep.params.params import load_params
from mtlsweep.studies.study import run_study
from stages.command import run

if __name__ == "__main__":
    parser = argparse.ArgumentParser(prog="python -m stages.study", description=__doc__)
    parser.add_argument("name", help="name of a study, a folder of mtlsweep/studies")
    parser.add_argument("suite", nargs="?", help="name of a suite of params.yaml, for a study of a suite")
    arguments = parser.parse_args()
    title = " ".join(filter(None, (arguments.name, arguments.suite)))
    sys.exit(run(title, lambda: run_study(arguments.name, load_params(), arguments.suite)))
