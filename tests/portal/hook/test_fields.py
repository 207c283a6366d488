"""Fields, types and spans of time over HTTP; one table for the synchronous and the asynchronous half."""

from __future__ import annotations

import datetime as dt
from decimal import Decimal

import pendulum
import pytest

from airflow_provider_b24.rest.errors import ConfigurationError
from airflow_provider_b24.testing import FakePortal


@pytest.fixture(scope="module")
def lasting_portal():
    with FakePortal(seed_deals=130) as made:
        yield made


def asked(portal, method):
    return [call for call in portal.calls if call.method == method]


def test_fields_of_an_entity(face, portal):
    fields = face.fields("crm.item", entity_type_id=2)
    assert fields["opportunity"].type == "double"
    assert fields["opportunity"].kind == "number"
    assert fields["updatedTime"].read_only
    assert fields["assignedById"].upper_name == "ASSIGNED_BY_ID"
    assert portal.calls[-1].params == {"entityTypeId": 2}
    assert face.fields("crm.item.list", entityTypeId=2) == fields


def test_fields_that_nobody_describes(face):
    with pytest.raises(ConfigurationError, match=r"'im\.chat\.list'.*crm\.item, "):
        face.fields("im.chat.list")


def test_the_time_of_the_portal(face, portal):
    now = face.portal_time()
    assert isinstance(now, pendulum.DateTime)
    assert now.utcoffset() == dt.timedelta(hours=3)
    assert abs((now - pendulum.now()).total_seconds()) < 60


def test_rows_with_types(face, portal):
    rows = face.iterate("crm.item.list", {"entityTypeId": 2}, typed=True)
    assert len(rows) == 130
    plain = face.iterate("crm.item.list", {"entityTypeId": 2})
    assert [row["updatedTime"].isoformat() for row in rows] == [row["updatedTime"] for row in plain]
    assert [row["begindate"].isoformat() for row in rows] == [row["begindate"][:10] for row in plain]
    assert {type(row["opportunity"]) for row in rows} == {Decimal}
    assert {row["opened"] for row in rows} == {True}
    assert {row["entityTypeId"] for row in rows} == {2}
    assert len(asked(portal, "crm.item.fields")) == 1


def test_pages_are_typed_too(face, portal):
    for row in face.iterate("crm.item.list", {"entityTypeId": 2, "select": ["id", "closedate"]}, after=100, typed=True):
        assert row["id"] > 100
        assert isinstance(row["closedate"], pendulum.Date)


def test_what_was_changed_in_a_span(face, portal):
    plain = face.iterate("crm.item.list", {"entityTypeId": 2})
    times = sorted(row["updatedTime"] for row in plain)
    since, until = dt.datetime.fromisoformat(times[40]), dt.datetime.fromisoformat(times[90])
    portal.clear()
    rows = face.iterate("crm.item.list", {"entityTypeId": 2}, since=since.astimezone(dt.timezone.utc), until=until)
    assert {row["id"] for row in rows} == {row["id"] for row in plain if times[40] <= row["updatedTime"] < times[90]}
    assert len(asked(portal, "server.time")) == 1
    (first, *_) = asked(portal, "crm.item.list")
    assert first.params["filter"][">=updatedTime"] == times[40]
    assert first.params["filter"]["<updatedTime"] == times[90]


def test_the_callers_filter_stays(face, portal):
    params = {"entityTypeId": 2, "filter": {"stageId": "WON"}}
    rows = face.iterate("crm.item.list", params, since=dt.timedelta(weeks=60))
    assert rows
    assert {row["stageId"] for row in rows} == {"WON"}
    assert params == {"entityTypeId": 2, "filter": {"stageId": "WON"}}


@pytest.mark.parametrize(
    ("method", "params", "since"),
    [
        ("crm.item.list", {"entityTypeId": 2, "filter": {">updatedTime": "2026-01-01"}}, "2026-01-01"),
        ("crm.item.list", {"entityTypeId": 2}, "last week"),
        ("department.get", {}, "2026-01-01"),
    ],
    ids=["twice", "no moment", "no such filter"],
)
def test_spans_that_can_not_be_asked_for(face, portal, method, params, since):
    with pytest.raises(ConfigurationError, match="since"):
        face.iterate(method, params, since=since)
    assert not asked(portal, method)


def test_a_list_that_nobody_describes_has_no_types(face, portal):
    with pytest.raises(ConfigurationError, match="fields"):
        face.iterate("voximplant.statistic.get", typed=True)
