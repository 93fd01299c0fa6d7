"""No file that the package reads can run code: no pickle of any library (ruff finds `pickle` itself, and unsafe YAML)."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
FILES = sorted([*(ROOT / "pipeline/mtlsweep").rglob("*.py"), *(ROOT / "stages").rglob("*.py")])

UNSAFE_OPTIONS = {"shell", "allow_pickle"}
NEVER = {"joblib.load", "pd.read_pickle", "pickle.load", "pickle.loads", "cloudpickle.load", "cloudpickle.loads"}


def unsafe_reads(source: str) -> Iterator[str]:
    """Yield the calls that could run code of the file they read."""
    for call in (node for node in ast.walk(ast.parse(source)) if isinstance(node, ast.Call)):
        name = ast.unparse(call.func)
        switched_on = {one.arg for one in call.keywords if ast.unparse(one.value) == "True"}
        if (
            (name == "torch.load" and "weights_only" not in switched_on)
            or name in NEVER
            or switched_on & UNSAFE_OPTIONS
        ):
            yield ast.unparse(call)


@pytest.mark.slow
def test_no_file_is_read_in_a_way_that_can_run_its_code() -> None:
    found = {str(path.relative_to(ROOT)): list(unsafe_reads(path.read_text())) for path in FILES}
    assert {path: calls for path, calls in found.items() if calls} == {}


@pytest.mark.parametrize(
    "wrong", ["torch.load(path)", "np.load(path, allow_pickle=True)", "joblib.load(path)", "run(command, shell=True)"]
)
def test_an_unsafe_read_would_be_found(wrong: str) -> None:
    assert list(unsafe_reads(wrong))
