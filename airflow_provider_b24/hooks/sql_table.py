"""A table of a database that rows of the portal go into."""

# Names can not be bound, only values can: each name in a statement is quoted by Dialect.quoted.
# ruff: noqa: S608

from __future__ import annotations

import datetime as dt
import logging
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from contextlib import closing, suppress
from dataclasses import dataclass, replace
from types import TracebackType
from typing import Any, TypeVar

from airflow_provider_b24.hooks.database import fetched
from airflow_provider_b24.hooks.sql_columns import (
    CELLS,
    Column,
    cells,
    column_name,
    does_not_fit,
    kind_of,
    named,
)
from airflow_provider_b24.hooks.sql_design import ColumnNames, Deleted, Misfits, check_table
from airflow_provider_b24.hooks.sql_dialects import dialect_of
from airflow_provider_b24.rest.errors import ConfigurationError

log = logging.getLogger(__name__)

_T = TypeVar("_T")

# Where it is marked that a row is gone from the portal, and since when that is known.
DELETED_AT = "deleted_at"

# So many values that do not fit are told in the log.
_MOST_MISFITS = 20


@dataclass(frozen=True)
class Design:
    """How a table is to be.

    :ivar table: its name, with that of its schema before it if need be.
    :ivar key: the field of the id in the portal's rows.
    :ivar kinds: of the portal's fields, by their names, as far as they are known; of others, values tell it.
    :ivar style: how columns are named after fields.
    :ivar names: of columns, by field, where they are to be others.
    :ivar create: whether the table is created where it is not there.
    :ivar add: whether columns are added to it for fields that have none.
    :ivar deleted: what becomes of rows that are gone from the portal.
    :ivar left_out: fields that go into no column.
    :ivar misfits: what becomes of a value that its column can not hold: ``fail``, or ``null``.
    """

    table: str
    key: str
    kinds: Mapping[str, str]
    style: ColumnNames = "snake"
    names: Mapping[str, str] | None = None
    create: bool = False
    add: bool = True
    deleted: Deleted = "delete"
    misfits: Misfits = "fail"
    left_out: Collection[str] = ()


