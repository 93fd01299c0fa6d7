"""DVC shares outputs through the bucket, by the commands that the documents name."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from mtlsweep.addresses import StoreUri

DOCUMENT = Path(__file__).parents[2] / "docs/object_storage.md"

DVC = """
import sys
from dvc.cli import main
for words in sys.stdin.read().splitlines():
    assert main(words.split()) == 0, words
"""


def dvc(directory: Path, *commands: str) -> None:
    """Run several commands in one process, since importing DVC takes seconds."""
    done = subprocess.run(
        [sys.executable, "-c", DVC],
        input="\n".join(commands),
        cwd=directory,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.slow
@pytest.mark.usefixtures("line")
def test_what_is_pushed_can_be_pulled(root: StoreUri, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    text = re.sub(r" +#.*", "", DOCUMENT.read_text())
    add = re.findall(r"^dvc (remote add .*)$", text, re.MULTILINE)
    modify = re.findall(r"^dvc (remote modify .*)$", text, re.MULTILINE)
    assert (len(add), len(modify)) == (1, 1)
    monkeypatch.setenv("AWS_DEFAULT_REGION", os.environ["AWS_REGION"])
    subprocess.run(["git", "init", "-q", str(tmp_path)], check=True)
    table = tmp_path / "trials.parquet"
    table.write_bytes(b"rows" * 1000)
    dvc(
        tmp_path,
        "init -q",
        add[0].replace("BUCKET", root.bucket),
        modify[0].replace("https://...", os.environ["AWS_ENDPOINT_URL"]),
        "add -q trials.parquet",
        "push -q",
    )
    config = (tmp_path / ".dvc/config").read_text()
    assert os.environ["AWS_SECRET_ACCESS_KEY"] not in config
    table.unlink()
    shutil.rmtree(tmp_path / ".dvc/cache")
    dvc(tmp_path, "pull -q")
    assert table.read_bytes() == b"rows" * 1000
