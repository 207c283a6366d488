from __future__ import annotations

import datetime as dt
import logging
from decimal import Decimal
from typing import Any

import pendulum
import pytest
from hypothesis import given
from hypothesis import strategies as st

from airflow_provider_b24.crm.fields import Field
from airflow_provider_b24.crm.typed import Money, typed_rows, without_tokens
from airflow_provider_b24.rest.errors import ConfigurationError

EMPTIES: tuple[Any, ...] = (None, "", False, [], {})


def typed(kind: str, value: Any, *, zone: str | None = None, **about: Any) -> Any:
    """The value of a field of this type; an error where it does not fit."""

    def refuse(field: Field, _row: Any, value: Any) -> Any:
        raise LookupError(f"{value!r} is no {field.type}")

    return typed_rows({"x": Field("x", kind, **about)}, zone=zone, misfit=refuse)({"x": value})["x"]


VALUES = [
    ("string", "Office", "Office"),
    ("string", "", ""),
    ("crm_status", "C1:NEW", "C1:NEW"),
    ("crm", "D_1", "D_1"),
    ("crm", 17, "17"),
    ("integer", 7, 7),
    ("integer", "7", 7),
    ("integer", "-7", -7),
    ("integer", 7.0, 7),
    ("integer", 0, 0),
    ("user", "811", 811),
    ("enumeration", "45", 45),
    ("crm_enum_activitytype", "2", 2),
    ("double", "19999.99", Decimal("19999.99")),
    ("double", 19999.99, Decimal("19999.99")),
    ("double", "1000000000000000.10", Decimal("1000000000000000.10")),
    ("double", 19000, Decimal(19000)),
    ("double", 0, Decimal(0)),
    ("boolean", "Y", True),
    ("boolean", "N", False),
    ("boolean", "1", True),
    ("boolean", 0, False),
    ("boolean", True, True),
    ("boolean", False, False),
    ("char", "Y", True),
    ("money", "300|RUB", Money(Decimal(300), "RUB")),
    ("money", "99.50|USD", Money(Decimal("99.50"), "USD")),
    ("money", "99.50", Money(Decimal("99.50"), "")),
    ("money", "|USD", None),
    ("object", {"a": "1"}, {"a": "1"}),
    ("rest_123_rating", "five", "five"),
    ("datetime", "2024-07-22T18:00:08+02:00", pendulum.datetime(2024, 7, 22, 16, 0, 8)),
    ("datetime", "2026-04-20T12:00:00Z", pendulum.datetime(2026, 4, 20, 12)),
    ("datetime", "2026-01-12T14:30:00.250000+00:00", pendulum.datetime(2026, 1, 12, 14, 30, 0, 250_000)),
    ("datetime", "2024-07-22T18:00:08-0330", pendulum.datetime(2024, 7, 22, 21, 30, 8)),
]


@pytest.mark.parametrize(("kind", "value", "expected"), VALUES, ids=[f"{kind}-{value}" for kind, value, _ in VALUES])
def test_a_value_becomes_what_its_type_says(kind: str, value: Any, expected: Any) -> None:
    found = typed(kind, value)
    assert found == expected
    assert type(found) is type(expected)


KINDS = ("integer", "double", "boolean", "date", "datetime", "money", "enumeration", "user")


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("value", EMPTIES, ids=repr)
def test_what_php_writes_for_nothing_is_none(kind: str, value: Any) -> None:
    if kind == "boolean" and value is False:
        assert typed(kind, value) is False
    else:
        assert typed(kind, value) is None


@pytest.mark.parametrize("kind", [*KINDS, "string", "file"])
@pytest.mark.parametrize("value", EMPTIES, ids=repr)
def test_no_values_are_an_empty_list(kind: str, value: Any) -> None:
    assert typed(kind, value, multiple=True) == (None if value is None else [])


def test_several_values_are_a_list_however_php_writes_them() -> None:
    assert typed("user", ["13", 103], multiple=True) == [13, 103]
    assert typed("user", {"1": "13", "4": "103"}, multiple=True) == [13, 103]
    assert typed("user", "13", multiple=True) == [13]
    assert typed("date", ["2024-01-31", ""], multiple=True) == [pendulum.Date(2024, 1, 31), None]
    assert typed("money", ["1|EUR", "2|USD"], multiple=True) == [Money(Decimal(1), "EUR"), Money(Decimal(2), "USD")]


