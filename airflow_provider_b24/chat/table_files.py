"""Rows as a file, written while they come."""

from __future__ import annotations

import datetime as dt
import os
from collections.abc import Iterable, Sequence
from decimal import Decimal
from typing import Any

from airflow_provider_b24.chat import cells
from airflow_provider_b24.chat.files import LARGEST, check_file_name
from airflow_provider_b24.rest.errors import ConfigurationError, FileError

FORMATS = (".csv", ".xlsx", ".parquet")
# Excel's own limit, with the heading.
_MOST_XLSX_ROWS = 1_048_576
_LONGEST_CELL = 32_767
# Its numbers have no more digits than that.
_EXACT_DIGITS = 15


def check_table_name(value: object, argument: str = "file_name") -> str:
    """The name of a file with a table, whose ending is its format.

    :raises ConfigurationError: unless it is one of ``.csv``, ``.xlsx`` and ``.parquet``.
    """
    name = check_file_name(value, argument)
    if os.path.splitext(name)[1].lower() not in FORMATS:
        raise ConfigurationError(
            f"{argument} is {name!r}", advice=f"Its ending is the format of the file: {', '.join(FORMATS)}."
        )
    return name


def write(path: str, columns: Sequence[str] | None, rows: Iterable[Sequence[Any]], language: str = "en") -> None:
    """Write rows to a file; its ending is the format.

    ``.csv`` and ``.xlsx`` are written row by row, however many there are; ``.parquet`` is put together in memory.

    :param columns: their names; without them there is no heading, and columns of ``.parquet`` are numbered.
    :param language: for ``.csv``, see :func:`~airflow_provider_b24.chat.tables.csv_chunks`.
    :raises ConfigurationError: if the library for the format is missing.
    :raises FileError: for more than a portal or Excel takes.
    """
    ending = os.path.splitext(path)[1].lower()
    if ending == ".csv":
        _write_csv(path, columns, rows, language)
    elif ending == ".xlsx":
        _write_xlsx(path, columns, rows)
    else:
        _write_parquet(path, columns, rows)


def _write_csv(path: str, columns: Sequence[str] | None, rows: Iterable[Sequence[Any]], language: str) -> None:
    from airflow_provider_b24.chat.tables import csv_chunks

    size = 0
    with open(path, "wb") as out:
        for chunk in csv_chunks(rows, columns, language):
            size += len(chunk)
            if size > LARGEST:
                # Nobody waits for the rest of a file that can not be sent.
                raise _too_much(f"the file would have more than {LARGEST:,} bytes", "The portal takes 100 MB at most:")
            out.write(chunk)


def _write_xlsx(path: str, columns: Sequence[str] | None, rows: Iterable[Sequence[Any]]) -> None:
    try:
        from openpyxl import Workbook
        from openpyxl.cell import WriteOnlyCell
        from openpyxl.cell.cell import ILLEGAL_CHARACTERS_RE
    except ImportError:
        missing = True
    else:
        missing = False
    if missing:
        raise _missing(".xlsx", "openpyxl")
    book = Workbook(write_only=True)
    sheet = book.create_sheet()

    def cell(value: Any) -> Any:
        value = _plain(value)
        if not isinstance(value, str):
            return value
        value = ILLEGAL_CHARACTERS_RE.sub("", value)
        if len(value) > _LONGEST_CELL:
            raise _too_much(
                f"a text has {len(value):,} characters",
                f"A cell of Excel holds {_LONGEST_CELL:,}: choose .csv or .parquet, or",
            )
        made = WriteOnlyCell(sheet, value=value)
        # A text that begins with = is a text.
        made.data_type = "s"
        return made

    try:
        if columns is not None:
            sheet.append([cell(name) for name in columns])
        for number, row in enumerate(rows, 2):
            if number > _MOST_XLSX_ROWS:
                raise _too_much(f"there are more than {_MOST_XLSX_ROWS - 1:,} rows", "A sheet of Excel has no more:")
            sheet.append([cell(value) for value in row])
    finally:
        # What it has open it would close at some later time, and complain.
        sheet.close()
    book.save(path)


def _plain(value: Any) -> Any:
    """A value that a sheet can hold."""
    value = cells.known(value)
    if isinstance(value, dt.datetime) and value.tzinfo is not None:
        # A sheet knows no time zones.
        return value.isoformat(sep=" ")
    if isinstance(value, Decimal) and len(value.as_tuple().digits) > _EXACT_DIGITS:
        return cells.exact(value)
    if isinstance(value, int) and abs(value) >= 10**_EXACT_DIGITS:
        return str(value)
    if value is None or isinstance(value, (int, float, Decimal, str, dt.date, dt.time, dt.timedelta)):
        return value
    return cells.words(value)


def _write_parquet(path: str, columns: Sequence[str] | None, rows: Iterable[Sequence[Any]]) -> None:
    try:
        import pyarrow
        from pyarrow import parquet
    except ImportError:
        missing = True
    else:
        missing = False
    if missing:
        raise _missing(".parquet", "pyarrow")
    values = list(zip(*rows, strict=True)) or [()] * len(columns or ())
    columns = [str(number) for number in range(1, len(values) + 1)] if columns is None else columns
    arrays = [pyarrow.array([cells.known(value) for value in column]) for column in values]
    parquet.write_table(pyarrow.Table.from_arrays(arrays, names=list(columns)), path)


def _missing(ending: str, library: str) -> ConfigurationError:
    return ConfigurationError(
        f"{ending} needs {library}, which is not installed",
        advice=f"pip install {library}, where the tasks run; or choose .csv.",
    )


def _too_much(problem: str, limit: str) -> FileError:
    error = FileError(problem, advice=f"{limit} let the query return less.")
    error.permanent = True
    return error
