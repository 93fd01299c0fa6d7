"""Studies without a suite follow the user's own code and files that their methods use."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from mtlsweep import paths
from mtlsweep.errors import UserError
from mtlsweep.params.params import parse_params
from mtlsweep.params.studies import study_sections
from mtlsweep.studies.methods_used import write_methods_used

PROJECT = Path(__file__).parents[2]
BUILT_IN = [{"weighting": "ew", "optimizer": "adam"}]
OWN = [*BUILT_IN, {"weighting": "method_of_mine:Mine", "optimizer": "adam"}]
SOURCE = """
from pathlib import Path
from mtlsweep.methods.weighting.loss.ew import EqualWeighting

class Mine(EqualWeighting):
    def __init__(self, tasks, generator, *, table: Path = Path("table.csv")):
        super().__init__(tasks, generator)
        self.share = 0.5
"""


@pytest.fixture(autouse=True)
def _own_code(in_directory: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.syspath_prepend(str(in_directory))
    write(SOURCE)
    Path("table.csv").write_text("1")
    yield
    sys.modules.pop("method_of_mine", None)


def write(source: str) -> None:
    Path("method_of_mine.py").write_text(source)


def written(study: str = "loss_scaling", **section: Any) -> bytes:
    suite = {
        "data": {"dataset": "multidigits"},
        "network": "lenet",
        "training": {"epochs": 1, "batch_size": 1},
        "baselines": {"learning_rates": [0.1], "seeds": [0]},
        "sweep": {"weightings": ["ew"], "optimizers": ["adam"], "learning_rates": [0.1], "seeds": [0]},
    }
    write_methods_used(parse_params({"active": ["a"], "suites": {"a": suite}, "studies": {study: section}}))
    return paths.methods_used(study).read_bytes()


def test_what_comes_with_the_package_has_no_content_of_its_own() -> None:
    assert json.loads(written(methods=BUILT_IN)) == []
    assert json.loads(written("toy")) == []


@pytest.mark.parametrize(
    ("study", "section"),
    [
        ("loss_scaling", {"methods": OWN}),
        ("toy", {"weightings": ["method_of_mine:Mine"], "optimizers": ["gd", "adam"]}),
    ],
)
def test_the_file_follows_source_and_files_and_no_comment(study: str, section: dict[str, Any]) -> None:
    before = written(study, **section)
    assert [(one["kind"], sorted(one["content"])) for one in json.loads(before)] == [
        ("weighting", ["source code", "table"])
    ]
    write(SOURCE.replace("0.5", "0.5  # a half"))
    assert written(study, **section) == before
    Path("table.csv").write_text("2")
    other_table = written(study, **section)
    assert other_table != before
    write(SOURCE.replace("0.5", "0.25"))
    assert written(study, **section) not in (before, other_table)


def test_a_method_that_does_not_exist_is_named() -> None:
    with pytest.raises(UserError, match="module `not_there` not found"):
        written(methods=[{"weighting": "not_there:Mine", "optimizer": "adam"}])


def test_each_study_without_a_suite_depends_on_its_file() -> None:
    stages = yaml.safe_load((PROJECT / "dvc.yaml").read_text())["stages"]
    made = {path for output in stages["methods"]["outs"] for path in output}
    for name, section in study_sections().items():
        if not section.per_suite:
            assert paths.methods_used(name).as_posix() in made & set(stages[name]["deps"])
