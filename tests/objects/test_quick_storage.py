"""Requests to an object store and what is made of each answer, on a server in this process that answers as a test asks."""

from __future__ import annotations

import logging
import pickle
import socket
import sys
import uuid
from collections.abc import Iterator

import pytest

from mtlsweep.addresses import StoreUri
from mtlsweep.errors import UserError
from mtlsweep.record.storage import StoreError, server
from mtlsweep.record.storage.objects import TRIES, LeaseLostError, ObjectStorage
from mtlsweep.record.storage.server import ConflictError, OutageError, Server
from tests.object_server import KEYS, name_server
from tests.objects.memory_server import BUCKET, Answer, MemoryServer, memory_server, refusal

URI = StoreUri(BUCKET, "results")


@pytest.fixture
def store(monkeypatch: pytest.MonkeyPatch) -> Iterator[MemoryServer]:
    """The server that the environment names; a pause between two tries is short."""
    monkeypatch.setattr(server, "FIRST_PAUSE", 0.01)
    monkeypatch.setattr(server, "SECONDS_BETWEEN_LOOKS", 0.005)
    with memory_server() as running:
        name_server(monkeypatch, running.url)
        yield running


@pytest.fixture
def storage(store: MemoryServer) -> ObjectStorage:
    return ObjectStorage(URI)


def changes(store: MemoryServer) -> list[str]:
    """Return the methods of the requests that change something."""
    return [method for method, _ in store.requests if method not in ("GET", "HEAD")]


# Single requests


def test_an_object_is_written_found_read_listed_and_deleted(store: MemoryServer) -> None:
    asked = Server(URI, 5.0)
    assert asked.find("a/b.json") is None
    tag = asked.put("a/b.json", b"content")
    assert store.objects == {"results/a/b.json": b"content"}
    found = asked.find("a/b.json")
    assert found is not None and (found.tag, found.size) == (tag, 7)
    assert asked.get("a/b.json") == (b"content", tag)
    asked.put("other", b"")
    assert list(asked.listed()) == [("a/b.json", 7), ("other", 0)] and list(asked.listed("a/")) == [("a/b.json", 7)]
    asked.delete("a/b.json")
    with pytest.raises(FileNotFoundError):
        asked.get("a/b.json")


def test_a_conditional_write_succeeds_once(store: MemoryServer) -> None:
    asked = Server(URI, 5.0)
    first = asked.put_if("name", b"1", None)
    with pytest.raises(
        ConflictError, match=r"s3://bucket/results: `name` was written by somebody else meanwhile; run the same"
    ):
        asked.put_if("name", b"2", None)
    second = asked.put_if("name", b"2", first)
    with pytest.raises(ConflictError):
        asked.put_if("name", b"3", first)
    assert second != first and store.objects["results/name"] == b"2"


WITH_KEYS = r"the server refuses the keys of the environment \({}\); they must allow to list, read and write there"
OTHERWISE = r"at http://127.* refused a request \({}\); see that AWS_ENDPOINT_URL and AWS_REGION are those of an S3"
AWAY = r"at http://127.* does not answer \({}\); start it, or correct AWS_ENDPOINT_URL and the network, then run"


@pytest.mark.parametrize(
    ("answer", "kind", "sentence"),
    [
        (refusal(403, "AccessDenied", "Not yours"), StoreError, WITH_KEYS.format("AccessDenied: Not yours")),
        (refusal(401, "InvalidAccessKeyId"), StoreError, WITH_KEYS.format("InvalidAccessKeyId")),
        (
            refusal(404, "NoSuchBucket", "None"),
            StoreError,
            r"there is no bucket `bucket` at http://127.*; make it, or correct `res",
        ),
        (refusal(400, "InvalidRegion", "Wrong"), StoreError, OTHERWISE.format("InvalidRegion: Wrong")),
        (refusal(400), StoreError, OTHERWISE.format("400.*")),
        (refusal(503, "SlowDown", "Less"), OutageError, AWAY.format("SlowDown: Less")),
        (refusal(429, "TooMany", "Less"), OutageError, AWAY.format("TooMany: Less")),
    ],
    ids=["not allowed", "unknown key", "no bucket", "refused", "no reason", "busy", "too many"],
)
def test_what_a_server_answers_becomes_one_sentence(
    store: MemoryServer, answer: Answer, kind: type[Exception], sentence: str
) -> None:
    store.instead = lambda method, name: answer
    asked = Server(URI, 5.0)
    for request in (lambda: asked.put("name", b""), lambda: asked.get("name")):
        with pytest.raises(kind, match=rf"^object store s3://bucket/results:?.*{sentence}"):
            request()


