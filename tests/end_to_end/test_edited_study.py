"""A study is edited in the middle: `dvc repro` trains exactly the trials that the edit concerns, and nothing for a comment."""

from __future__ import annotations

import copy
from pathlib import Path

import pandas as pd
import pytest

from .conftest import BASELINES, SUITE, TINY, Clone, make_clone
from .test_study import ALWAYS, stages_run

pytestmark = [pytest.mark.end_to_end, pytest.mark.slow]

MINE = '''
"""A weighting of the user's own."""

import torch
from my_numbers import SHARE

from mtlsweep.methods.weighting.kinds import LossWeighting
from mtlsweep.methods.weighting.weighting import Facts


class Uneven(LossWeighting):
    facts = Facts(paper="none", scale="sum_i w_i g_i", heads="w_i", symmetric=False)

    def weigh(self, losses):
        weights = torch.full_like(losses, 1 - SHARE)
        weights[0] = SHARE
        return weights
'''
MINE_TRIALS, OTHERS = 2, 2


def curves(clone: Clone, stage: str) -> dict[str, bytes]:
    """Return the rows of each trial as bytes."""
    table = pd.read_parquet(clone.results / stage / "curves.parquet")
    return {str(key): rows.to_csv(index=False).encode() for key, rows in table.groupby("trial_key")}


def reported(clone: Clone) -> dict[str, str]:
    """Return the lines of the report's tables that are about equal weights."""
    clone.run("stages.report")
    lines = (clone.root / "reports" / "tables").rglob("*results*.csv")
    return {f"{path.name}: {line}": line for path in lines for line in path.read_text().splitlines() if "ew" in line}


def repro(clone: Clone) -> list[str]:
    return stages_run(clone.run("dvc", "repro", f"analyse@{SUITE}").stdout)


def test_a_study_that_is_edited_in_the_middle(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    study = make_clone(tmp_path)
    monkeypatch.setenv("PYTHONPATH", str(study.root / "pipeline"))  # the clone's own package, which is edited below
    params = {**copy.deepcopy(TINY), "resources": {"executor": "inline"}}
    params["suites"][SUITE]["sweep"].update(weightings=["ew", "mine:Uneven"], optimizers=["adam"])
    study.write_params(params)
    numbers = study.root / "my_numbers.py"
    (study.root / "mine.py").write_text(MINE)
    numbers.write_text("SHARE = 0.9\n")
    training = [f"{stage}@{SUITE}" for stage in ("baselines", "sweep", "analyse")]
    assert repro(study) == [ALWAYS[0], f"prepare@{SUITE}", ALWAYS[1], *training]
    first, before, figures = study.ledger_times(), curves(study, "sweep"), reported(study)
    assert len(first) == BASELINES + MINE_TRIALS + OTHERS

    # Comments, in own code and in the package.
    (study.root / "mine.py").write_text(MINE.replace("import torch", "import torch  # for tensors"))
    for path in (
        "suites/datasets/multidigits.py",
        "methods/weighting/loss/ew.py",
        "trials/cell.py",
        "training/trial.py",
    ):
        file = study.root / "pipeline" / "mtlsweep" / path
        file.write_text(file.read_text() + "\n# a comment\n")
    assert repro(study) == ALWAYS

    # What the own weighting imports: exactly its trials.
    numbers.write_text("SHARE = 0.6\n")
    assert (
        "2 of them were trained before and are trained again, because this has changed: source code of weighting"
        in (study.run("mtlsweep.cli.main", "plan", SUITE).stdout)
    )
    assert repro(study) == [*ALWAYS, *training[1:]]
    second, after = study.ledger_times(), curves(study, "sweep")
    assert {key: second[key] for key in first} == first, "what was trained before stays in the ledger"
    assert len(second) == len(first) + MINE_TRIALS
    unchanged = before.keys() & after.keys()
    assert len(unchanged) == OTHERS
    assert len(after) == MINE_TRIALS + OTHERS
    assert {key: after[key] for key in unchanged} == {key: before[key] for key in unchanged}
    assert figures
    assert reported(study) == figures

    # Back to the first version: the tables are in DVC's cache.
    numbers.write_text("SHARE = 0.9\n")
    assert repro(study) == ALWAYS
    assert curves(study, "sweep") == before
    assert study.ledger_times() == second

    # Training means something else: everything.
    cell = study.root / "pipeline" / "mtlsweep" / "trials" / "cell.py"
    cell.write_text(cell.read_text().replace("TRAINER_VERSION = 1", "TRAINER_VERSION = 2"))
    assert repro(study) == [*ALWAYS, *training]
    assert len(study.ledger_times()) == len(second) + BASELINES + MINE_TRIALS + OTHERS
