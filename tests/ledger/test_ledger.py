"""The ledger holds every trial once, whole or not at all."""

from __future__ import annotations

import json
import math
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from mtlsweep.errors import UserError
from mtlsweep.record.ledger import Ledger
from mtlsweep.trials.curve import Curve
from mtlsweep.trials.state import Finished, FinishedTrial, Outcome, Paused, PausedTrial
from mtlsweep.trials.trial import Trial


def test_what_goes_in_comes_out(tmp_path: Path, make_finished: Callable[..., FinishedTrial]) -> None:
    ledger = Ledger(tmp_path, "digits")
    entries = [make_finished(seed, outcome=outcome) for seed, outcome in enumerate(Outcome)]
    for entry in entries:
        ledger.start(entry.trial)
        ledger.finish(entry)
    assert ledger.finished_keys() == {entry.trial.key for entry in entries}
    assert list(ledger.read_all()) == sorted(entries, key=lambda entry: entry.trial.key)


def test_a_resume_point_is_half_a_trial_until_it_is_finished(
    tmp_path: Path, make_finished: Callable[..., FinishedTrial]
) -> None:
    ledger, entry = Ledger(tmp_path, "digits"), make_finished()
    key = entry.trial.key
    ledger.start(entry.trial)
    assert ledger.checkpoints.load_resume(key) is None
    ledger.checkpoints.save_resume(key, b"epoch 1")
    ledger.checkpoints.save_resume(key, b"epoch 2")
    assert ledger.checkpoints.load_resume(key) == b"epoch 2"
    assert ({one.key for one in ledger.read_half_finished()}, ledger.finished_keys()) == ({key}, set())
    ledger.finish(entry)
    assert ({one.key for one in ledger.read_half_finished()}, ledger.finished_keys()) == (set(), {key})
    assert ledger.checkpoints.load_resume(key) is None


def test_files_have_the_names_that_other_programs_know(
    tmp_path: Path, make_finished: Callable[..., FinishedTrial]
) -> None:
    ledger, entry = Ledger(tmp_path, "digits"), make_finished()
    folder = tmp_path / "digits/ledger" / entry.trial.key
    ledger.start(entry.trial)
    ledger.pause(PausedTrial(entry.trial, Paused(entry.state.curve[:1]), entry.execution))
    assert {path.name for path in folder.iterdir()} == {"spec.json", "paused.json"}
    assert json.loads((folder / "spec.json").read_text()) == entry.trial.to_json()
    ledger.finish(entry)
    assert {path.name for path in folder.iterdir()} == {"spec.json", "result.json"}
    assert set(json.loads((folder / "result.json").read_text())) == {"trial", "result", "execution"}
    assert ledger.disk_bytes() == sum(path.stat().st_size for path in folder.iterdir())


def test_a_ledger_has_one_name_that_moves_with_its_folder(tmp_path: Path) -> None:
    first = Ledger(tmp_path / "here", "digits").id
    assert Ledger(tmp_path / "here", "digits").id == first != Ledger(tmp_path / "elsewhere", "digits").id
    (tmp_path / "here").rename(tmp_path / "there")
    assert Ledger(tmp_path / "there", "digits").id == first == (tmp_path / "there/digits/ledger/ledger_id").read_text()


def test_a_trial_that_starts_again_is_not_written_again(tmp_path: Path, make_trial: Callable[..., Trial]) -> None:
    ledger, trial = Ledger(tmp_path, "digits"), make_trial()
    ledger.start(trial)
    spec = ledger.directory / trial.key / "spec.json"
    spec.write_text("as it was")
    ledger.start(trial)
    assert spec.read_text() == "as it was"


def test_a_number_that_json_does_not_know_is_not_written(
    tmp_path: Path, make_finished: Callable[..., FinishedTrial]
) -> None:
    ledger, entry = Ledger(tmp_path, "digits"), make_finished()
    with pytest.raises(ValueError, match="not JSON compliant"):
        ledger.finish(replace(entry, execution=replace(entry.execution, seconds=math.nan)))
    assert ledger.finished_keys() == set()


