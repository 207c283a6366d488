"""DialogWritingTrigger against a portal over HTTP; only Airflow's supervisor is played."""

from __future__ import annotations

import asyncio
import datetime as dt
import importlib
import json
import time
from itertools import pairwise
from typing import Any

import pytest
from airflow.sdk.execution_time import task_runner
from airflow.triggers.base import TriggerEvent

from airflow_provider_b24.chat import board, rota
from airflow_provider_b24.rest.credentials import MemoryTokenStore
from airflow_provider_b24.testing import Fault
from airflow_provider_b24.triggers import lookout
from airflow_provider_b24.triggers.dialog import DialogWritingTrigger
from tests.portal.hook.faces import eventually, open_connections
from tests.unit.triggers.comms import Supervisor

WRITING = "im.dialog.writing"


@pytest.fixture(scope="module", autouse=True)
def warm():
    """What is imported late is loaded, which else takes longer than a test's whole time."""
    for name in ("chat.board", "hooks.connection", "hooks.metrics", "hooks.token_store", "rest.aio", "rest.ledger"):
        importlib.import_module(f"airflow_provider_b24.{name}")


@pytest.fixture(autouse=True)
def quick(monkeypatch):
    """Seconds become milliseconds: signals need not wait for company, and last 0.1 s."""
    for name in ("_GATHER", "_CALM", "_HASTE"):
        monkeypatch.setattr(rota, name, 0.005)
    monkeypatch.setattr(lookout, "_GATHER", 0.005)
    monkeypatch.setattr(lookout, "_SHARE", 1.0)
    monkeypatch.setattr("airflow_provider_b24.chat.typing.LASTS", 0.1)


@pytest.fixture(autouse=True)
def nothing_left(portal):
    """No connection and no board outlives the triggers."""
    yield
    eventually(lambda: open_connections(portal) == 0)
    assert not [boards for boards in board._boards.values() if boards]
    assert not lookout._lookouts


def until(seconds, **arguments):
    end = dt.datetime.now(dt.timezone.utc) + dt.timedelta(seconds=seconds)
    return trigger(until=end.isoformat(), **arguments)


def beside(**arguments):
    return trigger(**{"task_ids": ["build"], "dag_id": "dag", "run_id": "run", "poll_interval": 0.01, **arguments})


def trigger(**arguments):
    fixed = {"bitrix24_conn_id": "bitrix24_default", "dialog_id": "chat2935", "interval": 0.04}
    return DialogWritingTrigger(**{**fixed, **arguments})


async def events_of(one) -> list[Any]:
    return [event async for event in one.run()]


def run(one) -> Any:
    """What the one event of a trigger says."""
    (event,) = asyncio.run(events_of(one))
    assert isinstance(event, TriggerEvent)
    assert event.payload["status"] == "success"
    return event.payload["signals"]


def times(portal, dialog_id="chat2935"):
    return [signal.time for signal in portal.signals(dialog_id)]


# ---- until a point in time


def test_lit_until_the_end(portal, monkeypatch):
    monkeypatch.setattr("airflow_provider_b24.chat.typing.LASTS", 0.2)
    run(until(0.3))  # the first one takes its time
    portal.clear()
    end = time.time() + 0.8
    signals = run(until(0.8, interval=0.08))
    assert end - 0.02 < time.time() < end + 0.5
    sent = times(portal)
    assert len(sent) == signals >= 3
    assert sent[-1] + 0.2 >= end, "it is lit until the end"
    assert max(later - earlier for earlier, later in pairwise(sent)) < 0.2, "without a gap"


def test_a_point_in_time_that_has_passed(portal):
    assert run(until(-60)) == 0
    assert portal.calls == []


def test_no_more_signals_than_needed(portal, monkeypatch):
    monkeypatch.setattr("airflow_provider_b24.chat.typing.LASTS", 25)
    assert run(until(0.8)) == 1
    assert len(times(portal)) == 1


