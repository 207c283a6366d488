"""What the clients do with their connections, with answers of any size, and when they are closed or cancelled."""

from __future__ import annotations

import asyncio
import dataclasses
import gzip
import json
import socket
import threading
import tracemalloc
import zlib
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Any

import pytest
import urllib3

from airflow_provider_b24.rest.aio import AsyncClient
from airflow_provider_b24.rest.client import Client
from airflow_provider_b24.rest.conversation import converse
from airflow_provider_b24.rest.errors import ConfigurationError, NotSentError, OutcomeUnknownError
from airflow_provider_b24.rest.lanes import Lane, Work
from airflow_provider_b24.rest.pacing import Plan
from airflow_provider_b24.rest.peer import Patience
from airflow_provider_b24.rest.protocol import Call
from tests.portal.rest.drivers import CODE, QUICK, SECRETS, AsyncDriver, MakeDriver, SyncDriver, webhook_peer
from tests.portal.rest.leaks import found, leaks, leaks_of_ours
from tests.portal.rest.scripted import Answer, Compute, Scripted, Seen, Silence, ok, page
from tests.unit.rest.clocks import FakeClock

READ = Call("crm.item.get", {"id": 7})
WRITE = Call("crm.item.add", {"id": 7})


def test_what_goes_over_the_wire(driver: MakeDriver) -> None:
    with Scripted([ok({"item": {"title": "Ж"}})]) as server, driver(webhook_peer(server.url)) as client:
        assert client.call(Call("crm.item.get", {"title": "“Ж”"})).result == {"item": {"title": "Ж"}}
    (seen,) = server.seen
    assert (seen.verb, seen.target) == ("POST", f"/rest/7/{CODE}/crm.item.get")
    assert seen.body == '{"title":"“Ж”"}'.encode()
    assert seen.headers["host"] == f"127.0.0.1:{server.port}"
    assert seen.headers["content-type"] == "application/json"
    assert seen.headers["accept"] == "application/json"
    assert seen.headers["accept-encoding"] == "gzip"
    assert seen.headers["content-length"] == str(len(seen.body))
    assert seen.headers["user-agent"].startswith("airflow-provider-b24/")
    assert "cookie" not in seen.headers


def test_a_call_of_rest_3(driver: MakeDriver) -> None:
    with Scripted([ok({"items": []})]) as server, driver(webhook_peer(server.url)) as client:
        assert client.call(Call("tasks.task.list", {"select": ["id"]}, version=3)).result == {"items": []}
    assert server.seen[0].target == f"/rest/api/7/{CODE}/tasks.task.list"


def test_one_connection_for_many_calls(driver: MakeDriver) -> None:
    with Scripted([ok()], forever=True) as server, driver(webhook_peer(server.url)) as client:
        for _ in range(50):
            client.call(READ)
    assert len(server.seen) == 50
    assert server.accepted == 1


def test_errors_and_empty_answers_keep_the_connection(driver: MakeDriver) -> None:
    script = [page(502), Answer(204, b""), Answer(200, b""), ok()]
    with Scripted(script) as server, driver(webhook_peer(server.url)) as client:
        client.call(READ)
    assert server.accepted == 1


def test_a_connection_that_the_portal_has_closed_is_not_used_again(driver: MakeDriver) -> None:
    script = [Answer(200, {"result": 1}, close=True)]
    with Scripted(script, forever=True) as server, driver(webhook_peer(server.url)) as client:
        for _ in range(3):
            assert client.call(WRITE).result == 1
    assert server.accepted == 3


def test_after_idling_a_new_connection_is_made() -> None:
    clock = FakeClock()
    with Scripted([ok()], forever=True) as server, SyncDriver(webhook_peer(server.url, clock=clock)) as client:
        for seconds in (0, 14, 14, 16):
            clock.now += seconds
            client.call(WRITE)
    assert [seen.connection for seen in server.seen] == [1, 1, 1, 2]