def test_named_trials_come_in_the_order_in_which_they_are_asked_for(
    tmp_path: Path, make_finished: Callable[..., FinishedTrial]
) -> None:
    ledger, entries = Ledger(tmp_path, "digits"), [make_finished(seed) for seed in range(4)]
    for entry in entries:
        ledger.finish(entry)
    keys = [entry.trial.key for entry in entries]
    assert list(ledger.read_those(keys[::-1])) == entries[::-1]
    with pytest.raises(UserError, match=f"trial `{'0' * 16}` is not in the ledger {ledger.directory}"):
        list(ledger.read_those([*keys, "0" * 16]))


def test_paused_trials_are_read_without_metrics_and_only_until_they_finish(
    tmp_path: Path, make_finished: Callable[..., FinishedTrial]
) -> None:
    ledger, entries = Ledger(tmp_path, "digits"), [make_finished(seed, epochs=3) for seed in range(3)]
    paused = [PausedTrial(one.trial, Paused(one.state.curve[:2]), one.execution) for one in entries]
    for one in paused:
        ledger.pause(one)
    ledger.finish(entries[1])
    left = sorted((paused[0], paused[2]), key=lambda one: one.trial.key)
    assert list(ledger.read_paused()) == left
    path = ledger.directory / left[0].trial.key / "paused.json"
    path.write_bytes(path.read_bytes().replace(b'"test/left/accuracy": [', b'"test/left/accuracy": [?'))
    first, _ = ledger.read_paused()
    with pytest.raises(UserError, match=rf"{path}: damaged"):
        first.state.curve[0]


def test_ends_are_read_without_curves_and_agree_with_the_records(
    tmp_path: Path, make_finished: Callable[..., FinishedTrial]
) -> None:
    ledger = Ledger(tmp_path, "digits")
    records = [make_finished(seed, outcome=outcome) for seed, outcome in enumerate(Outcome)]
    odd = replace(
        records[-1].state, cause="code", detail='a detail with "result": {"cause": "x"} and }, "outcome": "done"'
    )
    records[-1] = replace(records[-1], state=odd)
    records.append(replace(make_finished(7), state=Finished(Outcome.FAILED, (), 'od"d', "without a curve")))
    for record in records:
        ledger.finish(record)
    keys = [record.trial.key for record in records]
    expected = [(one.trial.key, one.state.outcome, one.state.cause) for one in records]
    assert list(ledger.read_ends([*keys, "0" * 16])) == expected
    (ledger.directory / keys[0] / "result.json").write_text("[]")
    with pytest.raises(UserError, match=r"result\.json: damaged"):
        list(ledger.read_ends(keys))


def test_a_file_that_another_program_formatted_is_read_all_the_same(
    tmp_path: Path, make_finished: Callable[..., FinishedTrial]
) -> None:
    ledger, diverged = Ledger(tmp_path, "digits"), make_finished(outcome=Outcome.DIVERGED)
    ledger.finish(diverged)
    path = ledger.directory / diverged.trial.key / "result.json"
    path.write_text(json.dumps(json.loads(path.read_bytes()), indent=1))
    assert list(ledger.read_ends([diverged.trial.key])) == [(diverged.trial.key, Outcome.DIVERGED, "nan")]
    assert list(ledger.read_all()) == [diverged]


def test_all_is_read_without_metrics_until_somebody_looks_at_a_curve(
    tmp_path: Path, make_finished: Callable[..., FinishedTrial]
) -> None:
    """Metrics that JSON does not know are noticed by the reader of the curve, who is told the file."""
    ledger, entry = Ledger(tmp_path, "digits"), make_finished(epochs=3)
    detail = 'a detail with "metrics": {"a": 1} and }, "outcome": "done"'
    entry = replace(entry, state=replace(entry.state, cause="code", detail=detail))
    kept = ledger.finish(entry)
    path = ledger.directory / entry.trial.key / "result.json"
    content = path.read_bytes()
    (found,) = ledger.read_all()
    assert found == kept == entry
    path.write_bytes(content.replace(b'"test/left/accuracy": [', b'"test/left/accuracy": [?'))
    (found,) = ledger.read_all()
    assert (found.trial, found.execution, len(found.state.curve)) == (entry.trial, entry.execution, 3)
    assert (found.state.outcome, found.state.cause, found.state.detail) == (Outcome.DONE, "code", detail)
    with pytest.raises(UserError, match=r"result\.json: damaged .* remove its directory"):
        found.state.curve[0]
    path.write_text(json.dumps(json.loads(content), indent=1))  # as somebody's editor may leave it
    assert list(ledger.read_all()) == [entry]


