"""`mtlsweep new`: a git and DVC project of a user's own, which needs the installed package and no clone of its repository.

Its files are those of `template/common` and of one example, `template/<example>`. Several are made from the files that this
repository itself uses: `make template` writes them, and a test compares.
"""

from __future__ import annotations

import importlib.metadata
import re
from pathlib import Path

from mtlsweep.errors import UserError, first_line, nearest
from mtlsweep.files import indented_json
from mtlsweep.git import GitError, git
from mtlsweep.project.params_schema import params_schema

TEMPLATE = Path(__file__).parent / "template"
SCHEMA = Path("params.schema.json")
EXAMPLES = ("table", "images", "qm9")

NEXT_STEPS = {
    "table": "about two minutes on 2 cores",
    "images": "about three minutes on 2 cores",
    "qm9": "25 to 50 minutes on 2 cores; needs `pip install 'mtlsweep[qm9]'`",
}
_NAME = re.compile(r"\w[\w.-]*", re.ASCII)
_NAMES = {"dvc": ".dvc", "dvcignore": ".dvcignore", "gitignore": ".gitignore", "dvc_stages.yaml": "dvc.yaml"}
"""Names that are others in the template, lest tools take it for a project: DVC reads every dvc.yaml below a repository."""


def create_project(folder: Path | None, example: str) -> list[str]:
    """Write a project's files into `folder`, make it a git repository if it is in none, and return lines that say so.

    Raises:
        UserError: no or an unusable name, an unknown example, a file that is there already, no git, or nothing can be
            written. Nothing has been written then, but for what a full disk leaves.
    """
    if folder is None:
        raise UserError("name the project's folder, as in `mtlsweep new my-study`; `.` is the present folder.")
    if example not in EXAMPLES:
        raise UserError(f"--example {example} is unknown{nearest(example, EXAMPLES)} Allowed: {', '.join(EXAMPLES)}.")
    name = folder.resolve().name
    if not _NAME.fullmatch(name):
        raise UserError(
            f"a project's folder cannot be called `{name}`: use letters, digits, `.`, `_` and `-`, as in `my-study`."
        )
    if not folder.is_dir() and (folder.exists() or folder.is_symlink()):
        raise UserError(f"`{folder}` exists and is not a folder: choose another name.")
    files = common_files() | _example_files(example)
    _check_absent(folder, files)
    outer = _repository(folder)
    try:
        for path, content in files.items():
            (folder / path).parent.mkdir(parents=True, exist_ok=True)
            (folder / path).write_bytes(content)
        if outer is None:
            git("init", "--quiet", root=folder)
    except (OSError, GitError) as error:
        raise UserError(f"`{folder}` cannot be written ({getattr(error, 'strerror', None) or error}).") from error
    lines = [
        f"{name}: {', '.join(sorted(map(str, files)))}",
        "it is a git repository" if outer is None else f"it is part of the git repository {outer}",
        "next:",
        f"  cd {folder}",
        "  git add --all && git commit --message 'Start'   # every result names the commit that made it",
        f"  dvc repro                                       # {NEXT_STEPS[example]}; report in reports/index.html",
    ]
    return [line for line in lines if line != "  cd ."]


def version() -> str:
    """Return the version of the installed package; `unknown` where its code is there without being installed."""
    try:
        return importlib.metadata.version("mtlsweep")
    except importlib.metadata.PackageNotFoundError:
        return "unknown"


def common_files() -> dict[Path, bytes]:
    """Return what every project has, by path."""
    files = _files_of(TEMPLATE / "common")
    files[Path("dvc.yaml")] = files[Path("dvc.yaml")].replace(b"VERSION", version().encode(), 1)
    files[SCHEMA] = indented_json(params_schema())
    return files


def _example_files(example: str) -> dict[Path, bytes]:
    files = _files_of(TEMPLATE / example)
    if example == "table":
        files[Path("patients.csv")] = _patients()
    return files


def _files_of(template: Path) -> dict[Path, bytes]:
    paths = sorted(path for path in template.rglob("*") if path.is_file() and "__pycache__" not in path.parts)
    return {_name_in_project(path.relative_to(template)): path.read_bytes() for path in paths}


def _name_in_project(path: Path) -> Path:
    first, *rest = path.parts
    return Path(_NAMES.get(first, first), *rest)


def _patients() -> bytes:
    """Return the table of 442 patients that comes with scikit-learn (Efron et al. 2004), in its own units."""
    from sklearn.datasets import load_diabetes

    data = load_diabetes(scaled=False)
    blood = ["cholesterol", "ldl", "hdl", "cholesterol_by_hdl", "log_triglycerides", "glucose"]
    rows = [[*map(float, row), float(target)] for row, target in zip(data.data, data.target, strict=True)]
    names = ["age", "sex", "bmi", "blood_pressure", *blood, "progression"]
    return "\n".join([",".join(names), *(",".join(f"{value:g}" for value in row) for row in rows), ""]).encode()


def _check_absent(folder: Path, files: dict[Path, bytes]) -> None:
    present = [str(path) for path in sorted(files) if (folder / path).exists() or (folder / path).is_symlink()]
    if "dvc.yaml" in present:
        raise UserError(
            f"`{folder}` is a DVC project already, and no file is overwritten: choose another folder. If it was made by "
            f"`mtlsweep new`, `mtlsweep new {folder} --upgrade` shows what has changed since."
        )
    if present:
        raise UserError(
            f"`{folder}` has {', '.join(present)} already, and no file is overwritten: move it away, or choose another folder."
        )


def _repository(folder: Path) -> Path | None:
    """Return the root of the git repository that `folder` is or will be in; None outside of any."""
    place = next(place for place in (folder.resolve(), *folder.resolve().parents) if place.is_dir())
    try:
        return Path(git("rev-parse", "--show-toplevel", root=place).strip())
    except GitError as error:
        if "not a git repository" in str(error):
            return None
        raise UserError(
            f"git: {first_line(error)}; correct this first, because a project is a git repository."
        ) from error
