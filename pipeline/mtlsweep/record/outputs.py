"""The places of stage outputs, checked before anything is trained: DVC looks at them only after a stage has run."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import yaml

from mtlsweep.errors import UserError
from mtlsweep.git import GitError, git

DVC_FILE = "dvc.yaml"


def check_outputs(suite: str, root: Path = Path()) -> None:
    """Check that DVC will accept what the stages of a suite write.

    Args:
        suite: name of the suite.
        root: the project's root. Without DVC or git there, nothing is checked.

    Raises:
        UserError: an output that DVC keeps would be outside of the git repository (behind a symbolic link), or
            is tracked by git.
    """
    repository = _git(root, "rev-parse", "--show-toplevel")
    if repository is None or not (root / DVC_FILE).exists() or not (root / ".dvc").is_dir():
        return
    outputs = list(kept_outputs(yaml.safe_load((root / DVC_FILE).read_text()), suite))
    for output in outputs:
        for folder in reversed(Path(output).parents):
            place = root / folder
            if place.is_symlink() and not place.resolve().is_relative_to(repository):
                raise UserError(
                    f"`{folder}` is a symbolic link to {place.resolve()}, outside of the git repository. DVC would refuse "
                    f"outputs there, but only after they are made. Make it a directory; to keep the large files of trials on another "
                    f"disk, set `resources.ledger_root` in params.yaml to {place.resolve()}."
                )
    tracked = (_git(root, "ls-files", "--", *outputs) or "").splitlines()
    if tracked:
        raise UserError(
            f"`{tracked[0]}` is tracked by git, and DVC refuses outputs that git tracks: run `git rm -r --cached {tracked[0]}` and commit."
        )


def kept_outputs(pipeline: dict[str, Any], suite: str) -> Iterator[str]:
    """Yield the outputs that DVC keeps in its cache, of the stages of a suite and of those that belong to none."""
    for stage in pipeline["stages"].values():
        body = stage.get("do", stage)
        for output in [*body.get("outs", ()), *body.get("metrics", ()), *body.get("plots", ())]:
            path, options = next(iter(output.items())) if isinstance(output, dict) else (output, {})
            if options.get("cache", True):
                yield path.replace("${item}", suite)


def _git(root: Path, *arguments: str) -> str | None:
    """Return the output of git, or None without git or outside a repository."""
    try:
        return git(*arguments, root=root).strip()
    except GitError:
        return None
