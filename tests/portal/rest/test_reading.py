"""Lists are read over HTTP, by threads and by tasks, from a portal whose rows have gaps and change."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from airflow_provider_b24.rest.aio import AsyncClient
from airflow_provider_b24.rest.client import Client
from airflow_provider_b24.rest.credentials import Webhook
from airflow_provider_b24.rest.errors import AccessDeniedError, Bitrix24Error
from airflow_provider_b24.rest.lanes import Lane, Work
from airflow_provider_b24.rest.peer import Peer
from airflow_provider_b24.rest.reading import reading
from airflow_provider_b24.rest.steps import Wait
from airflow_provider_b24.testing import FakePortal, Fault
from tests.portal.rest.drivers import QUICK, MakeDriver
from tests.unit.rest.clocks import FakeClock

ITEMS = ("crm.item.list", {"entityTypeId": 2, "select": ["title"]})
DEALS = ("crm.deal.list", {"select": ["TITLE"]})
# What is enough for the rest, which begins behind this id.
BEHIND = 13_000


@pytest.fixture(scope="module")
def lasting() -> Iterator[FakePortal]:
    with FakePortal(seed_deals=20_000) as portal:
        table = portal.company.crm.tables[2]
        for number in range(7, 20_000, 7):
            table.rows.remove(number)
        yield portal


@pytest.fixture
def portal(lasting: FakePortal) -> FakePortal:
    lasting.clear()
    return lasting


def peer_of(portal: FakePortal) -> Peer:
    return Peer(Webhook.of_url(portal.webhook_url), clock=FakeClock(), jitter=lambda: 0.5)


def numbers(rows: list[Any]) -> list[int]:
    return [int(row.get("id") or row.get("ID")) for row in rows]


def there(portal: FakePortal, after: int = 0) -> list[int]:
    return [one for one in portal.company.crm.tables[2].ids if one > after]


@pytest.mark.parametrize(("method", "params"), [ITEMS, DEALS], ids=["crm.item.list", "crm.deal.list"])
def test_many_rows(portal: FakePortal, driver: MakeDriver, method: str, params: dict[str, Any]) -> None:
    with driver(peer_of(portal)) as client:
        rows = client.rows(method, params)
    assert numbers(rows) == there(portal)
    assert set(rows[0]) == set(rows[-1]) == ({"id", "title"} if method == "crm.item.list" else {"ID", "TITLE"})
    assert len(portal.requests) <= 10
    assert {call.method for call in portal.requests} <= {"batch", method}
    assert len({call.source_port for call in portal.requests}) <= 4


@pytest.mark.parametrize(
    ("method", "backwards"),
    [("tasks.task.list", {"order": {"ID": "desc"}}), ("user.get", {"sort": "ID", "order": "DESC"})],
    ids=["tasks.task.list", "user.get"],
)
def test_other_lists(portal: FakePortal, driver: MakeDriver, method: str, backwards: dict[str, Any]) -> None:
    with driver(peer_of(portal)) as client:
        rows = numbers(client.rows(method))
        assert numbers(client.rows(method, backwards)) == rows[::-1]
    assert rows == sorted(set(rows))
    assert len(rows) > 4


def test_conditions_alternatives_and_a_key_to_go_on_behind(portal: FakePortal, driver: MakeDriver) -> None:
    alternatives = {"logic": "OR", "0": {"stageId": "WON"}, "1": {"stageId": "LOSE"}}
    table = portal.company.crm.tables[2]
    expected = [one for one in there(portal, BEHIND) if table.rows[one]["stageId"] in ("WON", "LOSE")]
    with driver(peer_of(portal)) as client:
        rows = client.rows("crm.item.list", {"entityTypeId": 2, "filter": alternatives}, after=BEHIND)
    assert numbers(rows) == expected


@pytest.mark.parametrize(
    "kind", ["reset", "reset_after", "html_502", "truncated_json", "json_500", "query_limit", "operation_time_limit"]
)
def test_what_goes_wrong_on_the_way(portal: FakePortal, driver: MakeDriver, kind: str) -> None:
    portal.faults.add(Fault(kind, "batch", skip=2, times=2))
    with driver(peer_of(portal)) as client:
        assert numbers(client.rows(*ITEMS, after=BEHIND)) == there(portal, BEHIND)


@pytest.mark.parametrize("kind", ["operation_time_limit", "json_500"])
def test_a_command_that_fails(portal: FakePortal, driver: MakeDriver, kind: str) -> None:
    fault = portal.faults.add(Fault(kind, "crm.item.list", in_batch=True, skip=70, times=3))
    with driver(peer_of(portal)) as client:
        assert numbers(client.rows(*ITEMS, after=BEHIND)) == there(portal, BEHIND)
    assert fault.hits == 3


def test_the_key_to_go_on_behind(portal: FakePortal, driver: MakeDriver) -> None:
    portal.faults.add(Fault("error", "crm.item.list", code="ACCESS_DENIED", in_batch=True, skip=70, times=None))
    with driver(peer_of(portal)) as client:
        with pytest.raises(AccessDeniedError, match=r"after=\d+") as caught:
            client.rows(*ITEMS, after=BEHIND)
        portal.clear()
        after = caught.value.after
        assert isinstance(after, int)
        assert after > BEHIND
        assert numbers(client.rows(*ITEMS, after=after)) == there(portal, after)


# ---- how a work is carried out


class Countdown(Work[int]):
    """Numbers, each from a lane of its own.

    :param stuck: has nothing to do, and is not over, from that number on.
    """

    def __init__(self, count: int, act: Callable[[int], None] = lambda number: None, *, stuck: bool = False) -> None:
        self.width = 3
        self.left = list(range(count))
        self.done: list[int] = []
        self.taken: list[Any] = []
        self.open = stuck
        self.act = act
        self.under_way = 0

    def begin(self) -> Lane | None:
        if not self.left:
            return None
        number = self.left.pop(0)
        self.under_way += 1

        def conversation(peer: Peer) -> Any:
            yield Wait(0.0)
            self.act(number)
            yield Wait(0.0)
            return number

        return Lane(conversation)

    def end(self, lane: Lane, outcome: Any) -> None:
        self.under_way -= 1
        self.done.append(outcome)

    def ready(self) -> list[int]:
        found, self.done = self.done, []
        return found

    @property
    def over(self) -> bool:
        return not (self.left or self.under_way or self.done or self.open)


class Fed(Countdown):
    """The same of what a source gives."""

    ended = False

    def wants(self) -> int:
        return 0 if self.ended or self.left else 2

    def offer(self, items: Any) -> None:
        self.left += items
        self.ended = len(items) < 2

    @property
    def over(self) -> bool:
        return self.ended and super().over


def carried_out(client: Client | AsyncClient, work: Work[int], source: Any, found: list[int]) -> None:
    if isinstance(client, Client):
        for one in client.stream(work, source):
            found.append(one)
        return

    async def take() -> None:
        async for one in client.stream(work, source):
            found.append(one)

    asyncio.run(take())


@pytest.fixture(params=[Client, AsyncClient], ids=["sync", "async"])
def client(request: pytest.FixtureRequest) -> Any:
    peer = Peer(Webhook.of_url("https://portal.example/rest/1/s3cr3tw3bh00k/"), clock=FakeClock())
    return request.param(peer, QUICK)


def test_what_a_source_raises_comes_when_all_before_it_is_done(client: Any) -> None:
    def source() -> Iterator[int]:
        yield from range(5)
        raise LookupError("the file is at its end")

    found: list[int] = []
    with pytest.raises(LookupError, match="at its end"):
        carried_out(client, Fed(0), source(), found)
    assert sorted(found) == [0, 1, 2, 3, 4]


def test_a_work_that_has_nothing_to_do_is_told_so(client: Any) -> None:
    with pytest.raises(RuntimeError, match="Countdown is not over, and has nothing to do"):
        carried_out(client, Countdown(4, stuck=True), (), [])


def test_what_breaks_a_lane_breaks_the_work(client: Any) -> None:
    def broken(number: int) -> None:
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        carried_out(client, Countdown(4, broken), (), [])


def test_who_wants_no_more_lets_nothing_more_be_sent() -> None:
    waiting, closed = threading.Event(), threading.Event()
    outcomes: list[Any] = []

    class Watched(Countdown):
        def begin(self) -> Lane | None:
            lane = super().begin()
            if lane is None:
                return None

            def conversation(peer: Peer) -> Any:
                try:
                    return (yield from lane.conversation(peer))
                except Bitrix24Error as error:
                    outcomes.append(str(error))
                    ended.release()
                    raise

            return Lane(conversation)

    def act(number: int) -> None:
        if number:
            waiting.set()
            closed.wait(5)

    ended = threading.Semaphore(0)
    peer = Peer(Webhook.of_url("https://portal.example/rest/1/s3cr3tw3bh00k/"), clock=FakeClock())
    stream = Client(peer, QUICK).stream(Watched(3, act))
    assert next(stream) == 0
    assert waiting.wait(5)
    assert all(thread.daemon for thread in threading.enumerate() if thread.name == "bitrix24-lane")
    stream.close()
    closed.set()
    assert ended.acquire(timeout=5)
    assert ended.acquire(timeout=5)
    assert {text.partition(".")[0] for text in outcomes} == {"nobody waits for it any more"}


def test_who_wants_no_more_of_a_list(portal: FakePortal) -> None:
    with Client(peer_of(portal)) as client:
        pages = client.stream(reading(*ITEMS, parallel=2))
        first = next(pages)
        pages.close()
    assert numbers(first.rows) == there(portal)[: len(first.rows)]
    assert len(first.rows) <= 500
    assert len(portal.requests) == 1
