"""One hook among threads and event loops, and what is left of it when it is closed."""

from __future__ import annotations

import asyncio
import gc
import threading
import warnings
from concurrent.futures import ThreadPoolExecutor

import pytest
from airflow.sdk.execution_time import task_runner

from airflow_provider_b24.hooks.bitrix24 import Bitrix24Hook
from airflow_provider_b24.rest.clock import SystemClock
from airflow_provider_b24.rest.credentials import Webhook
from airflow_provider_b24.rest.errors import ConfigurationError
from airflow_provider_b24.rest.ledger import host_ledger
from airflow_provider_b24.rest.protocol import Call
from tests.portal.hook.faces import eventually, open_connections
from tests.unit.rest.clocks import FakeClock
from tests.unit.triggers.comms import InProcessSupervisor


@pytest.fixture
def no_leaks(portal):
    """Nothing is left open, and nothing warns of it."""
    eventually(lambda: open_connections(portal) == 0)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always", ResourceWarning)
        yield
        gc.collect()
    assert [str(one.message) for one in caught if issubclass(one.category, ResourceWarning)] == []
    eventually(lambda: open_connections(portal) == 0)


@pytest.mark.usefixtures("no_leaks")
def test_connections_are_kept_and_closed_with_the_hook(portal):
    with Bitrix24Hook() as hook:
        for _ in range(3):
            hook.call("profile")
        assert open_connections(portal) == 1
        assert len({call.source_port for call in portal.calls}) == 1
    eventually(lambda: open_connections(portal) == 0)


@pytest.mark.usefixtures("no_leaks")
def test_connections_of_an_event_loop_are_closed_with_the_hook(portal):
    async def main():
        async with Bitrix24Hook() as hook:
            for _ in range(3):
                await hook.acall("profile")
            assert open_connections(portal) == 1

    asyncio.run(main())
    assert len({call.source_port for call in portal.calls}) == 1


@pytest.mark.usefixtures("no_leaks")
def test_closing_closes_both_halves(portal):
    async def main():
        async with Bitrix24Hook() as hook:
            await hook.acall("profile")
            await asyncio.to_thread(hook.call, "profile")
            assert open_connections(portal) == 2

    asyncio.run(main())


@pytest.mark.usefixtures("no_leaks")
def test_a_hook_that_was_never_used_closes_too():
    with Bitrix24Hook():
        pass

    async def main():
        async with Bitrix24Hook():
            pass

    asyncio.run(main())


@pytest.mark.usefixtures("no_leaks")
def test_it_can_be_used_after_closing(portal):
    hook = Bitrix24Hook()
    for _ in range(2):
        hook.call("profile")
        hook.close()

    async def main():
        for _ in range(2):
            await hook.acall("profile")
            await hook.aclose()

    asyncio.run(main())
    assert [call.status for call in portal.calls] == [200] * 4


@pytest.mark.usefixtures("no_leaks")
def test_errors_leave_nothing_open(portal):
    def work():
        with Bitrix24Hook() as hook:
            hook.call("profile")
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        work()


def test_one_event_loop_after_another(portal):
    hook = Bitrix24Hook()

    async def main(close):
        assert (await hook.acall("profile"))["ID"] == "1"
        assert (await hook.abatch([("profile", {}), ("scope", {})])).unwrap()
        if close:
            await hook.aclose()

    with warnings.catch_warnings():
        # Whoever does not close is told so by Python.
        warnings.simplefilter("ignore", ResourceWarning)
        for _ in range(3):
            asyncio.run(main(close=False))
        asyncio.run(main(close=True))
        gc.collect()
    assert len(hook._async_clients) == 0
    eventually(lambda: open_connections(portal) == 0)


def test_event_loops_in_several_threads(portal):
    hook = Bitrix24Hook()

    async def main():
        names = [(await hook.acall("profile"))["NAME"] for _ in range(5)]
        await hook.aclose()
        return names

    with ThreadPoolExecutor(4) as pool:
        assert list(pool.map(lambda _: asyncio.run(main()), range(8))) == [["Anna"] * 5] * 8
    assert len(hook._async_clients) == 0


def test_a_hook_shared_by_threads(portal):
    together = threading.Barrier(6)

    def work(number):
        together.wait(5)
        return [hook.call("user.get", {"ID": number})[0]["ID"] for _ in range(10)]

    with Bitrix24Hook() as hook, ThreadPoolExecutor(6) as pool:
        assert list(pool.map(work, range(1, 7))) == [[str(number)] * 10 for number in range(1, 7)]
    assert len(portal.calls) == 60


