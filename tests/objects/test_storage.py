"""A ledger in an object store is the ledger in a folder; what the store does wrong is said in one sentence."""

from __future__ import annotations

import pickle
import socket
import threading
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import obstore
import pytest

from mtlsweep.addresses import StoreUri
from mtlsweep.errors import UserError
from mtlsweep.params.params import parse_params
from mtlsweep.record.ledger import Ledger
from mtlsweep.record.storage.objects import ObjectStorage
from mtlsweep.trials.state import Finished, FinishedTrial, Outcome, Paused, PausedTrial
from tests.object_server import Line, make_bucket
from tests.small_study import small_study

pytestmark = pytest.mark.slow


def objects_of(ledger: Ledger) -> dict[str, bytes]:
    """Return every file of a ledger in an object store, by name."""
    assert isinstance(ledger.storage, ObjectStorage)
    store = ledger.storage.server._store
    names = [found["path"] for page in obstore.list(store) for found in page]
    contents = {name: bytes(obstore.get(store, name).bytes()) for name in names}
    return {name: content for name, content in contents.items() if content}


def files_of(ledger: Ledger) -> dict[str, bytes]:
    """Return every file of a ledger in a folder, by name."""
    paths = [path for path in ledger.directory.rglob("*") if path.is_file()]
    return {str(path.relative_to(ledger.directory)): path.read_bytes() for path in paths}


def test_both_forms_of_a_ledger_hold_the_same_files_and_answer_alike(
    root: StoreUri, tmp_path: Path, make_finished: Callable[..., FinishedTrial]
) -> None:
    whole = [make_finished(seed, outcome=outcome) for seed, outcome in enumerate(Outcome)]
    paused, lost, half = make_finished(10), make_finished(11), make_finished(12)
    answers = []
    for ledger in (Ledger(tmp_path, "digits"), Ledger(root, "digits")):
        ledger.prepare()
        for one in [*whole, paused, lost, half]:
            ledger.start(one.trial)
            ledger.checkpoints.save_resume(one.trial.key, b"resume")
            ledger.checkpoints.save_best(one.trial.key, b"best")
        for one in [*whole, lost]:
            ledger.finish(one)
        ledger.pause(PausedTrial(paused.trial, Paused(paused.state.curve[:2]), paused.execution))
        ledger.forget(lost.trial.key)
        ledger.checkpoints.drop_best(whole[0].trial.key)
        ledger.checkpoints.mark_hung(half.trial.key)
        ledger.checkpoints.mark_hung(paused.trial.key)
        ledger.checkpoints.forget_hung(paused.trial.key)
        keys = [one.trial.key for one in [*whole, lost]]
        answers.append(
            (
                list(ledger.read_all()),
                list(ledger.read_paused()),
                list(ledger.read_half_finished()),
                list(ledger.read_ends(keys)),
                ledger.finished_keys(),
                list(ledger.read_those(keys[:-1])),
                ledger.checkpoints.with_resume(),
                ledger.checkpoints.with_best(),
                ledger.checkpoints.load_resume(half.trial.key),
                ledger.checkpoints.load_best(whole[0].trial.key),
                ledger.checkpoints.has_hung(half.trial.key),
                ledger.checkpoints.has_hung(paused.trial.key),
                ledger.checkpoints.drop_resume(half.trial.key),
                ledger.checkpoints.drop_resume(half.trial.key),
            )
        )
        with pytest.raises(UserError, match=f"trial `{lost.trial.key}` is not in the ledger .*digits/ledger; run"):
            ledger.read(lost.trial.key)
        assert ledger.id == ledger.id
    assert answers[0] == answers[1]
    in_folder, in_store = files_of(Ledger(tmp_path, "digits")), objects_of(Ledger(root, "digits"))
    in_folder.pop(".writable")
    assert len(in_folder.pop("ledger_id")) == len(in_store.pop("ledger_id")) == 32
    assert in_store.pop(f"{half.trial.key}/hung") == b"\n"
    assert in_folder.pop(f"{half.trial.key}/hung") == b""
    assert in_store == in_folder
    assert Ledger(root, "other").finished_keys() == set()


