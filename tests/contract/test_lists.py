"""The table of list methods says what the vendor's machine-readable schemas say, and leaves none of them out."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

import pytest

from airflow_provider_b24.rest.keyset import rows_of
from airflow_provider_b24.rest.list_table import LISTS, LISTS_3
from airflow_provider_b24.rest.listing import reader_for
from tests.unit.rest.readers import enough, given_params

BOTH = [(2, name) for name in LISTS] + [(3, name) for name in LISTS_3]

# Pages without a schema.
WITHOUT_SCHEMA = {
    *(
        f"crm.{name}.list"
        for name in ["catalog", "dealcategory", "measure", "paysystem", "persontype", "product", "productrow"]
    ),
    *(f"crm.{name}.list" for name in ["invoice.recurring", "invoice.status", "timeline.icon", "timeline.logo"]),
    *(f"{name}.list" for name in ["bizproc.robot", "calendar.resource", "crm.automation.trigger", "imbot.bot"]),
    *("sale.paysystem.handler.list", "userfieldtype.list", "crm.deal.productrows.get"),
}
# What is sent although the schema does not have it.
UNLISTED = {
    (2, "crm.lead.list"): {"order"},  # on the page, whose table the schema was not made from
    (2, "crm.invoice.list"): {"start"},  # the page refers to the article on list methods
    (3, "tasks.task.list"): {"pagination"},  # the schema is that of REST 2
}
# Where the example has been made for other fields, or the schema describes the method of the other version.
OTHER_ROWS = {
    (2, "catalog.pricetypelang.list"): "the example selects other fields",
    (2, "sale.tradebinding.list"): "the example selects other fields",
    (3, "tasks.task.list"): "the schema is that of REST 2",
    (3, "tasks.task.result.list"): "the schema is that of REST 2",
}
# Rows whose ids do not tell them from each other.
REPEATED = {"calendar.event.get", "calendar.resource.booking.list"}
# Methods that look like lists, and are none.
NO_LISTS = {
    "humanresources.node.communication.list": "its rows are in three lists",
    "im.notify.read.list": "it marks as read",
    "imconnector.list": "a mapping of codes to names",
    "landing.demos.getpagelist": "a mapping of templates by their codes",
    "landing.demos.getsitelist": "a mapping of templates by their codes",
    "booking.v1.booking.createfromwaitlist": "it adds",
    "catalog.document.cancellist": "it cancels",
    "catalog.document.conductlist": "it conducts",
    "catalog.document.deletelist": "it deletes",
}
PAGED = {"start", "pagination", "cursor", "page", "offset", "last_id"}


@pytest.fixture(scope="module")
def by_name(schemas: Mapping[str, Mapping[str, Any]]) -> dict[str, Mapping[str, Any]]:
    return {name.lower(): schema for name, schema in schemas.items()}


def looks_like_a_list(schema: Mapping[str, Any]) -> bool:
    """By its name, a parameter that asks for a page, or an answer that counts rows or names a next page."""
    names = {one["name"].lower() for one in schema["params"]}
    answer = schema.get("resultExample") or {}
    last = schema["method"].rsplit(".", 1)[-1].lower()
    return bool(
        re.search(r"(list|tail)$", last)
        or (PAGED & names)
        or {"filter", "order"} <= names
        or (isinstance(answer, Mapping) and "next" in answer)
    )


def test_no_list_is_missing(by_name):
    looks = {name for name, schema in by_name.items() if looks_like_a_list(schema)}
    assert looks - set(LISTS) - set(LISTS_3) == set(NO_LISTS)
    assert len(looks) > 220


def test_every_list_is_the_vendors(by_name):
    assert {*LISTS, *LISTS_3} - set(by_name) == WITHOUT_SCHEMA


@pytest.mark.parametrize(("version", "name"), BOTH)
def test_every_parameter_of_a_list_is_the_vendors(by_name, version, name):
    listed = (LISTS_3 if version == 3 else LISTS)[name]
    if name in WITHOUT_SCHEMA or listed.paging == "refused":
        return
    sent = set(given_params(reader_for(name, enough(listed), version=version).next_calls()[0]))
    sent |= {part for part in (listed.filter, listed.select) if part}
    sent |= {listed.order} if isinstance(listed.order, str) else set(listed.order)
    if listed.paging != "whole":
        sent.add(listed.position[0].partition(".")[0])
    described = {one["name"] for one in by_name[name]["params"]}
    assert sent - {""} - described == UNLISTED.get((version, name), set())


@pytest.mark.parametrize(("version", "name"), BOTH)
def test_rows_and_their_ids_are_where_the_example_has_them(by_name, version, name):
    listed = (LISTS_3 if version == 3 else LISTS)[name]
    answer = by_name.get(name, {}).get("resultExample")
    result = answer.get("result") if isinstance(answer, Mapping) else None
    if result is None or (version, name) in OTHER_ROWS or listed.paging == "refused":
        return
    rows = rows_of(name, result, listed.rows)
    mappings = [row for row in rows if isinstance(row, Mapping)]
    assert (
        all(listed.key in row for row in mappings)
        if listed.key
        else name in REPEATED or not any({"id", "ID"} & set(row) for row in mappings)
    )
