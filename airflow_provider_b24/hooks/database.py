"""The hook of the database that a connection leads to."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from airflow_provider_b24.rest.errors import ConfigurationError


def check_conn_id(value: object) -> None:
    """Refuse what can be no connection's id.

    :raises ConfigurationError: naming the argument.
    """
    if not isinstance(value, str) or not value.strip():
        raise ConfigurationError(f"conn_id is {value!r}", advice="Name the Airflow connection of the database.")


def check_hook_params(value: object) -> None:
    """Refuse what can be no arguments of a hook.

    :raises ConfigurationError: naming the argument.
    """
    if value is not None and not isinstance(value, Mapping):
        raise ConfigurationError(f"hook_params is {value!r}", advice="Give names and values.")


# What no retry mends: no such database, schema or table, and no right to it. By SQLSTATE.
_PERMANENT = frozenset({"3D000", "3F000", "42P01", "42501"})


@contextmanager
def refusals_told(table: str) -> Iterator[None]:
    """Say what a database refuses for good, where it says so by its SQLSTATE.

    :raises ConfigurationError: instead of the driver's error.
    """
    try:
        yield
    except Exception as error:
        state = getattr(error, "sqlstate", None) or getattr(error, "pgcode", None)
        if state not in _PERMANENT:
            raise
        words = str(error).strip().splitlines()[0]
        raise ConfigurationError(
            f"the database refuses the table {table!r}: {words}",
            code=str(state),
            advice="Make the schema or the table, or give the connection's account the right to it.",
        ) from error


def database_hook(conn_id: str, hook_params: Mapping[str, Any] | None = None, database: str | None = None) -> Any:
    """The ``DbApiHook`` of a connection.

    :param conn_id: the Airflow connection of the database.
    :param hook_params: for the hook.
    :param database: another than the connection's.
    :raises ConfigurationError: if the connection's hook is none that runs SQL.
    """
    from airflow.sdk import BaseHook

    check_conn_id(conn_id)
    hook: Any = BaseHook.get_connection(conn_id).get_hook(hook_params=hook_params)
    if not callable(getattr(hook, "run", None)) or not callable(getattr(hook, "get_records", None)):
        raise ConfigurationError(
            f"conn_id is {conn_id!r}, and {type(hook).__name__} runs no SQL",
            advice="It takes a connection whose hook is a DbApiHook.",
        )
    if database:
        setattr(hook, "database" if hook.conn_type == "postgres" else "schema", database)
    return hook


def fetched(cursor: Any, at_once: int = 1000) -> Iterator[tuple[Any, ...]]:
    """The rows that a cursor has left, as tuples, also where the connection makes dictionaries of them."""
    while rows := cursor.fetchmany(at_once):
        for row in rows:
            yield tuple(row.values() if isinstance(row, Mapping) else row)
