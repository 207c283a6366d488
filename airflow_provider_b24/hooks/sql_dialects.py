"""How each kind of database is spoken to: its types, its names, and how rows get into a table."""

# Names can not be bound, only values can: each name in a statement is quoted by Dialect.quoted.
# ruff: noqa: S608

from __future__ import annotations

import io
from collections.abc import Mapping, Sequence
from functools import cached_property
from typing import Any

from airflow_provider_b24.hooks.database import fetched

_PAGE = 'pg_temp."b24_page"'


class Dialect:
    """Any database that SQLAlchemy knows: rows are deleted and inserted again, in one transaction.

    What stands in other columns of such a row is lost then; with PostgreSQL and SQLite it stays.

    :param hook: the database's ``DbApiHook``.
    :param table: its name, and before it that of the schema if one was given.
    """

    _PLACEHOLDER = ""
    # What the columns can hold that are made for a kind of values, where it is not just that.
    _HOLD: Mapping[str, str] = {"number": "float", "datetime": "utc", "json": "string"}

    def __init__(self, hook: Any, table: Sequence[str]) -> None:
        self.hook = hook
        self.path = list(table)
        self.placeholder = self._PLACEHOLDER or hook.placeholder
        self.name = ".".join(map(self.quoted, table))

    def begin(self, connection: Any) -> None:
        """Begin a transaction, where the driver does not do it with the first statement."""

    def quoted(self, name: str) -> str:
        """An identifier, whatever characters it has."""
        return str(self._sqlalchemy.identifier_preparer.quote_identifier(name))

    def type_of(self, kind: str, *, key: bool = False) -> str:
        """The type of a column for a kind of values."""
        import sqlalchemy
        from sqlalchemy.dialects import mssql, mysql

        kinds: dict[str, Any] = {
            "integer": sqlalchemy.BigInteger(),
            "number": sqlalchemy.Float(53),
            "boolean": sqlalchemy.Boolean(),
            "date": sqlalchemy.DATE(),
            "datetime": sqlalchemy.DateTime().with_variant(mssql.DATETIME2(), "mssql"),  # type: ignore[no-untyped-call]
        }
        # Plain text is of one alphabet in SQL Server, and short in MySQL.
        text: Any = sqlalchemy.Text().with_variant(mysql.LONGTEXT(), "mysql", "mariadb")
        text = sqlalchemy.Unicode(255) if key else text.with_variant(sqlalchemy.Unicode(), "mssql")
        return str(kinds.get(kind, text).compile(dialect=self._sqlalchemy))

    def holds(self, kind: str) -> str:
        """What a column can hold, as ``CELLS`` has it, that is made for a kind of values."""
        return self._HOLD.get(kind, kind)

    def existing(self, cursor: Any) -> dict[str, str] | None:
        """What each column of the table can hold, as ``CELLS`` has it; None where there is no table."""
        import sqlalchemy
        from sqlalchemy import types
        from sqlalchemy.exc import NoSuchTableError

        engine = self.hook.get_sqlalchemy_engine()
        try:
            columns = sqlalchemy.inspect(engine).get_columns(self.path[-1], schema=".".join(self.path[:-1]) or None)
        except NoSuchTableError:
            return None
        finally:
            engine.dispose()
        holds = (
            (types.Integer, "integer"),
            (types.Numeric, "float"),
            (types.Boolean, "boolean"),
            (types.DateTime, "utc"),
            (types.Date, "date"),
            (types.String, "string"),
        )
        return {
            str(column["name"]): next((kind for type_, kind in holds if isinstance(column["type"], type_)), "other")
            for column in columns
        }

    def create(self, cursor: Any, columns: Mapping[str, str]) -> None:
        """Create the table.

        :param columns: the kind of each column; the first is the key.
        """
        key = next(iter(columns))
        lines = [f"{self.quoted(name)} {self.type_of(kind, key=name == key)}" for name, kind in columns.items()]
        lines[0] += " NOT NULL PRIMARY KEY"
        cursor.execute(f"CREATE TABLE {self.name} ({', '.join(lines)})")

    def add(self, cursor: Any, column: str, kind: str) -> None:
        """Add a column to the table."""
        cursor.execute(f"ALTER TABLE {self.name} ADD {self.quoted(column)} {self.type_of(kind)}")

    def check(self, cursor: Any, columns: Sequence[str]) -> None:
        """Find out, without rows, whether rows can be stored."""

    def upsert(self, cursor: Any, columns: Sequence[str], holds: Mapping[str, str], rows: list[tuple[Any, ...]]) -> int:
        """Insert rows, or update those that are there.

        :param columns: the first is the key.
        :return: how many were not there like this before, as far as it is known.
        """
        mark = self.placeholder
        names, marks = ", ".join(map(self.quoted, columns)), ", ".join([mark] * len(columns))
        cursor.executemany(
            f"DELETE FROM {self.name} WHERE {self.quoted(columns[0])} = {mark}", [row[:1] for row in rows]
        )
        cursor.executemany(f"INSERT INTO {self.name} ({names}) VALUES ({marks})", rows)
        return len(rows)

    @cached_property
    def _sqlalchemy(self) -> Any:
        from sqlalchemy.engine import make_url
        from sqlalchemy.engine.default import DefaultDialect
        from sqlalchemy.exc import NoSuchModuleError

        try:
            return make_url(f"{self.hook.dialect_name}://").get_dialect()()
        except NoSuchModuleError:
            return DefaultDialect()