def test_after_idling_a_new_connection_is_made_asynchronously_too() -> None:
    settings = dataclasses.replace(QUICK, idle=0.02)

    async def run(url: str) -> None:
        async with AsyncClient(webhook_peer(url), settings) as client:
            await client.call(WRITE)
            await asyncio.sleep(0.05)
            await client.call(WRITE)

    with Scripted([ok()], forever=True) as server:
        asyncio.run(run(server.url))
    assert server.accepted == 2


def test_a_cookie_is_not_kept(driver: MakeDriver) -> None:
    # A session's cookie would have the portal answer one call after the other.
    script = [Answer(200, {"result": 1}, {"Set-Cookie": "PHPSESSID=x; path=/"}), ok()]
    with Scripted(script) as server, driver(webhook_peer(server.url)) as client:
        client.call(READ)
        client.call(READ)
    assert "cookie" not in server.seen[1].headers


def test_the_reads_own_time_out(driver: MakeDriver) -> None:
    with Scripted([Silence()], forever=True) as server, driver(webhook_peer(server.url)) as client:
        with pytest.raises(OutcomeUnknownError, match=r"no answer within 0\.02 s"):
            client.call(READ, patience=Patience(tries=1, answer=0.02))
        with pytest.raises(OutcomeUnknownError, match=r"no answer within 0\.03 s"):
            client.call(READ, patience=Patience(tries=2, answer=0.03, pause=7.0))
        assert client.client.peer.clock.waits == [7.0]  # type: ignore[attr-defined]
    assert len(server.seen) == 3


# size


def _json_of(size: int) -> bytes:
    return b'{"result":"' + b"x" * (size - 13) + b'"}'


@pytest.mark.parametrize("headers", [{}, {"Content-Encoding": "gzip"}], ids=["plain", "gzip"])
@pytest.mark.parametrize(("size", "fits"), [(99_999, True), (100_000, True), (100_001, False), (3_000_000, False)])
def test_an_answer_larger_than_the_limit(driver: MakeDriver, headers: dict[str, str], size: int, *, fits: bool) -> None:
    body = gzip.compress(_json_of(size)) if headers else _json_of(size)
    settings = dataclasses.replace(QUICK, most_bytes=100_000)
    with Scripted([Answer(200, body, headers), ok()]) as server, driver(webhook_peer(server.url), settings) as client:
        if fits:
            assert len(client.call(WRITE).result) == size - 13
        else:
            with pytest.raises(OutcomeUnknownError, match=r"larger than 0\.1 MB") as caught:
                client.call(WRITE)
            assert leaks(caught.value, SECRETS) == []
        # whatever was left of the answer is not taken for the next one
        assert client.call(READ).result is True
    assert server.accepted <= (1 if fits else 2)


@pytest.mark.parametrize("pack", [gzip.compress, zlib.compress], ids=["gzip", "deflate"])
@pytest.mark.parametrize("chunked", [False, True])
def test_a_compressed_answer(driver: MakeDriver, pack: Callable[[bytes], bytes], *, chunked: bool) -> None:
    rows = [{"id": number, "title": "Ж" * 100} for number in range(3000)]
    body = pack(json.dumps({"result": rows}).encode())
    headers = {"Content-Encoding": "gzip" if pack is gzip.compress else "deflate"}
    if chunked:
        headers["Transfer-Encoding"] = "chunked"
        pieces = [body[at : at + 1000] for at in range(0, len(body), 1000)]
        body = b"".join(b"%x\r\n%s\r\n" % (len(piece), piece) for piece in [*pieces, b""])
    with Scripted([Answer(200, body, headers), ok()]) as server, driver(webhook_peer(server.url)) as client:
        assert client.call(READ).result == rows
        client.call(READ)
    assert server.accepted == 1


