"""Tables on disk: read with their columns checked, written whole and with the same bytes each time."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from mtlsweep.errors import UserError
from mtlsweep.files import open_atomically

ROWS_PER_GROUP = 1024 * 1024
"""Arrow's own default, which decides the bytes of a table."""


def read_table(
    path: Path, columns: Iterable[str] | None = None, categories: Sequence[str] = (), further: tuple[str, ...] = ()
) -> pd.DataFrame:
    """Read the named columns of a Parquet file, or all.

    Args:
        path: of the file.
        columns: names; None for all.
        categories: columns of strings that repeat millionfold.
        further: beginnings of the names of columns that are read, too, where the file has them.

    Raises:
        UserError: the file is missing, is no Parquet file, or lacks one of the columns.
    """
    try:
        found = pq.read_schema(path).names
        columns = list(found if columns is None else columns)
        missing = [column for column in columns if column not in found]
        if missing:
            raise UserError(f"`{path}` has no column `{missing[0]}`; it has {', '.join(found)}. Run `dvc repro`.")
        columns += [column for column in found if column.startswith(further) and column not in columns]
        return pq.read_table(path, columns=columns, read_dictionary=list(categories)).to_pandas()
    except FileNotFoundError as error:
        raise UserError(f"`{path}` is missing; run `dvc repro` to make it.") from error
    except (pa.ArrowInvalid, OSError) as error:
        raise UserError(
            f"`{path}` cannot be read as a Parquet file ({error}); delete it and run `dvc repro`."
        ) from error


def write_table(path: Path, frame: pd.DataFrame, schema: pa.Schema | None = None) -> None:
    """Write `frame` as Parquet: no index, no library metadata, so that equal tables give equal bytes.

    Without a `schema` the columns that hold nothing but nulls are written as doubles, so that a
    table's types do not depend on how a sweep went.
    """
    table = pa.Table.from_pandas(frame, schema=schema, preserve_index=False).replace_schema_metadata(None)
    if schema is None:
        table = table.cast(pa.schema([_without_null_type(_plain_string(field)) for field in table.schema]))
    with open_table(path, table.schema) as writer:
        writer.write(table)


class TableWriter:
    """Takes a table in pieces of any length, and writes what it would write of the whole table.

    Equal tables shall give equal bytes, however they were cut into pieces, so the row groups are of one
    length and each is written from one contiguous array a column.
    """

    def __init__(self, parquet: pq.ParquetWriter) -> None:
        self._parquet = parquet
        self._waiting = parquet.schema.empty_table()
        self._is_empty = True

    def write(self, piece: pa.Table) -> None:
        """Append `piece`; whole row groups go to the file."""
        self._waiting = pa.concat_tables([self._waiting, piece])
        while len(self._waiting) >= ROWS_PER_GROUP:
            self._write_group()

    def end(self) -> None:
        """Write the rows that fill no group; a table without rows has one group of none."""
        if len(self._waiting) or self._is_empty:
            self._write_group()

    def _write_group(self) -> None:
        self._parquet.write_table(self._waiting.slice(0, ROWS_PER_GROUP).combine_chunks())
        self._waiting = self._waiting.slice(ROWS_PER_GROUP)
        self._is_empty = False


@contextmanager
def open_table(path: Path, schema: pa.Schema) -> Iterator[TableWriter]:
    """Open a Parquet file that takes the place of `path` when the block ends, whole; not if it raises."""
    with open_atomically(path) as file, pq.ParquetWriter(file, schema, compression="zstd") as parquet:
        writer = TableWriter(parquet)
        yield writer
        writer.end()


def _plain_string(field: pa.Field) -> pa.Field:
    stringlike = pa.types.is_large_string(field.type) or pa.types.is_dictionary(field.type)
    return field.with_type(pa.string()) if stringlike else field


def _without_null_type(field: pa.Field) -> pa.Field:
    return field.with_type(pa.float64()) if pa.types.is_null(field.type) else field
