"""A notebook imports own code once; what is edited afterwards must not train under the new code's name."""

from __future__ import annotations

import importlib
import os
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from mtlsweep.errors import UserError
from mtlsweep.project.loaded_code import check_loaded_code

NAME = "tasks_that_are_edited"


@pytest.fixture
def source(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """The file of a module of the user's, which is imported."""
    path = tmp_path / f"{NAME}.py"
    path.write_text("width = 1\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    importlib.import_module(NAME)
    yield path
    del sys.modules[NAME]


def test_an_edited_module_is_named_until_it_is_read_again(source: Path) -> None:
    check_loaded_code(source.parent)
    source.write_text("width = 22\n")
    with pytest.raises(
        UserError, match=rf"`{NAME}\.py` was edited after this process imported it.*`importlib\.reload` on `{NAME}`"
    ):
        check_loaded_code(source.parent)
    os.utime(source, (2e9, 2e9))  # else Python may take the byte code of the same second
    importlib.reload(sys.modules[NAME])
    check_loaded_code(source.parent)


def test_code_of_another_directory_and_a_file_that_is_gone_say_nothing(source: Path) -> None:
    check_loaded_code(source.parent)
    source.write_text("width = 333\n")
    check_loaded_code(source.parent / "elsewhere")
    source.unlink()
    check_loaded_code(source.parent)
