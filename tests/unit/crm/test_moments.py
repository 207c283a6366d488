from __future__ import annotations

import datetime as dt
from collections.abc import Mapping
from typing import Any
from zoneinfo import ZoneInfo

import pendulum
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from airflow_provider_b24.crm.moments import asked_filter, between, changeable, moment_of
from airflow_provider_b24.rest.credentials import Webhook
from airflow_provider_b24.rest.errors import ConfigurationError
from airflow_provider_b24.rest.peer import Peer
from airflow_provider_b24.rest.protocol import Response
from airflow_provider_b24.rest.steps import Send

NOW = pendulum.datetime(2026, 7, 1, 12, tz=pendulum.FixedTimezone(3 * 3600))
ITEMS = changeable("crm.item.list")

MOMENTS = [
    ("2026-06-30T10:00:00+02:00", "2026-06-30T11:00:00+03:00"),
    ("2026-06-30T10:00:00Z", "2026-06-30T13:00:00+03:00"),
    ("2026-06-30T10:00:00", "2026-06-30T10:00:00+03:00"),
    ("2026-06-30 10:00", "2026-06-30T10:00:00+03:00"),
    ("2026-06-30", "2026-06-30T00:00:00+03:00"),
    ("20260630T100000Z", "2026-06-30T13:00:00+03:00"),
    ("2026-06", "2026-06-01T00:00:00+03:00"),
    ("2026-W27", "2026-06-29T00:00:00+03:00"),
    ("08:30", "2026-07-01T08:30:00+03:00"),
    (" now ", "2026-07-01T12:00:00+03:00"),
    ("P1D", "2026-06-30T12:00:00+03:00"),
    ("PT90M", "2026-07-01T10:30:00+03:00"),
    (dt.timedelta(days=1), "2026-06-30T12:00:00+03:00"),
    (pendulum.duration(months=1), "2026-06-01T12:00:00+03:00"),
    (dt.date(2026, 6, 30), "2026-06-30T00:00:00+03:00"),
    (pendulum.date(2026, 6, 30), "2026-06-30T00:00:00+03:00"),
    (dt.datetime(2026, 6, 30, 10), "2026-06-30T10:00:00+03:00"),
    (pendulum.naive(2026, 6, 30, 10), "2026-06-30T10:00:00+03:00"),
    (dt.datetime(2026, 6, 30, 10, tzinfo=dt.timezone.utc), "2026-06-30T13:00:00+03:00"),
    (dt.datetime(2026, 1, 30, 10, tzinfo=ZoneInfo("Europe/Berlin")), "2026-01-30T12:00:00+03:00"),
    (dt.datetime(2026, 6, 30, 10, tzinfo=ZoneInfo("Europe/Berlin")), "2026-06-30T11:00:00+03:00"),
    # The hour that comes twice.
    (dt.datetime(2026, 10, 25, 2, 30, tzinfo=ZoneInfo("Europe/Berlin"), fold=0), "2026-10-25T03:30:00+03:00"),
    (dt.datetime(2026, 10, 25, 2, 30, tzinfo=ZoneInfo("Europe/Berlin"), fold=1), "2026-10-25T04:30:00+03:00"),
    (pendulum.datetime(2026, 6, 30, 22, tz="America/New_York"), "2026-07-01T05:00:00+03:00"),
]


@pytest.mark.parametrize(("value", "expected"), MOMENTS, ids=[str(value) for value, _ in MOMENTS])
def test_a_moment_in_any_form(value: Any, expected: str) -> None:
    assert moment_of(value, NOW, "since").isoformat() == expected


WRONG: tuple[Any, ...] = (
    "",
    "last week",
    "2026-02-30",
    "2026-01-01/2026-02-01",
    "P",
    1_767_225_600,
    True,
    [],
    dt.time(8),
    b"2026-01-01",
)


@pytest.mark.parametrize("value", [*WRONG, NOW - NOW.subtract(days=1), dt.timedelta.max], ids=repr)
def test_what_is_no_moment_is_named(value: Any) -> None:
    with pytest.raises(ConfigurationError, match=r"^until is .*, which is no moment"):
        moment_of(value, NOW, "until")


# Clocks that change by an hour, by half of one, in winter, never; and a day that was left out.
ZONES = ("Europe/Berlin", "Australia/Lord_Howe", "Africa/Casablanca", "Asia/Kathmandu", "Pacific/Apia", "America/Atka")


@given(
    at=st.datetimes(
        dt.datetime(1970, 1, 2), dt.datetime(2100, 1, 1), timezones=st.sampled_from([ZoneInfo(name) for name in ZONES])
    ),
    hours=st.integers(-12, 14),
)
@example(at=dt.datetime(1999, 4, 4, 2, tzinfo=ZoneInfo("America/Atka")), hours=0)
def test_whatever_the_zones_the_moment_is_the_same(at: dt.datetime, hours: int) -> None:
    now = NOW.in_timezone(pendulum.FixedTimezone(hours * 3600))
    found = moment_of(at, now, "since")
    assert found.timestamp() == pytest.approx(at.timestamp(), abs=1e-5)
    assert found.utcoffset() == dt.timedelta(hours=hours)


