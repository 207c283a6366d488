"""Tables from data: in a message, and as a file."""

from __future__ import annotations

import dataclasses
import datetime as dt
import io
import json
import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from decimal import Decimal
from functools import cached_property
from typing import Any

from airflow_provider_b24.chat import cells
from airflow_provider_b24.chat.columns import aligned, width, wrapped
from airflow_provider_b24.chat.text import escape
from airflow_provider_b24.rest.errors import ConfigurationError

# What a message takes (chats/messages/index.md), and what people read in a chat.
LONGEST_ATTACH = 60_000
MOST_ROWS = 30
MOST_COLUMNS = 5
LONGEST_CELL = 300
# In pixels: of a letter, of a column at the least and at the most, and of all columns.
_LETTER, _NARROWEST, _WIDEST, _MOST_WIDTH = 8, 60, 240, 560
# In letters, of a column of text().
_WIDEST_CELL = 60

# Spreadsheets calculate what begins with one of these, but for a plain number.
_FORMULA = re.compile(r"[=+\-@\t\r]")
_PLAIN_NUMBER = re.compile(r"[+-]?\d[\d\s.,]*\Z")
_CHUNK = 1000

Columns = Sequence[Any] | Mapping[Any, str]


def table(rows: Any, *, columns: Columns | None = None, title: str | None = None, language: str = "en") -> Table:
    """A table of what data comes as.

    Values are shown as the language writes them. Numbers are flush right, and have the same number of digits after the
    mark throughout a column: ``Decimal`` exactly, ``float`` rounded to two at most (where all are below 1, to three
    that count). Thousands are grouped in columns that reach 10,000, unless the name ends in ``id``. Missing values
    (also ``NaN``) are ``–``. Nothing in a cell is read as BBCode.

    ======== ============ ============ ======= ================ =========
    language number       date         boolean moment           CSV
    ======== ============ ============ ======= ================ =========
    ``en``   12,345.60    2026-01-31   yes, no 2026-01-31 18:05 ``,`` ``.``
    ``ru``   12 345,60    31.01.2026   да, нет 31.01.2026 18:05 ``;`` ``,``
    ======== ============ ============ ======= ================ =========

    :param rows: mappings, sequences, dataclasses, or plain values of one column, from any iterable; a dataframe of
        pandas or Polars, a table of pyarrow; or one mapping, whose names and values are the rows.
    :param columns: names of the columns; for mappings and dataframes, which ones to show. A mapping gives them titles.
        A cursor's ``description`` will do. Default: all there are; for sequences, no heading.
    :param title: over the table.
    :param language: ``en`` or ``ru``.
    :raises ConfigurationError: if the rows do not fit the columns.
    """
    names, found = _read(rows, columns)
    return Table(names, found, title, language)