def test_a_damaged_result_is_named_by_its_uri(root: StoreUri, make_finished: Callable[..., FinishedTrial]) -> None:
    ledger, key = Ledger(root, "digits"), make_finished().trial.key
    ledger.storage.write(f"{key}/result.json", b"[]")
    with pytest.raises(UserError, match=rf"s3://{root.bucket}/study/results/digits/ledger/{key}/result\.json: damaged"):
        ledger.read(key)


def test_many_results_are_asked_for_at_once_and_come_in_order(root: StoreUri) -> None:
    storage = Ledger(root, "digits").storage
    names = [f"{number:04d}/result.json" for number in range(100)]
    for name in names[::2]:
        storage.write(name, name.encode())
    assert list(storage.read_each(names)) == [(name, name.encode()) for name in names[::2]]
    for name, _ in storage.read_each(names):  # whoever stops in the middle is not waited for
        assert name == names[0]
        break


def test_the_first_name_of_a_ledger_stays(root: StoreUri) -> None:
    """Two first users at once have one name."""
    found: list[str] = []
    users = [threading.Thread(target=lambda: found.append(Ledger(root, "digits").id)) for _ in range(8)]
    for user in users:
        user.start()
    for user in users:
        user.join()
    assert (len(found), len(set(found))) == (8, 1)


def test_no_key_travels_with_a_ledger(root: StoreUri) -> None:
    """An actor on another host gets the ledger as a pickle, and has keys of its own."""
    ledger = Ledger(root, "digits")
    ledger.storage.write("a/spec.json", b"{}")
    pickled = pickle.dumps(ledger)
    assert b"testing" not in pickled
    assert pickle.loads(pickled).storage.read("a/spec.json") == b"{}"  # noqa: S301


def test_no_bucket(root: StoreUri) -> None:
    missing = StoreUri("no-such-bucket", "results")
    for ask in (
        lambda ledger: ledger.prepare(),
        lambda ledger: ledger.finished_keys(),
        lambda ledger: ledger.read("k"),
    ):
        with pytest.raises(
            UserError, match=r"s3://no-such-bucket/.*: there is no bucket `no-such-bucket` at http://127.*; make it"
        ):
            ask(Ledger(missing, "digits"))


@pytest.mark.parametrize("missing", [["AWS_ACCESS_KEY_ID"], ["AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"]])
def test_no_keys(root: StoreUri, monkeypatch: pytest.MonkeyPatch, missing: list[str]) -> None:
    """Without keys a cloud machine's own are asked for; here nobody answers."""
    for name in missing:
        monkeypatch.delenv(name)
    with socket.socket() as nobody:
        nobody.bind(("127.0.0.1", 0))
        monkeypatch.setenv("AWS_METADATA_ENDPOINT", f"http://127.0.0.1:{nobody.getsockname()[1]}")
        with pytest.raises(
            UserError, match="no keys are at hand; set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY in the"
        ):
            Ledger(root, "digits").prepare()


def test_no_server(root: StoreUri, line: Line) -> None:
    line.cut()
    with pytest.raises(
        UserError, match=r"s3://.* at http://127.*does not answer \(.*\); start it, or correct AWS_ENDPOINT_URL"
    ):
        Ledger(root, "digits").prepare()


def test_a_server_that_is_none(root: StoreUri, monkeypatch: pytest.MonkeyPatch, line: Line) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL", f"http://127.0.0.1:{line.port}/moto-api")
    with pytest.raises(UserError, match=r"refused a request \(40.*\); see that AWS_ENDPOINT_URL and"):
        Ledger(root, "digits").prepare()


