"""A registry turns names and options of params.yaml into objects, or into one clear sentence."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path
from typing import Annotated, Any, Literal, assert_type

import pytest
from pydantic import Field, ValidationError, create_model

from mtlsweep.errors import UserError
from mtlsweep.params.choice import Choice
from mtlsweep.params.registry import Registry

METHODS: Registry[Any] = Registry("weighting", "mtlsweep.methods.weighting")


@METHODS.register("test_bounded")
class Bounded:
    """Has options with a type, a bound and defaults."""

    def __init__(self, tasks: int, *, c: Annotated[float, Field(ge=0)] = 0.5, mode: Literal["a", "b"] = "a") -> None:
        self.tasks, self.c, self.mode = tasks, c, mode


@METHODS.register("test_open")
class Open:
    """Takes options the user names."""

    def __init__(self, tasks: int, **weights: float) -> None:
        self.weights = weights


@pytest.mark.parametrize(
    "written", ["test_bounded", {"test_bounded": {}}, {"test_bounded": {"c": 0.5}}, {"name": "test_bounded"}]
)
def test_all_ways_to_write_a_default_resolve_to_one_choice(written: object) -> None:
    resolved = METHODS.resolve(Choice.model_validate(written))
    assert resolved == Choice(name="test_bounded", options={"c": 0.5, "mode": "a"})
    assert METHODS.label(resolved) == "test_bounded"


def test_whole_numbers_and_text_become_the_options_type() -> None:
    resolved = METHODS.resolve(Choice.model_validate({"test_bounded": {"c": 1}}))
    assert isinstance(resolved.options["c"], float)
    assert METHODS.label(resolved) == "test_bounded(c=1)"
    assert METHODS.create(resolved, 3).c == 1.0


def test_options_named_by_the_user_are_typed_too() -> None:
    choice = METHODS.resolve(Choice.model_validate({"test_open": {"left": 1, "right": "0.5"}}))
    assert METHODS.create(choice, 2).weights == {"left": 1.0, "right": 0.5}
    with pytest.raises(UserError, match="option `left` is 'x'"):
        METHODS.resolve(Choice.model_validate({"test_open": {"left": "x"}}))


@pytest.mark.parametrize(
    ("written", "sentence"),
    [
        ("test_boundd", "unknown weighting `test_boundd`; did you mean `test_bounded`? Allowed:"),
        (
            {"test_bounded": {"cc": 1}},
            "weighting `test_bounded` has no option `cc`; did you mean `c`? Allowed: c, mode.",
        ),
        ({"test_bounded": {"c": -1}}, "weighting `test_bounded` option `c` is -1"),
        ({"test_bounded": {"mode": "z"}}, "weighting `test_bounded` option `mode` is 'z'"),
        ("nowhere.module:Name", "module `nowhere` not found"),
        ("mtlsweep.files:Nothing", "module `mtlsweep.files` does not define `Nothing`"),
        ("torch.optim:Nadam", "module `torch.optim` does not define `Nadam`; did you mean `NAdam`?"),
        ("unwritten:Name", "unwritten.py, line 1, is not Python (invalid syntax): correct it."),
        ("written.py:Name", "module `written.py` not found; leave `.py` out, as in `written:Name`."),
        ("unwritten.Name", "unknown weighting `unwritten.Name`; did you mean your own `unwritten:Name`? Allowed:"),
        (
            "fractions:Name",
            "does not define `Name`; it is a module of Python's library, so give a file of your own another",
        ),
        ("pipeline.weighting.ew:EW", "`pipeline.weighting.ew` is in `mtlsweep.methods.weighting`"),
        ("pipeline.data:Dataset", "`pipeline.data` is in `mtlsweep.suites`"),
    ],
)
def test_mistakes_are_sentences(
    written: object, sentence: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "unwritten.py").write_text("def (:\n")
    (tmp_path / "written.py").touch()
    monkeypatch.syspath_prepend(str(tmp_path))
    with pytest.raises(UserError) as caught:
        METHODS.resolve(Choice.model_validate(written))
    assert sentence in str(caught.value)


@pytest.mark.parametrize("written", [3, ["a"], {"a": {}, "b": {}}, {"a": 3}])
def test_what_is_no_choice_is_refused(written: object) -> None:
    with pytest.raises(ValidationError):
        Choice.model_validate(written)


def test_a_name_can_be_taken_once() -> None:
    with pytest.raises(ValueError, match="two weightings are called 'test_open'"):
        METHODS.register("test_open")(Bounded)


def test_a_class_of_the_users_own_needs_no_registration() -> None:
    choice = METHODS.resolve(Choice(name="fractions:Fraction"))
    assert METHODS.label(choice) == "Fraction"


def test_the_model_of_options_is_made_once_for_each_class(monkeypatch: pytest.MonkeyPatch) -> None:
    """It takes milliseconds, and a plan resolves, labels and creates thousands of choices."""
    made: list[str] = []

    def counting(name: str, **fields: Any) -> Any:
        made.append(name)
        return create_model(name, **fields)

    monkeypatch.setattr("mtlsweep.params.registry.create_model", counting)
    numbers: Registry[Any] = Registry("number", "mtlsweep.params")
    numbers.register("one")(Bounded)
    for c in range(50):
        choice = numbers.resolve(Choice(name="one", options={"c": c}))
        assert numbers.label(choice) == f"one(c={c})"
        assert numbers.create(choice, 3).c == c
    assert made == ["one_options"]
    monkeypatch.setattr(numbers, "_entries", {"one": Open})
    assert numbers.create(Choice(name="one", options={"left": 1}), 2).weights == {"left": 1.0}
    assert made == ["one_options"] * 2, "the name stands for another class now"


def test_what_is_made_has_the_registrys_type() -> None:
    """`assert_type` is checked by mypy."""
    numbers: Registry[Fraction] = Registry("number", "mtlsweep.params")
    numbers.register("half")(lambda: Fraction(1, 2))
    numbers.register("whole")(Fraction)
    assert assert_type(numbers.create(Choice(name="half")), Fraction) == Fraction(1, 2)
    assert assert_type(numbers.create(Choice(name="whole"), 3), Fraction) == 3
