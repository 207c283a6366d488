"""What a table's columns are called and hold: portal fields and their values, as a database takes them. Pure."""

from __future__ import annotations

import datetime as dt
import json
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from airflow_provider_b24.crm.typed import day_of
from airflow_provider_b24.hooks.sql_design import ColumnNames
from airflow_provider_b24.rest.errors import ConfigurationError

# PostgreSQL cuts longer names off, so that two of them can become one.
_LONGEST_NAME = 63

# What PostgreSQL takes in no text: NUL, and halves of a surrogate pair, which are no characters.
_NO_TEXT = re.compile("[\0\ud800-\udfff]")
_NO_TEXT_IN_JSON = re.compile(r"[\ud800-\udfff]|\\u0000")
_REPLACEMENT = "\ufffd"

_WORD_ENDS = re.compile(r"(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])")

_BOOLEANS = {"Y": True, "N": False, "1": True, "0": False, "true": True, "false": False}


@dataclass(frozen=True)
class Column:
    """A column that is filled from a field.

    :ivar name: in the table.
    :ivar field: in the portal's rows; None for what is always empty.
    :ivar kind: of its values: ``string``, ``integer``, ``number``, ``boolean``, ``date``, ``datetime`` or ``json``.
    :ivar part: which part of the values goes there; None for all of it.
    """

    name: str
    field: str | None
    kind: str = "string"
    part: int | None = None

    def value(self, row: Mapping[str, Any]) -> Any:
        """What a row has for this column."""
        value = None if self.field is None else row.get(self.field)
        if self.part is None or not isinstance(value, tuple):
            # Of what was to be money and is not, the column of the amount says so.
            return None if self.part else value
        return value[self.part] or None if self.part else value[0]


def column_name(field: str, style: ColumnNames = "snake") -> str:
    """What the column of a field is called.

    :param style: ``snake``: ``assignedById`` and ``ASSIGNED_BY_ID`` are ``assigned_by_id``; ``portal``: as the portal
        writes it.
    """
    if style == "portal":
        return field
    return re.sub(r"\W+", "_", _WORD_ENDS.sub("_", field)).lower()


def kind_of(values: Iterable[Any]) -> str:
    """The kind of a field of which nothing is known but values."""
    types = {type(value) for value in values if value is not None}
    if types & {list, dict}:
        return "json"
    for kind, of in (("boolean", {bool}), ("integer", {int}), ("number", {int, float})):
        if types and types <= of:
            return kind
    return "string"


def named(
    fields: Iterable[str],
    kinds: Mapping[str, str],
    style: ColumnNames = "snake",
    given: Mapping[str, str] | None = None,
    taken: Mapping[str, str] | None = None,
) -> list[Column]:
    """The columns of fields: one for each, and for money one more for the currency.

    :param fields: the names in the portal's rows.
    :param kinds: of the fields of which something is known; all others are text.
    :param given: names that the author of the DAG has chosen, by field.
    :param taken: the names that other fields have already, with those fields.
    :raises ConfigurationError: where two fields would share a column, or a name can be none.
    """
    given = given or {}
    owners = {name.lower(): field for name, field in (taken or {}).items()}
    columns: list[Column] = []
    for field in fields:
        name = given.get(field) or column_name(field, style)
        kind = kinds.get(field, "string")
        if kind != "money":
            columns.append(Column(name, field, kind))
            continue
        columns += [Column(name, field, "number", 0), Column(f"{name}_currency", field, "string", 1)]
    for column in columns:
        name, of = column.name, column.field or ""
        if not name or {"\0", "%"} & {*name} or len(name.encode(errors="replace")) > _LONGEST_NAME:
            raise ConfigurationError(
                f"the field {of!r} would be the column {name!r}",
                advice=f"Give it another name, of 1 to {_LONGEST_NAME} bytes and without %, in columns.",
            )
        owner = owners.setdefault(name.lower(), of)
        if owner != of:
            raise ConfigurationError(
                f"the fields {owner!r} and {of!r} would both be the column {name!r}",
                advice="Give one of them another name in columns, or take column_names='portal'.",
            )
    return columns


def _clean(text: str) -> str:
    return _NO_TEXT.sub(_REPLACEMENT, text) if _NO_TEXT.search(text) else text


def _deeply_clean(value: Any) -> Any:
    if isinstance(value, str):
        return _clean(value)
    if isinstance(value, Mapping):
        return {_clean(str(key)): _deeply_clean(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_deeply_clean(item) for item in value]
    return value


def _json(value: Any) -> str | None:
    if value is None:
        return None
    dumped = json.dumps(value, ensure_ascii=False, allow_nan=False, default=_plain)
    if _NO_TEXT_IN_JSON.search(dumped):
        dumped = json.dumps(_deeply_clean(value), ensure_ascii=False, allow_nan=False, default=_plain)
    return dumped


def _plain(value: Any) -> Any:
    return float(value) if isinstance(value, Decimal) else _text(value)


def _text(value: Any) -> str | None:
    if value is None:
        return None
    if isinstance(value, str):
        return _clean(value)
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, dt.datetime):
        # In one time zone, they are in order as text, too.
        return (value if value.tzinfo is None else value.astimezone(dt.timezone.utc)).isoformat(" ")
    if isinstance(value, dt.date):
        return value.isoformat()
    if isinstance(value, (Mapping, list, tuple)):
        return _json(value)
    return _clean(str(value))