def test_a_server_without_conditional_writes(server_port: int, root: StoreUri, monkeypatch: pytest.MonkeyPatch) -> None:
    careless = Line(server_port, forgets_conditions=True)
    monkeypatch.setenv("AWS_ENDPOINT_URL", f"http://127.0.0.1:{careless.port}")
    with pytest.raises(UserError, match=r"ignores the conditions of a write .* use a server that obeys them"):
        Ledger(root, "digits").prepare()
    assert objects_of(Ledger(root, "digits")) == {}


def test_a_server_that_is_away_is_waited_for_while_a_sweep_runs(
    root: StoreUri, line: Line, make_finished: Callable[..., FinishedTrial], caplog: pytest.LogCaptureFixture
) -> None:
    ledger, one = Ledger(root, "digits"), make_finished()
    assert isinstance(ledger.storage, ObjectStorage)
    ledger.storage.hold(lambda: None)
    line.cut()
    threading.Timer(1.0, line.mend).start()
    began = time.monotonic()
    ledger.finish(one)
    assert time.monotonic() - began > 0.9
    assert list(ledger.read_all()) == [one]
    assert "does not answer, next try in 0.5 s" in caplog.text
    assert "answers again, after" in caplog.text


def test_whoever_stops_a_sweep_does_not_wait_for_its_server(
    root: StoreUri, line: Line, make_finished: Callable[..., FinishedTrial]
) -> None:
    ledger, stopped = Ledger(root, "digits"), threading.Event()
    assert isinstance(ledger.storage, ObjectStorage)
    ledger.storage.hold(lambda: None)
    ledger.storage.wait_unless(stopped.is_set)
    line.cut()
    threading.Timer(0.5, stopped.set).start()
    with pytest.raises(OSError, match="does not answer"):
        ledger.finish(make_finished())


@pytest.mark.parametrize("uri", ["s3://Bucket/x", "s3://b", "s3://bucket/a b", "s3://bucket/../x", "gs://bucket/x", 5])
def test_an_address_that_is_none(uri: object) -> None:
    with pytest.raises(
        UserError, match=r"`resources\.ledger_root` is .*: allowed are a folder, and s3://BUCKET/FOLDER"
    ):
        parse_params({**small_study(), "resources": {"ledger_root": uri}})


@pytest.mark.parametrize("uri", ["s3://me:hidden@bucket/x", "https://hidden@store/bucket"])
def test_a_secret_in_an_address_is_refused_and_not_shown(uri: str) -> None:
    with pytest.raises(
        UserError, match=r"`resources\.ledger_root` is a URI with a name or a key in it; .*AWS_"
    ) as caught:
        parse_params({**small_study(), "resources": {"ledger_root": uri}})
    assert "hidden" not in str(caught.value)


def test_an_address_is_read_from_params(server_port: int) -> None:
    uri = make_bucket(server_port)
    assert parse_params({**small_study(), "resources": {"ledger_root": f"{uri}/"}}).resources.ledger_root == uri
    assert str(uri / "suite") == f"s3://{uri.bucket}/study/results/suite"


def test_a_curve_is_fetched_once_however_often_somebody_looks_at_it(
    root: StoreUri, line: Line, make_finished: Callable[..., FinishedTrial]
) -> None:
    """And a trial that goes on has all its epochs, wherever they went meanwhile."""
    ledger, whole = Ledger(root, "digits"), make_finished(epochs=6)
    assert isinstance(ledger.storage, ObjectStorage)
    ledger.storage.hold(lambda: None)
    cut = replace(whole, state=Finished(Outcome.PRUNED, whole.state.curve[:2]))
    first = ledger.finish(cut).state.curve
    paused = ledger.pause(PausedTrial(whole.trial, Paused(whole.state.curve[:4]), whole.execution)).state.curve
    for _ in range(2):
        assert (first, paused) == (whole.state.curve[:2], whole.state.curve[:4])
    last = ledger.finish(whole).state.curve
    assert (first, paused, last) == (whole.state.curve[:2], whole.state.curve[:4], whole.state.curve)
    (found,) = ledger.read_all()
    ledger.storage.wait_unless(lambda: True)
    line.cut()
    assert found == whole
    assert first == whole.state.curve[:2]
