"""Lists of every way of paging, read to their end over HTTP; one table for both clients."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import pytest

from airflow_provider_b24.rest.address import Address
from airflow_provider_b24.rest.credentials import Webhook
from airflow_provider_b24.rest.errors import AccessDeniedError, ConfigurationError, IncompleteReplyError
from airflow_provider_b24.rest.peer import Peer
from airflow_provider_b24.testing import FakePortal, Fault
from airflow_provider_b24.testing.company import Department
from tests.portal.rest.drivers import Driver, MakeDriver
from tests.unit.rest.clocks import FakeClock

DAY = "2026-03-{:02}T10:00:00+00:00"
LIST = {"IBLOCK_TYPE_ID": "lists", "IBLOCK_ID": 7}
PERIOD = {"filter": {"startDate": {"from": "2026-03-01T00:00:00Z", "to": "2026-04-01T00:00:00Z"}}}


def status(number: int) -> dict[str, Any]:
    return {"ID": number, "ENTITY_ID": "SOURCE", "STATUS_ID": f"S{number}", "NAME": "x", "SORT": 10, "SYSTEM": "N"}


def activity(number: int) -> dict[str, Any]:
    return {"ID": number, "OWNER_ID": 1, "SUBJECT": f"call {number}", "START_TIME": DAY.format(1 + number % 28)}


def event(number: int) -> dict[str, Any]:
    return {"id": number, "timestampX": DAY.format(1 + number % 28), "severity": "INFO", "userId": number % 3}


class Family(NamedTuple):
    method: str
    params: dict[str, Any]
    version: int
    rows: Callable[[int], dict[str, Any]]
    # Requests for 0, 1, and for 450 rows.
    requests: tuple[int, int, int]
    key: str = "id"


FAMILIES = [
    Family("crm.status.list", {"filter": {"ENTITY_ID": "SOURCE"}}, 2, status, (1, 1, 1), "ID"),
    Family("crm.category.list", {"entityTypeId": 2}, 2, lambda number: {"id": number, "entityTypeId": 2}, (1, 1, 1)),
    Family(
        "crm.timeline.logmessage.list",
        {"entityTypeId": 2, "entityId": 5},
        2,
        lambda number: {"id": number, "created": DAY.format(1 + number % 28), "_of": (2, 5)},
        (1, 1, 8),
    ),
    Family(
        "lists.element.get",
        LIST,
        2,
        lambda number: {"ID": number, "NAME": "x", "_list": 7, "_code": "rates"},
        (0, 1, 8),
        "ID",
    ),
    Family(
        "humanresources.node.list",
        {"type": "TEAM", "select": ["name"]},
        3,
        lambda number: {"id": number, "type": "TEAM", "name": f"team {number}"},
        (1, 2, 4),
    ),
    Family("main.eventlog.tail", {"select": ["userId"]}, 3, event, (1, 2, 10)),
    Family(
        "note.collection.list",
        {},
        3,
        lambda number: {"id": number, "position": 100 - number % 7, "name": "x"},
        (1, 1, 3),
    ),
    Family(
        "call.followup.list",
        {**PERIOD, "select": ["startDate"]},
        3,
        lambda number: {"callId": number, "startDate": DAY.format(1 + number % 28)},
        (1, 1, 3),
        "callId",
    ),
]


@pytest.fixture(scope="module")
def lasting_portal() -> Iterator[FakePortal]:
    with FakePortal() as portal:
        portal.scopes = [*portal.scopes, "humanresources", "main", "note", "call", "lists", "catalog", "department"]
        yield portal


@pytest.fixture
def portal(lasting_portal: FakePortal) -> FakePortal:
    lasting_portal.clear()
    lasting_portal.company.lists.clear()
    lasting_portal.on_call = None
    return lasting_portal


@pytest.fixture
def client(portal: FakePortal, driver: MakeDriver) -> Iterator[Driver]:
    webhook = Webhook(Address.of_url(portal.url), str(portal.access.user_id), portal.access.webhook_code)
    peer = Peer(webhook, clock=FakeClock(), jitter=lambda: 0.5)
    with driver(peer) as made:
        yield made


def fill(portal: FakePortal, family: Family, count: int) -> list[dict[str, Any]]:
    rows = portal.company.lists[family.method.rpartition(".")[0]]
    rows.extend(family.rows(number) for number in range(1, count + 1))
    return rows


def ids(rows: list[dict[str, Any]], key: str) -> list[int]:
    return [int(row[key]) for row in rows]


@pytest.mark.parametrize(
    ("family", "count", "requests"),
    [
        pytest.param(family, count, requests, id=f"{family.method}-{count}")
        for family in FAMILIES
        for count, requests in zip((0, 1, 450), family.requests, strict=True)
        # Of those that people define, one without rows is not found.
        if requests
    ],
)
def test_every_row_once(portal: FakePortal, client: Driver, family: Family, count: int, requests: int) -> None:
    fill(portal, family, count)
    found = ids(client.rows(family.method, family.params, version=family.version), family.key)
    assert sorted(found) == [*range(1, count + 1)]
    assert len(portal.requests) == requests


@pytest.mark.parametrize("family", FAMILIES, ids=lambda family: family.method)
def test_rows_that_are_removed_meanwhile_take_no_others_with_them(
    portal: FakePortal, client: Driver, family: Family
) -> None:
    rows = fill(portal, family, 450)

    def change(_: Any) -> None:
        # The first is gone, and as many are there as before.
        if len(portal.requests) == 2:
            with portal.company.lock:
                del rows[3]
                rows.append(family.rows(451))

    portal.on_call = change
    found = ids(client.rows(family.method, family.params, version=family.version), family.key)
    assert set(found) >= {*range(1, 451)} - {4}
    assert len(found) == len(set(found))


def test_departments_by_offset_in_the_order_of_their_ids(portal: FakePortal, client: Driver) -> None:
    there = portal.company.departments
    before = dict(there)
    try:
        for number in range(1000, 1130):
            there[number] = Department(number, f"d{number}", 1)
        found = ids(client.rows("department.get"), "ID")
        assert found == sorted(there)
        first, second, *others = [call.params.get("START") for call in portal.requests]
        assert (first, second) == (None, 100)
        assert sorted(str(one) for one in others) == ["100", "50", "None"]
    finally:
        there.clear()
        there.update(before)


def test_activities_and_products_are_read_by_key(portal: FakePortal, client: Driver) -> None:
    portal.company.lists["crm.activity"].extend(activity(number) for number in range(1, 131))
    assert ids(client.rows("crm.activity.list", {"select": ["SUBJECT"]}), "ID") == [*range(1, 131)]
    assert ids(client.rows("crm.activity.list", after=100), "ID") == [*range(101, 131)]
    products = portal.company.lists["catalog.product"]
    products.extend({"id": number, "iblockId": 14 + number % 2, "name": "x"} for number in range(1, 261))
    params = {"select": ["name"], "filter": {"iblockId": 14}}
    found = client.rows("catalog.product.list", params)
    assert ids(found, "id") == [*range(2, 261, 2)]
    assert found[0] == {"id": 2, "iblockId": 14, "name": "x"}
    assert all(call.params.get("start", -1) == -1 for call in portal.requests if call.method != "batch")


def test_a_log_is_read_by_key_and_its_tail_goes_on_from_an_id(portal: FakePortal, client: Driver) -> None:
    portal.company.lists["main.eventlog"].extend(event(number) for number in range(1, 131))
    params = {"filter": [["userId", "!=", 1]]}
    wanted = [number for number in range(1, 131) if number % 3 != 1]
    assert ids(client.rows("main.eventlog.list", params, version=3), "id") == wanted
    found = client.rows("main.eventlog.tail", params, version=3, after=100)
    assert ids(found, "id") == [number for number in wanted if number > 100]


def test_a_list_that_never_keeps_still_is_an_error(portal: FakePortal, client: Driver) -> None:
    family = next(one for one in FAMILIES if one.method == "lists.element.get")
    rows = fill(portal, family, 450)

    def change(_: Any) -> None:
        with portal.company.lock:
            del rows[3]

    portal.on_call = change
    with pytest.raises(IncompleteReplyError, match="changed while it was read"):
        client.rows(family.method, family.params)


def test_a_portal_that_refuses_one_page_of_many(portal: FakePortal, client: Driver) -> None:
    family = next(one for one in FAMILIES if one.method == "lists.element.get")
    fill(portal, family, 450)
    portal.faults.add(Fault("error", method=family.method, in_batch=True, times=None, code="ACCESS_DENIED", status=403))
    with pytest.raises(AccessDeniedError):
        client.rows(family.method, family.params)


@pytest.mark.parametrize("parallel", [0, 41, True])
def test_how_many_requests_there_may_be_at_once(client: Driver, parallel: Any) -> None:
    with pytest.raises(ConfigurationError, match="parallel is"):
        client.rows("crm.status.list", parallel=parallel)
