"""One reading of a connection for all who start together."""

from __future__ import annotations

import asyncio

import pytest

from airflow_provider_b24.hooks.bitrix24 import Bitrix24Hook
from airflow_provider_b24.triggers import readings
from airflow_provider_b24.triggers.readings import read_hook

pytestmark = pytest.mark.usefixtures("portal")


@pytest.fixture
def asked(monkeypatch):
    """Whom the supervisor was asked for; it takes its time, and raises what is put into it."""
    questions: list[str] = []
    failures: list[Exception] = []
    real = Bitrix24Hook.aget_connection

    async def asking(self, conn_id):
        questions.append(conn_id)
        await asyncio.sleep(0.01)
        if failures:
            raise failures.pop()
        return await real(conn_id)

    monkeypatch.setattr(Bitrix24Hook, "aget_connection", asking)
    monkeypatch.setattr(readings, "_FRESH", 0.1)
    return questions, failures


def test_all_who_start_together_share_it(asked):
    async def main() -> None:
        hooks = await asyncio.gather(*(read_hook("bitrix24_default") for _ in range(100)))
        assert len(set(hooks)) == 1
        assert await read_hook("bitrix24_default") is hooks[0]

    asyncio.run(main())
    assert asked[0] == ["bitrix24_default"]


def test_who_starts_later_sees_what_was_changed(asked, portal, connect):
    async def main() -> None:
        before = await read_hook("bitrix24_default")
        connect(portal.bot_connection())
        await asyncio.sleep(0.15)
        after = await read_hook("bitrix24_default")
        with pytest.raises(Exception, match="has no bot"):
            before.signal("chat2935", status="CALCULATING")
        assert after.signal("chat2935", status="CALCULATING").method == "imbot.v2.Chat.InputAction.notify"

    asyncio.run(main())
    assert len(asked[0]) == 2


def test_a_failure_is_that_of_all_who_wait_and_of_nobody_later(asked):
    questions, failures = asked
    failures.append(RuntimeError("not now"))

    async def main() -> None:
        outcomes = await asyncio.gather(*(read_hook("bitrix24_default") for _ in range(10)), return_exceptions=True)
        assert {str(outcome) for outcome in outcomes} == {"not now"}
        assert isinstance(await read_hook("bitrix24_default"), Bitrix24Hook)

    asyncio.run(main())
    assert len(questions) == 2


def test_who_is_cancelled_takes_nothing_from_the_others(asked):
    async def main() -> None:
        first, second = (asyncio.create_task(read_hook("bitrix24_default")) for _ in range(2))
        await asyncio.sleep(0)
        first.cancel()
        assert isinstance(await second, Bitrix24Hook)
        assert first.cancelled()

    asyncio.run(main())
    assert len(asked[0]) == 1


def test_connections_are_read_by_name_and_loops_keep_apart(asked, portal, connect):
    connect(portal.connection(), conn_id="other")

    async def main() -> None:
        one, other = await asyncio.gather(read_hook("bitrix24_default"), read_hook("other"))
        assert one is not other

    for _ in range(3):
        asyncio.run(main())
    assert len(asked[0]) == 6
    assert len(readings._readings) <= 1, "loops that are over do not pile up"
