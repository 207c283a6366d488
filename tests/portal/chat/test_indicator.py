"""Typing beside real work: what a portal gets to see of it."""

from __future__ import annotations

import asyncio
import threading
import time

import pytest

from airflow_provider_b24.hooks.bitrix24 import Bitrix24Hook
from airflow_provider_b24.rest.errors import ConfigurationError
from airflow_provider_b24.testing import FakePortal, Fault
from tests.portal.hook.faces import eventually

WRITING = "im.dialog.writing"


@pytest.fixture
def hook(portal):
    with Bitrix24Hook() as made:
        yield made


@pytest.fixture
def answered(portal):
    """Waits until the portal has answered (or dropped) the n-th call of a method."""
    done = threading.Condition()
    methods: list[str] = []

    def note(call):
        with done:
            methods.append(call.method)
            done.notify_all()

    portal.on_call = note

    def wait(method=WRITING, times=1):
        with done:
            assert done.wait_for(lambda: methods.count(method) >= times, 5), methods

    return wait


async def awaited(function):
    await asyncio.get_running_loop().run_in_executor(None, function)


def test_lit_in_the_block_and_out_with_the_message(portal, hook, answered):
    with hook.typing("chat2935"):
        answered()
        assert len(portal.chat("chat2935").lit(time.time())) == 1
    hook.send_message("chat2935", "done")
    assert portal.chat("chat2935").lit(time.time()) == []
    assert [call.method for call in portal.calls] == [WRITING, "im.dialog.messages.get", "im.message.add"]


def test_the_same_in_an_event_loop(portal, answered):
    async def report():
        async with Bitrix24Hook() as hook:
            async with hook.typing("chat2935"):
                await awaited(answered)
                assert len(portal.chat("chat2935").lit(time.time())) == 1
            await hook.asend_message("chat2935", "done")

    asyncio.run(report())
    assert portal.chat("chat2935").lit(time.time()) == []
    assert [call.method for call in portal.calls] == [WRITING, "im.dialog.messages.get", "im.message.add"]


def test_where_it_is_named_by_what_it_belongs_to(portal, hook, answered):
    with hook.typing("deal:1663"):
        answered()
    assert len(portal.signals("chat2939")) == 1


def test_the_reference_is_looked_up_once(portal, hook, answered, monkeypatch):
    # Signals come thick and fast: the interval is not what is tested here.
    monkeypatch.setattr("airflow_provider_b24.chat.typing.check_interval", lambda seconds: seconds)
    with hook.typing("deal:1663", interval=0.01):
        answered(times=3)
    assert [call.method for call in portal.calls][:4] == ["im.chat.get", WRITING, WRITING, WRITING]


def test_a_reference_that_leads_nowhere_does_not_reach_the_work(portal, hook, caplog):
    with hook.typing("deal:99") as indicator:
        indicator._thread.join(5)
    assert [call.method for call in portal.calls] == ["im.chat.get"]
    assert caplog.text.count("deal 99 has no chat") == 1


def test_leaving_while_a_reference_is_looked_up_sends_no_signal(portal, hook):
    portal.faults.add(Fault("slow", "im.chat.get", seconds=0.1))
    with hook.typing("deal:1663"):
        eventually(lambda: portal.calls)
    assert [call.method for call in portal.calls] == ["im.chat.get"]


def test_a_signal_on_its_way_arrives_before_the_message(portal, hook):
    portal.faults.add(Fault("slow", WRITING, seconds=0.15))
    with hook.typing("chat2935"):
        eventually(lambda: portal.calls)
    hook.send_message("chat2935", "done")
    assert portal.calls[0].status == 200, "its answer was waited for"
    assert portal.chat("chat2935").lit(time.time()) == []


@pytest.mark.parametrize(
    "told", [{"reset": "WARNING"}, {"html_502": "WARNING"}, {"query_limit": "INFO"}, {"error": "WARNING"}], ids=list
)
def test_what_the_portal_does_is_told_once_and_costs_nothing(portal, hook, answered, caplog, told):
    ((kind, level),) = told.items()
    caplog.set_level("INFO")
    fault = portal.faults.add(Fault(kind, WRITING, times=None, code="ACCESS_ERROR"))
    hook.get_conn()
    begun = time.monotonic()
    with hook.typing("chat2935") as indicator:
        answered()
    assert time.monotonic() - begun < 1.5
    indicator._thread.join(5)
    ours = [record for record in caplog.records if record.name.startswith("airflow_provider_b24")]
    assert [record.levelname for record in ours] == [level]
    assert "The typing indicator of chat2935 could not be lit" in ours[0].getMessage()
    assert portal.access.webhook_code not in ours[0].getMessage()
    assert fault.hits == 1, "a signal is tried once"


