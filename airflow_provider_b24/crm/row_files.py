"""Rows of a list as files that a warehouse reads: JSON lines, CSV and Parquet, written while the rows come.

A file may be continued in further files, which are joined later: columns that appear meanwhile are empty in those
before.
"""

from __future__ import annotations

import csv
import datetime as dt
import gzip
import io
import json
import shutil
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import IO, TYPE_CHECKING, Any, Protocol

from airflow_provider_b24.rest.errors import ConfigurationError

if TYPE_CHECKING:
    from airflow_provider_b24.crm.fields import Field

FORMATS = ("jsonl", "csv", "parquet", "jsonl.gz", "csv.gz")
KINDS = ("string", "integer", "number", "boolean", "date", "datetime", "money", "json")
_ENDINGS = {f".{name}": name for name in FORMATS} | {".ndjson": "jsonl", ".ndjson.gz": "jsonl.gz"}

# What fits a C long everywhere. The limit holds for the whole process: it is raised, and never lowered.
_LONGEST_CELL = 2**31 - 1

Row = Mapping[str, Any]
Unfit = Callable[[ConfigurationError], None]


@dataclass(frozen=True)
class Column:
    """A column.

    :ivar name: the field's.
    :ivar kind: one of ``KINDS``, as :class:`~.crm.fields.Field` tells it; or ``text`` where nothing is known of the
        field: a text is written as it is, all else as JSON.
    :ivar multiple: whether it holds a list of such values.
    """

    name: str
    kind: str = "text"
    multiple: bool = False


class RowFile(Protocol):
    """A file that is being written."""

    def write(self, rows: Iterable[Row]) -> None:
        """Add rows; they may lack columns, and have none that the file has not.

        :raises ConfigurationError: for a value that its column can not hold; it names the row.
        """

    def join(self, part: IO[bytes], columns: Sequence[Column]) -> None:
        """Add the rows of another file of the same format, whose columns the first ones of this file are."""

    def close(self) -> None:
        """Write what is left; the stream below is left open."""


def format_of(path: str, given: str | None = None) -> str:
    """The format of a file, by its ending unless it is given.

    :raises ConfigurationError: if it is none of ``FORMATS``.
    """
    if given is not None:
        if given not in FORMATS:
            raise ConfigurationError(f"format is {given!r}", advice=f"It can be {', '.join(FORMATS)}.")
        return given
    name = path.lower()
    ending = next((ending for ending in sorted(_ENDINGS, key=len, reverse=True) if name.endswith(ending)), None)
    if ending is None:
        raise ConfigurationError(
            f"path is {path!r}, and its ending is no format",
            advice=f"It ends in {', '.join(_ENDINGS)}; or give format.",
        )
    return _ENDINGS[ending]


def check_installed(format_: str) -> None:
    """Refuse what the installed libraries can not write.

    :raises ConfigurationError: for Parquet without ``pyarrow``.
    """
    if format_ != "parquet":
        return
    try:
        import pyarrow.parquet  # noqa: F401
    except ImportError:
        missing = True
    else:
        missing = False
    if missing:
        raise ConfigurationError(
            "Parquet needs pyarrow, which is not installed",
            advice="pip install 'airflow-provider-b24[parquet]', where the tasks run; or choose .jsonl or .csv.",
        )


def check_kinds(kinds: Mapping[str, str] | None) -> None:
    """Refuse a kind that there is not.

    :raises ConfigurationError: naming the field.
    """
    if kinds is not None and not isinstance(kinds, Mapping):
        raise ConfigurationError(f"kinds is {kinds!r}", advice="Give kinds by names of fields: {'ufCrmX': 'string'}.")
    for name, kind in (kinds or {}).items():
        if kind not in KINDS:
            raise ConfigurationError(f"kinds has {name!r}: {kind!r}", advice=f"It can be {', '.join(KINDS)}.")


def columns_of(
    fields: Mapping[str, Field],
    *,
    key: str | None,
    select: Sequence[str] | None = None,
    kinds: Mapping[str, str] | None = None,
) -> list[Column]:
    """The columns of a list: all of its fields, or those that are selected in that order, the key before them.

    :param fields: as the portal describes them.
    :param key: the id's name in a row; None where that is not known.
    :param kinds: of fields that are to be another than what the portal says.
    """
    names = list(fields)
    chosen = [str(name) for name in select or ()]
    if chosen and not any("*" in name for name in chosen):
        spelled = {name.lower(): one.name for one in fields.values() for name in (one.upper_name, one.name)}
        names = list(dict.fromkeys([*filter(None, [key]), *(spelled.get(name.lower(), name) for name in chosen)]))
    return [_column(name, fields.get(name), (kinds or {}).get(name)) for name in names]


def _column(name: str, field: Field | None, kind: str | None) -> Column:
    if kind is not None:
        return Column(name, kind)
    return Column(name) if field is None else Column(name, field.value_kind, field.multiple)


def further_columns(
    columns: Sequence[Column], rows: Iterable[Row], kinds: Mapping[str, str] | None = None
) -> list[Column]:
    """The columns that rows have and these do not: nothing that the portal sends is left out."""
    known = {column.name for column in columns}
    names = dict.fromkeys(name for row in rows if not row.keys() <= known for name in row if name not in known)
    return [_column(name, None, (kinds or {}).get(name)) for name in names]