def test_one_object_of_a_field_of_several_is_not_taken_apart() -> None:
    phone = {"ID": "156", "VALUE": "+733", "TYPE_ID": "PHONE"}
    assert typed("crm_multifield", [phone], multiple=True) == [phone]
    assert typed("crm_multifield", phone, multiple=True) == [phone]


def test_values_of_a_universal_list_stand_under_ids() -> None:
    assert typed("S:employee", {"3743": "1269", "3745": "1271"}, multiple=True, by_id=True) == [1269, 1271]
    assert typed("N", {"3747": "4.5"}, by_id=True) == Decimal("4.5")
    assert typed("N", [], by_id=True) is None


DAYS = [
    "2024-08-30",
    "2024-08-30T00:00:00+00:00",
    # Midnight where the portal is.
    "2024-08-30T00:00:00+14:00",
    "2024-08-30T00:00:00-11:00",
    # Midnight of UTC, in the portal's offset.
    "2024-08-30T03:00:00+03:00",
    "2024-08-29T19:00:00-05:00",
    "2024-08-29T13:00:00-11:00",
    "2024-08-30T13:00:00+13:00",
    # The same, of the other half of the year than now.
    "2024-08-30T01:00:00+02:00",
    "2024-08-29T19:00:00-04:00",
    "2024-08-29T20:00:00-05:00",
    "30.08.2024",
    "30.08.2024 00:00:00",
    "08/30/2024 12:00:00 am",
]


@pytest.mark.parametrize("text", DAYS)
def test_a_day_stays_the_day_that_people_see(text: str) -> None:
    assert typed("date", text) == pendulum.Date(2024, 8, 30)


@given(day=st.dates(dt.date(1901, 1, 1), dt.date(2100, 1, 1)), hours=st.integers(-11, 14), winter=st.integers(-1, 1))
def test_no_zone_moves_a_day(day: dt.date, hours: int, winter: int) -> None:
    midnight = dt.datetime.combine(day, dt.time())
    here = dt.timezone(dt.timedelta(hours=hours))
    theirs = midnight.replace(tzinfo=here)
    crm = (midnight + dt.timedelta(hours=hours + winter)).replace(tzinfo=here)
    for written in {theirs, crm}:
        assert typed("date", written.isoformat()) == day


OLD_TIMES = ("12/31/2024 11:59:59 pm", "31.12.2024 23:59:59", "2024-12-31 23:59:59", "2024-12-31T23:59:59")


@pytest.mark.parametrize("text", OLD_TIMES)
def test_a_time_without_a_zone_needs_one(text: str) -> None:
    assert typed("datetime", text, zone="Europe/Berlin") == pendulum.datetime(2024, 12, 31, 22, 59, 59)
    with pytest.raises(LookupError):
        typed("datetime", text)


def test_a_zone_has_its_summer() -> None:
    assert typed("datetime", "01.07.2024 12:00:00", zone="Europe/Berlin") == pendulum.datetime(2024, 7, 1, 10)
    assert typed("datetime", "01.01.2024 12:00:00", zone="Europe/Berlin") == pendulum.datetime(2024, 1, 1, 11)


MISFITS = [
    ("integer", "seven"),
    ("integer", 7.5),
    ("integer", "1_000"),
    ("integer", True),
    ("integer", ["7"]),
    ("double", "1 000,50"),
    ("double", "NaN"),
    ("double", True),
    ("boolean", "perhaps"),
    ("boolean", 5),
    ("money", "much|USD"),
    ("date", "2024-02-30"),
    ("date", "12/24/2024"),
    ("date", "2024-08-30T14:05:00+03:00"),
    ("date", "2024-08-30T00:00:00 soon"),
    ("date", "31.02.2024"),
    ("date", 20240830),
    ("date", "20240830"),
    ("date", "2024-W35-5"),
    ("datetime", "2024-08-30"),
    ("datetime", "2024-08-30T14:05:00+3"),
    ("datetime", "0000-00-00T00:00:00+00:00"),
    ("datetime", "2024-08-30T25:00:00+00:00"),
    ("datetime", 1724976000),
    ("string", ["a"]),
    ("string", True),
]


