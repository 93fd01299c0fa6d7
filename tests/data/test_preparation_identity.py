"""What is prepared follows from the dataset's options and code: rows of other code are never mixed in."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import textwrap
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
import torch

from mtlsweep.errors import UserError
from mtlsweep.params.choice import Choice
from mtlsweep.suites.prepared import open_prepared, prepare
from mtlsweep.suites.prepared.shards import BATCH_ROWS

PACKAGE = Path(__file__).parents[2] / "pipeline" / "mtlsweep"
CHOICE = Choice(name="damaged_rows:Damaged")
DATASET = """
    import numpy as np
    from mtlsweep.errors import UserError
    from mtlsweep.suites.datasets.dataset import Dataset
    from mtlsweep.suites.tasks.regression import Regression

    class Damaged(Dataset):
        tasks = (Regression("value"),)

        def sizes(self):
            return {"train": 3000, "val": 1, "test": 1}

        def rows(self, split, start, stop):
            if start >= 2000:
                raise UserError("row 2000 is damaged")
            with open("asked", "a") as file:
                file.write(f"{split}-{start}\\n" * (stop - start > 1))
            return {
                "image": np.zeros((stop - start, 1, 2, 2), np.uint8),
                "value": np.full(stop - start, 1.0, np.float32),
            }
    """


@pytest.fixture
def write(in_directory: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[str], None]]:
    """Write the dataset's file and have it imported anew."""
    monkeypatch.syspath_prepend(in_directory)

    def write_file(code: str) -> None:
        (in_directory / "damaged_rows.py").write_text(textwrap.dedent(code))
        shutil.rmtree(in_directory / "__pycache__", ignore_errors=True)
        sys.modules.pop("damaged_rows", None)

    yield write_file
    sys.modules.pop("damaged_rows", None)


def test_rows_of_mended_code_are_not_mixed_with_earlier_ones(write: Callable[[str], None]) -> None:
    assert BATCH_ROWS[1] < 2000
    write(DATASET)
    with pytest.raises(UserError, match="row 2000 is damaged"):
        prepare(CHOICE, Path("prepared/damaged"))
    write(DATASET.replace("start >= 2000", "False").replace("1.0", "2.0"))
    prepare(CHOICE, Path("prepared/damaged"))
    (batch,) = open_prepared(Path("prepared/damaged")).splits["train"].batches(None, 3000, torch.device("cpu"))
    assert np.unique(batch.targets["value"]).tolist() == [2.0]
    assert [path.name for path in Path("prepared").iterdir()] == ["damaged"], "earlier attempts are deleted"


def test_rows_of_equal_code_are_kept(write: Callable[[str], None]) -> None:
    write(DATASET)
    for comment in ("# first", "# second"):
        write(DATASET.replace("import numpy as np", f"import numpy as np  {comment}"))
        with pytest.raises(UserError, match="row 2000 is damaged"):
            prepare(CHOICE, Path("prepared/damaged"))
    assert sorted(Path("asked").read_text().split()) == ["train-0", "train-1024"], "of the second attempt there is none"


@pytest.mark.slow
def test_the_code_of_built_in_datasets_counts_too(tmp_path: Path) -> None:
    """What a dataset imports counts; a comment, another dataset and what only reads prepared data do not."""
    shutil.copytree(PACKAGE, tmp_path / "mtlsweep", ignore=shutil.ignore_patterns("__pycache__"))
    script = f"""
        import json
        from pathlib import Path
        from mtlsweep.params.choice import Choice
        from mtlsweep.suites.prepared.preparation import preparation_identity
        package = Path({str(tmp_path / "mtlsweep")!r}) / "suites"
        found = [preparation_identity(Choice(name="rooms"))]
        for name in (
            "datasets/rooms.py", "datasets/scenes/ray_caster.py", "prepared/shards.py", "datasets/celeba.py", "prepared/splits.py"
        ):
            for addition in ("# a comment", "added = 1"):
                path = package / name
                path.write_text(path.read_text() + addition + "\\n")
                found.append(preparation_identity(Choice(name="rooms")))
        print(json.dumps([one != before for before, one in zip(found, found[1:])]))
    """
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(script)],
        env={**os.environ, "PYTHONPATH": str(tmp_path)},
        capture_output=True,
        text=True,
        check=True,
    )
    assert json.loads(done.stdout) == [False, True] * 3 + [False, False] * 2
