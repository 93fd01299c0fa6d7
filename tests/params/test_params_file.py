"""The file params.yaml itself: keys, encodings, names of suites, and paths of a home directory."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
import yaml

from mtlsweep.errors import UserError
from mtlsweep.params.choice import Choice
from mtlsweep.params.params import load_params, parse_params
from mtlsweep.params.registry import Registry
from mtlsweep.params.yaml_file import parse_yaml

SUITE: dict[str, Any] = {
    "data": {"dataset": "multidigits"},
    "network": "lenet",
    "training": {"epochs": 3, "batch_size": 32},
    "baselines": {"learning_rates": [0.01], "seeds": [0]},
    "sweep": {"weightings": ["ew"], "optimizers": ["adam"], "learning_rates": [0.01], "seeds": [0]},
}


def raw(*names: object, **further: Any) -> dict[str, Any]:
    return {"active": [str(names[0])], "suites": dict.fromkeys(names, SUITE), **further}


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("a: 1\nb: {c: 1}\na: 2\n", "the key `a` occurs twice in one mapping, in lines 1 and 3; keep one"),
        ("a:\n  - b: 1\n    'b': 2\n", "the key `b` occurs twice in one mapping, in lines 2 and 3"),
        ("a: {b: 1, c: 2, b: 3}\n", "the key `b` occurs twice in one mapping, in line 1"),
    ],
)
def test_a_repeated_key_is_refused_with_both_lines(tmp_path: Path, text: str, message: str) -> None:
    (tmp_path / "params.yaml").write_text(text)
    with pytest.raises(UserError, match=message):
        load_params(tmp_path / "params.yaml")


@pytest.mark.parametrize(
    "text", ["", "a: {b: 1}\nc: {b: 2}", "x: &x {a: 1, b: 2}\ny: {<<: *x, a: 3}\nz: *x", "1: a\n'1': b", "[a, a]"]
)
def test_what_repeats_no_key_is_read_as_yaml(text: str) -> None:
    assert parse_yaml(text) == yaml.safe_load(text)


def test_a_file_is_utf_8_with_or_without_a_mark(tmp_path: Path) -> None:
    path = tmp_path / "params.yaml"
    text = "# Größe\n" + yaml.safe_dump(raw("digits"))
    path.write_bytes(text.encode("utf-8-sig"))
    assert load_params(path).active == ("digits",)
    for encoding, byte in (("latin-1", "0xf6"), ("utf-16", "0xff")):
        path.write_bytes(text.encode(encoding))
        with pytest.raises(UserError, match=rf"params\.yaml: it is not UTF-8: line 1 holds byte {byte}"):
            load_params(path)


def test_a_folder_in_its_place_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=f"^{re.escape(str(tmp_path))}: a folder; name the file in it, .*params.yaml"):
        load_params(tmp_path)


@pytest.mark.parametrize("name", ["digits", "digits-lenet_2", "Größe", "2024", "a+b"])
def test_names_that_every_tool_takes_are_allowed(name: str) -> None:
    assert parse_params(raw(name)).active == (name,)


@pytest.mark.parametrize(
    ("names", "message"),
    [
        (["v1.2"], "a suite is called 'v1.2': use 1 to 100 letters, digits, `_`, `-` and"),
        (["my tiny"], "a suite is called 'my tiny'"),
        (["a/b"], "a suite is called 'a/b'"),
        (["a@b"], "a suite is called 'a@b'"),
        (["-a"], "the first is a letter"),
        ([""], "a suite is called ''"),
        (["a" * 101], "use 1 to 100"),
        ([2024], "a suite is called 2024, which YAML does not read as text; write it in quotes"),
        ([False], "a suite is called False, which YAML does not read as text"),
        (["toy"], "suite `toy` has the name of a study, and both would write to results/toy"),
        (["tiny", "Tiny"], "suites `tiny` and `Tiny` differ in upper and lower case only"),
    ],
)
def test_names_that_a_tool_or_a_path_cannot_take_are_refused(names: list[object], message: str) -> None:
    with pytest.raises(UserError, match=message):
        parse_params(raw(*names))


def test_the_home_directory_is_expanded_in_every_path(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", "/home/ada")
    resources = parse_params(
        raw("digits", resources={"ledger_root": "~/runs", "tracking_uri": "sqlite:///~/mlflow.db"})
    ).resources
    assert resources.ledger_root == Path("/home/ada/runs")
    assert resources.tracking_uri == "sqlite:////home/ada/mlflow.db"
    registry: Registry[Path | None] = Registry("reader", "mtlsweep.params")

    @registry.register("reader")
    def read(*, root: Path = Path("data"), weights: Path | None = None, text: str = "~") -> Path | None:
        return root if weights is None else weights

    assert registry.create(Choice(name="reader", options={"root": "~/raw"})) == Path("/home/ada/raw")
    options = registry.resolve(Choice(name="reader", options={"weights": "~/w.pt"})).options
    assert options == {"root": "data", "weights": "/home/ada/w.pt", "text": "~"}


def test_the_home_of_nobody_is_refused() -> None:
    with pytest.raises(UserError, match=r"`resources\.ledger_root` is '~no-such-user/x': ~no-such-user names no home"):
        parse_params(raw("digits", resources={"ledger_root": "~no-such-user/x"}))
