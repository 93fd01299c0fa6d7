"""One sweep per suite in an object store: a living holder is left alone, a dead one replaced, and a replaced one writes nothing."""

from __future__ import annotations

import os
import pickle
import threading
import time
from collections.abc import Callable

import pytest

from mtlsweep.addresses import StoreUri
from mtlsweep.errors import UserError
from mtlsweep.params.params import parse_params
from mtlsweep.record.ledger import Ledger
from mtlsweep.record.storage.objects import LeaseLostError, ObjectStorage
from mtlsweep.sweep.control.stop import stop
from mtlsweep.sweep.executors.checkpoint_store import LedgerCheckpoints
from mtlsweep.sweep.lease import find_holder, hold_lease, holder_lives
from mtlsweep.sweep.lease.objects import ObjectLease
from mtlsweep.trials.state import FinishedTrial
from tests.object_server import Line
from tests.small_study import small_study

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("short_lease")]

KEY = "0" * 16


def held_by_a_dead_process(root: StoreUri) -> ObjectLease:
    """Take the lease, and renew it no more."""
    lease = hold_lease(Ledger(root, "digits"), "digits")
    assert isinstance(lease, ObjectLease)
    lease._thread = threading.Thread(target=lambda: None)
    return lease.__enter__()


def test_a_second_start_reports_the_holder(root: StoreUri) -> None:
    with hold_lease(Ledger(root, "digits"), "digits"):
        began = time.monotonic()
        with (
            pytest.raises(UserError, match=rf"a sweep of suite `digits` is already running: process {os.getpid()} on "),
            hold_lease(Ledger(root, "digits"), "digits"),
        ):
            pytest.fail("two sweeps at once")
        assert time.monotonic() - began < 2.0
    with hold_lease(Ledger(root, "digits"), "digits"):  # at once: it was released
        pass


def test_of_many_starters_one_wins(root: StoreUri) -> None:
    won, refused, every = [], [], threading.Barrier(8)

    def start(number: int) -> None:
        every.wait()
        try:
            with hold_lease(Ledger(root, "digits"), "digits"):
                won.append(number)
                time.sleep(3.0)
        except UserError as error:
            refused.append(str(error))

    held_by_a_dead_process(root)
    starters = [threading.Thread(target=start, args=(number,)) for number in range(8)]
    for starter in starters:
        starter.start()
    for starter in starters:
        starter.join()
    assert len(won) == 1
    assert len(refused) == 7
    assert all("already running" in reason for reason in refused)


def test_the_holder_is_seen_and_its_end_as_well(root: StoreUri) -> None:
    ledger = Ledger(root, "digits")
    assert find_holder(ledger) is None
    with hold_lease(ledger, "digits"):
        found = find_holder(Ledger(root, "digits"))
        assert found is not None
        assert found["pid"] == os.getpid()
        assert holder_lives(ledger)
    assert find_holder(ledger) is None
    assert not holder_lives(ledger)


def test_whoever_died_is_not_stopped(root: StoreUri) -> None:
    """Its process id may be somebody else's by now: here it is that of this test."""
    held_by_a_dead_process(root)
    params = parse_params({**small_study(), "resources": {"ledger_root": str(root)}})
    assert stop(params, "digits") == "digits: no sweep is running"


def test_a_successor_is_not_written_over(root: StoreUri, make_finished: Callable[..., FinishedTrial]) -> None:
    old, new, one = Ledger(root, "digits"), Ledger(root, "digits"), make_finished()
    assert isinstance(old.storage, ObjectStorage)
    lost = held_by_a_dead_process(root)
    old.storage.hold(lost.fence.check)
    actor = pickle.loads(pickle.dumps(LedgerCheckpoints(old, lost.fence)))  # noqa: S301  # as Ray sends it
    actor.load_resume(KEY, "worker")
    actor.save(KEY, "worker", b"epoch 1", b"weights 1")
    with hold_lease(new, "digits"):
        new.checkpoints.save_resume(KEY, b"epoch 3")
        new.finish(one)
        actor.save(KEY, "worker", b"epoch 2", b"weights 2")
        actor.mark_hung(KEY)
        for write in (
            lambda: old.finish(one),
            lambda: old.forget(one.trial.key),
            lambda: old.checkpoints.drop_resume(KEY),
        ):
            with pytest.raises(
                LeaseLostError, match=rf"`digits` was taken over by process {os.getpid()} on .*did not renew"
            ):
                write()
    assert new.checkpoints.load_resume(KEY) == b"epoch 3"
    assert new.checkpoints.load_best(KEY) == b"weights 1"
    assert not new.checkpoints.has_hung(KEY)
    assert new.read(one.trial.key) == one


def test_a_write_that_is_held_up_after_its_look_at_the_lease_changes_nothing(root: StoreUri) -> None:
    """The worst moment: the lease was looked at, then everything stops, and another sweep takes over and writes."""
    old, new = Ledger(root, "digits"), Ledger(root, "digits")
    assert isinstance(old.storage, ObjectStorage)
    lost = held_by_a_dead_process(root)
    looked = False

    def check() -> None:
        nonlocal looked
        lost.fence.check()
        if looked:
            return
        looked = True
        with hold_lease(new, "digits"):
            new.checkpoints.save_resume(KEY, b"of the successor")

    old.storage.hold(check)
    with pytest.raises(LeaseLostError, match="taken over by another sweep, which has ended"):
        old.checkpoints.save_resume(KEY, b"of the one before")
    assert looked
    assert new.checkpoints.load_resume(KEY) == b"of the successor"


def test_an_outage_is_no_death(root: StoreUri, line: Line) -> None:
    """Who cannot reach the server does not count the holder's silence; who holds the lease has it after an outage."""
    ledger = Ledger(root, "digits")
    with hold_lease(ledger, "digits") as lease:
        line.cut()
        with pytest.raises(UserError, match="does not answer"):
            hold_lease(Ledger(root, "digits"), "digits").__enter__()
        time.sleep(1.0)
        line.mend()
        with pytest.raises(UserError, match="already running"):
            hold_lease(Ledger(root, "digits"), "digits").__enter__()
        assert isinstance(lease, ObjectLease)
        lease.fence.check()


def test_a_sweep_learns_that_it_was_replaced(root: StoreUri) -> None:
    ledger = Ledger(root, "digits")
    with hold_lease(ledger, "digits"):
        assert isinstance(ledger.storage, ObjectStorage)
        ledger.storage.impatient.put(
            "lease.json", b'{"pid": 7, "host": "elsewhere", "since": "now", "token": "another"}'
        )
        deadline = time.monotonic() + 10
        while ledger.storage.lost is None and time.monotonic() < deadline:
            time.sleep(0.05)
        assert "taken over by process 7 on elsewhere" in str(ledger.storage.lost)
    found = find_holder(ledger)
    assert found is not None, "the other one's lease is not released"
    assert found["pid"] == 7