def test_started_anew_it_ends_when_the_first_one_would_have(portal):
    first = until(0.3)
    end = time.time() + 0.3

    async def stopped() -> Any:
        running = asyncio.create_task(events_of(first))
        await asyncio.sleep(0.12)
        running.cancel()
        with pytest.raises(asyncio.CancelledError):
            await running
        return DialogWritingTrigger(**first.serialize()[1])

    again = asyncio.run(stopped())
    assert again.serialize() == first.serialize()
    assert times(portal)
    assert run(again) >= 1
    assert end - 0.02 < time.time() < end + 0.5


def test_a_time_in_another_zone(portal):
    end = dt.datetime.now(dt.timezone(dt.timedelta(hours=3))) + dt.timedelta(seconds=0.3)
    begun = time.monotonic()
    assert run(trigger(until=end.isoformat(), interval=20)) == 1
    assert time.monotonic() - begun < 2


# ---- while other tasks work


class Story(Supervisor):
    """States of the task "build": each lasts until the portal has got so many signals, or for so many questions."""

    def __init__(self, portal, *chapters: tuple[str | None, int]) -> None:
        super().__init__(self.tell)
        self.portal = portal
        self.chapters = list(chapters)
        self.told: list[tuple[str | None, int]] = []
        self._asked = self._before = 0

    def tell(self):
        state, length = self.chapters[0]
        signals = len(self.portal.signals("chat2935"))
        self._asked += 1
        long_enough = signals - self._before >= length if state in ("running", "deferred") else self._asked > length
        if long_enough and len(self.chapters) > 1:
            self.told.append((state, signals - self._before))
            self.chapters.pop(0)
            self._before, self._asked = signals, 0
            state = self.chapters[0][0]
        return [("build", -1, state)]


def test_lit_only_while_they_work(portal, supervised):
    story = supervised(
        Story(
            portal,
            (None, 3),
            ("queued", 3),
            ("running", 3),
            ("up_for_retry", 10),
            ("queued", 3),
            ("deferred", 2),
            ("failed", 1),
        )
    )
    signals = run(beside())
    assert signals == len(times(portal)) == 5
    assert story.told == [
        (None, 0),
        ("queued", 0),
        ("running", 3),
        ("up_for_retry", 0),
        ("queued", 0),
        ("deferred", 2),
    ]


@pytest.mark.parametrize("state", ["success", "failed", "skipped", "upstream_failed", "removed"])
def test_over_however_they_ended(portal, supervised, state):
    supervised(Supervisor([("build", -1, state)]))
    assert run(beside()) == 0
    assert portal.calls == []


def test_all_parts_of_a_mapped_task(portal, supervised):
    parts = ["queued", "queued", "queued"]

    def tell():
        signals = len(times(portal))
        for part in range(3):
            if signals >= 2 * part:
                parts[part] = "running"
            if signals >= 2 * part + 2:
                parts[part] = "success"
        return [("build", number, state) for number, state in enumerate(parts)]

    supervised(Supervisor(tell))
    assert run(beside()) == 6


def test_questions_without_an_answer(portal, supervised, caplog):
    class Troubled(Story):
        trouble = 0

        async def asend(self, message):
            self.trouble += 1
            if 5 <= self.trouble < 15:
                raise RuntimeError("s3cret")
            return await super().asend(message)

    supervised(Troubled(portal, ("running", 3), ("success", 1)))
    assert run(beside()) == 3
    told = [record.getMessage() for record in caplog.records if record.name.startswith("airflow_provider_b24")]
    assert told == ["The watched tasks can not be looked at (RuntimeError); trying on."]


def test_without_a_supervisor_it_goes_on_asking(portal, monkeypatch):
    monkeypatch.delattr(task_runner, "SUPERVISOR_COMMS", raising=False)

    async def main() -> None:
        with pytest.raises(asyncio.TimeoutError):
            await asyncio.wait_for(events_of(beside()), 0.1)

    asyncio.run(main())
    assert portal.calls == []


