"""Rows of a list as a Parquet file: columns of the types that the portal's fields have. Needs ``pyarrow``."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Iterable, Sequence
from decimal import Decimal
from typing import IO, Any

from airflow_provider_b24.crm.row_files import Column, Row, Unfit, as_json, as_text, check_installed
from airflow_provider_b24.rest.errors import ConfigurationError

# What is held in memory, before it is written as one of the file's groups of rows.
_GROUP_BYTES = 8_000_000
_GROUP_ROWS = 100_000


class ParquetFile:
    """Columns of the types that the fields have; whole groups of rows, as large as memory may be used for."""

    def __init__(self, out: IO[bytes], columns: Sequence[Column], unfit: Unfit | None = None) -> None:
        check_installed("parquet")
        import pyarrow as pa
        from pyarrow import parquet

        self.columns = list(columns)
        self._unfit = unfit
        self._arrow = pa
        self._schema = pa.schema([(column.name, _arrow_type(pa, column)) for column in columns])
        self._writer = parquet.ParquetWriter(out, self._schema)
        self._waiting: list[Any] = []

    def write(self, rows: Iterable[Row]) -> None:
        rows = list(rows)
        arrays = [self._array(column, rows) for column in self.columns]
        self._add(self._arrow.Table.from_arrays(arrays, schema=self._schema))

    def join(self, part: IO[bytes], columns: Sequence[Column]) -> None:
        from pyarrow import parquet

        file = parquet.ParquetFile(part)
        for number in range(file.num_row_groups):
            # In threads it is no faster than it is written, and takes memory that is not given back.
            table = file.read_row_group(number, use_threads=False)
            for column in self.columns[len(columns) :]:
                kind = _arrow_type(self._arrow, column)
                table = table.append_column(column.name, self._arrow.nulls(table.num_rows, kind))
            self._add(table.cast(self._schema))

    def close(self) -> None:
        self._flush()
        self._writer.close()

    def _add(self, table: Any) -> None:
        self._waiting.append(table)
        if (
            sum(one.nbytes for one in self._waiting) >= _GROUP_BYTES
            or sum(one.num_rows for one in self._waiting) >= _GROUP_ROWS
        ):
            self._flush()

    def _flush(self) -> None:
        table = self._arrow.concat_tables(self._waiting) if self._waiting else None
        self._waiting = []
        if table is not None and table.num_rows:
            self._writer.write_table(table, table.num_rows)
            self._arrow.default_memory_pool().release_unused()

    def _array(self, column: Column, rows: Sequence[Row]) -> Any:
        made = _CELLS[column.kind]
        kind = _arrow_type(self._arrow, column)
        values: list[Any] = []
        for row in rows:
            value = row.get(column.name)
            try:
                if value is None:
                    values.append(None)
                elif column.multiple:
                    values.append([None if item is None else made(item) for item in _several(value)])
                else:
                    values.append(made(value))
            except (TypeError, ValueError, ArithmeticError):
                if self._unfit is None:
                    raise _unfit(column, row) from None
                self._unfit(_unfit(column, row))
                values.append(None)
        return self._arrow.array(values, kind)


def _arrow_type(pa: Any, column: Column) -> Any:
    one = {
        "integer": pa.int64(),
        "number": pa.float64(),
        "boolean": pa.bool_(),
        "date": pa.date32(),
        "datetime": pa.timestamp("us", "UTC"),
        "money": pa.struct([("amount", pa.float64()), ("currency", pa.string())]),
    }.get(column.kind, pa.string())
    return pa.list_(one) if column.multiple else one


def _several(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [value]


def _exactly(*kinds: type) -> Callable[[Any], Any]:
    def check(value: Any) -> Any:
        if type(value) is bool and bool not in kinds:
            raise TypeError
        if not isinstance(value, kinds):
            raise TypeError
        return value

    return check


def _integer(value: Any) -> int:
    if not -(2**63) <= _exactly(int)(value) < 2**63:
        raise ValueError
    return int(value)


def _float(value: Any) -> float:
    return float(_exactly(int, float, Decimal)(value))


def _moment(value: Any) -> dt.datetime:
    if not isinstance(value, dt.datetime) or value.tzinfo is None:
        raise TypeError
    # Arrow's own way for subclasses and their time zones is a slow one.
    return value.astimezone(dt.timezone.utc).replace(tzinfo=None)


def _day(value: Any) -> dt.date:
    if isinstance(value, dt.datetime):
        raise TypeError
    return dt.date(value.year, value.month, value.day) if isinstance(value, dt.date) else _exactly(dt.date)(value)


def _money(value: Any) -> dict[str, Any]:
    amount, currency = value
    return {"amount": _float(amount), "currency": as_text(currency)}


_CELLS: dict[str, Callable[[Any], Any]] = {
    "text": as_text,
    "string": as_text,
    "integer": _integer,
    "number": _float,
    "boolean": _exactly(bool),
    "date": _day,
    "datetime": _moment,
    "money": _money,
    "json": as_json,
}


def _unfit(column: Column, row: Row) -> ConfigurationError:
    shown = repr(row.get(column.name))
    shown = f"{shown[:60]}…" if len(shown) > 60 else shown
    return ConfigurationError(
        f"row {row.get('id', row.get('ID'))!r} has {shown} in {column.name!r}, which is "
        f"{'a list of values ' if column.multiple else ''}of the kind {column.kind}",
        advice=f"Let the column be a text, which takes anything: kinds={{{column.name!r}: 'string'}}. Or set "
        "misfits='null'.",
    )
