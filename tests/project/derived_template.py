"""What a project of one's own has from this repository's own files: `make template` writes it, a test compares."""

from __future__ import annotations

import re
from pathlib import Path

PROJECT = Path(__file__).parents[2]
COMMON = PROJECT / "pipeline/mtlsweep/project/template/common"

HEADER = """\
# From mtlsweep VERSION; `mtlsweep new --upgrade` shows what another version has changed.
# The way of the data: dataset -> prepare -> plan -> baselines -> sweep -> analyse (each over the active suites) -> report.
# gradients, robustness and referee look at analysed suites.
# `package`, `dataset` and `plan` always run, and take a second or two if nothing has changed. They write what the next stages follow
# from: the installed mtlsweep, the dataset's options and code, and the keys of the planned trials. So after an upgrade whatever
# is computed from trials is computed again, and a trial is trained again only if its key has changed. `resources` of params.yaml
# and the ledger are not tracked: a stage that runs again trains what is missing in the ledger and nothing else.
stages:
  package:
    cmd: python -m mtlsweep stage package
    always_changed: true
    outs:
      - results/package.json:
          persist: true

"""
ONLY_HERE = ("methods", "toy", "loss_scaling")
"""Stages that need no suite: they are about methods, not about anybody's data."""


def derived_files() -> dict[Path, str]:
    """Return what the files must hold, by path."""
    same = {COMMON / "dvcignore": ".dvcignore", COMMON / "dvc/config": ".dvc/config"}
    same |= {COMMON / "dvc/plots" / path.name: f".dvc/plots/{path.name}" for path in PROJECT.glob(".dvc/plots/*.json")}
    files = {path: (PROJECT / source).read_text() for path, source in same.items()}
    return files | {COMMON / "dvc_stages.yaml": derived_stages((PROJECT / "dvc.yaml").read_text())}


def derived_stages(text: str) -> str:
    """Return the dvc.yaml of a project that has mtlsweep installed, from that of the repository that has its code."""
    stages = re.split(r"\n\n(?=  )", text.partition("\nstages:\n")[2])
    kept = [stage for stage in stages if stage.strip().partition(":")[0] not in ONLY_HERE]
    body = "\n\n".join(kept).replace("python -m stages.", "python -m mtlsweep stage ")
    return HEADER + re.sub(
        r"( *)- pipeline/mtlsweep/\S+\n(\1- pipeline/mtlsweep/\S+\n)*", r"\1- results/package.json\n", body
    )


if __name__ == "__main__":
    for path, content in derived_files().items():
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(content)
