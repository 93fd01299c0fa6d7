"""A table written in pieces has the bytes of the table written whole."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from mtlsweep.record.tables.parquet import ROWS_PER_GROUP, open_table, write_table
from mtlsweep.record.tables.schema import CURVES


def curves(rows: int) -> pd.DataFrame:
    numbers = np.arange(rows)
    return pd.DataFrame(
        {
            "trial_key": pd.Series([f"{number // 400:016x}" for number in range(rows)], dtype=str),
            "epoch": numbers // 10 % 40,
            "split": np.where(numbers % 10 < 5, "test", "val"),
            "task": np.array(list("abcde"))[numbers % 5],
            "metric": "loss",
            "value": np.random.default_rng(0).random(rows),
        }
    )


def written_whole(frame: pd.DataFrame) -> bytes:
    table = pa.Table.from_pandas(frame, schema=CURVES, preserve_index=False).replace_schema_metadata(None)
    buffer = io.BytesIO()
    pq.write_table(table, buffer, compression="zstd")
    return buffer.getvalue()


@pytest.mark.slow
@pytest.mark.parametrize(
    ("rows", "cuts"),
    [
        (0, []),
        (5, [2]),
        (2 * ROWS_PER_GROUP, [ROWS_PER_GROUP]),
        (2 * ROWS_PER_GROUP + 7, list(range(0, 2 * ROWS_PER_GROUP, 77_777))),
        (2 * ROWS_PER_GROUP + 7, [3]),
    ],
)
def test_pieces_of_any_length_give_the_same_bytes(tmp_path: Path, rows: int, cuts: list[int]) -> None:
    frame = curves(rows)
    table = pa.Table.from_pandas(frame, schema=CURVES, preserve_index=False).replace_schema_metadata(None)
    with open_table(tmp_path / "pieces", CURVES) as writer:
        for start, end in zip([0, *cuts], [*cuts, rows], strict=True):
            writer.write(table.slice(start, end - start))
    write_table(tmp_path / "whole", frame, CURVES)
    assert (tmp_path / "pieces").read_bytes() == (tmp_path / "whole").read_bytes() == written_whole(frame)


def test_what_fails_in_the_middle_leaves_what_was_there(tmp_path: Path) -> None:
    write_table(tmp_path / "table", curves(5), CURVES)
    before = (tmp_path / "table").read_bytes()

    def fail_in_the_middle() -> None:
        with open_table(tmp_path / "table", CURVES) as writer:
            writer.write(CURVES.empty_table())
            raise OSError("no space left on device")

    with pytest.raises(OSError, match="no space left"):
        fail_in_the_middle()
    assert (tmp_path / "table").read_bytes() == before
    assert [path.name for path in tmp_path.iterdir()] == ["table"]
