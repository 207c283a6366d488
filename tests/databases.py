"""Databases that loads go into: each as Airflow's connection ``warehouse`` leads to it."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Mapping
from dataclasses import dataclass
from itertools import count
from pathlib import Path
from typing import Any

import psycopg
import psycopg2
import pytest
from airflow.providers.common.sql.hooks.sql import DbApiHook
from airflow.providers.postgres.hooks.postgres import PostgresHook
from airflow.sdk._shared.providers_discovery import HookInfo
from airflow.sdk.providers_manager_runtime import ProvidersManagerTaskRuntime

from airflow_provider_b24.hooks.database import database_hook

# Those that tests are played on.
KINDS = ("sqlite", "psycopg", "psycopg2", "any")


class SqliteHook(DbApiHook):
    """A database in a file, as Airflow's provider for SQLite has it."""

    conn_type = "sqlite3"
    conn_name_attr = "sqlite3_conn_id"
    default_conn_name = "sqlite3_default"
    supports_autocommit = False
    _placeholder = "?"

    def get_conn(self) -> sqlite3.Connection:
        return sqlite3.connect(self.connection.host or "")


class OldPostgresHook(PostgresHook):
    """PostgreSQL by the driver that Airflow takes where there is no newer one."""

    def _create_connection(self, conn_args: dict[str, Any]) -> Any:
        return psycopg2.connect(**conn_args)


class UnknownConnection(psycopg.Connection[Any]):
    """Of a driver that nobody knows."""


class AnyHook(PostgresHook):
    """A database of which only that is known what SQLAlchemy knows."""

    def _create_connection(self, conn_args: dict[str, Any]) -> Any:
        return UnknownConnection.connect(**conn_args)


HOOKS: Mapping[str, type[DbApiHook]] = {
    "sqlite": SqliteHook,
    "psycopg": PostgresHook,
    "psycopg2": OldPostgresHook,
    "any": AnyHook,
}


@dataclass
class Database:
    """One of them, empty, with its hook."""

    kind: str
    hook: Any

    @property
    def is_postgres(self) -> bool:
        return self.kind != "sqlite"

    def query(self, sql: str) -> list[tuple[Any, ...]]:
        connection = self.hook.get_conn()
        try:
            cursor = connection.cursor()
            cursor.execute(sql)
            rows = cursor.fetchall() if cursor.description else []
            connection.commit()
        finally:
            connection.close()
        return [tuple(row) for row in rows]

    def table(self, name: str) -> dict[Any, dict[str, Any]]:
        """All rows by their ids."""
        connection = self.hook.get_conn()
        try:
            cursor = connection.cursor()
            cursor.execute(f"SELECT * FROM {name}")
            names = [column[0] for column in cursor.description]
            rows = [dict(zip(names, row, strict=True)) for row in cursor.fetchall()]
        finally:
            connection.close()
        assert len({row["id"] for row in rows}) == len(rows)
        return {row["id"]: row for row in rows}


def connect(kind: str, fields: Mapping[str, Any], patch: pytest.MonkeyPatch) -> Database:
    """Let the connection ``warehouse`` lead to a database."""
    hook = HOOKS[kind]
    conn_type = f"warehouse_{kind}"
    info = HookInfo(f"{__name__}.{hook.__name__}", hook.conn_name_attr, "test", kind, conn_type, False, [])
    patch.setitem(ProvidersManagerTaskRuntime().hooks, conn_type, info)
    patch.setenv("AIRFLOW_CONN_WAREHOUSE", json.dumps({**fields, "conn_type": conn_type}))
    return Database(kind, database_hook("warehouse"))


_numbers = count()


@pytest.fixture(params=KINDS)
def database(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Database:
    """Each kind of database, empty, behind the connection ``warehouse``."""
    return connected(request.param, request, tmp_path, monkeypatch)


@pytest.fixture
def warehouse(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Database:
    """The one that loads are made for: PostgreSQL."""
    return connected("psycopg", request, tmp_path, monkeypatch)


def connected(kind: str, request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Database:
    if kind == "sqlite":
        return connect(kind, {"host": str(tmp_path / "warehouse.db")}, monkeypatch)
    server = request.getfixturevalue("postgres_server")
    # A schema of its own, where everything is created for who logs in by its name.
    name = f"warehouse{next(_numbers)}"
    with server.connect() as connection:
        connection.execute(f"CREATE SCHEMA {name}")
        connection.execute(f"CREATE ROLE {name} SUPERUSER LOGIN")
    return connect(kind, server.connection() | {"login": name}, monkeypatch)