class Table:
    """Rows, and what they look like.

    :ivar columns: titles of the columns; None without a heading.
    :ivar rows: the values.
    """

    def __init__(
        self, columns: Sequence[str] | None, rows: list[tuple[Any, ...]], title: str | None, language: str
    ) -> None:
        self.columns = None if columns is None else list(columns)
        self.rows = rows
        self.title = title
        self.language = language
        self._language = cells.language_of(language)
        self._count = len(self.columns) if self.columns is not None else max(map(len, rows), default=0)
        for row in rows:
            if len(row) > self._count:
                raise ConfigurationError(
                    f"a row has {len(row)} values, and there are {self._count} columns", advice="Name all columns."
                )

    def __len__(self) -> int:
        return len(self.rows)

    def first(self, count: int) -> Table:
        """A table of its first rows."""
        return Table(self.columns, self.rows[:count], self.title, self.language)

    def width(self) -> int:
        """How many letters of one width the widest line of :meth:`text` takes."""
        return max(map(width, self.text().split("\n")))

    def attach(self, *, titled: bool = True) -> list[dict[str, Any]] | None:
        """The table as an attachment, for ``attach``; None where it does not fit.

        Two columns are rows of a grid. More are a line of cells for each row, each under its column's name, for the
        portal's grids know no others; on a phone they stand one below the other. It fits with at most 30 rows, 5
        columns that have room side by side, 300 characters in a cell, and 60,000 in all.

        :param titled: whether the title stands over it. Default True.
        """
        if len(self) > MOST_ROWS or self._count > MOST_COLUMNS:
            return None
        shown = self._shown
        if any(len(cell) > LONGEST_CELL for row in shown for cell in row):
            return None
        blocks: list[dict[str, Any]] = [{"MESSAGE": f"[b]{escape(self.title)}[/b]"}] if self.title and titled else []
        if not self.rows:
            return [*blocks, {"MESSAGE": self._language.empty}]
        names = [escape(name) for name in self.columns or ()]
        in_columns = [
            cells.padded(cell) if flush else [escape(one) for one in cell]
            for cell, flush in zip(zip(*shown, strict=True), self._right, strict=True)
        ]
        rows = list(zip(*in_columns, strict=True))
        if self._count <= 2:
            grid = [_pair(*row) for row in rows]
            if names:
                grid.insert(0, _pair(*(f"[b]{name}[/b]" if index else name for index, name in enumerate(names))))
            blocks.append({"GRID": grid})
        else:
            widths = self._widths()
            if sum(widths) > _MOST_WIDTH:
                return None
            blocks += [
                {
                    "GRID": [
                        {"DISPLAY": "LINE", **({"NAME": name} if name else {}), "VALUE": cell, "WIDTH": pixels}
                        for name, cell, pixels in zip(names or [""] * self._count, row, widths, strict=True)
                    ]
                }
                for row in rows
            ]
        # A portal may count an escaped letter as six.
        return blocks if len(json.dumps(blocks)) <= LONGEST_ATTACH else None

    def text(self) -> str:
        """The table in letters of one width, for :func:`~airflow_provider_b24.chat.text.code`; without its title.

        All of its rows; what is wider than 60 letters goes on in the next line of its cell.
        """
        if not self.rows:
            return self._language.empty
        shown = [[wrapped(cell, _WIDEST_CELL) for cell in row] for row in self._shown]
        return aligned([self.columns, *shown] if self.columns else shown, self._right, heading=bool(self.columns))

    def csv(self) -> bytes:
        """The table as a file that spreadsheets open; see :func:`csv_chunks`."""
        return b"".join(csv_chunks(self.rows, self.columns, self.language))

    @cached_property
    def _columns_of_values(self) -> list[list[Any]]:
        return [
            [cells.known(row[index]) if index < len(row) else None for row in self.rows] for index in range(self._count)
        ]

    @cached_property
    def _right(self) -> list[bool]:
        """Which columns are numbers."""
        return [
            any(map(cells.is_number, values)) and all(value is None or cells.is_number(value) for value in values)
            for values in self._columns_of_values
        ]

    @cached_property
    def _shown(self) -> list[tuple[str, ...]]:
        names = self.columns or [""] * self._count
        columns = [
            cells.column(values, self._language, name)
            for values, name in zip(self._columns_of_values, names, strict=True)
        ]
        return list(zip(*columns, strict=True))

    def _widths(self) -> list[int]:
        rows = [*self._shown, tuple(self.columns or ())]
        letters = [
            max(width(line) for row in rows if row for line in row[index].split("\n")) for index in range(self._count)
        ]
        return [min(_WIDEST, max(_NARROWEST, _LETTER * count + 2 * _LETTER)) for count in letters]


def csv_chunks(
    rows: Iterable[Sequence[Any]], columns: Sequence[str] | None = None, language: str = "en"
) -> Iterator[bytes]:
    """Rows as a CSV file in pieces, however many they are: UTF-8 with a mark, by which Excel knows it.

    Numbers are whole and ungrouped, with the language's decimal mark; dates are ISO; what is missing is empty. Text
    that a spreadsheet would calculate (it begins with ``=``, ``+``, ``-`` or ``@``, and is no number) has an
    apostrophe before it.

    :param columns: the heading.
    :param language: ``ru`` has ``;`` between cells and ``,`` in numbers, ``en`` has ``,`` and ``.``.
    """
    import csv

    wanted = cells.language_of(language)
    out = io.StringIO(newline="")
    writer = csv.writer(out, delimiter=wanted.delimiter)
    out.write("\ufeff")
    if columns is not None:
        writer.writerow([_machine(name, wanted) for name in columns])
    for number, row in enumerate(rows, 1):
        writer.writerow([_machine(value, wanted) for value in row])
        if number % _CHUNK == 0:
            yield _encoded(out)
            out.seek(0)
            out.truncate()
    yield _encoded(out)


def _encoded(out: io.StringIO) -> bytes:
    # Half of a surrogate pair is no character.
    return out.getvalue().encode(errors="backslashreplace")


def _machine(value: Any, language: cells.Language) -> str:
    value = cells.known(value)
    if value is None:
        return ""
    if isinstance(value, bool):
        return "true" if value else "false"
    if cells.is_number(value):
        text = cells.exact(value) if isinstance(value, Decimal) else repr(value)
        return text.replace(".", language.mark)
    if isinstance(value, dt.datetime):
        return value.isoformat(sep=" ")
    if isinstance(value, (dt.date, dt.time)):
        return value.isoformat()
    text = value if isinstance(value, str) else cells.words(value)
    return f"'{text}" if _FORMULA.match(text) and not _PLAIN_NUMBER.match(text) else text