def _integer(value: Any) -> int | None:
    if value is None or value == "":
        return None
    number = int(value)
    if number != (float(value) if isinstance(value, float) else number) or not -(2**63) <= number < 2**63:
        raise ValueError("no integer of 64 bits")
    return number


def _number(value: Any) -> int | float | Decimal | None:
    if value is None or value == "":
        return None
    number = Decimal(value.strip()) if isinstance(value, str) else value
    if isinstance(number, (Decimal, float)):
        if not Decimal(number).is_finite():
            raise ValueError("no finite number")
        return number
    return int(number)


def _float(value: Any) -> int | float | None:
    number = _number(value)
    # An integer that SQLite can not hold.
    if isinstance(number, Decimal) or (isinstance(number, int) and not -(2**63) <= number < 2**63):
        return float(number)
    return number


def _boolean(value: Any) -> bool | None:
    if value is None or value == "":
        return None
    return value if isinstance(value, bool) else _BOOLEANS[str(value)]


def _date(value: Any) -> dt.date | None:
    if value is None or value == "":
        return None
    if isinstance(value, dt.datetime):
        return value.date()
    if isinstance(value, dt.date):
        return value
    with suppress(ValueError):
        day = day_of(value)
        return dt.date(day.year, day.month, day.day)
    # A time of day: it is the portal's day.
    return dt.datetime.fromisoformat(value.replace("Z", "+00:00")).date()


def _datetime(value: Any) -> dt.datetime | None:
    if value is None or value == "":
        return None
    if isinstance(value, dt.datetime):
        return value
    if isinstance(value, dt.date):
        return dt.datetime(value.year, value.month, value.day, tzinfo=dt.timezone.utc)
    return dt.datetime.fromisoformat(value.replace("Z", "+00:00"))


def _utc(value: Any) -> dt.datetime | None:
    moment = _datetime(value)
    if moment is None or moment.tzinfo is None:
        return moment
    return moment.astimezone(dt.timezone.utc).replace(tzinfo=None)


# By what a column of the table can hold. ``other`` is whatever nothing is known of: it is given text.
CELLS: Mapping[str, Callable[[Any], Any]] = {
    "string": _text,
    "integer": _integer,
    "number": _number,
    "float": _float,
    "boolean": _boolean,
    "date": _date,
    "datetime": _datetime,
    "utc": _utc,
    "json": _json,
    "other": _text,
}


def cells(
    rows: Iterable[Mapping[str, Any]],
    columns: list[Column],
    holds: Mapping[str, str],
    unfit: Callable[[ConfigurationError], None] | None = None,
) -> list[tuple[Any, ...]]:
    """The values of rows, as the columns of a table take them.

    In a text, NUL and halves of surrogate pairs, which PostgreSQL does not take, become U+FFFD. What is empty is NULL
    in columns that hold no text.

    :param columns: the first is the key.
    :param holds: what each column of the table can hold, see ``CELLS``.
    :param unfit: is told of each value that its column can not hold, which is NULL then; by default it is raised.
    :raises ConfigurationError: where a value can not be held; it names the row and the column.
    """
    plain = [(column.field or "", CELLS[holds[column.name]]) for column in columns if column.part is None]
    found = []
    for row in rows:
        try:
            if len(plain) == len(columns):
                found.append(tuple([make(row.get(field)) for field, make in plain]))
            else:
                found.append(tuple([CELLS[holds[column.name]](column.value(row)) for column in columns]))
        except _UNFIT:
            found.append(tuple(_fitting(row, columns, holds, unfit)))
    return found


_UNFIT = (ValueError, TypeError, LookupError, ArithmeticError)


def _fitting(
    row: Mapping[str, Any],
    columns: list[Column],
    holds: Mapping[str, str],
    unfit: Callable[[ConfigurationError], None] | None,
) -> Iterator[Any]:
    for column in columns:
        value = column.value(row)
        try:
            yield CELLS[holds[column.name]](value)
        except _UNFIT:
            error = does_not_fit(columns[0].value(row), column.name, value, f"holds a {holds[column.name]}")
            if unfit is None or column is columns[0]:
                raise error from None
            unfit(error)
            yield None


def does_not_fit(key: Any, column: str, value: Any, why: str) -> ConfigurationError:
    """The error of a value that a column does not take."""
    shown = repr(value)
    return ConfigurationError(
        f"row {key!r} has {shown[:60]}{'…' if len(shown) > 60 else ''} for the column {column!r}, which {why}",
        advice="What came before it is in the table. Correct it in the portal, make the column a text, or let such "
        "values be NULL by misfits='null'; and run the task again.",
    )
