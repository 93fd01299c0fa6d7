"""`python -m`, without its seconds of imports: each run is a fork of one process that has imported the package.

A run is still a process of its own, with its own session, directory, environment and output, and can be killed.
What is about imports themselves, or needs a command line, uses `subprocess`.
"""

from __future__ import annotations

import multiprocessing
import os
import runpy
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Self

PROJECT = Path(__file__).parents[1]

_FORKS = multiprocessing.get_context("forkserver")
_FORKS.set_forkserver_preload(
    [
        "torch._dynamo",  # what the first optimizer imports
        "torchmetrics",
        "mtlsweep.sweep.stage",
        "mtlsweep.sweep.executors.ray.executor",
    ]
)


class Fork:
    """A run that has begun. As a context manager it waits for the end of the run.

    Args:
        words: the module and its arguments.
        directory: where it runs.
        output, errors: files to which the run appends.
    """

    def __init__(self, words: tuple[str, ...], directory: Path, output: Path, errors: Path) -> None:
        self._process = _FORKS.Process(target=_run, args=(words, directory, environment(), (output, errors)))
        self._process.start()

    @property
    def pid(self) -> int:
        assert self._process.pid is not None
        return self._process.pid

    def poll(self) -> int | None:
        """Return the exit code; None while the run goes on."""
        return self._process.exitcode

    def wait(self, timeout: float | None = None) -> int:
        """Wait for the end of the run; return its exit code."""
        self._process.join(timeout)
        code = self._process.exitcode
        if code is None:
            raise TimeoutError(f"process {self.pid} runs longer than {timeout} s")
        return code

    def kill(self) -> None:
        """Send SIGKILL."""
        self._process.kill()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.wait()


def run_module(directory: Path, *words: str) -> subprocess.CompletedProcess[str]:
    """Run a module in a directory to its end."""
    with tempfile.TemporaryDirectory() as outputs:
        output, errors = Path(outputs, "stdout"), Path(outputs, "stderr")
        code = Fork(words, directory, output, errors).wait()
        return subprocess.CompletedProcess(words, code, output.read_text(), errors.read_text())


def environment() -> dict[str, str]:
    """This process's environment, with the stages of this project at hand."""
    return {**os.environ, "PYTHONPATH": str(PROJECT)}


def _run(words: tuple[str, ...], directory: Path, variables: Mapping[str, str], outputs: tuple[Path, Path]) -> None:
    """Become what `python -m` would be."""
    from mtlsweep.sweep.executors.ray.settings import apply_ray_settings

    os.setsid()
    os.chdir(directory)
    os.environ.clear()
    os.environ.update(variables)
    apply_ray_settings()  # as the import of `mtlsweep.sweep` does
    for number, path in zip((1, 2), outputs, strict=True):
        os.dup2(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644), number)
    sys.path[:0] = [str(directory), str(PROJECT)]
    sys.argv[1:] = words[1:]
    runpy.run_module(words[0], run_name="__main__", alter_sys=True)
