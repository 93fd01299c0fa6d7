"""Prepared data on its way to another host: whatever happens to a piece, no damaged file is used."""

from __future__ import annotations

import json
import os
import tempfile
from collections.abc import Callable
from pathlib import Path

import pytest

from mtlsweep.sweep.executors.ray import verified_copy
from mtlsweep.sweep.executors.ray.data_copies import DataCopies
from mtlsweep.sweep.executors.ray.verified_copy import DamagedCopyError, copy_files, describe_files, read_piece

Damage = Callable[[bytes], bytes]
DAMAGES: dict[str, Damage] = {
    "a bit has flipped": lambda piece: bytes([piece[0] ^ 1]) + piece[1:],
    "the piece is short": lambda piece: piece[:-1],
    "the piece is empty": lambda piece: b"",
    "a piece of the same size comes from elsewhere": lambda piece: piece[::-1],
}


@pytest.fixture
def sent(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Files of many pieces, of exactly two, and of none."""
    monkeypatch.setattr(verified_copy, "PIECE_BYTES", 16)
    directory = tmp_path / "sent"
    directory.mkdir()
    for name, size in {"train.arrow": 100, "summary.json": 32, "empty": 0}.items():
        (directory / name).write_bytes(bytes(range(size)))
    return directory


@pytest.fixture
def arriving(tmp_path: Path) -> Path:
    directory = tmp_path / "arriving"
    directory.mkdir()
    return directory


class Way:
    """Reads pieces of `sent`; the third piece of train.arrow is damaged the first `times` times."""

    def __init__(self, sent: Path, damage: Damage, times: int) -> None:
        self.sent, self.damage, self.times, self.asked = sent, damage, times, 0

    def __call__(self, name: str, start: int) -> bytes:
        piece = read_piece(self.sent / name, start)
        if (name, start) == ("train.arrow", 32):
            self.asked += 1
            if self.asked <= self.times:
                return self.damage(piece)
        return piece


def test_files_arrive_as_they_were_sent(sent: Path, arriving: Path) -> None:
    way = Way(sent, bytes, times=0)
    copy_files(describe_files(sent), way, arriving)
    assert {path.name: path.read_bytes() for path in arriving.iterdir()} == {
        path.name: path.read_bytes() for path in sent.iterdir()
    }
    assert way.asked == 1


@pytest.mark.parametrize("damage", DAMAGES.values(), ids=DAMAGES)
def test_a_damaged_file_is_fetched_again(damage: Damage, sent: Path, arriving: Path) -> None:
    way = Way(sent, damage, times=1)
    copy_files(describe_files(sent), way, arriving)
    assert (arriving / "train.arrow").read_bytes() == bytes(range(100)) and way.asked == 2


@pytest.mark.parametrize("damage", DAMAGES.values(), ids=DAMAGES)
def test_a_file_that_arrives_damaged_twice_is_refused_in_one_sentence(
    damage: Damage, sent: Path, arriving: Path
) -> None:
    with pytest.raises(DamagedCopyError, match=r"`train\.arrow` arrives damaged on .*, sent were 100 with") as caught:
        copy_files(describe_files(sent), Way(sent, damage, times=9), arriving)
    assert "\n" not in str(caught.value) and "mtlsweep retry" in str(caught.value)


def test_a_file_that_changes_while_it_is_sent_is_refused(sent: Path, arriving: Path) -> None:
    described = describe_files(sent)
    (sent / "train.arrow").write_bytes(bytes(100))
    with pytest.raises(DamagedCopyError):
        copy_files(described, Way(sent, bytes, times=0), arriving)


def open_to_all(place: Path) -> None:
    place.mkdir()
    place.chmod(0o777)


def a_link(place: Path) -> None:
    elsewhere = place.with_name("elsewhere")
    elsewhere.mkdir()
    place.symlink_to(elsewhere)


@pytest.mark.parametrize("made_by_another", [open_to_all, a_link])
def test_data_in_a_directory_that_others_can_change_is_not_used(
    made_by_another: Callable[[Path], None], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    copies = tmp_path / f"mtlsweep-data-{os.getuid()}"
    made_by_another(copies)
    (copies / ("f" * 16)).mkdir()
    (copies / ("f" * 16) / "summary.json").write_text(json.dumps({"fingerprint": "f" * 32}))
    with pytest.raises(OSError, match="is not this user's alone"):
        DataCopies(tmp_path / "on the driver's host", "node").directory_here("f" * 32)


def test_data_in_a_directory_of_ones_own_is_used(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    copy = tmp_path / f"mtlsweep-data-{os.getuid()}" / ("f" * 16)
    copy.mkdir(parents=True)
    copy.parent.chmod(0o700)
    (copy / "summary.json").write_text(json.dumps({"fingerprint": "f" * 32}))
    assert DataCopies(tmp_path / "on the driver's host", "node").directory_here("f" * 32) == copy