def test_a_small_answer_that_unpacks_to_a_huge_one(driver: MakeDriver) -> None:
    packer = zlib.compressobj(9, zlib.DEFLATED, zlib.MAX_WBITS | 16)
    zeros = b"0" * 1_000_000
    bomb = b"".join([*(packer.compress(zeros) for _ in range(60)), packer.flush()])
    assert len(bomb) < 100_000
    settings = dataclasses.replace(QUICK, most_bytes=1_000_000)
    answer = Answer(200, bomb, {"Content-Encoding": "gzip"})
    with Scripted([answer]) as server, driver(webhook_peer(server.url), settings) as client:
        tracemalloc.start()
        try:
            with pytest.raises(OutcomeUnknownError, match="larger than 1 MB"):
                client.call(WRITE)
            _, most = tracemalloc.get_traced_memory()
        finally:
            tracemalloc.stop()
    assert most < 10_000_000


# closing and cancelling


def test_a_closed_client_opens_anew(driver: MakeDriver) -> None:
    with Scripted([ok()], forever=True) as server, driver(webhook_peer(server.url)) as client:
        client.call(READ)
        if isinstance(client, AsyncDriver):
            client._loop.run_until_complete(client.client.aclose())
        else:
            client.client.close()
        client.call(READ)
    assert server.accepted == 2


def test_repr_and_context_manager() -> None:
    async def run(url: str) -> str:
        async with AsyncClient(webhook_peer(url), QUICK) as client:
            await client.call(READ)
            return repr(client)

    with Scripted([ok()], forever=True) as server:
        with Client(webhook_peer(server.url), QUICK) as client:
            client.call(READ)
            shown = repr(client)
        assert asyncio.run(run(server.url)) == f"Async{shown}"
    assert shown.startswith("Client(Peer(Webhook(")
    assert found(shown, SECRETS) == []


def test_a_call_that_is_cancelled_leaves_the_client_usable() -> None:
    caught: list[BaseException] = []

    async def watched(client: AsyncClient) -> None:
        try:
            await client.call(WRITE)
        except asyncio.CancelledError as error:
            caught.append(error)
            raise

    async def run(server: Scripted) -> Any:
        async with AsyncClient(webhook_peer(server.url), QUICK) as client:
            task = asyncio.create_task(watched(client))
            await asyncio.to_thread(server.arrived.wait, 10)
            task.cancel()
            await asyncio.wait([task])
            return (await client.call(READ)).result

    with Scripted([Silence(), ok(5)]) as server:
        assert asyncio.run(run(server)) == 5
    assert server.accepted == 2
    assert leaks_of_ours(caught[0], SECRETS) == []


def test_an_interrupted_wait_shows_nothing() -> None:
    class Interrupting(FakeClock):
        def sleep(self, seconds: float) -> None:
            raise KeyboardInterrupt

    with (
        Scripted([page(502)], forever=True) as server,
        Client(webhook_peer(server.url, clock=Interrupting())) as client,
        pytest.raises(KeyboardInterrupt) as caught,
    ):
        client.call(READ)
    assert leaks(caught.value, SECRETS) == []


# many at once


def test_threads_share_a_client_and_its_connections() -> None:
    def answer(seen: Seen) -> Answer:
        return ok(seen.json["id"])

    with Scripted([Compute(answer)], forever=True) as server:
        clock = FakeClock()
        peer = webhook_peer(server.url, clock=clock, plan=Plan(10_000, 2))
        with Client(peer, QUICK) as client, ThreadPoolExecutor(8) as pool:
            results = list(pool.map(lambda n: client.call(Call("crm.item.get", {"id": n})).result, range(400)))
    assert results == list(range(400))
    assert server.accepted <= 8
    assert clock.waits == []


class Calls(Work[Any]):
    """So many calls, 20 of them side by side."""

    width = 20

    def __init__(self, count: int) -> None:
        self.left, self.under_way = count, 0

    def begin(self) -> Lane | None:
        if not self.left:
            return None
        self.left -= 1
        self.under_way += 1
        return Lane(partial(converse, call=Call("crm.item.get", {"id": 1})))

    def end(self, lane: Lane, outcome: Any) -> None:
        assert outcome.result == "together"
        self.under_way -= 1

    def ready(self) -> list[Any]:
        return []

    @property
    def over(self) -> bool:
        return not (self.left or self.under_way)


