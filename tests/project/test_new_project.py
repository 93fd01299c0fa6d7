"""`mtlsweep new`: a project of one's own, what it refuses to write, and what an upgrade shows."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

import pytest
import yaml
from jsonschema import Draft202012Validator

from mtlsweep.params.params import load_params
from mtlsweep.project import creation, upgrade
from mtlsweep.project.creation import EXAMPLES, common_files, version
from mtlsweep.project.upgrade import changes_since
from mtlsweep.record.provenance import read_provenance
from tests.project.derived_template import COMMON, PROJECT, derived_files
from tests.small_study import call, small_study


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder outside of any git repository, with a git that nobody has set up."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("GIT_CONFIG_GLOBAL", "/dev/null")
    monkeypatch.setenv("GIT_CEILING_DIRECTORIES", str(tmp_path.parent))
    return tmp_path


def git(*words: str, root: str = ".") -> str:
    identity = ["-c", "user.name=ada", "-c", "user.email=ada@example.org"]
    return subprocess.run(["git", *identity, *words], cwd=root, check=True, capture_output=True, text=True).stdout


def files_of(root: str) -> dict[str, bytes]:
    return {
        str(path.relative_to(root)): path.read_bytes()
        for path in Path(root).rglob("*")
        if path.is_file() and ".git" not in path.parts
    }


def test_the_stages_of_a_project_are_those_of_this_repository() -> None:
    assert {path: path.read_text() for path in derived_files()} == derived_files(), "`make template` writes them anew"
    files = PROJECT / "dvc.yaml", COMMON / "dvc_stages.yaml"
    ours, theirs = (yaml.safe_load(file.read_text())["stages"] for file in files)
    assert set(ours) - set(theirs) == {"methods", "toy", "loss_scaling"} and set(theirs) - set(ours) == {"package"}
    for name in set(ours) & set(theirs):
        mine, own = (stage[name].get("do", stage[name]) for stage in (ours, theirs))
        assert {key: mine[key] for key in mine if key not in ("cmd", "deps")} == {
            key: own[key] for key in own if key not in ("cmd", "deps")
        }
        code = [path for path in mine.get("deps", ()) if path.startswith("pipeline/")]
        kept = [path for path in mine.get("deps", ()) if path not in code]
        assert set(own.get("deps", ())) == set(kept) | ({"results/package.json"} if code else set())


@pytest.mark.parametrize("example", EXAMPLES)
def test_a_project_has_what_it_needs(example: str) -> None:
    code, said = call("new", "my-study", "--example", example)
    assert code == 0 and "cd my-study" in said and "dvc repro" in said
    root = Path("my-study")
    assert {"Makefile", "dvc.yaml", "params.yaml", ".gitignore", ".dvcignore"} <= set(files_of("my-study"))
    assert (root / "dvc.yaml").read_text().startswith(f"# From mtlsweep {version()};")
    assert (root / ".git").is_dir() and git("status", "--porcelain", "--ignored", root="my-study").count("!!") == 0
    first, *_ = (root / "params.yaml").read_text().splitlines()
    schema = json.loads((root / first.partition("$schema=")[2]).read_text())
    raw = yaml.safe_load((root / "params.yaml").read_text())
    assert list(Draft202012Validator(schema).iter_errors(raw)) == []
    assert list(load_params(root / "params.yaml").active) == list(raw["suites"])
    assert {"defaults", "suites"} <= set(raw) and set(raw["defaults"]["studies"]) >= {"gradients", "robustness"}


def test_the_folder_may_exist_and_be_this_one(folder: Path) -> None:
    Path("notes.txt").write_text("mine")
    code, said = call("new", ".", "--example", "qm9")
    assert code == 0 and "cd " not in said
    assert Path("notes.txt").read_text() == "mine" and Path("dvc.yaml").exists()


def test_no_file_is_overwritten() -> None:
    Path("my-study").mkdir()
    Path("my-study/Makefile").write_text("mine")
    before = files_of("my-study")
    code, said = call("new", "my-study")
    assert code == 2 and "`my-study` has Makefile already, and no file is overwritten" in said
    assert files_of("my-study") == before


def test_a_second_time_says_how_to_upgrade() -> None:
    call("new", "my-study", "--example", "images")
    before = files_of("my-study")
    code, said = call("new", "my-study", "--example", "images")
    assert code == 2 and "is a DVC project already" in said and "`mtlsweep new my-study --upgrade`" in said
    assert files_of("my-study") == before


def test_inside_a_repository_no_other_is_made(folder: Path) -> None:
    git("init", "--quiet")
    code, said = call("new", "studies/my-study", "--example", "images")
    assert code == 0 and f"part of the git repository {folder.resolve()}" in said
    assert not Path("studies/my-study/.git").exists()


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        ((), "name the project's folder, as in `mtlsweep new my-study`"),
        (("my study",), "cannot be called `my study`: use letters, digits"),
        (("--", "-x"), "cannot be called `-x`"),
        (("my-study", "--example", "tabel"), "--example tabel is unknown; did you mean `table`?"),
        (("a-file",), "`a-file` exists and is not a folder"),
        (("a-file/my-study",), "cannot be written (Not a directory)"),
    ],
)
def test_what_cannot_be_a_project_is_refused_in_a_sentence(words: tuple[str, ...], sentence: str) -> None:
    Path("a-file").write_text("")
    code, said = call("new", *words)
    assert code == 2 and sentence in said and "Traceback" not in said
    assert list(files_of(".")) == ["a-file"]


def test_without_git_nothing_is_written(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "")
    code, said = call("new", "my-study")
    assert code == 2 and "git is not installed" in said and not Path("my-study").exists()


def test_results_name_the_commit_of_the_project_and_the_version_of_the_package(monkeypatch: pytest.MonkeyPatch) -> None:
    call("new", "my-study", "--example", "images")
    monkeypatch.chdir("my-study")
    assert read_provenance()["git_problem"] == "the repository has no commit; run `git add --all && git commit`"
    git("add", "--all")
    git("commit", "--quiet", "--message", "Start")
    found = read_provenance()
    assert found["git_sha"] == git("rev-parse", "HEAD").strip() and found["dirty"] is None
    assert found["versions"]["mtlsweep"] == version()


def test_outside_of_a_project_the_way_to_one_is_named() -> None:
    code, said = call("plan")
    assert code == 2 and "run from the project's root, or make a project with `mtlsweep new NAME`" in said


def test_inside_of_a_project_its_root_is_named(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    call("new", "my-study")
    Path("my-study/data").mkdir()
    monkeypatch.chdir("my-study/data")
    code, said = call("plan")
    root = folder.resolve() / "my-study"
    assert code == 2 and f"run from the project's root, {root}, or" in said.replace("- ", "-")


def test_an_upgrade_shows_changelog_and_differences_and_changes_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    call("new", "my-study", "--example", "images")
    monkeypatch.chdir("my-study")
    assert "no file differs" in call("new", "--upgrade")[1]
    git("add", "--all")
    git("commit", "--quiet", "--message", "Start")
    before = files_of(".")
    for module in (creation, upgrade):
        monkeypatch.setattr(module, "version", lambda: "99.0")
    newer = {**common_files(), Path("Makefile"): b"all:\n\tdvc repro\n", Path("further.txt"): b"new\n"}
    monkeypatch.setattr(upgrade, "common_files", lambda: newer)
    monkeypatch.setattr(upgrade, "changes_since", lambda made, _: ["", f"## after {made}", "- a change"])
    code, said = call("new", "--upgrade")
    assert code == 0 and f"made with mtlsweep {version()}; 99.0 is installed" in said
    assert f"## after {version()} - a change" in said and "+++ b/further.txt" in said and "-# From mtlsweep" in said
    assert files_of(".") == before

    code, said = call("stage", "package")
    assert code == 0 and f"dvc.yaml is of mtlsweep {version()}, and 99.0 is installed" in said


def test_what_an_upgrade_shows_can_be_applied(monkeypatch: pytest.MonkeyPatch) -> None:
    call("new", "my-study", "--example", "images")
    monkeypatch.chdir("my-study")
    for module in (creation, upgrade):
        monkeypatch.setattr(module, "version", lambda: "99.0")
    newer = {**common_files(), Path("Makefile"): b"all:\n\tdvc repro\n", Path("further.txt"): b"new\n"}
    monkeypatch.setattr(upgrade, "common_files", lambda: newer)
    Path("../changes.patch").write_text("\n".join(upgrade.describe_upgrade(Path())) + "\n")
    git("apply", "../changes.patch")
    assert {path: Path(path).read_bytes() for path in newer} == newer
    assert list(upgrade.describe_upgrade(Path())) == [
        "made with mtlsweep 99.0; 99.0 is installed",
        "no file differs from the installed version's",
    ]
    assert upgrade.outdated() is None


def test_the_changelog_is_cut_at_the_projects_version() -> None:
    text = "# mtlsweep\n\n## What\n\n# Changelog\n\n## 0.3.0\n\n- c\n\n## 0.2.0\n\n- b\n\n## 0.1.0\n\n- a\n"
    assert list(changes_since("0.2.0", text)) == ["", "## 0.3.0", "- c"]
    assert list(changes_since("0.3.0", text)) == []
    assert "- a" in list(changes_since("0.0.9", text)) and "## What" not in list(changes_since("0.0.9", text))
    assert list(changes_since("0.2.0", "no changelog")) == []


def test_only_a_project_of_ours_can_be_upgraded() -> None:
    Path("dvc.yaml").write_text("stages: {}\n")
    code, said = call("new", "--upgrade")
    assert code == 2 and "does not begin with `# From mtlsweep VERSION;`" in said
    assert upgrade.outdated() is None


def test_the_installed_code_is_what_results_follow() -> None:
    assert call("stage", "package") == (0, "")
    written = Path("results/package.json")
    first, time = written.read_bytes(), written.stat().st_mtime_ns
    assert json.loads(first)["version"] == version() and json.loads(first)["code"]
    call("stage", "package")
    assert written.stat().st_mtime_ns == time


@pytest.mark.parametrize(
    ("defaults", "said"),
    [
        ("", "add `defaults: {studies: {gradients: {}, robustness: {}}}` to it"),
        ("defaults: {studies: {gradients: {}}}\n", "add `defaults: {studies: {robustness: {}}}` to it"),
        ("defaults:\n", "add `defaults: {studies: {gradients: {}, robustness: {}}}` to it"),
        ("defaults: {studies: {gradients: {}, robustness: {}}}\n", None),
    ],
)
def test_what_dvc_asks_for_after_the_training_is_asked_for_before_it(
    defaults: str, said: str | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    call("new", "my-study")
    monkeypatch.chdir("my-study")
    own = yaml.safe_dump({"active": ["digits"], "suites": small_study()["suites"]})
    Path("params.yaml").write_text(defaults + own)
    code, output = call("stage", "dataset", "digits")
    assert code == (2 if said else 0) and (said or "") in output


def test_a_stage_of_ones_own_for_other_things_than_suites_follows_what_it_likes(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    call("new", "my-study")
    monkeypatch.chdir("my-study")
    pipeline = yaml.safe_load(Path("dvc.yaml").read_text())
    pipeline["stages"]["mine"] = {"foreach": ["a", "b"], "do": {"cmd": "echo ${item}", "params": ["defaults.${item}"]}}
    Path("dvc.yaml").write_text(yaml.safe_dump(pipeline))
    studies: dict[str, object] = {"gradients": {}, "robustness": {}}
    own = {"active": ["digits"], "defaults": {"studies": studies}, "suites": small_study()["suites"]}
    Path("params.yaml").write_text(yaml.safe_dump(own))
    code, output = call("stage", "dataset", "digits")
    assert code == 0, output


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (("sweeep",), "unknown stage `sweeep`; did you mean `sweep`?"),
        (("sweep",), "`sweep` is a stage of a suite: name one"),
        (("report", "a"), "`report` is a stage of the whole project"),
        (("study",), "name a study, and a suite if it looks at one"),
        (("sweep", "a"), "sweep a: params.yaml: file not found"),
    ],
)
def test_a_stage_is_refused_in_a_sentence(words: tuple[str, ...], sentence: str) -> None:
    code, said = call("stage", *words)
    assert code == 2 and sentence in said
