"""Files are whole or absent; canonical JSON hashes the same everywhere."""

from __future__ import annotations

import errno
import math
import os
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mtlsweep.files import canonical_json, content_hash, decode_float, encode_float, write_atomically

PLAIN = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=10,
)


@pytest.mark.slow
@given(st.dictionaries(st.text(), PLAIN))
def test_the_order_of_keys_does_not_change_the_hash(value: dict[str, object]) -> None:
    backwards = dict(reversed(value.items()))
    assert canonical_json(value) == canonical_json(backwards)
    assert content_hash(value) == content_hash(backwards)


def test_the_hash_is_pinned() -> None:
    assert content_hash({"lr": 1e-3, "seeds": [0, 1], "name": "é"}) == "ca29997f8c9b2f87"


def test_numbers_that_json_does_not_know_are_refused_in_a_hash() -> None:
    with pytest.raises(ValueError, match="not JSON compliant"):
        canonical_json({"x": math.nan})


@given(st.floats())
def test_every_float_survives_its_encoding(value: float) -> None:
    back = decode_float(encode_float(value))
    assert back == value or (math.isnan(back) and math.isnan(value))


def test_a_write_that_fails_leaves_the_old_file_and_no_rubbish(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "deep" / "file"
    write_atomically(path, b"old")

    def full(descriptor: int) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match="No space left"):
        write_atomically(path, b"new")
    assert path.read_bytes() == b"old"
    assert os.listdir(path.parent) == ["file"]