def row_file(format_: str, out: IO[bytes], columns: Sequence[Column], unfit: Unfit | None = None) -> RowFile:
    """Begin a file.

    :param format_: one of ``FORMATS``.
    :param out: where its bytes go.
    :param unfit: is told of a value that its column can not hold, and nothing is written for it. By default it ends the
        writing.
    """
    if format_ == "parquet":
        from airflow_provider_b24.crm.parquet_files import ParquetFile

        return ParquetFile(out, columns, unfit)
    return (_JsonLines if format_.startswith("jsonl") else _Csv)(out, columns, zipped=format_.endswith(".gz"))


class _Text:
    def __init__(self, out: IO[bytes], columns: Sequence[Column], *, zipped: bool) -> None:
        self.columns = list(columns)
        self.zipped = zipped
        # Without a name and a time in it, the same rows are the same bytes.
        self.out: IO[bytes] = gzip.GzipFile("", "wb", 6, out, mtime=0) if zipped else out  # type: ignore[assignment]

    def opened(self, part: IO[bytes]) -> IO[bytes]:
        return gzip.GzipFile(fileobj=part) if self.zipped else part  # type: ignore[return-value]

    def close(self) -> None:
        if self.zipped:
            self.out.close()


class _JsonLines(_Text):
    """One object a line, with the fields that the row has."""

    def write(self, rows: Iterable[Row]) -> None:
        encode = json.JSONEncoder(
            ensure_ascii=False, allow_nan=False, separators=(",", ":"), default=_json_value
        ).encode
        lines = "".join(f"{encode(_with_money(row))}\n" for row in rows)
        self.out.write(lines.encode(errors="backslashreplace"))

    def join(self, part: IO[bytes], columns: Sequence[Column]) -> None:
        shutil.copyfileobj(self.opened(part), self.out, 1 << 20)


class _Csv(_Text):
    """RFC 4180 in UTF-8, with a heading. Nothing and an empty text look the same."""

    def __init__(self, out: IO[bytes], columns: Sequence[Column], *, zipped: bool) -> None:
        super().__init__(out, columns, zipped=zipped)
        self._names = [column.name for column in columns]
        self._put([self._names])

    def write(self, rows: Iterable[Row]) -> None:
        names = self._names
        self._put([[_csv_value(row.get(name)) for name in names] for row in rows])

    def join(self, part: IO[bytes], columns: Sequence[Column]) -> None:
        opened = self.opened(part)
        lacking = len(self.columns) - len(columns)
        if not lacking:
            heading = _csv_text([[column.name for column in columns]])
            opened.read(len(heading))
            shutil.copyfileobj(opened, self.out, 1 << 20)
            return
        allow_long_cells()
        text = io.TextIOWrapper(opened, "utf-8", newline="")
        reader = csv.reader(text)
        next(reader, None)
        for row in reader:
            self._put([[*row, *[None] * lacking]])
        text.detach()

    def _put(self, rows: list[list[Any]]) -> None:
        self.out.write(_csv_text(rows))


def allow_long_cells() -> None:
    """Let the ``csv`` module read cells of any length; by default it ends at 131,072 characters."""
    if csv.field_size_limit() < _LONGEST_CELL:
        csv.field_size_limit(_LONGEST_CELL)


def _csv_text(rows: list[list[Any]]) -> bytes:
    text = io.StringIO()
    csv.writer(text).writerows(rows)
    return text.getvalue().encode(errors="backslashreplace")


def as_text(value: Any) -> str:
    """A text as it is, anything else as JSON."""
    return whole(value) if isinstance(value, str) else as_json(value)


def as_json(value: Any) -> str:
    """A value of a row, typed or not, as JSON."""
    return whole(json.dumps(_with_money(value), ensure_ascii=False, allow_nan=False, default=_json_value))


def whole(text: str) -> str:
    """A text that can be written: half of a surrogate pair is no character."""
    return text.encode(errors="backslashreplace").decode() if not text.isascii() else text


def _with_money(value: Any) -> Any:
    """JSON takes a named tuple for a list, and loses the names."""
    if isinstance(value, tuple):
        return dict(zip(value._fields, value, strict=True)) if hasattr(value, "_fields") else list(value)
    if isinstance(value, Mapping):
        return {key: _with_money(item) if isinstance(item, (tuple, list)) else item for key, item in value.items()}
    if isinstance(value, list):
        return [_with_money(item) if isinstance(item, tuple) else item for item in value]
    return value


def _json_value(value: Any) -> Any:
    if isinstance(value, Decimal):
        number = int(value) if value == value.to_integral_value() else float(value)
        # A float says it with as many digits, or it is a text.
        return number if Decimal(repr(number)) == value else str(value)
    if isinstance(value, (dt.datetime, dt.date, dt.time)):
        return value.isoformat()
    raise TypeError(f"{type(value).__name__} is no value of a row")


def _csv_value(value: Any) -> Any:
    if isinstance(value, bool):
        return "true" if value else "false"
    if value is None or isinstance(value, (str, int, float)):
        return value
    if isinstance(value, Decimal):
        return f"{value:f}"
    if isinstance(value, (dt.datetime, dt.date)):
        return value.isoformat()
    return as_json(value)