class Sqlite(Dialect):
    """SQLite: dates and times are text there, in UTC."""

    _PLACEHOLDER = "?"
    _HOLD: Mapping[str, str] = {"number": "float", **dict.fromkeys(("date", "datetime", "json"), "string")}
    _TYPES: Mapping[str, str] = {"integer": "INTEGER", "number": "REAL", "boolean": "BOOLEAN"}

    def begin(self, connection: Any) -> None:
        """Python's driver begins one before it changes rows only, not before it changes tables."""
        if not connection.in_transaction:
            connection.execute("BEGIN")

    def quoted(self, name: str) -> str:
        return '"{}"'.format(name.replace('"', '""'))

    def type_of(self, kind: str, *, key: bool = False) -> str:
        return self._TYPES.get(kind, "TEXT")

    def existing(self, cursor: Any) -> dict[str, str] | None:
        schema = self.path[-2] if len(self.path) > 1 else "main"
        cursor.execute("SELECT name, upper(type) FROM pragma_table_info(?, ?)", (self.path[-1], schema))
        # What is declared as a date has no type of its own: it holds whatever it is given.
        kinds = {"REAL": "float", "DOUBLE PRECISION": "float", "NUMERIC": "float", "BOOLEAN": "boolean"}
        columns = {
            name: "integer" if "INT" in declared else kinds.get(declared, "string")
            for name, declared in fetched(cursor)
        }
        return columns or None

    def check(self, cursor: Any, columns: Sequence[str]) -> None:
        cursor.execute(f"EXPLAIN {self._upsert(columns)}", [None] * len(columns))

    def upsert(self, cursor: Any, columns: Sequence[str], holds: Mapping[str, str], rows: list[tuple[Any, ...]]) -> int:
        cursor.executemany(self._upsert(columns), rows)
        return int(cursor.rowcount)

    def _upsert(self, columns: Sequence[str]) -> str:
        marks = ", ".join("?" * len(columns))
        return f"{_inserted(self, columns)} VALUES ({marks}) {_on_conflict(self, columns, 'IS NOT')}"


