from __future__ import annotations

from collections.abc import Iterator
from typing import Any
from urllib.parse import urlsplit

import pytest

from airflow_provider_b24.rest.address import Address
from airflow_provider_b24.rest.credentials import Webhook
from airflow_provider_b24.rest.peer import Peer
from airflow_provider_b24.rest.writing import writing
from airflow_provider_b24.testing import FakePortal
from tests.portal.rest.drivers import Driver, MakeDriver
from tests.unit.rest.clocks import FakeClock

DEAL = 2


@pytest.fixture(scope="module")
def running() -> Iterator[FakePortal]:
    with FakePortal() as portal:
        yield portal


@pytest.fixture
def portal(running: FakePortal) -> Iterator[FakePortal]:
    yield running
    running.clear()
    running.faults.clear()
    for number in (*deals(running),):
        running.company.crm.tables[DEAL].remove(number)


@pytest.fixture
def client(portal: FakePortal, driver: MakeDriver) -> Iterator[Driver]:
    user, code = urlsplit(portal.webhook_url).path.split("/")[2:4]
    with driver(Peer(Webhook(Address.of_url(portal.url), user, code), clock=FakeClock(), jitter=lambda: 0.5)) as made:
        yield made


def rows_of(count: int) -> list[dict[str, Any]]:
    return [
        {"entityTypeId": DEAL, "fields": {"title": f"deal {number}", "opportunity": number}} for number in range(count)
    ]


def deals(portal: FakePortal) -> dict[int, dict[str, Any]]:
    return portal.company.crm.tables[DEAL].rows


def test_all_rows_are_written_and_their_outcomes_come_in_order(portal: FakePortal, client: Driver) -> None:
    rows = rows_of(2000)
    outcomes = client.stream(writing("crm.item.add", parallel=4), rows)
    assert [outcome.index for outcome in outcomes] == list(range(2000))
    assert all(outcome.created for outcome in outcomes)
    table = deals(portal)
    assert [table[outcome.id]["title"] for outcome in outcomes] == [row["fields"]["title"] for row in rows]
    assert len(table) == 2000