def test_two_writes_at_once_are_a_conflict_and_no_outage(store: MemoryServer) -> None:
    store.instead = lambda method, name: refusal(409, "ConditionalRequestConflict", "At the same time")
    with pytest.raises(ConflictError):
        Server(URI, 5.0).put_if("name", b"", None)


def test_a_server_that_is_away_is_waited_for_as_long_as_patience_lasts(
    store: MemoryServer, caplog: pytest.LogCaptureFixture
) -> None:
    asked, answers = Server(URI, 5.0), [refusal(503, "SlowDown", "Less")] * 4
    store.instead = lambda method, name: answers.pop() if answers else None
    asked.patience = 60.0
    with caplog.at_level(logging.WARNING):
        asked.put("name", b"content")
    assert store.objects == {"results/name": b"content"}
    assert "object store s3://bucket/results does not answer, next try in 0.01 s: SlowDown: Less" in caplog.text
    assert "object store s3://bucket/results answers again, after 0 s" in caplog.text


@pytest.mark.parametrize(
    "then", [refusal(404, "NoSuchKey"), refusal(412, "PreconditionFailed")], ids=["absent", "conflict"]
)
def test_a_server_answers_again_with_whatever_it_says(
    store: MemoryServer, caplog: pytest.LogCaptureFixture, then: Answer
) -> None:
    asked, answers = Server(URI, 5.0), [then, *[refusal(503)] * 4]
    store.instead = lambda method, name: answers.pop()
    asked.patience = 60.0
    with caplog.at_level(logging.WARNING), pytest.raises((FileNotFoundError, ConflictError)):
        asked.put_if("name", b"", "tag") if then[0] == 412 else asked.get("name")
    assert "answers again" in caplog.text


def test_whoever_stops_waits_no_longer(store: MemoryServer) -> None:
    asked, looks = Server(URI, 5.0), iter([False, False, True, True])
    store.instead = lambda method, name: refusal(503)
    asked.patience, asked.stopped = 60.0, lambda: next(looks, True)
    with pytest.raises(OutageError, match="503"):
        asked.put("name", b"")


def test_without_keys_the_variables_to_set_are_named(store: MemoryServer, monkeypatch: pytest.MonkeyPatch) -> None:
    """A cloud machine's own keys are asked for then; here nobody answers."""
    monkeypatch.delenv("AWS_ACCESS_KEY_ID")
    with socket.socket() as nobody:
        nobody.bind(("127.0.0.1", 0))
        monkeypatch.setenv("AWS_METADATA_ENDPOINT", f"http://127.0.0.1:{nobody.getsockname()[1]}")
        with pytest.raises(
            OutageError, match="no keys are at hand; set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY in the"
        ):
            Server(URI, 5.0).put("name", b"")


def test_without_the_package_the_command_that_installs_it_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "obstore", None)
    with pytest.raises(
        UserError, match=r"is s3://bucket/results, which needs the package obstore: run `pip install 'mtlsweep\[s3\]'`"
    ):
        ObjectStorage(URI)


def test_no_key_and_no_copy_travels_with_a_storage(storage: ObjectStorage) -> None:
    storage.hold(lambda: None)
    storage.write("name", b"content")
    storage.recall("name")
    pickled = pickle.dumps(Server(URI, 5.0)) + pickle.dumps({**storage.__getstate__(), "check_holder": None})
    assert KEYS["AWS_SECRET_ACCESS_KEY"].encode() not in pickled and b"mtlsweep-" not in pickled
    assert pickle.loads(pickled).find("name").size == 7  # noqa: S301