def test_threads_share_one_client_and_coroutines_too(portal):
    together = threading.Barrier(6)

    def client(_):
        together.wait(5)
        return hook.get_conn()

    async def clients():
        found = await asyncio.gather(*(hook.aget_conn() for _ in range(6)))
        await hook.aclose()
        return found

    with Bitrix24Hook() as hook, ThreadPoolExecutor(6) as pool:
        assert len(set(map(id, pool.map(client, range(6))))) == 1
        assert len(set(map(id, asyncio.run(clients())))) == 1


def test_both_halves_count_their_requests_together(connect):
    connect("bitrix24://1:c0dec0de@127.0.0.1:9/http", conn_id="nowhere")
    hook = Bitrix24Hook("nowhere")

    async def peer():
        found = (await hook.aget_conn()).peer
        await hook.aclose()
        return found

    assert hook.get_conn().peer is asyncio.run(peer())
    assert hook.get_conn().peer.ledger is Bitrix24Hook("nowhere").get_conn().peer.ledger is host_ledger()
    clock = SystemClock()
    assert Bitrix24Hook("nowhere", clock=clock).get_conn().peer.ledger is not host_ledger()


def test_while_the_redis_of_several_hosts_is_away_calls_go_on(portal, connect, caplog):
    connect(portal.connection(), plan="standard", limiter_url="redis://:r3disp4ss@127.0.0.1:1/0")

    async def profile():
        async with Bitrix24Hook() as hook:
            return await hook.acall("profile")

    with Bitrix24Hook() as hook:
        assert hook.get_conn().peer.ledger.blocking
        assert hook.call("profile") == hook.call("profile") == asyncio.run(profile())
    assert caplog.text.count("Redis (limiter_url) fails with ConnectionError") == 1
    assert "r3disp4ss" not in caplog.text


def test_a_limiter_url_that_can_not_be_is_said_by_the_test_button(portal, connect):
    connect(portal.connection(), limiter_url="http://:r3disp4ss@redis.example")
    good, sentence = Bitrix24Hook().test_connection()
    assert not good
    assert "redis://user:password@" in sentence
    assert "r3disp4ss" not in sentence


def test_an_async_task_may_make_synchronous_calls_too(portal):
    async def main():
        async with Bitrix24Hook() as hook:
            assert hook.call("profile") == await hook.acall("profile")

    asyncio.run(main())


def test_the_connection_is_read_once(portal, monkeypatch):
    read = []
    real = Bitrix24Hook.get_connection

    def get_connection(self, conn_id):
        read.append(conn_id)
        return real(conn_id)

    monkeypatch.setattr(Bitrix24Hook, "get_connection", get_connection)
    with Bitrix24Hook() as hook:
        hook.call("profile")
        hook.signal("chat5")
        hook.send_typing("chat2935")
    assert read == ["bitrix24_default"]


@pytest.mark.parametrize("asynchronous", [False, True])
def test_a_connection_that_is_not_there(asynchronous):
    hook = Bitrix24Hook("nowhere")
    with pytest.raises(ConfigurationError, match=r"Airflow has no connection 'nowhere'. Add it \(type: Bitrix24\)"):
        asyncio.run(hook.acall("profile")) if asynchronous else hook.call("profile")


def test_connections_by_id_and_by_default(portal, connect):
    connect({**portal.connection(), "login": "8"}, conn_id="other")
    default, other = Bitrix24Hook().get_conn().peer.credential, Bitrix24Hook("other").get_conn().peer.credential
    assert isinstance(default, Webhook)
    assert isinstance(other, Webhook)
    assert (default.user_id, other.user_id) == ("1", "8")
    assert Bitrix24Hook(bitrix24_conn_id="other").bitrix24_conn_id == "other"


def test_airflow_makes_the_hook_of_a_connection(portal):
    from airflow.sdk import Connection

    hook = Connection.get("bitrix24_default").get_hook()
    assert isinstance(hook, Bitrix24Hook)
    assert hook.call("profile")["ID"] == "1"
    hook.close()


def test_where_the_supervisor_can_not_be_awaited(portal, monkeypatch):
    """In ``dag.test()`` tasks and triggers run in one process with it."""
    monkeypatch.setattr(task_runner, "SUPERVISOR_COMMS", InProcessSupervisor(), raising=False)

    async def main():
        async with Bitrix24Hook() as hook:
            return (await hook.acall("profile"))["ID"]

    assert asyncio.run(main()) == "1"


def test_time_is_the_given_clocks(portal, connect):
    connect(portal.connection(), burst=2, rate=0.5)
    clock = FakeClock()
    with Bitrix24Hook(clock=clock) as hook:
        for _ in range(4):
            hook.get_conn().call(Call("profile"))
    assert sum(clock.waits) == pytest.approx(6)
