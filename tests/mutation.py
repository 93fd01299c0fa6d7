"""Mutation tests: does a test fail when one operator, constant or statement of identity, selection or ledger is changed?

    python tests/mutation.py                    # all targets: `make mutation`
    python tests/mutation.py identity --list    # the mutants of one, without running them

Each mutant is one change of one file. It runs in a fork of a process that has imported the libraries but nothing of the package, so a
mutant takes as long as the tests of its target. A mutant that no test notices survives. Those that no test can notice are in
`EQUIVALENT` with the reason; every other survivor is a missing test, and the exit code is 1.
"""

from __future__ import annotations

import argparse
import ast
import copy
import os
import signal
import sys
import textwrap
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from importlib.abc import MetaPathFinder
from importlib.machinery import ModuleSpec, SourceFileLoader
from importlib.util import spec_from_file_location
from pathlib import Path
from types import CodeType, ModuleType
from typing import Any

ROOT = Path(__file__).parents[1]
PACKAGE = ROOT / "pipeline"
REWRITE = ("-W", "ignore::pytest.PytestAssertRewriteWarning")
"""Plugins of pytest are imported already, since libraries import them."""

SECONDS = 120
"""After which a mutant counts as noticed: it hangs."""

TARGETS: dict[str, tuple[list[str], list[str]]] = {
    "identity": (
        ["mtlsweep.trials.trial", "mtlsweep.trials.cell"],
        ["-m", "not slow", "tests/trials/test_trials.py", "tests/sweep/test_identity.py"],
    ),
    "selection": (
        ["mtlsweep.analysis.selection", "mtlsweep.analysis.chosen_epochs"],
        ["tests/analysis/test_cells_and_epochs.py", "tests/analysis/test_selection.py"],
    ),
    "ledger": (
        ["mtlsweep.record.ledger", "mtlsweep.record.trial_file"],
        ["tests/ledger/test_ledger.py"],
    ),
}
"""Modules to change, and pytest's arguments: their own tests, in identity without those that train."""

NEVER_AT_0 = "a file begins with a brace, so nothing is found at place 0; found at none is -1"
NO_NAME = "a default for names that are not there; no name of a file is like it"
EQUIVALENT: dict[tuple[str, str], str] = {
    ("Ledger.read_those", "b'' -> b'X'"): NO_NAME,
    ("Ledger.read_those", "'' -> 'X'"): NO_NAME,
    ("read_end", "min(cause, end_of_cause, outcome) < 0 -> min(cause, end_of_cause, outcome) <= 0"): NEVER_AT_0,
    ("read_end", "0 -> 1"): NEVER_AT_0,
    ("_without_metrics", "min(cause, start, end) < 0 -> min(cause, start, end) <= 0"): NEVER_AT_0,
    ("_without_metrics", "0 -> 1"): NEVER_AT_0,
    (
        "Cell.identity",
        "'json' -> 'jsonX'",
    ): "the fields of a training protocol are plain data in both of pydantic's modes",
    ("best_at_each_rate", "True -> False"): "a category without a trial has no mean, and is never the lowest",
    ("", "b', \"detail\": ' -> b', \"detail\": X'"): "then the whole file is decoded, with the same result",
    ("", "'S' -> 'SX'"): "a type variable's name is for people",
    ("without_compared", "1 -> 2"): "the first part of a text is the same in however many parts it is split",
}
"""Function and change -> why no test can notice it."""

SWAPPED: dict[type[ast.AST], type[ast.AST]] = {
    ast.Eq: ast.NotEq,
    ast.NotEq: ast.Eq,
    ast.Lt: ast.LtE,
    ast.LtE: ast.Lt,
    ast.Gt: ast.GtE,
    ast.GtE: ast.Gt,
    ast.Is: ast.IsNot,
    ast.IsNot: ast.Is,
    ast.In: ast.NotIn,
    ast.NotIn: ast.In,
    ast.And: ast.Or,
    ast.Or: ast.And,
    ast.Add: ast.Sub,
    ast.Sub: ast.Add,
    ast.BitAnd: ast.BitOr,
    ast.BitOr: ast.BitAnd,
}


@dataclass(frozen=True)
class Change:
    """A possible change: of which expression or statement, in which function, and how to make it."""

    node: ast.expr | ast.stmt | ast.comprehension
    function: str
    line: int
    make: Callable[[], object]


