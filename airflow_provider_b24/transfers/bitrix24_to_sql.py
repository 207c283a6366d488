"""A list of the portal into a table of a database."""

from __future__ import annotations

import json
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, ClassVar

from airflow_provider_b24.hooks.bitrix24 import Bitrix24Hook
from airflow_provider_b24.hooks.database import check_conn_id, check_hook_params, database_hook, refusals_told
from airflow_provider_b24.hooks.sql_design import (
    COLUMN_NAMES,
    DELETED,
    MISFITS,
    ColumnNames,
    Deleted,
    Misfits,
    check_columns,
    check_table,
)
from airflow_provider_b24.operators.arguments import check_switches, check_unless_template, is_known
from airflow_provider_b24.operators.load import LoadsList
from airflow_provider_b24.rest.errors import ConfigurationError
from airflow_provider_b24.rest.lists import list_method

if TYPE_CHECKING:
    from airflow_provider_b24.hooks.sql_table import SqlTable
    from airflow_provider_b24.operators.loading import Load


class Bitrix24ToSqlOperator(LoadsList):
    """Load a list of the portal into a table: rows that are there are updated, found by their ids.

    ``Bitrix24ToSqlOperator(task_id="deals", params={"entityTypeId": 2}, conn_id="warehouse", table="bitrix24.deals",
    create_table=True)``

    By default each run reads what was changed since the one before; see :class:`~.operators.load.LoadsList`, also for
    further arguments. Rows come in pieces of ``chunk``, each in one transaction, and are committed before it is noted
    that they are there: wherever a try ends, the next one goes on, and the table is right in the end.

    A load of the whole list (the first one, one with ``full_reload``, and any of a list that knows no time of changes)
    also finds rows that are gone from the portal, piece by piece: the table is at no time empty, and needs no room
    twice. A load of changes does not see them unless ``detect_deleted`` is set.

    Any database will do whose Airflow provider has a ``DbApiHook``. PostgreSQL takes pieces by ``COPY``, and there as
    in SQLite rows that have not changed are not written. In other databases (by way of SQLAlchemy) a row is deleted and
    inserted again, which empties columns that are not the portal's.

    :param conn_id: the Airflow connection of the database. Templated.
    :param table: its name, or ``schema.name``, as it is written in the database. Templated.
    :param create_table: create the table if it is not there: the id is its primary key, and types are those of the
        portal's fields. Default False.
    :param add_columns: add columns for fields that have none. Otherwise they are left out, and the log says so.
        Default: as ``create_table``.
    :param column_names: ``snake`` (default): ``assignedById`` and ``ASSIGNED_BY_ID`` go to ``assigned_by_id``, so that
        nobody has to quote them; ``portal``: as the portal writes them.
    :param columns: the names of columns, by field, that are to be others.
    :param kinds: of fields whose columns are to be another than what the portal says: ``{"ufCrmBudget": "string"}``;
        see :class:`~.crm.fields.Field`. Of columns that are there already, their types in the database count.
    :param key: the field of the id, by which rows are found again. Default: the one that the method's rows have,
        as far as the vendor documents it.
    :param deleted: what becomes of rows that are found to be gone from the portal: ``delete`` (default); ``mark``,
        which writes the time into the column ``deleted_at``; or ``keep``.
    :param detect_deleted: after a load of changes, read the ids of the whole list to find rows that are gone. Default
        False.
    :param misfits: what becomes of a value that its column can not hold, such as a text in a field of numbers:
        ``fail`` (default) ends the load, and names row and column; ``null`` stores NULL, and tells it in the log.
    :param chunk: how many rows are in a transaction, and are read again at most after a crash. Default 5000.
    :param hook_params: for the database's hook. Templated.
    :param database: another than the connection's. Templated.
    :return: as of :class:`~.operators.load.LoadsList`, with ``changed``, how many rows were not in the table like this,
        as far as the database tells; ``gone``, how many were deleted or marked; and ``misfits``, how many values were
        not stored.
    :raises ConfigurationError: while the DAG is parsed, for an argument that can not be right; in the task, for a table
        that can not take the rows, and for a value that its column does not take: row and column are named, and nothing
        of its piece is stored.
    """

    template_fields: Sequence[str] = (
        *LoadsList.template_fields,
        *("conn_id", "table", "hook_params", "database"),
    )
    template_fields_renderers: ClassVar[dict[str, str]] = {
        **LoadsList.template_fields_renderers,
        "hook_params": "json",
    }

    def __init__(
        self,
        *,
        conn_id: str,
        table: str,
        create_table: bool = False,
        add_columns: bool | None = None,
        column_names: ColumnNames = "snake",
        columns: Mapping[str, str] | None = None,
        kinds: Mapping[str, str] | None = None,
        key: str | None = None,
        deleted: Deleted = "delete",
        detect_deleted: bool = False,
        misfits: Misfits = "fail",
        chunk: int = 5000,
        hook_params: dict[str, Any] | None = None,
        database: str | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.conn_id = conn_id
        self.table = table
        self.create_table = create_table
        self.add_columns = add_columns
        self.column_names = column_names
        self.columns = columns
        self.kinds = kinds
        self.key = key
        self.deleted = deleted
        self.detect_deleted = detect_deleted
        self.misfits = misfits
        self.chunk = chunk
        self.hook_params = hook_params
        self.database = database
        self.rows_at_once = chunk
        check_unless_template(check_conn_id, conn_id)
        check_unless_template(check_table, table)
        check_unless_template(check_hook_params, hook_params)
        check_switches(create_table=create_table, detect_deleted=detect_deleted)
        check_switches(add_columns=add_columns, or_none=True)
        _check_choice("column_names", column_names, COLUMN_NAMES)
        _check_choice("deleted", deleted, DELETED)
        _check_choice("misfits", misfits, MISFITS)
        if isinstance(chunk, bool) or not isinstance(chunk, int) or chunk < 1:
            raise ConfigurationError(f"chunk is {chunk!r}", advice="Give a number of rows.")
        if columns is not None and not (
            isinstance(columns, Mapping) and all(isinstance(name, str) for pair in columns.items() for name in pair)
        ):
            raise ConfigurationError(f"columns is {columns!r}", advice="Give names of columns by names of fields.")
        check_columns(columns or {})
        if kinds is not None:
            from airflow_provider_b24.crm.row_files import check_kinds

            check_kinds(kinds)
        if is_known(self.method):
            self._key_field()
        if detect_deleted and deleted == "keep":
            raise ConfigurationError(
                "detect_deleted is set, and deleted is 'keep'", advice="Say what becomes of rows that are gone."
            )

    def target_name(self) -> str:
        """The table, and what makes another one of it."""
        return json.dumps([self.conn_id, self.database, self.table, self.column_names, self.columns], sort_keys=True)

    def lacks(self, hook: Bitrix24Hook, kept: Mapping[str, Any] | None) -> str:
        """Whether the table still has something to add to."""
        if kept is not None and self.deleted != "keep" and not self._in_order():
            return "what is gone from such a list is seen only if it is read at once"
        with refusals_told(self.table), self._open({}) as table:
            return f"the table {self.table} is empty" if table.is_empty() else ""

    @contextmanager
    def open_target(self, hook: Bitrix24Hook, load: Load) -> Iterator[_Target]:
        """The table, connected."""
        fields = self.fields(hook)
        # Where nothing is known of them, their values tell it.
        self.typed = bool(fields)
        kinds: dict[str, str] = {name: field.kind for name, field in fields.items()}
        kinds |= self.kinds or {}
        if self._in_order():
            kinds[self._key_field()] = "integer"
        # The CRM sends its users' fields twice, under their original names as well.
        twice = {field.upper_name for field in fields.values()} - fields.keys()
        with refusals_told(self.table), self._open(kinds, twice) as table:
            yield _Target(self, hook, table, load)

    def _open(self, kinds: Mapping[str, str], left_out: Collection[str] = ()) -> SqlTable:
        from airflow_provider_b24.hooks.sql_table import Design, SqlTable

        design = Design(
            self.table,
            self._key_field(),
            kinds,
            self.column_names,
            self.columns,
            self.create_table,
            self.create_table if self.add_columns is None else self.add_columns,
            self.deleted,
            self.misfits,
            left_out,
        )
        return SqlTable(database_hook(self.conn_id, self.hook_params, self.database), design)

    def _key_field(self) -> str:
        known = list_method(self.method, self.version)
        key = self.key or (known.key if known is not None else "")
        if not key:
            raise ConfigurationError(
                f"key is {self.key!r}",
                method=self.method,
                advice="It is not known by which field a row of this list is found again: say it, such as key='ID'.",
            )
        return key

    def _in_order(self) -> bool:
        """Whether rows come in the order of their ids."""
        known = list_method(self.method, self.version)
        return known is not None and known.paging in ("key", "tail") and self._key_field() == known.key


class _Target:
    """The table, during one try of a load."""

    def __init__(self, operator: Bitrix24ToSqlOperator, hook: Bitrix24Hook, table: SqlTable, load: Load) -> None:
        self._operator = operator
        self._hook = hook
        self._table = table
        self._load = load
        self._key = operator._key_field()
        # What is missing in a load of changes is not gone.
        self._whole = load.since is None and load.until is None and operator.deleted != "keep"
        # In the order of ids, each piece tells what is gone up to its last row; otherwise only all of them together do.
        self._seen: set[Any] | None = None if operator._in_order() else set()
        self._last: Any = load.kept.get("last")
        self._changed: int = load.kept.get("changed", 0)
        self._gone: int = load.kept.get("gone", 0)

    def store(self, rows: list[Any]) -> bool:
        """Commit rows."""
        if not self._operator.typed:
            from airflow_provider_b24.crm.typed import without_tokens

            rows = [without_tokens(row) for row in rows]
        if self._whole and self._seen is None:
            first, last = rows[0][self._key], rows[-1][self._key]
            if first > last or (self._last is not None and first <= self._last):
                raise ConfigurationError(
                    f"rows come from {first} to {last} after {self._last}",
                    method=self._operator.method,
                    advice="Leave the order to the operator: what is gone is found in the order of ids.",
                )
            changed, gone = self._table.store_part(rows, self._last, rows[-1][self._key])
            self._gone += gone
        else:
            changed = self._table.store(rows)
        if self._seen is not None and self._whole:
            self._seen.update(row[self._key] for row in rows)
        self._changed += changed
        self._last = rows[-1][self._key]
        return True

    def secure(self) -> bool:
        """All that was stored is committed."""
        return True

    def kept(self) -> dict[str, Any]:
        """Where the next piece begins, and the counts."""
        return {"last": self._last, "changed": self._changed, "gone": self._gone}

    def finish(self) -> dict[str, Any]:
        """Find what is gone."""
        if self._whole:
            self._refuse_to_empty(self._last is None)
            if self._seen is None:
                self._gone += self._table.keep_only((), self._last)
            else:
                self._gone += self._table.keep_only(self._seen)
        elif self._operator.detect_deleted:
            self._sweep()
        self._table.tell(self._changed)
        return {"changed": self._changed, "gone": self._gone, "misfits": self._table.misfits}

    def _sweep(self) -> None:
        if self._seen is not None:
            self._seen.update(key for keys in self._operator.keys(self._hook) for key in keys)
            self._refuse_to_empty(not self._seen)
            self._gone += self._table.keep_only(self._seen)
            return
        last = None
        for ids in self._operator.keys(self._hook):
            self._gone += self._table.keep_only(ids, last, ids[-1])
            last = ids[-1]
        self._refuse_to_empty(last is None)
        self._gone += self._table.keep_only((), last)

    def _refuse_to_empty(self, nothing: bool) -> None:
        if nothing and not self._table.is_empty():
            raise ConfigurationError(
                f"the list has no row, and the table {self._operator.table!r} has some",
                method=self._operator.method,
                advice="It looks like this when the credential's owner has lost the right to see them. If all of them "
                "are gone, empty the table yourself, or set deleted='keep'.",
            )


def _check_choice(argument: str, value: object, choices: Sequence[str]) -> None:
    if value not in choices:
        raise ConfigurationError(
            f"{argument} is {value!r}", advice=f"It can be {', '.join(map(repr, choices))}; and no template."
        )