class Postgres(Dialect):
    """PostgreSQL: rows are copied beside the table, and from there into it; those that are alike are left alone."""

    _PLACEHOLDER = "%s"
    _HOLD: Mapping[str, str] = {}
    _TYPES: Mapping[str, str] = {
        "integer": "bigint",
        "number": "numeric",
        "boolean": "boolean",
        "date": "date",
        "datetime": "timestamp with time zone",
        "json": "jsonb",
    }

    _BY_TYPE: Mapping[str, str] = {
        **dict.fromkeys(("int2", "int4", "int8"), "integer"),
        **dict.fromkeys(("numeric", "float4", "float8"), "number"),
        **dict.fromkeys(("text", "varchar", "bpchar"), "string"),
        "timestamptz": "datetime",
        "timestamp": "utc",
        "date": "date",
        "bool": "boolean",
        "jsonb": "json",
    }

    def quoted(self, name: str) -> str:
        return '"{}"'.format(name.replace('"', '""'))

    def type_of(self, kind: str, *, key: bool = False) -> str:
        return self._TYPES.get(kind, "text")

    def existing(self, cursor: Any) -> dict[str, str] | None:
        cursor.execute(
            "SELECT a.attname, t.typname FROM pg_attribute a JOIN pg_type t ON t.oid = a.atttypid "
            "WHERE a.attrelid = to_regclass(%s) AND a.attnum > 0 AND NOT a.attisdropped ORDER BY a.attnum",
            (self.name,),
        )
        return {name: self._BY_TYPE.get(type_, "other") for name, type_ in fetched(cursor)} or None

    def check(self, cursor: Any, columns: Sequence[str]) -> None:
        cursor.execute(self._beside(columns))
        cursor.execute(self._upsert(columns, dict.fromkeys(columns, "other")))

    def upsert(self, cursor: Any, columns: Sequence[str], holds: Mapping[str, str], rows: list[tuple[Any, ...]]) -> int:
        cursor.execute(self._beside(columns))
        copy = f"COPY {_PAGE} ({', '.join(map(self.quoted, columns))}) FROM STDIN (ENCODING 'UTF8')"
        text = copied(rows)
        if hasattr(cursor, "copy_expert"):
            cursor.copy_expert(copy, io.BytesIO(text))
        else:
            with cursor.copy(copy) as copying:
                copying.write(text)
        cursor.execute(self._upsert(columns, holds))
        return int(cursor.rowcount)

    def _beside(self, columns: Sequence[str]) -> str:
        names = ", ".join(map(self.quoted, columns))
        # Of the transaction, not of the session: a pooler may give each transaction another one.
        return f"CREATE TEMPORARY TABLE b24_page ON COMMIT DROP AS SELECT {names} FROM {self.name} WITH NO DATA"

    def _upsert(self, columns: Sequence[str], holds: Mapping[str, str]) -> str:
        names = ", ".join(map(self.quoted, columns))
        # Not all types can be compared: json for one.
        comparing = None if "other" in map(holds.get, columns) else "IS DISTINCT FROM"
        return f"{_inserted(self, columns)} SELECT {names} FROM {_PAGE} {_on_conflict(self, columns, comparing)}"


def _inserted(dialect: Dialect, columns: Sequence[str]) -> str:
    return f"INSERT INTO {dialect.name} AS b24_there ({', '.join(map(dialect.quoted, columns))})"


def _on_conflict(dialect: Dialect, columns: Sequence[str], comparing: str | None) -> str:
    key, *others = map(dialect.quoted, columns)
    if not others:
        return f"ON CONFLICT ({key}) DO NOTHING"
    changes = ", ".join(f"{name} = excluded.{name}" for name in others)
    sql = f"ON CONFLICT ({key}) DO UPDATE SET {changes}"
    if comparing is None:
        return sql
    there, new = (", ".join(f"{table}.{name}" for name in others) for table in ("b24_there", "excluded"))
    return f"{sql} WHERE ({there}) {comparing} ({new})"


_ESCAPES = str.maketrans({"\\": r"\\", "\n": r"\n", "\r": r"\r", "\t": r"\t"})


def copied(rows: list[tuple[Any, ...]]) -> bytes:
    """Rows in the text format of PostgreSQL's COPY."""
    return "".join("\t".join(map(_copied, row)) + "\n" for row in rows).encode()


def _copied(cell: Any) -> str:
    if cell is None:
        return r"\N"
    if isinstance(cell, str):
        return cell.translate(_ESCAPES) if not cell.isalnum() else cell
    if isinstance(cell, bool):
        return "t" if cell else "f"
    return str(cell)


def dialect_of(hook: Any, connection: Any, table: Sequence[str]) -> Dialect:
    """How the database of a connection is spoken to.

    :param connection: of the hook.
    """
    driver = type(connection).__module__.partition(".")[0]
    if driver in ("psycopg", "psycopg2") and not hook.connection_extra.get("redshift"):
        return Postgres(hook, table)
    if driver == "sqlite3":
        return Sqlite(hook, table)
    return Dialect(hook, table)
