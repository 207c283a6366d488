"""The rows of a query into the portal."""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from typing import Any, ClassVar

from airflow_provider_b24.hooks.database import check_conn_id, check_hook_params, database_hook
from airflow_provider_b24.operators.arguments import check_unless_template, is_known
from airflow_provider_b24.operators.write import Record, WritesRecords
from airflow_provider_b24.rest.errors import ConfigurationError

_FETCHED = 1000


class SqlToBitrix24Operator(WritesRecords):
    """Add, update or upsert an element of the portal for each row of a query, 50 to a request.

    Any database will do whose Airflow provider has a ``DbApiHook``. Order the query by something that does not change.
    Its rows are put aside in a temporary file first, so that the database is let go at once, however long the portal
    takes.

    NULL clears a field; leave a column out to leave its field alone. Dates and times go in ISO 8601, numbers and
    decimals as they are, True and False as ``Y`` and ``N`` (as 1 and 0 for user fields). NaN, infinity and binary
    values are rejected.

    What is written how, what becomes of rejected rows and what happens after a crash:

    .. seealso:: :class:`~airflow_provider_b24.operators.write.WritesRecords`, whose arguments it has, too.

    :param sql: the query, or the name of a ``.sql`` file. Templated.
    :param conn_id: the Airflow connection of the database. Templated.
    :param parameters: of the query. Templated.
    :param hook_params: for the database's hook. Templated.
    :param database: another than the connection's. Templated.
    :return: ``rows``, ``created``, ``updated``, ``rejected``, ``unknown`` and ``seconds``, as XCom.
    :raises ConfigurationError: while the DAG is parsed, for an argument that can not be right.
    """

    template_fields: Sequence[str] = (
        *WritesRecords.template_fields,
        *("sql", "conn_id", "parameters", "hook_params", "database"),
    )
    template_ext: Sequence[str] = (".sql",)
    template_fields_renderers: ClassVar[dict[str, str]] = {
        **WritesRecords.template_fields_renderers,
        "sql": "sql",
        "parameters": "json",
        "hook_params": "json",
    }

    def __init__(
        self,
        *,
        sql: str | Sequence[str],
        conn_id: str,
        parameters: Mapping[str, Any] | Sequence[Any] | None = None,
        hook_params: dict[str, Any] | None = None,
        database: str | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.sql = sql
        self.conn_id = conn_id
        self.parameters = parameters
        self.hook_params = hook_params
        self.database = database
        check_unless_template(check_conn_id, conn_id)
        if is_known(sql) and not isinstance(sql, (str, list, tuple)):
            raise ConfigurationError(f"sql is {sql!r}", advice="Give a query, or the name of a .sql file.")
        check_unless_template(check_hook_params, hook_params)
        if is_known(sql) and (not sql or (isinstance(sql, str) and not sql.strip())):
            raise ConfigurationError("sql is empty", advice="Give a query, or the name of a .sql file.")

    def records(self) -> Generator[Record, None, None]:
        """The rows of the query by column."""
        import pickle
        from tempfile import TemporaryFile

        columns: list[str] = []
        with TemporaryFile(prefix="bitrix24_") as file:

            def take(cursor: Any) -> list[Any]:
                if getattr(cursor, "description", None) is not None:
                    file.seek(0)
                    file.truncate()
                    columns[:] = [str(column[0]) for column in cursor.description]
                    for row in _fetched(cursor):
                        pickle.dump(row, file, pickle.HIGHEST_PROTOCOL)
                return []

            database_hook(self.conn_id, self.hook_params, self.database).run(
                self.sql, parameters=self.parameters, handler=take
            )
            if not columns:
                raise ConfigurationError("sql returns no rows that could be written", advice="Give a query: SELECT …")
            twice = [name for name in columns if columns.count(name) > 1]
            if twice:
                raise ConfigurationError(f"the query has two columns {twice[0]!r}", advice="Give one another name.")
            file.seek(0)
            yield from (dict(zip(columns, row, strict=True)) for row in _loaded(pickle.load, file))


def _fetched(cursor: Any) -> Iterator[list[Any]]:
    while rows := cursor.fetchmany(_FETCHED):
        for row in rows:
            values = row.values() if isinstance(row, Mapping) else row
            yield [bytes(value) if isinstance(value, memoryview) else value for value in values]


def _loaded(load: Callable[[Any], Any], file: Any) -> Iterator[Any]:
    while True:
        try:
            row = load(file)
        except EOFError:
            return
        yield row