def test_a_portal_that_is_not_there(connect, caplog):
    connect("bitrix24://1:s3cretc0de@127.0.0.1:9/http")
    with Bitrix24Hook() as hook, hook.typing("chat2935"):
        eventually(lambda: caplog.records)
    assert "could not be lit" in caplog.text
    assert "s3cretc0de" not in caplog.text


@pytest.mark.parametrize("where", ["sync", "async"])
def test_a_connection_that_is_not_there(where, caplog, monkeypatch):
    monkeypatch.delenv("AIRFLOW_CONN_BITRIX24_DEFAULT", raising=False)

    async def work():
        async with Bitrix24Hook("nowhere").typing("chat2935"):
            await asyncio.sleep(0.05)

    if where == "sync":
        with Bitrix24Hook("nowhere").typing("chat2935"):
            pass
    else:
        asyncio.run(work())
    assert caplog.text.count("Airflow has no connection 'nowhere'") == 1


def test_as_a_bot(portal, connect, answered):
    connect(portal.bot_connection())
    with Bitrix24Hook() as hook:
        with hook.typing("chat2935", status="calculating"):
            answered("imbot.v2.Chat.InputAction.notify")
        with hook.typing("sg17"):
            answered("imbot.v2.Chat.InputAction.notify", times=2)
        with hook.typing("chat2935", as_bot=False):
            answered()
    first, last = portal.signals("chat2935")
    (between,) = portal.signals("sg17")
    assert (first.author_id, first.status, first.duration) == (101, "IMBOT_AGENT_ACTION_CALCULATING", 25)
    assert (between.author_id, between.status, between.duration) == (101, None, 25)
    assert last.author_id == 1


def test_as_a_bot_in_an_event_loop(portal, connect, answered):
    connect(portal.bot_connection())

    async def report():
        async with Bitrix24Hook() as hook:
            async with hook.typing("sg17"):
                await awaited(lambda: answered("imbot.v2.Chat.InputAction.notify"))
            await hook.asend_message("sg17", "done")
            assert await hook.adialog_id("sg17") == "sg17"
            assert await hook.adialog_id("sg17", as_bot=None) == "chat2937"

    asyncio.run(report())
    assert portal.chat("sg17").lit(time.time()) == []
    assert portal.messages("sg17")[0].author_id == 101


def test_a_bot_that_is_not_in_the_chat_costs_only_the_indicator(portal, connect, caplog):
    connect(portal.bot_connection())
    with Bitrix24Hook() as hook, hook.typing("chat2936"):
        eventually(lambda: caplog.records)
    assert len(portal.calls) == 1
    assert "is given up" in caplog.text
    assert "add it to the chat, or let the account do it with as_bot=False" in caplog.text


def test_a_status_without_a_bot_costs_only_the_indicator(portal, hook, caplog):
    with hook.typing("chat2935", status="CALCULATING") as indicator:
        indicator._thread.join(5)
    assert portal.calls == []
    assert "has no bot to show it" in caplog.text


@pytest.mark.parametrize(
    "arguments", [{"dialog_id": "CHAT5"}, {"dialog_id": "chat5", "interval": 30}, {"dialog_id": "5", "status": "x"}]
)
def test_arguments_that_can_not_be_are_refused_before_the_work(portal, hook, arguments):
    with pytest.raises(ConfigurationError):
        hook.typing(**arguments)


def test_low_in_requests_the_signal_is_skipped(connect, caplog):
    caplog.set_level("INFO")
    with FakePortal(bucket=(50, 2.0)) as portal:
        connect(portal.connection(), burst=10, rate=0.2)
        with Bitrix24Hook() as hook:
            for _ in range(6):
                hook.call("server.time")
            # One request is kept for a signal; the next one is skipped.
            with hook.typing("chat2935"):
                eventually(lambda: len(portal.signals("chat2935")) == 1)
            with hook.typing("2"):
                eventually(lambda: "skipped" in caplog.text)
            hook.send_message("chat2935", "work goes first")
        assert portal.signals("2") == []
        assert len(portal.messages("chat2935")) == 1
    assert "skipped, for the request limit is nearly used up" in caplog.text


# ---- one signal, asked for


def test_a_signal_that_is_asked_for_is_work(portal, hook):
    hook.send_typing("deal:1663")
    assert len(portal.signals("chat2939")) == 1
    with pytest.raises(ConfigurationError, match=r"status is 'PROCESSING'.* 'bitrix24_default' has no bot"):
        hook.send_typing("chat2935", status="PROCESSING")