def _pair(*row: str) -> dict[str, Any]:
    # Without a name, the value has the whole width.
    return {"DISPLAY": "ROW", "NAME": row[0], "VALUE": row[1]} if len(row) > 1 else {"DISPLAY": "ROW", "VALUE": row[0]}


def _read(rows: Any, columns: Columns | None) -> tuple[list[str] | None, list[tuple[Any, ...]]]:
    """The titles of the columns, and the values in their order."""
    names, found, in_order = _named(rows)
    chosen = None if columns is None else _chosen(columns)
    if names is None:
        return (None if chosen is None else [title for _, title in chosen]), found
    if chosen is None:
        return [_title(name) for name in names], found
    titles = [title for _, title in chosen]
    places = [names.index(key) if key in names else None for key, _ in chosen]
    if found and None in places:
        if in_order and places == [None] * len(names) and not isinstance(columns, Mapping):
            return titles, found
        raise ConfigurationError(
            f"columns has {chosen[places.index(None)][0]!r}, and the rows have {', '.join(map(str, names))}",
            advice="Choose from these.",
        )
    return titles, [tuple(row[place] for place in places if place is not None) for row in found]


def _named(rows: Any) -> tuple[list[Any] | None, list[tuple[Any, ...]], bool]:
    """What the columns are called where the rows tell, the rows as tuples, and whether their order means anything."""
    if hasattr(rows, "to_frame") and not hasattr(rows, "columns"):
        rows = rows.to_frame()
    if hasattr(rows, "itertuples"):
        if any(name is not None for name in rows.index.names):
            rows = rows.reset_index()
        return list(rows.columns), list(rows.itertuples(index=False, name=None)), True
    if hasattr(rows, "iter_rows") and hasattr(rows, "columns"):
        return list(rows.columns), list(rows.iter_rows()), True
    if hasattr(rows, "to_pylist") and hasattr(rows, "column_names"):
        rows = rows.to_pylist()
    if isinstance(rows, Mapping):
        return None, list(rows.items()), True
    if isinstance(rows, (str, bytes)) or not isinstance(rows, Iterable):
        raise ConfigurationError(f"rows is a {type(rows).__name__}", advice="Give a list of rows, or a dataframe.")
    found = list(rows)
    first: Any = found[0] if found else None
    if isinstance(first, Mapping):
        _check_alike(found, "mapping", lambda row: isinstance(row, Mapping))
        names = list(dict.fromkeys(key for row in found for key in row))
        return names, [tuple(row.get(name) for name in names) for row in found], False
    if dataclasses.is_dataclass(first):
        _check_alike(found, type(first).__name__, lambda row: isinstance(row, type(first)))
        names = [field.name for field in dataclasses.fields(first)]
        return names, [tuple(getattr(row, name) for name in names) for row in found], True
    sequences = isinstance(first, Sequence) and not isinstance(first, (str, bytes))
    if sequences:
        _check_alike(found, "sequence", lambda row: isinstance(row, Sequence) and not isinstance(row, (str, bytes)))
    if hasattr(first, "_fields"):
        return list(first._fields), [tuple(row) for row in found], True
    return None, [tuple(row) if sequences else (row,) for row in found], True


def _check_alike(rows: Sequence[Any], kind: str, is_one: Callable[[Any], bool]) -> None:
    """Refuse a row that is nothing like the first.

    :param kind: what the first one is.
    """
    for number, row in enumerate(rows, 1):
        if not is_one(row):
            raise ConfigurationError(
                f"row {number} is a {type(row).__name__}, and the first one is a {kind}",
                advice="Give rows of one kind.",
            )


def _chosen(columns: Columns) -> list[tuple[Any, str]]:
    """Names with titles; a cursor describes each column with a tuple that begins with its name."""
    if isinstance(columns, Mapping):
        return list(columns.items())
    if isinstance(columns, str):
        raise ConfigurationError("columns is a text", advice="Give a list of names.")
    names = [column if isinstance(column, str) or not isinstance(column, Sequence) else column[0] for column in columns]
    return [(name, _title(name)) for name in names]


def _title(name: Any) -> str:
    # Dataframes may have several levels of names.
    return " ".join(str(part) for part in name if str(part)) if isinstance(name, tuple) else str(name)
