"""Asking git."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path


class GitError(Exception):
    """Git is not installed, or did not do what it was asked to do; the text is its own, in English."""


def git(*arguments: str, root: Path = Path()) -> str:
    """Run git in the directory `root` and return its output.

    Raises:
        GitError: see there.
    """
    environment = {**os.environ, "LC_ALL": "C"}
    try:
        done = subprocess.run(
            ["git", *arguments], cwd=root, capture_output=True, text=True, check=True, env=environment
        )
    except OSError as error:
        raise GitError("git is not installed") from error
    except subprocess.CalledProcessError as error:
        raise GitError(error.stderr.strip()) from error
    return done.stdout
