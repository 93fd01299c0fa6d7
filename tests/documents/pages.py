"""Runs the code of a page: `python -m tests.documents.pages PAGE.md`, in an empty directory.

A block with a file name as title is written to that file. A Python block without title is run, and so is each command of an `sh` block
without title. Any other title says where the block runs, and it is left out.
"""

from __future__ import annotations

import re
import shlex
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

_FENCE = re.compile(r"^```(\w+)(?: title=\"([^\"]+)\")?\n(.*?)^```$", re.MULTILINE | re.DOTALL)


@dataclass(frozen=True)
class Block:
    """A block of code on a page."""

    language: str
    title: str
    code: str
    line: int

    @property
    def file(self) -> str | None:
        """The file that the block is, if its title names one."""
        return self.title if re.fullmatch(r"\w+\.\w+", self.title) else None

    @property
    def runs(self) -> bool:
        return not self.title and self.language in ("python", "sh")


def blocks(text: str) -> list[Block]:
    """Return the blocks of a page in their order."""
    return [
        Block(found[1], found[2] or "", found[3], text.count("\n", 0, found.start()) + 2)
        for found in _FENCE.finditer(text)
    ]


def run(page: Path) -> None:
    """Run the blocks of a page, in this directory and in one namespace."""
    namespace: dict[str, object] = {"__name__": "page"}
    for block in blocks(page.read_text()):
        if block.file:
            Path(block.file).write_text(block.code)
        elif block.runs and block.language == "python":
            exec(compile("\n" * (block.line - 1) + block.code, str(page), "exec"), namespace)
        elif block.runs:
            for command in block.code.splitlines():
                _command(command)


def _command(command: str) -> None:
    from mtlsweep.cli.main import app

    words = shlex.split(command, comments=True)
    if words[:1] == ["mtlsweep"] and "$(" not in command:  # in this process, which has imported what it needs
        assert not app(words[1:], standalone_mode=False), f"{command} failed"  # it returns the exit code
    elif words:
        subprocess.run(["bash", "-ec", command], check=True)


if __name__ == "__main__":
    run(Path(sys.argv[1]))
