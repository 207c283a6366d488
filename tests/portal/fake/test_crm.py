"""``crm.item.*``, ``crm.deal.*`` and the tasks of version 2."""

from __future__ import annotations

import time

import pytest


@pytest.fixture
def deals(portal, call):
    portal.add_deals(120)

    def read(**params):
        answer = call("crm.item.list", {"entityTypeId": 2, "select": ["id"]} | params)[1]
        return [item["id"] for item in answer["result"]["items"]], answer.get("total"), answer.get("next")

    return read


def test_pages_by_offset(deals):
    assert deals() == (list(range(1, 51)), 120, 50)
    assert deals(start=50) == (list(range(51, 101)), 120, 100)
    assert deals(start=100) == (list(range(101, 121)), 120, None)
    assert deals(start=500) == ([], 120, None)
    assert deals(start=-1) == (list(range(1, 51)), 0, None)


def test_pages_by_id(deals):
    assert deals(start=-1, filter={">id": 100}, order={"id": "ASC"}) == (list(range(101, 121)), 0, None)
    assert deals(start=-1, filter={"<id": 100}, order={"id": "DESC"})[0] == list(range(99, 49, -1))
    assert deals(filter={">=id": 10, "<=id": "12"}) == ([10, 11, 12], 3, None)
    assert deals(order={"id": "DESC"})[0] == list(range(120, 70, -1))


def test_filters(call, portal):
    rows = [
        {"title": "Alpha", "opportunity": 10, "stageId": "NEW", "assignedById": 2},
        {"title": "beta", "opportunity": "20.5", "stageId": "WON", "assignedById": 3},
        {"title": "Gamma beta", "opportunity": 30, "stageId": "LOSE", "sourceId": "WEB"},
    ]
    for row in rows:
        call.result("crm.item.add", {"entityTypeId": 2, "fields": row})

    def found(condition):
        return [row["id"] for row in call.result("crm.item.list", {"entityTypeId": 2, "filter": condition})["items"]]

    assert found({"stageId": "WON"}) == found({"=stageId": "WON"}) == [2]
    assert found({"!=stageId": "WON"}) == found({"!stageId": "WON"}) == [1, 3]
    assert found({"@stageId": ["NEW", "WON"]}) == found({"stageId": ["NEW", "WON"]}) == [1, 2]
    assert found({"!@stageId": ["NEW", "WON"]}) == [3]
    assert found({">opportunity": 20}) == [2, 3]
    assert found({">=opportunity": "20.5", "<opportunity": 30}) == [2]
    assert found({"%title": "BETA"}) == [2, 3]
    assert found({"=%title": "beta%"}) == found({"%=title": "beta%"}) == [2]
    assert found({"!%title": "beta"}) == [1]
    assert found({"!=%title": "%beta"}) == [1]
    assert found({"title": "ALPHA"}) == [1]
    assert found({"sourceId": ""}) == [1, 2]
    assert found({"!sourceId": None}) == [3]
    assert found({"logic": "OR", "0": {"stageId": "NEW"}, "1": {"stageId": "LOSE"}}) == [1, 3]
    assert found({"0": {"logic": "OR", "stageId": "NEW", "opportunity": 30}, ">id": 1}) == [3]
    today = portal.company.now()
    assert found({">=createdTime": today.strftime("%Y-%m-%d"), "<createdTime": "2100-01-01T00:00:00Z"}) == [1, 2, 3]
    assert found({">createdTime": "2100-01-01"}) == []


@pytest.mark.parametrize(
    ("params", "error"),
    [
        ({}, "100"),
        ({"entityTypeId": 5}, "NOT_FOUND"),
        ({"entityTypeId": 2, "filter": {"STAGE_ID": "NEW"}}, "INVALID_ARG_VALUE"),
        ({"entityTypeId": 2, "filter": {">id": "$result[a]"}}, "INVALID_ARG_VALUE"),
        ({"entityTypeId": 2, "filter": {">createdTime": "yesterday"}}, "INVALID_ARG_VALUE"),
        ({"entityTypeId": 2, "order": {"nope": "ASC"}}, "INVALID_ARG_VALUE"),
        ({"entityTypeId": 2, "order": {"id": "up"}}, "INVALID_ARG_VALUE"),
        ({"entityTypeId": 2, "filter": "id>5"}, "100"),
    ],
)
def test_lists_that_are_refused(call, params, error):
    assert call.refusal("crm.item.list", params) == (400, error)


def test_order_by_other_fields(call):
    for opportunity, title in ((5, "b"), (7, "a"), (5, "a")):
        fields = {"title": title, "opportunity": opportunity}
        call.result("crm.item.add", {"entityTypeId": 2, "fields": fields})
    order = {"opportunity": "DESC", "title": "ASC"}
    items = call.result("crm.item.list", {"entityTypeId": 2, "order": order, "start": -1})["items"]
    assert [item["id"] for item in items] == [2, 3, 1]


