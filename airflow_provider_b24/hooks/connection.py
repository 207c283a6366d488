"""Reading an Airflow connection, from a task or from a coroutine; its secrets are masked from then on."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from airflow.sdk.exceptions import AirflowNotFoundException

from airflow_provider_b24.hooks.masking import amask, mask
from airflow_provider_b24.hooks.settings import Settings, read_settings
from airflow_provider_b24.rest.errors import ConfigurationError

if TYPE_CHECKING:
    from airflow.sdk import BaseHook, Connection


def read_connection(hook: BaseHook, conn_id: str) -> Settings:
    """What a connection says.

    :raises ConfigurationError: if there is none of that name, or a field of it can not be right.
    """
    try:
        connection = hook.get_connection(conn_id)
    except AirflowNotFoundException:
        raise _missing(conn_id) from None
    settings = _understood(connection, connection.extra_dejson)
    mask(settings.secrets)
    return settings


async def aread_connection(hook: BaseHook, conn_id: str) -> Settings:
    """Like :func:`read_connection`, without blocking the event loop."""
    try:
        if _can_await_supervisor():
            connection = await hook.aget_connection(conn_id)
        else:
            from asgiref.sync import sync_to_async

            connection = await sync_to_async(hook.get_connection)(conn_id)
    except AirflowNotFoundException:
        raise _missing(conn_id) from None
    extra = await connection.aextra_dejson() if hasattr(connection, "aextra_dejson") else connection.extra_dejson
    settings = _understood(connection, extra)
    await amask(settings.secrets)
    return settings


def _understood(connection: Connection, extra: Mapping[str, Any]) -> Settings:
    return read_settings(
        host=connection.host,
        port=connection.port,
        schema=connection.schema,
        login=connection.login,
        password=connection.password,
        extra=extra,
    )


def _missing(conn_id: str) -> ConfigurationError:
    return ConfigurationError(
        f"Airflow has no connection {conn_id!r}",
        advice="Add it (type: Bitrix24), or name another one as bitrix24_conn_id.",
    )


def _can_await_supervisor() -> bool:
    """Where tasks run in one process (dag.test), the supervisor can not be awaited."""
    from airflow.sdk.execution_time import task_runner

    comms = getattr(task_runner, "SUPERVISOR_COMMS", None)
    return comms is None or hasattr(comms, "asend")