def test_the_curve_of_a_paused_trial_is_found_wherever_it_went(
    tmp_path: Path, make_finished: Callable[..., FinishedTrial]
) -> None:
    """A trial is cut, continued by a grid, paused later, and finishes; a kill may leave the file of its pause."""
    ledger, whole = Ledger(tmp_path, "digits"), make_finished(epochs=6)
    cut = replace(whole, state=Finished(Outcome.PRUNED, whole.state.curve[:2]))
    paused = PausedTrial(whole.trial, Paused(whole.state.curve[:4]), whole.execution)
    kept: list[tuple[Curve, int]] = [(ledger.finish(cut).state.curve, 2), (ledger.pause(paused).state.curve, 4)]
    file_of_the_pause = ledger.directory / whole.trial.key / "paused.json"
    content = file_of_the_pause.read_bytes()

    def check() -> None:
        for curve, epochs in kept:
            assert curve == whole.state.curve[:epochs]

    check()
    kept.append((ledger.finish(whole).state.curve, 6))
    check()
    file_of_the_pause.write_bytes(content)
    check()
    ledger.forget(whole.trial.key)
    with pytest.raises(UserError, match="is not in the ledger"):
        check()


def test_suites_do_not_mix(tmp_path: Path, make_finished: Callable[..., FinishedTrial]) -> None:
    Ledger(tmp_path, "one").finish(make_finished())
    assert Ledger(tmp_path, "two").finished_keys() == set()


def test_forgetting_a_trial_makes_it_pending(tmp_path: Path, make_finished: Callable[..., FinishedTrial]) -> None:
    ledger, entry = Ledger(tmp_path, "digits"), make_finished()
    ledger.finish(entry)
    ledger.forget(entry.trial.key)
    assert ledger.finished_keys() == set()


def test_a_file_damaged_from_outside_is_named(tmp_path: Path, make_trial: Callable[..., Trial]) -> None:
    ledger, key = Ledger(tmp_path, "digits"), make_trial().key
    path = tmp_path / "digits" / "ledger" / key / "result.json"
    path.parent.mkdir(parents=True)
    for content in ("{", "[]", json.dumps({"trial": {}})):
        path.write_text(content)
        with pytest.raises(UserError, match=r"result\.json: damaged .* remove its directory"):
            ledger.read(key)
    with pytest.raises(UserError, match="is not in the ledger"):
        ledger.read("0" * 16)


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write anywhere")
def test_a_directory_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    tmp_path.chmod(0o500)
    with pytest.raises(UserError, match=r"ledger directory .* cannot be written"):
        Ledger(tmp_path, "digits").prepare()


def test_a_root_that_is_a_file_is_named(tmp_path: Path) -> None:
    (tmp_path / "results").write_text("in the way")
    with pytest.raises(
        UserError, match=r"ledger directory .*results/digits/ledger` cannot be written .*resources\.ledger_root"
    ):
        Ledger(tmp_path / "results", "digits").prepare()


WRITER = """
import sys
from pathlib import Path
from mtlsweep.record.ledger import Ledger
ledger, n = Ledger(Path(sys.argv[1]), "digits"), 0
while True:
    n += 1
    ledger.checkpoints.save_resume("0" * 16, str(n % 10).encode() * 2_000_000)
    if n == 1:
        print("go", flush=True)
"""


@pytest.mark.slow
def test_a_kill_at_any_instant_leaves_a_whole_resume_point(tmp_path: Path) -> None:
    """SIGKILL while the same file is written over and over: what is found is always one whole version."""
    for pause in (0.003, 0.011, 0.029):
        with subprocess.Popen([sys.executable, "-c", WRITER, str(tmp_path)], stdout=subprocess.PIPE) as writer:
            assert writer.stdout is not None
            writer.stdout.readline()
            time.sleep(0.1 + pause)
            writer.send_signal(signal.SIGKILL)
        content = Ledger(tmp_path, "digits").checkpoints.load_resume("0" * 16)
        assert content is not None
        assert len(content) == 2_000_000
        assert len(set(content)) == 1