def test_the_life_of_an_item(call):
    item = call.result("crm.item.add", {"entityTypeId": 2, "fields": {"title": "x", "nope": 1, "id": 77}})["item"]
    assert (item["id"], item["entityTypeId"], item["stageId"], item["stageSemanticId"]) == (1, 2, "NEW", "P")
    assert "nope" not in item
    where = {"entityTypeId": 2, "id": 1}
    assert call.result("crm.item.get", where)["item"] == item
    changed = call.result("crm.item.update", where | {"fields": {"stageId": "WON"}})["item"]
    assert (changed["stageSemanticId"], changed["closed"], changed["title"]) == ("S", "Y", "x")
    assert call.refusal("crm.item.update", where | {"fields": {"stageId": "GONE"}}) == (
        400, "CRM_FIELD_ERROR_VALUE_NOT_VALID",
    )  # fmt: skip
    assert call.refusal("crm.item.update", where) == (400, "100")
    assert call.result("crm.item.delete", where) == []
    assert call.refusal("crm.item.get", where) == (400, "NOT_FOUND")
    assert call.refusal("crm.item.get", {"entityTypeId": 2}) == (400, "100")
    assert call.result("crm.item.fields", {"entityTypeId": 2})["fields"]["stageId"]["upperName"] == "STAGE_ID"


@pytest.mark.parametrize("entity_type", [1, 3, 4, 1030])
def test_other_types(call, entity_type):
    call.result("crm.item.add", {"entityTypeId": entity_type, "fields": {"title": "x"}})
    assert call.result("crm.item.list", {"entityTypeId": entity_type})["items"][0]["title"] == "x"


def test_deals_the_old_way(call, portal):
    portal.add_deals(60)
    _, answer = call("crm.deal.list", {"select": ["ID", "OPPORTUNITY"], "order": {"ID": "DESC"}})
    assert (answer["total"], answer["next"], answer["result"][0]["ID"]) == (60, 50, "60")
    assert answer["result"][0]["OPPORTUNITY"].endswith(".00")
    assert len(call.result("crm.deal.list", {"filter": {"NOPE": 1, "<ID": 4}})) == 3
    assert call("crm.deal.list", {"start": -1})[1]["total"] == 0
    new = call.result("crm.deal.add", {"fields": {"TITLE": "x", "OPPORTUNITY": "5"}})
    assert call.result("crm.deal.update", {"id": new, "fields": {"STAGE_ID": "WON"}}) is True
    deal = call.result("crm.deal.get", {"id": new})
    assert (deal["ID"], deal["STAGE_ID"], deal["OPPORTUNITY"], deal["CLOSED"]) == ("61", "WON", "5.00", "Y")
    assert call.result("crm.deal.delete", {"ID": new}) is True
    assert call("crm.deal.get", {"id": new})[1] == {"error": "", "error_description": "Not found."}
    for method, params in (
        ("crm.deal.get", {}),
        ("crm.deal.list", {"filter": "x"}),
        ("crm.deal.add", {"fields": "x"}),
        ("crm.deal.add", {"fields": {"CURRENCY_ID": "GOLD"}}),
    ):
        assert call.refusal(method, params) == (400, "")


def test_deals_that_come_with_the_portal(open_portal, caller_of):
    portal = open_portal(seed_deals=200)
    items = caller_of(portal).result("crm.item.list", {"entityTypeId": 2, "start": 150})["items"]
    assert len(items) == 50
    assert len({item["stageId"] for item in items}) > 4
    assert all(item["opportunity"] > 0 and item["currencyId"] == "USD" for item in items)
    first = portal.company.crm.tables[2].rows[1]["createdTime"]
    assert first < items[0]["createdTime"] < items[-1]["createdTime"] <= portal.company.now_text()


def test_a_page_by_id_does_not_look_at_every_row(portal, call):
    portal.add_deals(100_000)
    params = {"entityTypeId": 2, "start": -1, "filter": {">id": 99_000, "!stageId": "GONE"}, "order": {"id": "ASC"}}
    call.result("crm.item.list", params)
    started = time.perf_counter()
    for _ in range(20):
        assert len(call.result("crm.item.list", params)["items"]) == 50
    assert time.perf_counter() - started < 2.0  # a scan takes over 20 ms, this about 1


def test_tasks(call):
    _, answer = call("tasks.task.list", {"filter": {"REAL_STATUS": 2}})
    assert answer["total"] == 2
    assert [task["id"] for task in answer["result"]["tasks"]] == ["8297", "8291"]
    assert call.refusal("tasks.task.list", {"order": {"NOPE": "asc"}}) == (400, "0")
    assert call.result("tasks.task.get", {"taskId": 8293})["task"]["title"] == "Weekly sales report"
    assert call.refusal("tasks.task.get", {"taskId": "x"}) == (400, "0")
    assert call.refusal("tasks.task.get", {}) == (400, "100")
