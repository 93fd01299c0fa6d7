"""Pack a project to send it to a cluster.

The package contains tracked and new files with their current content, but no files ignored by git
(data, results, environments). It also contains the current commit, so that the provenance of results
can name it.
"""

from __future__ import annotations

import shutil
from pathlib import Path

from mtlsweep.errors import UserError, first_line
from mtlsweep.files import visible
from mtlsweep.git import GitError, git

LOCK = Path(".dvc/tmp/submission.lock")
"""Locked while a job uses the directory; its presence means that a submission created the directory."""

KEPT = frozenset({Path("dvc.lock")})
"""Tracked by git, but it describes runs on the head, so a submission must not replace it."""


def project_files(root: Path) -> list[Path]:
    """Return the files under `root`, relative to it, that git does not ignore."""
    names = git("ls-files", "-z", "--cached", "--others", "--exclude-standard", root=root).split("\0")
    return list(visible(Path(name) for name in names if name and (root / name).is_file()))


def commit_of(root: Path) -> str:
    """Return the current commit's hash."""
    return git("rev-parse", "HEAD", root=root).strip()


def changed_files(root: Path) -> set[str]:
    """Return the names of the files whose content is not that of the current commit, new ones included."""
    changed = git("diff", "HEAD", "--name-only", "-z", root=root)
    new = git("ls-files", "-z", "--others", "--exclude-standard", root=root)
    return {name for name in (changed + new).split("\0") if name}


def pack_project(root: Path, temporary: Path) -> Path:
    """Put the project's files and its current commit into a zip file in `temporary`, and return its path.

    Raises:
        UserError: `root` is not the root of a git repository with a commit.
    """
    staged = temporary / "project"
    try:
        if Path(git("rev-parse", "--show-toplevel", root=root).strip()) != root.resolve():
            raise UserError(f"{root} is not the root of its git repository; run `mtlsweep submit` from there.")
        git("rev-parse", "--verify", "HEAD", root=root)  # git clones a repository without a commit, too
        git("clone", "--quiet", "--depth=1", "--no-checkout", root.resolve().as_uri(), str(staged), root=root)
        git("reset", "--quiet", root=staged)
        git("config", "core.fileMode", "false", root=staged)  # a zip file keeps no modes
        git("remote", "remove", "origin", root=staged)
    except GitError as error:
        raise UserError(
            f"{root} cannot be packed (git: `{first_line(error)}`): it needs a git repository with a commit; run `git add --all && git commit`."
        ) from error
    for name in project_files(root):
        (staged / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy2(root / name, staged / name)
    return Path(shutil.make_archive(str(temporary / "package"), "zip", staged))
