"""A portal, a supervisor that keeps Variables, a clock set by hand, and both ways of calling a notifier."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import pytest
from airflow.sdk.execution_time import task_runner

from airflow_provider_b24.notifications.bitrix24 import Bitrix24Notifier
from airflow_provider_b24.rest.clock import SystemClock
from tests.portal.alerts.contexts import Variables
from tests.portal.hook.faces import connect, lasting_portal, portal
from tests.unit.rest.clocks import FakeClock

__all__ = ["connect", "lasting_portal", "portal"]

Tell = Callable[..., None]


@pytest.fixture
def variables(monkeypatch: pytest.MonkeyPatch) -> Variables:
    kept = Variables()
    monkeypatch.setattr(task_runner, "SUPERVISOR_COMMS", kept, raising=False)
    return kept


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> FakeClock:
    """The machine's."""
    made = FakeClock()
    for name in ("time", "monotonic", "sleep", "asleep"):
        monkeypatch.setattr(SystemClock, name, lambda _, *given, name=name: getattr(made, name)(*given))
    return made


def called(context: dict[str, Any], **arguments: Any) -> None:
    Bitrix24Notifier(**{"dialog_id": "chat2935", "raise_errors": True, **arguments})(context)


def awaited(context: dict[str, Any], **arguments: Any) -> None:
    async def tell() -> None:
        await Bitrix24Notifier(**{"dialog_id": "chat2935", "raise_errors": True, **arguments}, context=context)

    asyncio.run(tell())


@pytest.fixture(params=[called, awaited], ids=["sync", "async"])
def tell(request: pytest.FixtureRequest) -> Tell:
    """Makes a notifier and calls it."""
    return request.param
