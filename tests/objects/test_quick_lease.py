"""The lease in an object store, with a clock so fast that a dead holder is replaced in a tenth of a second."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator

import pytest

from mtlsweep.addresses import StoreUri
from mtlsweep.errors import UserError
from mtlsweep.record.ledger import Ledger
from mtlsweep.record.storage.objects import LeaseLostError, ObjectStorage
from mtlsweep.record.storage.server import OutageError
from mtlsweep.sweep.lease import find_holder, hold_lease, holder_lives, objects
from mtlsweep.sweep.lease.objects import ObjectLease
from tests.object_server import name_server
from tests.objects.memory_server import BUCKET, Answer, MemoryServer, memory_server, refusal

LEASE = "digits/ledger/lease.json"
OTHER = b'{"pid": 7, "host": "elsewhere", "since": "yesterday", "token": "another"}'


@pytest.fixture
def store(monkeypatch: pytest.MonkeyPatch) -> Iterator[MemoryServer]:
    monkeypatch.setattr(objects, "SECONDS_BETWEEN_RENEWALS", 0.01)
    monkeypatch.setattr(objects, "SECONDS_BETWEEN_LOOKS", 0.02)
    monkeypatch.setattr(objects, "SECONDS_UNTIL_GONE", 0.1)
    with memory_server() as running:
        name_server(monkeypatch, running.url)
        yield running


def ledger() -> Ledger:
    return Ledger(StoreUri(BUCKET, ""), "digits")


def storage_of(one: Ledger) -> ObjectStorage:
    assert isinstance(one.storage, ObjectStorage)
    return one.storage


def eventually(happens: Callable[[], object]) -> bool:
    """Whether something happens within ten seconds."""
    deadline = time.monotonic() + 10
    while not happens() and time.monotonic() < deadline:
        time.sleep(0.005)
    return bool(happens())


def test_a_living_holder_is_named_and_left_alone_and_a_released_lease_is_free_at_once(
    store: MemoryServer, capsys: pytest.CaptureFixture[str]
) -> None:
    own = ledger()
    assert find_holder(own) is None and not holder_lives(own)
    with hold_lease(own, "digits"):
        found = find_holder(ledger())
        assert (
            found is not None
            and found["pid"] == os.getpid()
            and "last heard of at 1970-01-01 00:00:00 UTC" in found["since"]
        )
        assert holder_lives(ledger())
        with pytest.raises(
            UserError, match=rf"`digits` is already running: process {os.getpid()} on .*; wait, or stop it with"
        ):
            hold_lease(ledger(), "digits").__enter__()
        assert "taken over if it is not renewed for 0 s" in capsys.readouterr().out
    assert find_holder(own) is None and not holder_lives(own)
    with hold_lease(own, "digits"):
        assert "taken over" not in capsys.readouterr().out


def test_a_silent_holder_is_replaced_and_can_write_nothing_more(store: MemoryServer) -> None:
    store.objects[LEASE] = OTHER
    assert not holder_lives(ledger())
    own = ledger()
    with hold_lease(own, "digits") as lease:
        assert isinstance(lease, ObjectLease)
        own.storage.write("name", b"content")
        with lease.fence.writing() as allowed:
            assert allowed
        store.objects[LEASE] = OTHER
        with pytest.raises(
            LeaseLostError, match=r"`digits` was taken over by process 7 on elsewhere, because this sweep did not"
        ):
            lease.fence.check()
        with pytest.raises(LeaseLostError):
            own.storage.write("name", b"too late")
        with lease.fence.writing():
            own.storage.write("name", b"too late, too")
        assert eventually(lambda: own.storage.lost is not None), "the thread that renews learns it as well"
        assert "process 7 on elsewhere" in str(own.storage.lost)
    assert store.objects[LEASE] == OTHER, "a lease of another is not released"
    assert store.objects["digits/ledger/name"] == b"content"


def test_who_was_replaced_by_a_sweep_that_has_ended_is_told_so(store: MemoryServer) -> None:
    own = ledger()
    with hold_lease(own, "digits") as lease:
        assert isinstance(lease, ObjectLease)
        store.objects[LEASE] = b"{}"
        with pytest.raises(LeaseLostError, match="taken over by another sweep, which has ended"):
            lease.fence.check()


def test_of_two_that_take_a_free_lease_at_once_the_second_names_the_first(store: MemoryServer) -> None:
    def other_first(method: str, name: str) -> Answer | None:
        if method == "PUT":
            store.objects[LEASE] = OTHER
        return None

    store.instead = other_first
    with pytest.raises(UserError, match="already running: process 7 on elsewhere since yesterday"):
        hold_lease(ledger(), "digits").__enter__()


@pytest.mark.parametrize("earlier", [0, 1], ids=["taking it", "renewing it"])
def test_a_lost_answer_is_no_lost_lease(store: MemoryServer, earlier: int) -> None:
    """A write was made, its answer was lost, and the second try of the request finds another object than it expects."""
    own, writes = ledger(), []

    def lose_one(method: str, name: str) -> Answer | None:
        if method == "PUT" and name == LEASE:
            writes.append(store.objects[LEASE])
            if len(writes) == earlier + 1:
                return refusal(412, "PreconditionFailed")
        return None

    store.afterwards = lose_one
    with hold_lease(own, "digits") as lease:
        assert isinstance(lease, ObjectLease)
        assert eventually(lambda: len(set(writes)) > earlier + 2), "it is renewed further"
        lease.fence.check()
        assert own.storage.lost is None


def test_a_server_that_is_away_takes_no_lease_away(store: MemoryServer) -> None:
    own = ledger()
    with hold_lease(own, "digits") as lease:
        assert isinstance(lease, ObjectLease)
        store.instead = lambda method, name: refusal(503, "SlowDown")
        with pytest.raises(OutageError):
            hold_lease(ledger(), "digits").__enter__()
        store.instead = lambda method, name: None
        before = store.objects[LEASE]
        assert eventually(lambda: store.objects[LEASE] != before)
        lease.fence.check()
    assert storage_of(own).check_holder is None
