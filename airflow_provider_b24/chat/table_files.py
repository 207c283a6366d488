"""Rows as a file, written while they come."""

from __future__ import annotations

import datetime as dt
import math
import os
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from decimal import Decimal
from itertools import zip_longest
from typing import Any

from airflow_provider_b24.chat import cells
from airflow_provider_b24.chat.files import LARGEST, check_file_name
from airflow_provider_b24.rest.errors import Bitrix24Error, ConfigurationError, FileError

FORMATS = (".csv", ".xlsx", ".parquet")
# Excel's own limit, with the heading.
_MOST_XLSX_ROWS = 1_048_576
_LONGEST_CELL = 32_767
# Of what a library says, which may have much of the table in it.
_LONGEST_WORDS = 300
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

    ``.csv`` and ``.xlsx`` are written row by row, however many there are; ``.parquet`` is put together in memory. What
    a format has no type for is text in it: a moment with a time zone in ``.xlsx``; in ``.parquet`` all of a column
    whose values are of several types, or integers of more than 64 bits.

    :param columns: their names; without them there is no heading, and columns of ``.parquet`` are numbered.
    :param language: for ``.csv``, see :func:`~airflow_provider_b24.chat.tables.csv_chunks`.
    :raises ConfigurationError: if the library for the format is missing.
    :raises FileError: for more than a portal or Excel takes, and for what the format's library can not write.
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
        value = for_excel(value)
        if not isinstance(value, str):
            return value
        made = WriteOnlyCell(sheet, value=_whole(ILLEGAL_CHARACTERS_RE.sub("", value)))
        # A text that begins with = is a text.
        made.data_type = "s"
        return made

    try:
        if columns is not None:
            sheet.append([cell(name) for name in columns])
        for number, row in enumerate(rows, 2):
            if number > _MOST_XLSX_ROWS:
                raise _too_much(f"there are more than {_MOST_XLSX_ROWS - 1:,} rows", "A sheet of Excel has no more:")
            written = [cell(value) for value in row]
            with no_raw_errors(".xlsx"):
                sheet.append(written)
    finally:
        # What it has open it would close at some later time, and complain.
        sheet.close()
    with no_raw_errors(".xlsx"):
        book.save(path)


def for_excel(value: Any) -> Any:
    """A value that a sheet of Excel can hold; one that it holds as it is, is returned itself.

    :raises FileError: for a text that is too long for a cell.
    """
    value = cells.known(value)
    if isinstance(value, str) and len(value) > _LONGEST_CELL:
        raise _too_much(
            f"a text has {len(value):,} characters",
            f"A cell of Excel holds {_LONGEST_CELL:,}: choose .csv or .parquet, or",
        )
    if isinstance(value, dt.datetime) and value.tzinfo is not None:
        # A sheet knows no time zones.
        return value.isoformat(sep=" ")
    if isinstance(value, dt.time) and value.tzinfo is not None:
        return value.isoformat()
    if isinstance(value, (float, Decimal)) and math.isinf(float(value)):
        # Nor what is beyond its numbers: it would show nothing.
        return str(value)
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
    # A row may have fewer values than there are columns.
    values: list[Sequence[Any]] = list(zip_longest(*rows))
    if columns is None:
        columns = [str(number) for number in range(1, len(values) + 1)]
    empty = [None] * max(map(len, values), default=0)
    values += [empty] * (len(columns) - len(values))
    arrays = [_arrow_array(pyarrow, [cells.known(value) for value in column]) for column in values]
    with no_raw_errors(".parquet"):
        parquet.write_table(pyarrow.Table.from_arrays(arrays, names=list(map(str, columns))), path)


def _arrow_array(pyarrow: Any, values: list[Any]) -> Any:
    """The values of a column; as text where no type of Arrow's holds all of them."""
    try:
        return pyarrow.array(values)
    except (pyarrow.ArrowException, ArithmeticError, TypeError, ValueError):
        texts = [None if value is None else _as_text(value) for value in values]
    return pyarrow.array(texts, pyarrow.string())


def _as_text(value: Any) -> str:
    """A value to its last digit."""
    if isinstance(value, Decimal):
        return cells.exact(value)
    if isinstance(value, dt.datetime):
        return value.isoformat(sep=" ")
    if isinstance(value, (dt.date, dt.time)):
        return value.isoformat()
    if isinstance(value, (bytes, bytearray, memoryview)):
        return bytes(value).hex()
    if isinstance(value, (bool, int, float, str)):
        return _whole(str(value))
    return _whole(cells.words(value))


def _whole(text: str) -> str:
    """A text that can be written: half of a surrogate pair is no character."""
    return text.encode(errors="backslashreplace").decode()


@contextmanager
def no_raw_errors(ending: str) -> Iterator[None]:
    """Says of a library's error which format could not be written. No retry writes it.

    :raises FileError: instead of it.
    """
    problem: Exception | None = None
    try:
        yield
    except (Bitrix24Error, OSError, MemoryError):
        # Ours; and what another try may not meet.
        raise
    except Exception as caught:
        problem = caught
    if problem is not None:
        words = " ".join(str(problem).split())[:_LONGEST_WORDS]
        error = FileError(
            f"the table can not be written as {ending}: {type(problem).__name__}: {words}",
            advice=f"Change the type of that column before{'' if ending == '.csv' else ', or choose .csv'}.",
        )
        error.permanent = True
        raise error


def _missing(ending: str, library: str) -> ConfigurationError:
    return ConfigurationError(
        f"{ending} needs {library}, which is not installed",
        advice=f"pip install {library}, where the tasks run; or choose .csv.",
    )


def _too_much(problem: str, limit: str) -> FileError:
    error = FileError(problem, advice=f"{limit} let the query return less.")
    error.permanent = True
    return error
