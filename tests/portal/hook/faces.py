"""The synchronous and the asynchronous half of a hook behind one face, and connections to try them on."""

from __future__ import annotations

import asyncio
import json
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

import psutil
import pytest

from airflow_provider_b24.hooks.bitrix24 import Bitrix24Hook
from airflow_provider_b24.testing import FakePortal

Connect = Callable[..., None]


class SyncFace:
    """A hook's synchronous half."""

    def __init__(self, hook: Bitrix24Hook) -> None:
        self.hook = hook

    def __getattr__(self, name: str) -> Any:
        return getattr(self.hook, name)

    def iterate(self, *args: Any, **options: Any) -> list[Any]:
        return list(self.hook.iterate(*args, **options))

    def call_many(self, *args: Any, **options: Any) -> list[Any]:
        return list(self.hook.call_many(*args, **options))

    def reply(self, call: Any) -> Any:
        return self.hook.get_conn().call(call)

    def close(self) -> None:
        self.hook.close()


class AsyncFace:
    """A hook's asynchronous half, in an event loop that lasts as long as the face."""

    def __init__(self, hook: Bitrix24Hook) -> None:
        self.hook = hook
        self.loop = asyncio.new_event_loop()

    def __getattr__(self, name: str) -> Any:
        method = getattr(self.hook, f"a{name}")
        return lambda *args, **options: self.loop.run_until_complete(method(*args, **options))

    def iterate(self, *args: Any, **options: Any) -> list[Any]:
        async def read() -> list[Any]:
            return [row async for row in self.hook.aiterate(*args, **options)]

        return self.loop.run_until_complete(read())

    def call_many(self, *args: Any, **options: Any) -> list[Any]:
        async def write() -> list[Any]:
            return [outcome async for outcome in self.hook.acall_many(*args, **options)]

        return self.loop.run_until_complete(write())

    def reply(self, call: Any) -> Any:
        async def ask() -> Any:
            return await (await self.hook.aget_conn()).call(call)

        return self.loop.run_until_complete(ask())

    def close(self) -> None:
        if not self.loop.is_closed():
            self.loop.run_until_complete(self.hook.aclose())
            self.loop.run_until_complete(self.loop.shutdown_default_executor())
            self.loop.close()


Face = SyncFace | AsyncFace


def open_connections(portal: FakePortal) -> int:
    """How many connections of this process lead to the portal."""
    return sum(1 for one in psutil.Process().net_connections("tcp") if one.raddr and one.raddr.port == portal.port)


def eventually(condition: Callable[[], object]) -> None:
    """Wait for something that another thread brings about."""
    never, end = threading.Event(), time.monotonic() + 5
    while not condition():
        assert time.monotonic() < end, "it did not happen"
        never.wait(0.002)


@pytest.fixture(scope="session")
def lasting_portal() -> Iterator[FakePortal]:
    with FakePortal() as portal:
        yield portal


@pytest.fixture
def connect(monkeypatch: pytest.MonkeyPatch) -> Connect:
    """Defines an Airflow connection."""

    def define(connection: dict[str, Any] | str, conn_id: str = "bitrix24_default", **extra: Any) -> None:
        if isinstance(connection, dict):
            connection = {**connection, "extra": {**connection.get("extra", {}), **extra}}
        text = connection if isinstance(connection, str) else json.dumps(connection)
        monkeypatch.setenv(f"AIRFLOW_CONN_{conn_id.upper()}", text)

    return define


@pytest.fixture
def portal(lasting_portal: FakePortal, connect: Connect) -> Iterator[FakePortal]:
    """A portal on which nothing has happened; the connection ``bitrix24_default`` leads to it."""
    lasting_portal.clear()
    scopes = lasting_portal.scopes
    connect(lasting_portal.connection())
    yield lasting_portal
    lasting_portal.scopes = scopes
    lasting_portal.on_call = None


@pytest.fixture(params=[SyncFace, AsyncFace], ids=["sync", "async"])
def face(request: pytest.FixtureRequest, portal: FakePortal) -> Iterator[Face]:
    """Both halves of a hook, one after the other."""
    made = request.param(Bitrix24Hook())
    yield made
    made.close()