@pytest.mark.parametrize(("kind", "value"), MISFITS, ids=[f"{kind}-{value}" for kind, value in MISFITS])
def test_what_does_not_fit_stays_as_it_is(kind: str, value: Any, caplog: pytest.LogCaptureFixture) -> None:
    convert = typed_rows({"x": Field("x", kind)})
    assert convert({"id": 400_000, "x": value}) == {"id": 400_000, "x": value}
    assert [record.levelno for record in caplog.records] == [logging.WARNING]
    assert "400000" in caplog.text
    assert str(value) not in caplog.text


def test_of_one_field_one_misfit_is_told(caplog: pytest.LogCaptureFixture) -> None:
    convert = typed_rows({name: Field(name, "integer") for name in ("x", "y")})
    for number in range(10):
        convert({"id": number, "x": "?", "y": "7"})
    convert({"id": 11, "y": "?"})
    assert len(caplog.records) == 2


def test_somebody_else_may_say_what_stands_for_a_misfit() -> None:
    rejected: list[Any] = []

    def reject(field: Field, row: Any, value: Any) -> None:
        rejected.append((row["id"], field.name, value))

    convert = typed_rows({"x": Field("x", "date"), "id": Field("id", "integer")}, misfit=reject)
    assert convert({"id": "3", "x": "soon"}) == {"id": 3, "x": None}
    assert rejected == [("3", "x", "soon")]


def test_fields_that_nobody_knows_stay() -> None:
    assert typed_rows({})({"entityTypeId": 2, "x": "2024-01-01"}) == {"entityTypeId": 2, "x": "2024-01-01"}


def test_the_row_that_was_read_is_not_changed() -> None:
    row = {"x": ["1", "2"], "file": {"url": "https://a.example/?auth=secret"}}
    typed_rows({"x": Field("x", "user", multiple=True)})(row)
    assert row == {"x": ["1", "2"], "file": {"url": "https://a.example/?auth=secret"}}


ADDRESSES = [
    "https://a.bitrix24.com/rest/crm.controller.item.getFile.json?auth=SECRET&token=crm%7CSECRET",
    "https://a.bitrix24.com/rest/1/SECRET/catalog.product.download?fields%5BfileId%5D=6439",
    "https://a.bitrix24.com/rest/api/1/SECRET/mail.message.get",
    "https://a.bitrix24.com/rest/download.json?auth=SECRET&amp;token=disk%7CSECRET",
    "/bitrix/tools/disk/uf.php?attachedId=9&auth%5BaId%5D=SECRET&action=show&ncc=1",
]


@pytest.mark.parametrize("address", ADDRESSES)
def test_no_way_into_a_file_is_exported(address: str) -> None:
    row = {"photo": {"id": "6439", "urlMachine": address}, "files": [{"id": 1, "inner": [address]}]}
    for fields in ({}, {"photo": Field("photo", "file"), "files": Field("files", "file", multiple=True)}):
        found = typed_rows(fields)(row)
        assert "SECRET" not in str(found)
        assert found["photo"]["id"] == "6439"
    assert address.split("SECRET", maxsplit=1)[0] in str(without_tokens(row))


def test_a_link_that_somebody_wrote_is_his_own() -> None:
    link = "https://shop.example/?token=spring"
    assert typed("url", link) == link
    assert typed("url", [link], multiple=True) == [link]


@given(st.one_of(st.none(), st.text(), st.integers(), st.floats(), st.booleans(), st.lists(st.text()), st.just({})))
def test_no_value_breaks_a_load(value: Any) -> None:
    kinds = ("string", "integer", "double", "boolean", "date", "datetime", "money", "file", "char")
    fields = {kind: Field(kind, kind) for kind in kinds} | {
        f"{kind}s": Field(f"{kind}s", kind, multiple=True) for kind in kinds
    }
    assert set(typed_rows(fields, misfit=lambda *_: None)(dict.fromkeys(fields, value))) == set(fields)


@pytest.mark.parametrize("zone", ["Nowhere/City", "", "../etc"])
def test_a_zone_that_there_is_not(zone: str) -> None:
    with pytest.raises(ConfigurationError, match="no time zone"):
        typed_rows({}, zone=zone)