@dataclass(frozen=True)
class Mutant:
    """One change of a module, in words, and the whole changed module."""

    module: str
    function: str
    line: int
    change: str
    tree: ast.Module


def mutants(module: str) -> Iterator[Mutant]:
    """Yield every mutant of a module, in the order of its lines."""
    whole = ast.parse(file_of(module).read_text())
    found = []
    for number in range(len(list(changes(whole)))):
        tree = copy.deepcopy(whole)
        change = list(changes(tree))[number]
        before = in_one_line(change.node)
        change.make()
        ast.fix_missing_locations(tree)
        found.append(Mutant(module, change.function, change.line, f"{before} -> {in_one_line(change.node)}", tree))
    yield from sorted(found, key=lambda one: one.line)


def in_one_line(node: ast.AST) -> str:
    return "removed" if getattr(node, "removed", False) else textwrap.shorten(ast.unparse(node), 70)


def changes(tree: ast.Module) -> Iterator[Change]:
    """Yield each possible change of the code; imports, types, messages and docstrings are left as they are."""
    for name, statement, body, place in statements(tree, ""):
        if isinstance(statement, ast.Expr):
            yield Change(statement, name, statement.lineno, partial(remove, statement, body, place))
        if isinstance(statement, ast.Return) and statement.value is not None:
            yield Change(statement, name, statement.lineno, partial(setattr, statement, "value", ast.Constant(None)))
        if isinstance(statement, ast.If | ast.While):
            negated = ast.UnaryOp(ast.Not(), statement.test)
            yield Change(statement, name, statement.lineno, partial(setattr, statement, "test", negated))
        for node in own_nodes(statement):
            for make in changes_of(node):
                yield Change(node, name, getattr(node, "lineno", statement.lineno), make)  # type: ignore[arg-type]


def remove(statement: ast.stmt, body: list[ast.stmt], place: int) -> None:
    body[place] = ast.copy_location(ast.Pass(), statement)
    statement.removed = True  # type: ignore[attr-defined]


def statements(node: ast.AST, function: str) -> Iterator[tuple[str, ast.stmt, list[ast.stmt], int]]:
    """Yield each statement with the name of its function, the list that holds it, and its place there."""
    for name in ("body", "orelse", "finalbody", "handlers"):
        body = getattr(node, name, None)
        for place, one in enumerate(body if isinstance(body, list) else []):
            inside = (
                f"{function}.{one.name}".strip(".") if isinstance(one, ast.ClassDef | ast.FunctionDef) else function
            )
            docstring = isinstance(one, ast.Expr) and isinstance(one.value, ast.Constant)
            if not isinstance(one, NOT_CHANGED) and not docstring and not names_a_type(one):
                yield function, one, body, place  # type: ignore[misc]
            yield from statements(one, inside)


NOT_CHANGED = (
    ast.Import,
    ast.ImportFrom,
    ast.ClassDef,
    ast.FunctionDef,
    ast.AnnAssign,
    ast.Raise,
    ast.ExceptHandler,
    ast.Assert,
)


def names_a_type(statement: ast.stmt) -> bool:
    return (
        isinstance(statement, ast.Assign) and isinstance(statement.value, ast.Subscript) and statement.col_offset == 0
    )


def own_nodes(statement: ast.stmt) -> Iterator[ast.AST]:
    """Yield the expressions of a statement, without those of statements inside it and of messages."""
    waiting: list[ast.AST] = [node for node in ast.iter_child_nodes(statement) if not isinstance(node, ast.stmt)]
    while waiting:
        node = waiting.pop()
        if isinstance(node, ast.ExceptHandler | ast.JoinedStr):
            continue
        yield node
        waiting += [child for child in ast.iter_child_nodes(node) if not isinstance(child, ast.stmt)]


def changes_of(node: ast.AST) -> Iterator[Callable[[], object]]:
    """Yield functions that change one expression."""
    if isinstance(node, ast.Compare):
        for place, operator in enumerate(node.ops):
            if type(operator) in SWAPPED:
                yield partial(node.ops.__setitem__, place, SWAPPED[type(operator)]())  # type: ignore[arg-type]
    if isinstance(node, ast.BoolOp | ast.BinOp) and type(node.op) in SWAPPED:
        yield partial(setattr, node, "op", SWAPPED[type(node.op)]())
    if isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.Not):
        yield partial(setattr, node, "operand", ast.UnaryOp(ast.Not(), node.operand))
    if isinstance(node, ast.IfExp):
        yield partial(setattr, node, "test", ast.UnaryOp(ast.Not(), node.test))
    if isinstance(node, ast.comprehension) and node.ifs:
        yield node.ifs.clear
    if isinstance(node, ast.Constant) and node.value not in (None, ...):
        yield partial(setattr, node, "value", other_constant(node.value))