@pytest.mark.parametrize("kind", [Client, AsyncClient])
def test_each_lane_keeps_its_connection(kind: Any, caplog: pytest.LogCaptureFixture) -> None:
    together = threading.Barrier(Calls.width)

    def answer(seen: Seen) -> Answer:
        together.wait(10)
        return ok("together")

    with Scripted([Compute(answer)], forever=True) as server:
        client = kind(webhook_peer(server.url, plan=None), QUICK)
        if isinstance(client, Client):
            with client:
                assert list(client.stream(Calls(100))) == []
        else:
            asyncio.run(_all_of(client, Calls(100)))
    assert server.accepted == Calls.width
    assert "pool is full" not in caplog.text


async def _all_of(client: AsyncClient, work: Work[Any]) -> None:
    async with client:
        async for _ in client.stream(work):
            raise AssertionError("it gives nothing out")


def test_dropping_idle_connections_disturbs_no_call_under_way() -> None:
    begun, go_on = threading.Event(), threading.Event()

    def slowly(seen: Seen) -> Answer:
        begun.set()
        assert go_on.wait(10)
        return ok("slow")

    clock = FakeClock()
    with (
        Scripted([ok(), Compute(slowly), ok("quick"), ok("again")]) as server,
        Client(webhook_peer(server.url, clock=clock), QUICK) as client,
        ThreadPoolExecutor(1) as pool,
    ):
        client.call(WRITE)
        slow = pool.submit(client.call, WRITE)
        assert begun.wait(10)
        clock.now += 60
        assert client.call(WRITE).result == "quick"
        go_on.set()
        assert slow.result(10).result == "slow"
        assert client.call(WRITE).result == "again"


def test_threads_that_all_find_the_connections_idle() -> None:
    clock = FakeClock()
    with (
        Scripted([ok()], forever=True) as server,
        Client(webhook_peer(server.url, clock=clock), QUICK) as client,
        ThreadPoolExecutor(8) as pool,
    ):
        for _ in range(20):
            clock.now += 60
            for future in [pool.submit(client.call, WRITE) for _ in range(8)]:
                future.result(10)
    assert len(server.seen) == 160


def test_a_client_that_another_thread_closes_tries_again() -> None:
    with Scripted([ok()], forever=True) as server, Client(webhook_peer(server.url), QUICK) as client:
        stop = threading.Event()

        def close() -> None:
            while not stop.wait(0.0005):
                client.close()

        closer = threading.Thread(target=close)
        closer.start()
        try:
            for _ in range(200):
                client.call(WRITE)
        finally:
            stop.set()
            closer.join()
    assert len(server.seen) == 200


def test_coroutines_share_a_client() -> None:
    def answer(seen: Seen) -> Answer:
        return ok(seen.json["id"])

    async def run(url: str) -> list[Any]:
        async with AsyncClient(webhook_peer(url), QUICK) as client:
            calls = [client.call(Call("crm.item.get", {"id": number})) for number in range(60)]
            return [reply.result for reply in await asyncio.gather(*calls)]

    with Scripted([Compute(answer)], forever=True) as server:
        assert asyncio.run(run(server.url)) == list(range(60))


# more than calls


def test_a_batch_and_a_list(driver: MakeDriver) -> None:
    page_of_rows = [{"ID": "1"}, {"ID": "2"}]
    both_ends = {"l0": page_of_rows[::-1], "a0": page_of_rows}
    script = [ok({"result": [7], "result_error": []}), ok({"result": both_ends, "result_error": []})]
    with Scripted(script) as server, driver(webhook_peer(server.url)) as client:
        assert client.batch([READ], patience=Patience(tries=1)).results == {0: 7}
        assert client.rows("crm.deal.list", {"select": ["TITLE"]}) == page_of_rows
    assert server.seen[0].json == {"halt": 0, "cmd": {"0": "crm.item.get?id=7"}}
    look = "crm.deal.list?select[0]=ID&select[1]=TITLE&order[ID]=DESC&start=-1"
    assert server.seen[1].json["cmd"]["l0"] == look