class SqlTable:
    """A table that takes pieces of a list, each in one transaction: it is in the table as a whole, or not at all.

    :param hook: the ``DbApiHook`` of the database.
    :ivar misfits: how many values were not stored because their columns can not hold them.
    """

    def __init__(self, hook: Any, design: Design) -> None:
        self._hook = hook
        self._design = design
        self._kinds = dict(design.kinds)
        # What each column of the table can hold.
        self._holds: dict[str, str] = {}
        # By field, those that were seen in rows.
        self._columns: dict[str, list[Column]] = {}
        self._left_out = set(design.left_out)
        self.misfits = 0

    def __enter__(self) -> SqlTable:
        check_table(self._design.table)
        self._connection = self._hook.get_conn()
        if self._hook.supports_autocommit:
            self._hook.set_autocommit(self._connection, False)
        self._dialect = dialect_of(self._hook, self._connection, self._design.table.split("."))
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        # What was not committed is rolled back by that.
        self._connection.close()

    def is_empty(self) -> bool:
        """Whether there is no row, or no table."""
        key = column_name(self._design.key, self._design.style)
        key = self._dialect.quoted((self._design.names or {}).get(self._design.key, key))

        def look(cursor: Any) -> bool:
            if self._dialect.existing(cursor) is None:
                return True
            # Has an index, so that it is quick however many rows there are.
            cursor.execute(f"SELECT max({key}) FROM {self._dialect.name}")
            return next(fetched(cursor))[0] is None

        return self._in_transaction(look)

    def store(self, rows: Sequence[Mapping[str, Any]]) -> int:
        """Insert rows, or update those that are there.

        :return: how many were not there like this before, as far as the database tells.
        :raises ConfigurationError: if the table is not as it must be, or a row does not fit into it.
        """
        columns = self._prepared(rows)
        return self._in_transaction(lambda cursor: self._stored(cursor, columns, rows))

    def store_part(self, rows: Sequence[Mapping[str, Any]], after: Any, upto: Any) -> tuple[int, int]:
        """Like :meth:`store`, for all rows whose ids are in a range: whatever else the table has there is gone.

        :param after: the id before the first of the range; None where there is none.
        :param upto: the last id of the range.
        :return: how many rows were not there like this before, and how many are gone.
        """
        columns = self._prepared(rows)

        def both(cursor: Any) -> tuple[int, int]:
            stored = self._stored(cursor, columns, rows)
            return stored, self._gone(cursor, (row[self._design.key] for row in rows), after, upto)

        return self._in_transaction(both)

    def keep_only(self, ids: Iterable[Any], after: Any = None, upto: Any = None) -> int:
        """Delete or mark rows that are gone from the portal.

        :param ids: of all rows that the portal has in a range, which is without limits by default.
        :return: how many rows are gone.
        :raises ConfigurationError: if ranges mean nothing, because the id's column is no integer.
        """
        self._prepared(())
        return self._in_transaction(lambda cursor: self._gone(cursor, ids, after, upto))

    def tell(self, rows: int) -> None:
        """Let Airflow's lineage know that so many rows went into the table."""
        with suppress(ImportError):
            from airflow.providers.common.sql.hooks.lineage import send_sql_hook_lineage

            columns = [column.name for column in self._prepared(())]
            names, marks = ", ".join(map(self._dialect.quoted, columns)), ", ".join("?" * len(columns))
            sql = f"INSERT INTO {self._dialect.name} ({names}) VALUES ({marks})"
            send_sql_hook_lineage(context=self._hook, sql=sql, row_count=rows)

    def _in_transaction(self, work: Callable[[Any], _T]) -> _T:
        self._dialect.begin(self._connection)
        try:
            with closing(self._connection.cursor()) as cursor:
                done = work(cursor)
            self._connection.commit()
        except BaseException:
            self._connection.rollback()
            raise
        return done

    def _stored(self, cursor: Any, columns: list[Column], rows: Sequence[Mapping[str, Any]]) -> int:
        names = [column.name for column in columns]
        made = cells(rows, columns, self._holds, self._told if self._design.misfits == "null" else None)
        # PostgreSQL updates no row twice in one statement; a list that changes while it is read by offsets may have one
        # twice.
        made = list({row[0]: row for row in made}.values())
        if not made:
            return 0
        if any(row[0] is None for row in made):
            raise ConfigurationError(
                f"a row has no {self._design.key!r}", advice="Select it: a row is found again by its id."
            )
        try:
            return self._dialect.upsert(cursor, names, self._holds, made)
        except Exception as error:
            if not {"DataError", "IntegrityError", "OverflowError"} & {kind.__name__ for kind in type(error).__mro__}:
                raise
            found = self._unfit(names, made)
            if found is None:
                raise
            row, index, why = found
            raise does_not_fit(row[0], names[index], row[index], f"the database refused: {why}") from None

    def _prepared(self, rows: Sequence[Mapping[str, Any]]) -> list[Column]:
        """The columns for rows; the table has them then.

        :return: the key's comes first.
        """
        design = self._design
        fields = {field: None for row in rows for field in row if field not in self._left_out}
        if not self._columns or not fields.keys() <= self._columns.keys():
            for field in fields.keys() - self._kinds.keys():
                self._kinds[field] = kind_of(row.get(field) for row in rows)
            # A transaction of its own: what is changed here stays, also if the rows are refused.
            self._in_transaction(lambda cursor: self._shape(cursor, fields))
        columns = [*self._columns[design.key]]
        columns += [column for field, made in self._columns.items() for column in made if field != design.key]
        if design.deleted == "mark":
            columns.append(Column(DELETED_AT, None))
        return columns

    def _shape(self, cursor: Any, fields: Iterable[str]) -> None:
        if not self._columns:
            self._look(cursor, fields)
        self._extend(cursor, [field for field in fields if field not in self._columns])

    def _look(self, cursor: Any, fields: Iterable[str]) -> None:
        design = self._design
        there = self._dialect.existing(cursor)
        if there is None:
            if not design.create:
                raise ConfigurationError(
                    f"there is no table {design.table!r}", advice="Create it, or set create_table=True."
                )
            fields = [design.key, *(field for field in fields or design.kinds if field != design.key)]
            kinds = {column.name: column.kind for column in self._named(fields)}
            if design.deleted == "mark":
                kinds[DELETED_AT] = "datetime"
            self._dialect.create(cursor, kinds)
            log.info("Created the table %s with %s columns", design.table, len(kinds))
            there = {name: self._dialect.holds(kind) for name, kind in kinds.items()}
        self._holds = there
        self._extend(cursor, [design.key])
        if design.deleted == "mark" and DELETED_AT not in there:
            if not design.add:
                raise self._lacks(DELETED_AT, "Add it, or set add_columns=True.")
            self._add(cursor, Column(DELETED_AT, None, "datetime"))
        key = self._key
        try:
            self._dialect.check(cursor, [key])
        except Exception as error:
            self._columns = {}
            raise ConfigurationError(
                f"rows of the table {design.table!r} can not be found by {key!r}: {_first_line(error)}",
                advice="The id's column must be the table's primary key, or have a unique index.",
            ) from None

    def _named(self, fields: Iterable[str]) -> list[Column]:
        taken = {column.name: field for field, columns in self._columns.items() for column in columns}
        if self._design.deleted == "mark":
            taken[DELETED_AT] = "(the time when a row was missed)"
        return named(fields, self._kinds, self._design.style, self._design.names, taken)

    def _extend(self, cursor: Any, fields: Sequence[str]) -> None:
        """Find the columns of fields, or add them."""
        caseless = {name.lower(): name for name in self._holds}
        left_out = []
        for column in self._named(fields):
            name = column.name if column.name in self._holds else caseless.get(column.name.lower())
            if name is None and column.field == self._design.key:
                raise self._lacks(column.name, "Add it, or name the id's column in columns.")
            if name is None and not self._design.add:
                left_out.append(str(column.field))
                continue
            if name is None:
                self._add(cursor, column)
            self._columns.setdefault(str(column.field), []).append(replace(column, name=name or column.name))
        if left_out:
            self._left_out.update(left_out)
            log.warning("The table %s has no columns for %s: left out", self._design.table, ", ".join(left_out))

    def _add(self, cursor: Any, column: Column) -> None:
        self._dialect.add(cursor, column.name, column.kind)
        log.info("Added the column %s to the table %s", column.name, self._design.table)
        self._holds[column.name] = self._dialect.holds(column.kind)

    def _lacks(self, column: str, advice: str) -> ConfigurationError:
        return ConfigurationError(f"the table {self._design.table!r} has no column {column!r}", advice=advice)

    @property
    def _key(self) -> str:
        (column,) = self._columns[self._design.key]
        return column.name

    def _told(self, error: ConfigurationError) -> None:
        self.misfits += 1
        if self.misfits <= _MOST_MISFITS:
            log.warning("NULL instead: %s", error.description)

    def _gone(self, cursor: Any, ids: Iterable[Any], after: Any, upto: Any) -> int:
        """Delete or mark what is in the table's range, and is not among these ids."""
        if self._design.deleted == "keep":
            return 0
        column = self._key
        holds = self._holds[column]
        key, table, mark = self._dialect.quoted(column), self._dialect.name, self._dialect.placeholder
        if holds not in ("integer", "number") and not (after is None and upto is None):
            raise ConfigurationError(
                f"the column {column!r} of the table {self._design.table!r} holds no integers",
                advice="Rows that are gone are found by ranges of ids: make it a bigint, or set deleted='keep'.",
            )
        make = CELLS["integer" if holds == "number" else holds]
        limits = {
            f"{key} {sign} {mark}": make(limit) for sign, limit in ((">", after), ("<=", upto)) if limit is not None
        }
        conditions = list(limits)
        deleted_at = self._dialect.quoted(DELETED_AT)
        if self._design.deleted == "mark":
            conditions.append(f"{deleted_at} IS NULL")
        where = f" WHERE {' AND '.join(conditions)}" if conditions else ""
        cursor.execute(f"SELECT {key} FROM {table}{where}", tuple(limits.values()))
        kept = set(map(make, ids))
        gone = [(found,) for (found,) in fetched(cursor) if make(found) not in kept]
        if gone and self._design.deleted == "mark":
            now = CELLS[self._holds[DELETED_AT]](dt.datetime.now(dt.timezone.utc))
            change = f"UPDATE {table} SET {deleted_at} = {mark} WHERE {key} = {mark}"
            cursor.executemany(change, [(now, found) for (found,) in gone])
        elif gone:
            cursor.executemany(f"DELETE FROM {table} WHERE {key} = {mark}", gone)
        return len(gone)

    def _unfit(self, names: list[str], rows: list[tuple[Any, ...]]) -> tuple[tuple[Any, ...], int, str] | None:
        """The row that the database refuses, the index of its column, and what the database says."""
        while len(rows) > 1:
            half = rows[: len(rows) // 2]
            rows = half if self._refusal(names, half) else rows[len(rows) // 2 :]
        why = self._refusal(names, rows)
        if why is None:
            return None
        (row,) = rows
        for index in range(1, len(row)):
            if row[index] is not None and not self._refusal(names, [(*row[:index], None, *row[index + 1 :])]):
                return row, index, why
        return row, 0, why

    def _refusal(self, names: list[str], rows: list[tuple[Any, ...]]) -> str | None:
        """What the database says to rows; nothing is kept of them."""
        self._connection.rollback()
        self._dialect.begin(self._connection)
        try:
            with closing(self._connection.cursor()) as cursor:
                self._dialect.upsert(cursor, names, self._holds, rows)
        except Exception as error:
            return _first_line(error)
        finally:
            self._connection.rollback()
        return None


def _first_line(error: Exception) -> str:
    return str(error).partition("\n")[0]
