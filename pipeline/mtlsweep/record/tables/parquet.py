"""Tables on disk: read with their columns checked, written whole and with the same bytes each time."""

from __future__ import annotations

import io
from collections.abc import Iterable, Sequence
from pathlib import Path

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from mtlsweep.errors import UserError
from mtlsweep.files import write_atomically


def read_table(path: Path, columns: Iterable[str] | None = None, categories: Sequence[str] = ()) -> pd.DataFrame:
    """Read the named columns of a Parquet file, or all; `categories` are strings that repeat millionfold.

    Raises:
        UserError: the file is missing, is no Parquet file, or lacks one of the columns.
    """
    try:
        found = pq.read_schema(path).names
        columns = found if columns is None else list(columns)
        missing = [column for column in columns if column not in found]
        if missing:
            raise UserError(f"`{path}` has no column `{missing[0]}`; it has {', '.join(found)}. Run `dvc repro`.")
        return pq.read_table(path, columns=columns, read_dictionary=list(categories)).to_pandas()
    except FileNotFoundError as error:
        raise UserError(f"`{path}` is missing; run `dvc repro` to make it.") from error
    except (pa.ArrowInvalid, OSError) as error:
        raise UserError(f"`{path}` is no readable Parquet file ({error}); delete it and run `dvc repro`.") from error


def write_table(path: Path, frame: pd.DataFrame, schema: pa.Schema | None = None) -> None:
    """Write `frame` as Parquet: no index, no library metadata, so that equal tables give equal bytes.

    Without a `schema` the columns that hold nothing but nulls are written as doubles, so that a
    table's types do not depend on how a sweep went.
    """
    table = pa.Table.from_pandas(frame, schema=schema, preserve_index=False).replace_schema_metadata(None)
    if schema is None:
        table = table.cast(pa.schema([_without_null_type(_plain_string(field)) for field in table.schema]))
    buffer = io.BytesIO()
    pq.write_table(table, buffer, compression="zstd")
    write_atomically(path, buffer.getvalue())


def _plain_string(field: pa.Field) -> pa.Field:
    stringlike = pa.types.is_large_string(field.type) or pa.types.is_dictionary(field.type)
    return field.with_type(pa.string()) if stringlike else field


def _without_null_type(field: pa.Field) -> pa.Field:
    return field.with_type(pa.float64()) if pa.types.is_null(field.type) else field
