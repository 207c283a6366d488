"""Writing many rows by either half of a hook."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from typing import Any

import pytest

from airflow_provider_b24.hooks.bitrix24 import Bitrix24Hook
from airflow_provider_b24.rest.errors import ConfigurationError
from airflow_provider_b24.testing import FakePortal


@pytest.fixture(scope="module")
def lasting_portal():
    with FakePortal() as made:
        yield made


def rows(count: int) -> Iterator[dict[str, Any]]:
    for number in range(count):
        fields = {"title": f"row {number}", "originatorId": "shop", "originId": number}
        yield {"entityTypeId": 2, "fields": fields}


def test_rows_are_written_and_found_again(face, portal):
    before = len(portal.company.crm.tables[2].rows)
    key = ("originatorId", "originId")
    outcomes = face.call_many("crm.item.add", rows(120), key=key, parallel=2)
    assert [outcome.index for outcome in outcomes] == list(range(120))
    assert all(outcome.ok for outcome in outcomes)
    again = face.call_many("crm.item.add", rows(120), key=key)
    assert [outcome.id for outcome in again] == [outcome.id for outcome in outcomes]
    assert all(outcome.updated for outcome in again)
    assert len(portal.company.crm.tables[2].rows) - before in (0, 120)


def test_rows_may_come_asynchronously(portal):
    async def source() -> AsyncIterator[dict[str, Any]]:
        for row in rows(3):
            yield row

    from tests.portal.hook.faces import AsyncFace

    made = AsyncFace(Bitrix24Hook())
    assert all(outcome.created for outcome in made.call_many("crm.item.add", source()))
    made.close()


@pytest.mark.parametrize(
    ("method", "options"),
    [
        ("crm.item.add", {"parallel": 0}),
        ("crm.item.add", {"version": 4}),
        ("crm.item.add/", {}),
        ("im.message.add", {"key": "x"}),
    ],
)
def test_arguments_that_can_not_be_right_are_refused_at_once(portal, method, options):
    with pytest.raises(ConfigurationError):
        Bitrix24Hook().call_many(method, rows(3), **options)


def test_a_method_of_rest_3_and_one_with_files_are_called_one_by_one(face, portal):
    face.call_many("tasks.task.get", [{"id": 8293, "select": ["id"]}] * 3, version=3)
    assert [call.in_batch for call in portal.calls[-3:]] == [False] * 3
