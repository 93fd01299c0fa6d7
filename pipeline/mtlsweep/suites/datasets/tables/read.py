"""Read the columns of a CSV or Parquet file, on disk or inside an installed package."""

from __future__ import annotations

import importlib.resources
import io
from collections import Counter
from collections.abc import Iterable
from pathlib import Path

import pyarrow as pa
import pyarrow.csv as pa_csv
import pyarrow.parquet as pq

from mtlsweep.errors import UserError, first_line, nearest
from mtlsweep.files import read_text

SEPARATORS = ",;\t"


def read_columns(file: str, wanted: Iterable[str]) -> pa.Table:
    """Return the columns `wanted` of a table.

    Args:
        file: path of a .csv (separated by `,`, `;` or tabs, UTF-8) or .parquet file, or `package:path` of one inside an
            installed package.
        wanted: names of columns.

    Raises:
        UserError: the file is missing, of another kind, damaged or empty, or has no such column or two of that name.
    """
    path = _locate(file)
    if path.suffix.lower() not in (".csv", ".parquet"):
        raise UserError(f"table `{file}` is neither .csv nor .parquet; save it as one of these.")
    try:
        table = _read_csv(path) if path.suffix.lower() == ".csv" else pq.read_table(path)
    except FileNotFoundError as error:
        raise UserError(f"there is no table `{file}`; check the path, which starts where `params.yaml` is.") from error
    except (OSError, ValueError, pa.ArrowException) as error:
        raise UserError(
            f"table `{file}` cannot be read ({first_line(error)}); mend the file, or save it again."
        ) from error
    names = table.column_names
    repeated = [name for name, count in Counter(names).items() if count > 1]
    if repeated:
        raise UserError(
            f"table `{file}` has {Counter(names)[repeated[0]]} columns called `{repeated[0]}`; rename them."
        )
    for name in wanted:
        if name not in names:
            raise UserError(
                f"table `{file}` has no column `{name}`{nearest(name, names)} Its columns are {', '.join(names)}."
            )
    if not table.num_rows:
        raise UserError(f"table `{file}` has a header and no rows; it needs a row for each example.")
    return table.select(list(dict.fromkeys(wanted)))


def _locate(file: str) -> Path:
    package, colon, inner = file.partition(":")
    if not colon or Path(file).exists():
        return Path(file).expanduser()
    try:
        return Path(str(importlib.resources.files(package))) / inner
    except ModuleNotFoundError as error:
        raise UserError(
            f"table `{file}` is inside the package `{package}`, which is not installed: run `pip install {package}`."
        ) from error


def _read_csv(path: Path) -> pa.Table:
    text = read_text(path)
    if not text.strip():
        raise ValueError("it is empty")
    separator = max(SEPARATORS, key=text.partition("\n")[0].count)
    return pa_csv.read_csv(
        io.BytesIO(text.encode()),
        parse_options=pa_csv.ParseOptions(delimiter=separator, newlines_in_values=True),
        convert_options=pa_csv.ConvertOptions(strings_can_be_null=True),
    )