# Files of a ledger


def test_files_are_there_until_they_are_removed_and_a_removed_one_is_an_empty_object(
    store: MemoryServer, storage: ObjectStorage
) -> None:
    storage.write("k1/spec.json", b"spec")
    storage.write("k1/hung", b"")  # an empty file must not look removed
    storage.write("k2/spec.json", b"other")
    storage.note("progress.json", b"now")
    assert (storage.read("k1/hung"), storage.read("progress.json")) == (b"\n", b"now")
    assert storage.keys_with("spec.json", "hung") == ({"k1", "k2"}, {"k1"})
    assert storage.bytes_used() == len(b"spec\nothernow")
    assert (storage.remove("k1/spec.json"), storage.remove("k1/spec.json"), storage.remove("never")) == (4, 0, 0)
    assert (
        store.objects["results/k1/spec.json"] == b"" and not storage.has("k1/spec.json") and storage.has("k2/spec.json")
    )
    with pytest.raises(FileNotFoundError):
        storage.read("k1/spec.json")
    storage.remove_key("k1")
    assert storage.keys_with("spec.json", "hung") == ({"k2"}, set())


def test_the_first_content_of_a_file_stays(storage: ObjectStorage) -> None:
    assert storage.write_first("ledger_id", b"one") == storage.write_first("ledger_id", b"two") == b"one"


def test_many_files_come_in_order_whatever_is_missing(storage: ObjectStorage) -> None:
    names = [f"{number:03d}/result.json" for number in range(90)]
    for name in names[::3]:
        storage.write(name, name.encode())
    assert list(storage.read_each(names)) == [(name, name.encode()) for name in names[::3]]


def test_a_sweep_fetches_a_file_once_and_anybody_else_each_time(store: MemoryServer, storage: ObjectStorage) -> None:
    storage.write("name", b"content")
    for held, fetched in ((False, 2), (True, 1)):
        storage.hold((lambda: None) if held else None)
        store.requests.clear()
        assert storage.recall("name") == storage.recall("name") == b"content"
        assert len(store.requests) == fetched
    assert list(storage.read_each(["name"])) == [("name", b"content")]
    storage.write("name", b"new")
    assert storage.recall("name") == b"new", "a write drops the copy"


def test_a_server_that_keeps_to_conditions_is_accepted_and_another_refused(
    store: MemoryServer, storage: ObjectStorage
) -> None:
    storage.prepare()
    assert store.objects == {}
    store.obeys_conditions = False
    with pytest.raises(UserError, match=r"ignores the conditions of a write .* use a server that obeys them"):
        storage.prepare()
    assert store.objects == {}, "the probe is taken away again"


def test_who_holds_the_lease_overwrites_what_is_there_and_its_own_writes(
    store: MemoryServer, storage: ObjectStorage
) -> None:
    storage.write("name", b"of an earlier sweep")
    storage.hold(lambda: None)
    storage.write("name", b"first")
    store.requests.clear()
    storage.write("name", b"second")
    assert changes(store) == ["PUT"] and len(store.requests) == 1, "the tag of the last write from here is known"
    assert storage.remove("name") == 6
    storage.write("name", b"third")
    assert storage.read("name") == b"third"


def test_who_lost_the_lease_changes_nothing(store: MemoryServer, storage: ObjectStorage) -> None:
    def lost() -> None:
        raise LeaseLostError("taken over")

    storage.write("name", b"before")
    storage.hold(lost)
    for write in (lambda: storage.write("name", b"after"), lambda: storage.remove("name")):
        with pytest.raises(LeaseLostError):
            write()
    assert storage.read("name") == b"before"


def test_a_file_that_another_process_changes_at_every_try_is_named(store: MemoryServer, storage: ObjectStorage) -> None:
    def somebody_writes() -> None:
        store.objects["results/name"] = uuid.uuid4().bytes

    storage.hold(somebody_writes)
    with pytest.raises(
        StoreError, match="another process changed `name` at every attempt to write it; stop that process"
    ):
        storage.write("name", b"content")
    assert changes(store) == ["PUT"] * TRIES
