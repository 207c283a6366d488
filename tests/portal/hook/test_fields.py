"""Fields, types and spans of time over HTTP; one table for the synchronous and the asynchronous half."""

from __future__ import annotations

import datetime as dt
from decimal import Decimal
from typing import Any
from zoneinfo import ZoneInfo

import pendulum
import pytest

from airflow_provider_b24.crm.typed import Money
from airflow_provider_b24.rest.client import Client
from airflow_provider_b24.rest.credentials import Webhook
from airflow_provider_b24.rest.errors import ConfigurationError
from airflow_provider_b24.rest.peer import Peer
from airflow_provider_b24.rest.protocol import Call
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


def test_a_list_that_nobody_can_describe_is_named(face):
    with pytest.raises(ConfigurationError, match="entityTypeId"):
        face.fields("crm.item")
    with pytest.raises(ConfigurationError, match="has no parameter 'entity'"):
        face.fields("crm.item", entity_type_id=2, entity=3)


GIVEN = {
    "UF_CRM_SCORE": ("integer", "7", 7),
    "UF_CRM_5_RATE": ("double", "0.1", Decimal("0.1")),
    "UF_CRM_1747309879": ("boolean", 1, True),
    "UF_CRM_3_DIGIT10": ("money", "99.50|USD", Money(Decimal("99.50"), "USD")),
    "UF_CRM_3_BORN": ("date", "2001-11-11", pendulum.Date(2001, 11, 11)),
    "UF_CRM_3_MET": ("datetime", "2026-03-29T01:30:00Z", pendulum.datetime(2026, 3, 29, 1, 30)),
    "UF_CRM_3_SIZE": ("enumeration", 80, 80),
    "UF_CRM_3_BOSS": ("employee", "4", 4),
    "UF_CRM_3_PAGE": ("url", "https://example.com/?token=spring", "https://example.com/?token=spring"),
}


@pytest.fixture(scope="module", params=["Europe/Berlin", "America/New_York", "Pacific/Auckland"])
def elsewhere(request):
    """A portal in another zone, with a deal that has user fields; some of them have several values, or none."""
    time = [pendulum.datetime(2026, 7, 1, 12).timestamp()]
    with FakePortal(zone=ZoneInfo(request.param), clock=lambda: time[0]) as portal:
        several: dict[str, Any] = {}
        for name, (kind, value, _) in GIVEN.items():
            items = {79: "small", 80: "large"} if kind == "enumeration" else None
            portal.add_field(name, kind, items=items)
            portal.add_field(f"{name}_MANY", kind, items=items, multiple=True)
            portal.add_field(f"{name}_NONE", kind, items=items)
            several |= {name: value, f"{name}_MANY": [value, value]}
        portal.add_field("UF_CRM_SCAN", "file")
        several["UF_CRM_SCAN"] = 433
        with Client(Peer(Webhook.of_url(portal.webhook_url))) as client:
            client.call(Call("crm.deal.add", {"fields": several}))
        time[0] += 60
        yield portal


@pytest.mark.parametrize("names", ["camel", "original", "classic"])
def test_user_fields_in_any_zone(elsewhere, connect, face, names):
    connect(elsewhere.connection())
    asked_by: dict[str, tuple[str, dict[str, Any]]] = {
        "camel": ("crm.item.list", {"entityTypeId": 2}),
        "original": ("crm.item.list", {"entityTypeId": 2, "useOriginalUfNames": "Y"}),
        "classic": ("crm.deal.list", {"select": ["*", "UF_*"]}),
    }
    method, params = asked_by[names]
    (row,) = face.iterate(method, params, typed=True)
    fields = face.fields(method, **({} if names == "classic" else params))
    in_row = {field.upper_name: name for name, field in fields.items()}
    for name, (kind, _, expected) in GIVEN.items():
        assert row[in_row[name]] == expected, name
        assert type(row[in_row[name]]) is type(expected)
        assert row[in_row[f"{name}_MANY"]] == [expected, expected], name
        assert row[in_row[f"{name}_NONE"]] == (False if kind == "boolean" else None), name
    assert row[in_row["UF_CRM_SCAN"]]["id"] == 433
    assert "0f1e2d3c" not in str(row)


def test_spans_in_any_zone(elsewhere, connect, face):
    connect(elsewhere.connection())
    elsewhere.clear()
    now = face.portal_time()
    for since, until, found in (
        (now.subtract(minutes=10), None, 1),
        (dt.timedelta(minutes=10), "now", 1),
        (now.naive().subtract(seconds=60), now.naive(), 1),
        (now.naive().subtract(seconds=59), None, 0),
        (now.date(), now.date().add(days=1), 1),
        (None, now.subtract(seconds=60), 0),
        (None, now.in_timezone("UTC").subtract(minutes=10), 0),
    ):
        assert len(face.iterate("crm.item.list", {"entityTypeId": 2}, since=since, until=until)) == found, (
            since,
            until,
        )
    for call in asked(elsewhere, "crm.item.list"):
        assert {value[19:] for key, value in call.params["filter"].items() if "Time" in key} == {now.isoformat()[-6:]}


def test_users_and_tasks_have_types(face):
    user = face.iterate("user.get", typed=True)[0]
    assert (user["ID"], user["ACTIVE"], user["TIMESTAMP_X"], user["UF_DEPARTMENT"]) == (1, True, None, [1, 7])
    assert isinstance(user["LAST_LOGIN"], pendulum.DateTime)
    task = face.iterate("tasks.task.list", typed=True)[0]
    assert (task["id"], task["status"]) == (8291, 2)
    assert isinstance(task["createdDate"], pendulum.DateTime)