# ---- what happens to signals


def test_cancelled_it_sends_no_more(portal, supervised):
    supervised(Supervisor([("build", -1, "running")]))

    async def main() -> int:
        running = asyncio.create_task(events_of(beside()))
        await asyncio.to_thread(eventually, lambda: len(times(portal)) >= 3)
        running.cancel()
        with pytest.raises(asyncio.CancelledError):
            await running
        sent = len(portal.calls)
        await asyncio.sleep(0.15)
        return sent

    sent = asyncio.run(main())
    assert len(portal.calls) == sent


@pytest.mark.parametrize("kind", ["reset", "html_502", "query_limit", "error", "html_200"])
def test_no_failure_of_a_signal_ends_it(portal, supervised, caplog, kind):
    caplog.set_level("INFO")
    portal.faults.add(Fault(kind, WRITING, times=2, code="ERROR_CORE", status=500))
    supervised(Story(portal, ("running", 2), ("success", 1)))
    assert run(beside()) == 2
    levels = [record.levelname for record in caplog.records if "chat2935 could not be lit" in record.message]
    assert levels == (["INFO"] if kind == "query_limit" else ["WARNING"])


def test_refused_for_good_it_waits_for_the_end_in_silence(portal, caplog):
    assert run(until(0.2, dialog_id="chat2936")) == 0
    assert [call.method for call in portal.calls] == [WRITING]
    assert caplog.text.count("The typing indicator of chat2936 could not be lit and is given up") == 1


def test_a_connection_that_is_not_there(portal, supervised, caplog):
    assert run(until(0.1, bitrix24_conn_id="nowhere")) == 0
    assert caplog.text.count("Airflow has no connection 'nowhere'") == 1
    assert portal.calls == []


def test_a_connection_that_can_not_be_read_now_is_read_later(portal, monkeypatch, caplog):
    from airflow_provider_b24.hooks.bitrix24 import Bitrix24Hook

    tries = []
    real = Bitrix24Hook.aget_connection

    async def sometimes(self, conn_id):
        tries.append(1)
        if len(tries) < 3:
            raise RuntimeError("s3cret")
        return await real(conn_id)

    monkeypatch.setattr(Bitrix24Hook, "aget_connection", sometimes)
    assert run(until(0.8)) >= 1
    assert caplog.text.count("unforeseen RuntimeError") == 1
    assert "s3cret" not in caplog.text


def test_a_portal_that_is_not_there(portal, connect, caplog):
    connect("bitrix24://1:s3cr3tc0de@127.0.0.1:9/http")
    assert run(until(0.1)) == 0
    assert "could not be lit" in caplog.text
    assert "s3cr3tc0de" not in caplog.text


def test_as_a_bot(portal, connect):
    connect(portal.bot_connection())
    assert run(until(0.8, status="CALCULATING")) == 1
    (signal,) = portal.signals("chat2935")
    assert (signal.author_id, signal.status) == (101, "IMBOT_AGENT_ACTION_CALCULATING")
    assert signal.duration == 1, "it lasts until the end"


def test_a_bot_whose_signal_lasts_sends_no_other(portal, connect):
    connect(portal.bot_connection())
    end = (dt.datetime.now(dt.timezone.utc) + dt.timedelta(seconds=0.4)).isoformat()
    begun = time.monotonic()
    assert run(trigger(until=end, lit_until=end)) == 0
    assert 0.2 < time.monotonic() - begun < 2
    assert portal.calls == []


def test_a_bot_goes_on_before_its_light_goes_out(portal, connect):
    connect(portal.bot_connection())
    now = dt.datetime.now(dt.timezone.utc)
    lit, end = ((now + dt.timedelta(seconds=seconds)).isoformat() for seconds in (0.5, 0.9))
    assert run(trigger(until=end, lit_until=lit, interval=0.3)) == 1
    (signal,) = portal.signals("chat2935")
    assert signal.time >= now.timestamp() + 0.2