def other_constant(value: Any) -> Any:
    if isinstance(value, bool):
        return not value
    if isinstance(value, str):
        return f"{value}X"
    return value + b"X" if isinstance(value, bytes) else value + 1


class Finder(MetaPathFinder):
    """Gives one module the code of a mutant."""

    def __init__(self, mutant: Mutant) -> None:
        self._mutant = mutant

    def find_spec(self, name: str, path: Sequence[str] | None, target: ModuleType | None = None) -> ModuleSpec | None:
        if name != self._mutant.module:
            return None
        return spec_from_file_location(name, file_of(name), loader=Loader(self._mutant))


class Loader(SourceFileLoader):
    """Loads a mutant."""

    def __init__(self, mutant: Mutant) -> None:
        super().__init__(mutant.module, str(file_of(mutant.module)))
        self._tree = mutant.tree

    def get_code(self, fullname: str) -> CodeType:
        return compile(self._tree, self.path, "exec")


def file_of(module: str) -> Path:
    return PACKAGE / f"{module.replace('.', '/')}.py"


def survives(mutant: Mutant | None, tests: Sequence[str]) -> bool:
    """Whether the tests pass with a mutant, or, without one, at all."""
    child = os.fork()
    if child == 0:
        os.setsid()
        silent = os.open(os.devnull, os.O_WRONLY)
        os.dup2(silent, 1)
        os.dup2(silent, 2)
        if mutant is not None:
            sys.meta_path.insert(0, Finder(mutant))
        import pytest

        options = ["-x", "-q", "-p", "no:cacheprovider", *REWRITE]
        os._exit(int(pytest.main([*options, *tests])))
    ends_at = time.monotonic() + SECONDS
    while time.monotonic() < ends_at:
        ended, status = os.waitpid(child, os.WNOHANG)
        if ended:
            return os.waitstatus_to_exitcode(status) == 0
        time.sleep(0.02)
    os.killpg(child, signal.SIGKILL)
    os.waitpid(child, 0)
    assert mutant is not None, f"{tests} take more than {SECONDS} s without a mutant"
    print(f"  {described(mutant)}: hangs, which counts as noticed", flush=True)
    return False


def described(mutant: Mutant) -> str:
    return f"{mutant.module}:{mutant.line} {mutant.function}: {mutant.change}"


def import_libraries() -> None:
    """Import what is slow, so that no fork has to; nothing of the package, whose modules are changed."""
    os.environ["OMP_NUM_THREADS"] = "1"
    sys.dont_write_bytecode = True  # of mutants
    import mlflow
    import optuna
    import pandas
    import pyarrow.parquet
    import pydantic
    import pytest
    import sklearn.linear_model
    import torch

    assert all([mlflow, optuna, pandas, pyarrow.parquet, pydantic, pytest, sklearn.linear_model, torch])
    assert not any(name.partition(".")[0] == "mtlsweep" for name in sys.modules)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("targets", nargs="*", metavar="TARGET", help=f"of {', '.join(TARGETS)}")
    parser.add_argument("--list", action="store_true", help="show the mutants and run nothing")
    arguments = parser.parse_args()
    os.chdir(ROOT)
    missing = 0
    if not arguments.list:
        import_libraries()
    for target in arguments.targets or TARGETS:
        modules, tests = TARGETS[target]
        every = [mutant for module in modules for mutant in mutants(module)]
        if arguments.list:
            for mutant in every:
                print(described(mutant))
            continue
        assert survives(None, tests), f"{tests} fail without a mutant"
        began, survivors = time.monotonic(), [mutant for mutant in every if survives(mutant, tests)]
        killed = len(every) - len(survivors)
        print(f"{target}: {killed} of {len(every)} mutants noticed in {time.monotonic() - began:.0f} s", flush=True)
        for mutant in survivors:
            reason = EQUIVALENT.get((mutant.function, mutant.change))
            missing += reason is None
            print(f"  {described(mutant)}\n    {reason or 'A TEST IS MISSING'}", flush=True)
    return int(missing > 0)


if __name__ == "__main__":
    sys.exit(main())
