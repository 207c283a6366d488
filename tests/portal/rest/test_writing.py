"""Writing in bulk over HTTP; one table for both clients."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from io import BytesIO
from typing import Any
from urllib.parse import urlsplit

import pytest

from airflow_provider_b24.crm.upsert import upserting
from airflow_provider_b24.rest.address import Address
from airflow_provider_b24.rest.content import Content
from airflow_provider_b24.rest.credentials import Webhook
from airflow_provider_b24.rest.errors import (
    AccessDeniedError,
    AuthenticationError,
    Bitrix24Error,
    FileError,
    OperatingLimitError,
)
from airflow_provider_b24.rest.peer import Peer
from airflow_provider_b24.rest.writing import writing
from airflow_provider_b24.testing import FakePortal, Fault
from tests.portal.rest.drivers import Driver, MakeDriver
from tests.unit.rest.clocks import FakeClock

DEAL = 2
Rows = list[dict[str, Any]]


@pytest.fixture(scope="module")
def lasting_portal() -> Iterator[FakePortal]:
    with FakePortal() as portal:
        yield portal


@pytest.fixture
def portal(lasting_portal: FakePortal) -> FakePortal:
    lasting_portal.clear()
    rows = lasting_portal.company.crm.tables[DEAL].rows
    for number in list(rows):
        rows.remove(number)
    return lasting_portal


@pytest.fixture
def client(portal: FakePortal, driver: MakeDriver) -> Iterator[Driver]:
    user, code = urlsplit(portal.webhook_url).path.split("/")[2:4]
    with driver(Peer(Webhook(Address.of_url(portal.url), user, code), clock=FakeClock(), jitter=lambda: 0.5)) as made:
        yield made


def items(count: int) -> Rows:
    return [
        {"entityTypeId": DEAL, "fields": {"title": f"row {number}", "originId": f"x{number}"}}
        for number in range(count)
    ]


def classic(count: int) -> Rows:
    return [{"fields": {"TITLE": f"row {number}", "ORIGIN_ID": f"x{number}"}} for number in range(count)]


def title(row: dict[str, Any]) -> str:
    return str(row["fields"].get("title") or row["fields"]["TITLE"])


def titles(portal: FakePortal) -> list[str]:
    return [str(row["title"]) for row in portal.company.crm.tables[DEAL].rows.values()]


METHODS: list[Any] = [
    pytest.param("crm.item.add", items, id="crm.item.add"),
    pytest.param("crm.deal.add", classic, id="crm.deal.add"),
]
# What goes wrong with a batch on its way, or with a command in it.
FAULTS: list[Any] = [
    pytest.param({"kind": kind, "method": "batch", "after_effect": after, "skip": 3}, id=f"{kind}-{when}")
    for kind in ("reset", "html_500", "truncated_json")
    for after, when in ((False, "before"), (True, "after"))
]
FAULTS += [
    pytest.param({"kind": "json_500", "method": "batch", "after_effect": True, "skip": 3}, id="json_500"),
    pytest.param({"kind": "reset", "in_batch": True, "after_effect": True, "skip": 170}, id="reset-inside"),
]


@pytest.mark.parametrize(("method", "made"), METHODS)
def test_all_rows_are_written_and_their_outcomes_come_in_order(
    portal: FakePortal, client: Driver, method: str, made: Callable[[int], Rows]
) -> None:
    rows = made(2000)
    outcomes = client.stream(writing(method, parallel=4), rows)
    assert [outcome.index for outcome in outcomes] == list(range(2000))
    assert all(outcome.created for outcome in outcomes)
    table = portal.company.crm.tables[DEAL].rows
    assert [table[outcome.id or 0]["title"] for outcome in outcomes] == [title(row) for row in rows]
    assert len(table) == 2000
    assert len(portal.requests) == 40


@pytest.mark.parametrize("fault", FAULTS)
def test_a_spoilt_answer_leaves_its_rows_unknown_and_no_row_is_written_twice(
    portal: FakePortal, client: Driver, fault: dict[str, Any]
) -> None:
    portal.faults.add(Fault(**fault))
    outcomes = client.stream(writing("crm.item.add", parallel=4), items(600))
    written = titles(portal)
    assert len(set(written)) == len(written)
    assert [outcome.index for outcome in outcomes] == list(range(600))
    assert sum(outcome.unknown for outcome in outcomes) == 50
    assert {title(outcome.params) for outcome in outcomes if outcome.ok} <= set(written)
    assert len(portal.requests) == 12


@pytest.mark.parametrize("fault", FAULTS)
def test_with_a_key_a_spoilt_answer_is_settled(portal: FakePortal, client: Driver, fault: dict[str, Any]) -> None:
    portal.faults.add(Fault(**fault))
    outcomes = client.stream(upserting("crm.item.add", "originId", parallel=4), items(300))
    assert all(outcome.ok for outcome in outcomes)
    assert sorted(titles(portal)) == sorted(title(row) for row in items(300))


@pytest.mark.parametrize(
    ("method", "key", "made"),
    [("crm.item.add", "originId", items), ("crm.deal.add", "ORIGIN_ID", classic)],
    ids=["crm.item.add", "crm.deal.add"],
)
def test_with_a_key_a_repeat_adds_nothing(
    portal: FakePortal, client: Driver, method: str, key: str, made: Callable[[int], Rows]
) -> None:
    first = client.stream(upserting(method, key), made(120))
    second = client.stream(upserting(method, key), made(180))
    assert all(outcome.created for outcome in first)
    assert [outcome.updated for outcome in second] == [True] * 120 + [False] * 60
    assert [outcome.id for outcome in second[:120]] == [outcome.id for outcome in first]
    assert sorted(titles(portal)) == sorted(title(row) for row in made(180))


def test_what_is_refused_for_a_limit_is_sent_again(portal: FakePortal, client: Driver) -> None:
    portal.faults.add(Fault("query_limit", "batch", times=3))
    portal.faults.add(Fault("query_limit", "crm.item.add", in_batch=True, times=40, skip=5))
    outcomes = client.stream(writing("crm.item.add"), items(200))
    assert all(outcome.ok for outcome in outcomes)
    assert sorted(titles(portal)) == sorted(title(row) for row in items(200))


def test_an_error_of_one_row_stops_nothing(portal: FakePortal, client: Driver) -> None:
    rows = items(120)
    rows[70]["fields"]["stageId"] = "NO_SUCH_STAGE"
    outcomes = client.stream(writing("crm.item.add"), rows)
    assert [outcome.index for outcome in outcomes if not outcome.ok] == [70]
    assert str(getattr(outcomes[70].error, "code", "")) == "CRM_FIELD_ERROR_VALUE_NOT_VALID"


@pytest.mark.parametrize(
    ("fault", "error"),
    [
        ({"kind": "operation_time_limit", "in_batch": True, "skip": 130}, OperatingLimitError),
        ({"kind": "error", "method": "batch", "code": "ACCESS_DENIED", "status": 403, "skip": 2}, AccessDeniedError),
        ({"kind": "error", "method": "batch", "code": "NO_AUTH_FOUND", "status": 401, "skip": 2}, AuthenticationError),
    ],
    ids=["operating limit", "access denied", "no credential"],
)
def test_what_would_befall_all_rows_ends_it_and_what_is_known_comes_first(
    portal: FakePortal, client: Driver, fault: dict[str, Any], error: type[Bitrix24Error]
) -> None:
    portal.faults.add(Fault(**fault, times=None))
    given: list[Any] = []
    with pytest.raises(error) as caught:
        client.each(writing("crm.item.add", parallel=2), items(1000), given.append)
    assert caught.value.done == len(given)
    assert 100 <= len(given) <= 250
    assert sorted(titles(portal)) == sorted(title(outcome.params) for outcome in given if outcome.ok)


@pytest.mark.parametrize("key", [None, "originId"])
def test_a_row_with_a_file_is_sent_by_itself(portal: FakePortal, client: Driver, key: str | None) -> None:
    rows = items(3)
    # A field that there is not is left out by the portal.
    rows[1]["fields"]["ufFile"] = ["a.txt", Content("a.txt", 4, lambda: BytesIO(b"text"))]
    rows[2]["fields"]["ufFile"] = ["b.txt", Content("b.txt", 5, lambda: BytesIO(b"text"))]
    work = writing("crm.item.add") if key is None else upserting("crm.item.add", key)
    outcomes = client.stream(work, rows)
    assert [type(outcome.error) for outcome in outcomes] == [type(None), type(None), FileError]
    assert [call.in_batch for call in portal.calls if call.method == "crm.item.add"] == [True, False]
    assert [
        call.params["fields"]["ufFile"] for call in portal.calls if not call.in_batch and "fields" in call.params
    ] == [["a.txt", "dGV4dA=="]]


@pytest.mark.parametrize("key", [None, "originId"])
def test_a_text_that_looks_like_a_reference_arrives_as_it_is(
    portal: FakePortal, client: Driver, key: str | None
) -> None:
    rows = items(60)
    for number in range(50, 60):
        rows[number]["fields"] |= {"title": f"$result[{number - 50}][item][id]", "comments": "see $result[3]"}
    rows[55]["fields"]["originId"] = "$result[0]"
    for _ in range(2 if key else 1):
        work = writing("crm.item.add") if key is None else upserting("crm.item.add", key)
        outcomes = client.stream(work, rows)
        assert all(outcome.ok for outcome in outcomes)
    table = portal.company.crm.tables[DEAL].rows
    assert [table[outcome.id or 0]["title"] for outcome in outcomes] == [title(row) for row in rows]
    assert table[outcomes[55].id or 0]["originId"] == "$result[0]"
    assert table[outcomes[55].id or 0]["comments"] == "see $result[3]"
    assert len(table) == 60
