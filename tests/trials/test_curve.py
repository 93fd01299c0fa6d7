"""A curve as the ledger stores it is the sequence of its epochs' records."""

from __future__ import annotations

import json
import math

import pytest

from mtlsweep.trials.curve import EpochRecord, StoredCurve, UnreadCurve, by_column, curve_to_json, seconds_of

RECORDS = (
    EpochRecord(1, {"val/left/loss": 0.5, "val/left/accuracy": -math.inf}, 10.0, 2.0),
    EpochRecord(2, {"val/left/loss": 0.25}, 12.5, 2.5),
    EpochRecord(3, {"val/left/loss": 0.125, "only/now/here": 1.0}, 15.0, 2.5),
)


def stored(records) -> StoredCurve:
    return StoredCurve(json.loads(json.dumps(curve_to_json(records), allow_nan=False)))


def test_a_stored_curve_is_the_sequence_that_was_stored():
    curve = stored(RECORDS)
    assert curve == RECORDS and tuple(curve) == RECORDS and len(curve) == 3
    assert curve[0] == RECORDS[0] and curve[-1] == RECORDS[-1]
    assert curve[:2] == RECORDS[:2] and curve[1:] == RECORDS[1:] and curve[5:] == () and curve[-1:] == RECORDS[-1:]
    with pytest.raises(IndexError):
        curve[3]
    assert curve != RECORDS[:2] and curve != stored(RECORDS[:2])
    assert stored(()) == () and len(stored(())) == 0


def test_values_by_column_say_which_epochs_lack_them():
    curve = stored(RECORDS)
    assert curve.values("val/left/loss") == [0.5, 0.25, 0.125]
    assert curve.values("val/left/accuracy") == [-math.inf, None, None]
    undefined = stored([EpochRecord(1, {"val/left/r2": math.nan}, 1.0, 1.0)]).values("val/left/r2")
    assert undefined[0] is not None and math.isnan(undefined[0])


def test_by_column_keeps_what_is_stored_and_stores_what_is_not():
    curve = stored(RECORDS)
    assert by_column(curve) is curve
    assert by_column(RECORDS) == RECORDS


def test_columns_of_different_lengths_are_damage():
    content = curve_to_json(RECORDS)
    content["metrics"]["val/left/loss"].pop()
    with pytest.raises(ValueError, match="a curve of 3 epochs has columns of another length"):
        StoredCurve(content)


def test_an_unread_curve_is_the_sequence_in_its_file_and_is_read_only_where_somebody_looks():
    looks = []

    def read() -> StoredCurve:
        looks.append(1)
        return stored(RECORDS)

    curve = UnreadCurve([2.0, 2.5], read)  # a file may have later epochs
    assert (len(curve), list(seconds_of(curve)), bool(curve), looks) == (2, [2.0, 2.5], True, [])
    assert curve == RECORDS[:2] and RECORDS[:2] == curve and tuple(curve) == RECORDS[:2] and len(looks) == 3
    assert curve[0] == RECORDS[0] and curve[-1] == RECORDS[1]
    assert curve[1:] == RECORDS[1:2] and curve[:9] == RECORDS[:2] and curve[2:] == ()
    with pytest.raises(IndexError):
        curve[2]
    looks.clear()
    assert curve_to_json(curve) == curve_to_json(RECORDS[:2])
    assert len(looks) == 1
    assert by_column(curve) == RECORDS[:2]


def test_every_kind_of_curve_knows_the_seconds_of_its_epochs():
    assert seconds_of(RECORDS) == seconds_of(stored(RECORDS)) == [2.0, 2.5, 2.5]