def test_a_conversation_of_several_calls(driver: MakeDriver) -> None:
    from airflow_provider_b24.rest.conversation import converse
    from airflow_provider_b24.rest.peer import Peer

    def twice(peer: Peer) -> Any:
        first = yield from converse(peer, READ)
        second = yield from converse(peer, Call("crm.item.get", {"id": first.result}))
        return second.result

    with Scripted([ok(8), ok(9)]) as server, driver(webhook_peer(server.url)) as client:
        if isinstance(client, AsyncDriver):
            assert client._loop.run_until_complete(client.client.run(twice)) == 9
        else:
            assert client.client.run(twice) == 9
    assert server.seen[1].json == {"id": 8}


def test_parameters_that_can_not_be_sent(driver: MakeDriver) -> None:
    with (
        Scripted() as server,
        driver(webhook_peer(server.url)) as client,
        pytest.raises(ConfigurationError) as caught,
    ):
        client.call(Call("x", {"botToken": "b0tt0ken", "x": object()}))
    assert server.seen == []
    assert leaks(caught.value, [*SECRETS, "b0tt0ken"]) == []


def test_addresses_that_the_asynchronous_client_remembers_are_bounded() -> None:
    with Scripted([ok()], forever=True) as server, AsyncDriver(webhook_peer(server.url)) as client:
        for number in range(300):
            client.call(Call(f"method{number}.get"))
        assert len(client.client._urls) <= 257


def test_a_write_that_the_portal_takes_its_time_to_read(monkeypatch: pytest.MonkeyPatch) -> None:
    # Sending has the time that all of it has, not the time for connecting. A socket that holds little stands for a
    # slow line.
    connect = urllib3.util.connection.create_connection

    def narrow(*arguments: Any, **options: Any) -> socket.socket:
        return connect(*arguments, **{**options, "socket_options": [(socket.SOL_SOCKET, socket.SO_SNDBUF, 4096)]})

    def read_late() -> None:
        portal, _ = listening.accept()
        threading.Event().wait(3 * hurry.connect_timeout)
        with portal, portal.makefile("rb") as stream:
            length = next(int(line.split(b":")[1]) for line in stream if line.lower().startswith(b"content-length"))
            while stream.readline().strip():
                pass
            stream.read(length)
            portal.sendall(ok(17).encode())

    monkeypatch.setattr(urllib3.util.connection, "create_connection", narrow)
    hurry = dataclasses.replace(QUICK, connect_timeout=0.1)
    with socket.socket() as listening:
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        listening.bind(("127.0.0.1", 0))
        listening.listen()
        portal = threading.Thread(target=read_late, daemon=True)
        portal.start()
        with SyncDriver(webhook_peer(f"http://127.0.0.1:{listening.getsockname()[1]}"), hurry) as client:
            assert client.call(Call("crm.item.add", {"text": "x" * 60_000})).result == 17
        portal.join()


def test_a_name_that_is_no_name(driver: MakeDriver) -> None:
    with driver(webhook_peer("https://xn--a.invalid")) as client, pytest.raises(NotSentError):
        client.call(WRITE)


def test_a_name_that_is_not_resolved(driver: MakeDriver, monkeypatch: pytest.MonkeyPatch) -> None:
    # The one thing that is not real here: a resolver without an answer can take as long as it likes.
    def unknown(host: Any, *rest: Any, **more: Any) -> Any:
        assert host in ("b24.invalid", b"b24.invalid")
        raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")

    monkeypatch.setattr(socket, "getaddrinfo", unknown)
    with driver(webhook_peer("https://b24.invalid")) as client:
        with pytest.raises(NotSentError, match="the host name can not be resolved") as caught:
            client.call(WRITE)
        assert client.client.peer.clock.waits == [0.5, 1.0, 2.0]  # type: ignore[attr-defined]
    assert leaks(caught.value, SECRETS) == []