def test_a_span_has_its_beginning_and_not_its_end() -> None:
    assert between(ITEMS, dt.date(2026, 6, 1), "2026-07-01", NOW) == {
        ">=updatedTime": "2026-06-01T00:00:00+03:00",
        "<updatedTime": "2026-07-01T00:00:00+03:00",
    }
    assert between(ITEMS, None, "now", NOW) == {"<updatedTime": "2026-07-01T12:00:00+03:00"}


def test_a_part_of_a_second_counts_for_the_next() -> None:
    late = NOW.add(microseconds=1)
    assert set(between(ITEMS, late, late, NOW).values()) == {"2026-07-01T12:00:01+03:00"}


def test_a_span_that_ends_before_it_begins() -> None:
    with pytest.raises(ConfigurationError, match="which is after until"):
        between(ITEMS, "2026-06-02", "2026-06-01", NOW)


def asked(method: str, params: Mapping[str, Any], *, version: Any = 2, **span: Any) -> Any:
    """The parameters, by a portal whose time it is."""
    peer = Peer(Webhook.of_url("https://example.bitrix24.com/rest/1/0123456789abcdef/"))
    conversation = asked_filter(peer, method, params, since=span.get("since"), until=span.get("until"), version=version)
    outcome: Any = None
    try:
        while True:
            step = conversation.send(outcome)
            outcome = None
            if isinstance(step, Send):
                assert step.request.url.endswith("/server.time")
                outcome = Response(200, {}, b'{"result":"2026-07-01T12:00:00+03:00","time":{}}')
    except StopIteration as stop:
        return stop.value


DAY = "2026-06-01T00:00:00+03:00"
FILTERS = [
    ("crm.item.list", {"entityTypeId": 2}, {"entityTypeId": 2, "filter": {">=updatedTime": DAY}}),
    ("crm.deal.list", {"FILTER": {"ID": 1}}, {"FILTER": {"ID": 1, ">=DATE_MODIFY": DAY}}),
    ("crm.deal.list", {"filter": []}, {"filter": {">=DATE_MODIFY": DAY}}),
    ("tasks.task.list", {}, {"filter": {">=CHANGED_DATE": DAY}}),
    (
        "crm.item.list",
        {"filter": {"logic": "OR", "0": {"stageId": "NEW"}, "1": {"stageId": "WON"}}},
        {
            "filter": {
                "0": {"logic": "OR", "0": {"stageId": "NEW"}, "1": {"stageId": "WON"}},
                ">=updatedTime": DAY,
            }
        },
    ),
    ("crm.item.list", {"filter": {">=createdTime": DAY}}, {"filter": {">=createdTime": DAY, ">=updatedTime": DAY}}),
]


@pytest.mark.parametrize(("method", "params", "expected"), FILTERS, ids=[f"{one[0]} {one[1]}" for one in FILTERS])
def test_the_filter_of_a_method(method: str, params: Any, expected: Any) -> None:
    before = repr(params)
    assert asked(method, params, since="2026-06-01") == expected
    assert repr(params) == before


def test_the_filter_of_rest_3() -> None:
    condition = ["timestampX", ">=", DAY]
    assert asked("main.eventlog.list", {}, version=3, since="2026-06-01") == {"filter": [condition]}
    own: list[Any] = [["userId", "in", [1, 2]]]
    found = asked("main.eventlog.list", {"filter": own}, version=3, since="2026-06-01")
    assert found == {"filter": [["userId", "in", [1, 2]], condition]}
    either = {"logic": "or", "conditions": [["userId", 1], ["userId", 2]]}
    found = asked("main.eventlog.list", {"filter": either}, version=3, since="2026-06-01")
    assert found == {"filter": [either, condition]}


def test_no_span_asks_nothing() -> None:
    params = {"filter": "whatever"}
    assert asked("crm.item.list", params) is params


REFUSED = [
    ("crm.item.list", {"filter": {">updatedTime": "2026-01-01"}}, 2),
    ("crm.item.list", {"filter": {"!=updatedTime": "2026-01-01"}}, 2),
    ("crm.item.list", {"filter": "updatedTime"}, 2),
    ("main.eventlog.list", {"filter": [["timestampX", ">", "2026-01-01"]]}, 3),
    ("tasks.task.list", {"select": ["id"]}, 3),
    ("user.search", {}, 2),
    ("no.such.list", {}, 2),
]


@pytest.mark.parametrize(("method", "params", "version"), REFUSED, ids=[f"{one[0]} {one[1]}" for one in REFUSED])
def test_spans_that_can_not_be_asked_for(method: str, params: Any, version: Any) -> None:
    with pytest.raises(ConfigurationError):
        asked(method, params, since="2026-06-01", version=version)