def test_a_bot_beside_tasks(portal, connect, supervised):
    connect(portal.bot_connection())
    supervised(Story(portal, ("running", 1), ("success", 1)))
    assert run(beside(interval=20)) == 1
    assert portal.signals("chat2935")[0].duration == 41, "it lasts until the next but one"


# ---- together


def together(*triggers) -> list[Any]:
    async def main() -> list[Any]:
        return await asyncio.gather(*(events_of(one) for one in triggers))

    return [[event.payload["signals"] for event in events] for events in asyncio.run(main())]


@pytest.fixture
def no_hurry(monkeypatch):
    """Signals wait for company long enough for all that are due."""
    monkeypatch.setattr(rota, "_GATHER", 0.1)
    monkeypatch.setattr("airflow_provider_b24.chat.typing.LASTS", 25)


@pytest.mark.usefixtures("no_hurry")
def test_signals_of_many_go_out_together(portal):
    dialogs = ["chat2935", "sg17", "4", "chat2938"]
    assert together(*(until(1.5, dialog_id=dialog_id) for dialog_id in dialogs)) == [[1]] * 4
    assert [call.method for call in portal.requests] == ["batch"]
    assert [len(portal.signals(dialog_id)) for dialog_id in dialogs] == [1] * 4


@pytest.mark.usefixtures("no_hurry")
def test_one_that_is_refused_does_not_disturb_the_others(portal, caplog):
    assert together(until(1.5), until(1.5, dialog_id="chat2936")) == [[1], [0]]
    assert [call.method for call in portal.requests] == ["batch"]
    assert caplog.text.count("chat2936 could not be lit and is given up") == 1


@pytest.mark.usefixtures("no_hurry")
def test_two_for_one_dialog_send_one_signal(portal):
    assert together(until(1.5), until(1.5)) == [[1], [1]]
    assert [call.method for call in portal.requests] == [WRITING]


@pytest.mark.usefixtures("no_hurry")
def test_one_that_is_cancelled_does_not_disturb_the_others(portal):
    async def main() -> Any:
        kept, gone = (asyncio.create_task(events_of(until(1.5, dialog_id=to))) for to in ("chat2935", "chat2938"))
        await asyncio.sleep(0.05)
        gone.cancel()
        (event,) = await kept
        assert gone.cancelled()
        return event.payload["signals"]

    assert asyncio.run(main()) == 1
    assert [call.method for call in portal.requests] == [WRITING]


def in_memory(conn_id, first):
    """Where Airflow may be set to keep tokens."""
    return MemoryTokenStore(first)


@pytest.mark.usefixtures("no_hurry")
def test_other_tokens_are_another_account(portal, connect, monkeypatch):
    """Two connections of one application, authorised by two people: nobody types as the other."""
    monkeypatch.setenv("AIRFLOW__BITRIX24__TOKEN_STORE", f"{__name__}.in_memory")
    for conn_id in ("one", "other"):
        connect(portal.oauth_connection(), conn_id=conn_id)
    assert together(*(until(1.5, dialog_id=f"chat293{n}", bitrix24_conn_id=c) for n, c in ((5, "one"), (8, "other"))))
    tokens = [json.loads(call.body)["auth"] for call in portal.requests]
    assert len(set(tokens)) == 2


@pytest.mark.usefixtures("no_hurry")
def test_connections_to_one_webhook_share(portal, connect):
    for conn_id in ("one", "other"):
        connect(portal.connection(), conn_id=conn_id)
    together(*(until(1.5, dialog_id=f"chat293{n}", bitrix24_conn_id=c) for n, c in ((5, "one"), (8, "other"))))
    assert [call.method for call in portal.requests] == ["batch"]


def test_what_it_is_made_of():
    path, kwargs = beside(status="PROCESSING").serialize()
    assert path == "airflow_provider_b24.triggers.dialog.DialogWritingTrigger"
    assert DialogWritingTrigger(**kwargs).serialize() == (path, kwargs)
