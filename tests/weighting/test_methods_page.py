"""`docs/methods.md` has a section for every method, with its source, and its example works."""

import re
from pathlib import Path

import pytest
import torch

from mtlsweep.methods.optimizers import OPTIMIZERS
from mtlsweep.methods.weighting import WEIGHTINGS, describe_methods
from mtlsweep.testing import check_weighting

PAGE = (Path(__file__).parents[2] / "docs" / "methods.md").read_text()
SECTIONS = {match[1]: match[0] for match in re.finditer(r"### `(\w+)`.*?(?=\n##|\Z)", PAGE, re.DOTALL)}


def test_every_method_has_a_section_and_every_section_a_method():
    assert set(SECTIONS) == set(WEIGHTINGS.names())


@pytest.mark.parametrize("row", describe_methods(), ids=lambda row: row.name)
def test_a_section_names_its_source(row):
    sources = re.findall(r"\d{4}\.\d{5}|IMPnRXEWpvr|dLAYGdKTi2|CVPR|NeurIPS", row.paper)
    text = SECTIONS[row.name] if row.name not in ("uw_so", "imtl") else PAGE  # these say "same paper"
    assert all(source in " ".join(text.split()) for source in sources)


@pytest.mark.parametrize("name", OPTIMIZERS.names())
def test_every_optimizer_is_in_the_table(name):
    assert f"| `{name}` |" in PAGE


def test_the_example_of_ones_own_weighting_keeps_all_promises(tmp_path, monkeypatch):
    torch.set_num_threads(1)
    example = re.search(r"```python\n(.*?)```", PAGE, re.DOTALL)
    assert example is not None
    (tmp_path / "my_weightings.py").write_text(example[1])
    monkeypatch.syspath_prepend(tmp_path)
    check_weighting("my_weightings:Softest")
