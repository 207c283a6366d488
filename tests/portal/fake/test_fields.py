"""User fields, and a portal in another time zone, as the vendor documents them."""

from __future__ import annotations

from zoneinfo import ZoneInfo

import pytest

from airflow_provider_b24.testing import FakePortal
from airflow_provider_b24.testing.fields import camel_name


@pytest.mark.parametrize(
    ("upper", "camel"),
    [
        ("UF_CRM_3_DIGIT", "ufCrm3Digit"),
        ("UF_CRM_3_1747309727", "ufCrm3_1747309727"),
        ("UF_CRM_3_DIGIT10", "ufCrm_3_DIGIT10"),
        ("UF_CRM_3_DIGIT_10", "ufCrm_3_DIGIT_10"),
        ("UF_CRM_1747309879", "ufCrm_1747309879"),
        ("UF_CRM_SCORE", "ufCrmScore"),
    ],
)
def test_names_of_user_fields(upper, camel):
    assert camel_name(upper) == camel


@pytest.fixture
def fields(portal: FakePortal) -> dict[str, str]:
    return {
        "score": portal.add_field("UF_CRM_SCORE", "integer", title="Score"),
        "tags": portal.add_field("UF_CRM_10_TAGS", "string", multiple=True),
        "paid": portal.add_field("UF_CRM_1747309879", "boolean"),
        "price": portal.add_field("UF_CRM_10_PRICE2", "money"),
        "size": portal.add_field("UF_CRM_10_SIZE", "enumeration", items={79: "small", 80: "large"}),
        "days": portal.add_field("UF_CRM_10_DAYS", "date", multiple=True),
        "scan": portal.add_field("UF_CRM_10_SCAN", "file"),
    }


def test_a_user_field_by_both_of_its_names(call, fields):
    given = {fields["score"]: "7", fields["tags"]: ["a", "b"], fields["paid"]: 1, fields["price"]: "99.50|USD"}
    row = call.result("crm.item.add", {"entityTypeId": 2, "fields": {"title": "A", **given, fields["size"]: "80"}})[
        "item"
    ]
    assert (row["ufCrmScore"], row["ufCrm10Tags"], row["ufCrm_1747309879"]) == (7, ["a", "b"], "Y")
    assert (row["ufCrm_10_PRICE2"], row["ufCrm10Size"], row["ufCrm10Days"]) == ("99.50|USD", 80, [])
    original = {"entityTypeId": 2, "useOriginalUfNames": "Y"}
    change = {"fields": {"UF_CRM_SCORE": 8, "ufCrmScore": 9}}
    row = call.result("crm.item.update", {"id": row["id"], **original, **change})["item"]
    assert row["UF_CRM_SCORE"] == 8
    assert "ufCrmScore" not in row
    (found,) = call.result("crm.item.list", {**original, "filter": {">UF_CRM_SCORE": 7}, "select": ["UF_CRM_SCORE"]})[
        "items"
    ]
    assert found == {"UF_CRM_SCORE": 8}
    classic = call.result("crm.deal.get", {"ID": row["id"]})
    assert (classic["UF_CRM_SCORE"], classic["UF_CRM_1747309879"], classic["UF_CRM_10_TAGS"]) == ("8", "1", ["a", "b"])


def test_filters_by_user_fields(call, fields):
    ids = [
        call.result(
            "crm.item.add", {"entityTypeId": 2, "fields": {"title": "A", fields["tags"]: tags, fields["paid"]: paid}}
        )["item"]["id"]
        for tags, paid in ((["a"], 0), (["a", "b"], 1))
    ]

    def found(condition):
        return [row["id"] for row in call.result("crm.item.list", {"entityTypeId": 2, "filter": condition})["items"]]

    assert found({fields["tags"]: "a"}) == ids
    assert found({fields["tags"]: ["b"]}) == ids[1:]
    assert found({fields["paid"]: 1}) == ids[1:]
    status, answer = call("crm.item.list", {"entityTypeId": 2, "filter": {fields["paid"]: "Y"}})
    assert (status, answer["error"]) == (400, "INVALID_ARG_VALUE")
    status, answer = call("crm.item.list", {"entityTypeId": 2, "filter": {"UF_CRM_10_TAGS": "a"}})
    assert (status, answer["error"]) == (400, "INVALID_ARG_VALUE")


@pytest.mark.parametrize(("name", "value"), [("score", "much"), ("price", "99.50"), ("size", 7), ("days", ["soon"])])
def test_values_that_do_not_fit(call, fields, name, value):
    status, answer = call("crm.item.add", {"entityTypeId": 2, "fields": {fields[name]: value}})
    assert (status, answer["error"]) == (400, "CRM_FIELD_ERROR_VALUE_NOT_VALID")


def test_descriptions(call, fields):
    described = call.result("crm.item.fields", {"entityTypeId": 2})["fields"]
    assert described["ufCrmScore"]["title"] == "Score"
    assert described["ufCrm10Tags"]["isMultiple"]
    assert described["ufCrm10Size"]["items"] == [{"ID": "79", "VALUE": "small"}, {"ID": "80", "VALUE": "large"}]
    assert described["ufCrm_10_PRICE2"]["upperName"] == "UF_CRM_10_PRICE2"
    original = call.result("crm.item.fields", {"entityTypeId": 2, "useOriginalUfNames": "Y"})["fields"]
    assert original["UF_CRM_SCORE"] == described["ufCrmScore"]
    classic = call.result("crm.deal.fields")
    assert classic["OPENED"]["type"] == "char"
    assert classic["UF_CRM_1747309879"]["type"] == "boolean"
    assert "upperName" not in classic["ID"]


def test_a_file_has_an_address_with_a_token(call, fields):
    row = call.result("crm.item.add", {"entityTypeId": 2, "fields": {fields["scan"]: 433}})["item"]
    assert row["ufCrm10Scan"]["id"] == 433
    assert "auth=" in row["ufCrm10Scan"]["urlMachine"]


@pytest.mark.parametrize(
    ("zone", "moment", "day"),
    [
        ("America/New_York", "2026-07-01T08:00:00-04:00", "2026-06-30T20:00:00-04:00"),
        ("Asia/Tokyo", "2026-07-01T21:00:00+09:00", "2026-07-01T09:00:00+09:00"),
    ],
)
def test_a_portal_elsewhere(open_portal, caller_of, zone, moment, day):
    call = caller_of(open_portal(zone=ZoneInfo(zone)))
    fields = {
        "begindate": "2026-07-01",
        "closedate": "2026-07-01T23:30:00-05:00",
        "movedTime": "2026-07-01T12:00:00Z",
    }
    row = call.result("crm.item.add", {"entityTypeId": 2, "fields": fields})["item"]
    assert (row["begindate"], row["closedate"], row["movedTime"]) == (day, day, moment)
    assert call.result("crm.deal.get", {"ID": row["id"]})["MOVED_TIME"] == moment
    assert call.result("server.time")[19:] == row["createdTime"][19:]
    # A time without a zone is the portal's own.
    for condition in ({"movedTime": moment[:19]}, {"begindate": "2026-07-01"}, {"=closedate": "01.07.2026"}):
        assert call.result("crm.item.list", {"entityTypeId": 2, "filter": condition})["items"], condition


def test_fields_of_users_and_tasks(call):
    assert call.result("user.fields")["LAST_NAME"] == "Last name"
    assert call.result("tasks.task.getFields")["fields"]["STATUS"]["values"]["5"] == "Completed"
