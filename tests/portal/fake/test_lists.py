"""Lists of several families in the fake portal, as the vendor describes their pages."""

from __future__ import annotations

import pytest

V3 = "BITRIX_REST_V3_EXCEPTION_"


@pytest.fixture
def lists(portal):
    portal.scopes = [*portal.scopes, "humanresources", "main", "note", "call", "lists", "catalog"]
    return portal.company.lists


def ids(rows):
    return [int(row.get("ID", row.get("id", row.get("callId")))) for row in rows]


def test_pages_of_activities(call, lists):
    lists["crm.activity"] += [{"ID": number, "SUBJECT": "x", "START_TIME": "2026"} for number in range(1, 121)]
    status, answer = call("crm.activity.list", {"start": 50, "select": ["ID"]})
    assert (status, ids(answer["result"]), answer["total"], answer["next"]) == (200, [*range(51, 101)], 120, 100)
    assert answer["result"][0] == {"ID": "51"}
    _, answer = call("crm.activity.list", {"start": 77})
    assert ids(answer["result"]) == [*range(51, 101)]
    _, answer = call("crm.activity.list", {"start": -1, "order": {"ID": "DESC"}, "filter": {"<=ID": 7}})
    assert (ids(answer["result"]), answer["total"], "next" in answer) == ([7, 6, 5, 4, 3, 2, 1], 0, False)


def test_reference_lists_come_in_one_answer(call, lists):
    lists["crm.status"] += [{"ID": number, "ENTITY_ID": "SOURCE", "SORT": -number} for number in range(1, 121)]
    status, answer = call("crm.status.list", {"filter": {"ENTITY_ID": "SOURCE"}})
    assert (status, answer["total"], ids(answer["result"])[:2]) == (200, 120, [120, 119])
    lists["crm.category"] += [{"id": 9, "entityTypeId": 2, "name": "Sales"}]
    assert call.result("crm.category.list", {"entityTypeId": 2}) == {"categories": lists["crm.category"]}
    assert call.refusal("crm.category.list") == (400, "100")
    assert call.refusal("crm.category.list", {"entityTypeId": 999}) == (400, "NOT_FOUND")
    assert call.refusal("crm.category.list", {"entityTypeId": 1}) == (400, "ENTITY_TYPE_NOT_SUPPORTED")


def test_ten_entries_of_a_timeline_to_a_page(call, lists):
    lists["crm.timeline.logmessage"] += [{"id": number, "_of": (2, 5)} for number in range(1, 15)]
    status, answer = call("crm.timeline.logmessage.list", {"entityTypeId": 2, "entityId": 5})
    assert (status, ids(answer["result"]), answer["next"]) == (200, [*range(14, 4, -1)], 10)
    assert call.refusal("crm.timeline.logmessage.list", {"entityTypeId": 2}) == (400, "100")


def test_elements_are_not_found_by_a_filter_of_their_ids(call, lists):
    lists["lists.element"] += [{"ID": number, "NAME": f"e{number}", "_list": 7, "_code": "x"} for number in (1, 2, 3)]
    params = {"IBLOCK_TYPE_ID": "lists", "IBLOCK_ID": 7}
    order = {"ELEMENT_ORDER": {"ID": "DESC"}}
    assert ids(call.result("lists.element.get", {**params, **order, "FILTER": {">ID": 1}})) == [3, 2, 1]
    assert ids(call.result("lists.element.get", {**params, "ELEMENT_ID": 2})) == [2]
    assert ids(call.result("lists.element.get", {**params, "FILTER": {"NAME": "e3"}})) == [3]
    assert call.refusal("lists.element.get", {"IBLOCK_ID": 7}) == (400, "ERROR_REQUIRED_PARAMETERS_MISSING")
    assert call.refusal("lists.element.get", {**params, "IBLOCK_ID": 8}) == (400, "ERROR_IBLOCK_NOT_FOUND")


def test_products_of_one_catalog(call, lists):
    lists["catalog.product"] += [{"id": number, "iblockId": number % 2, "name": "x"} for number in range(1, 5)]
    params = {"select": ["id", "iblockId"], "filter": {"iblockId": 1, ">id": 1}}
    assert call.result("catalog.product.list", params) == {"products": [{"id": 3, "iblockId": 1}]}
    assert call.refusal("catalog.product.list", {**params, "select": ["id"]}) == (400, 0)
    assert call.refusal("catalog.product.list", {**params, "filter": {}}) == (400, 0)


def test_departments_and_teams(call, lists):
    lists["humanresources.node"] += [{"id": number, "type": "TEAM", "name": "x"} for number in range(1, 451)]
    page = {"type": "TEAM", "pagination": {"limit": 500, "offset": 199}, "select": ["id"]}
    _, answer = call.v3("humanresources.node.list", page)
    assert ids(answer["result"]["items"]) == [*range(200, 400)]
    _, answer = call.v3("humanresources.node.list", {**page, "pagination": {"limit": 100, "page": 5}})
    assert answer["result"]["items"] == [{"id": number} for number in range(401, 451)]
    for given, code in (
        ({"type": "X"}, "VALIDATION_REQUESTVALIDATIONEXCEPTION"),
        ({"type": "TEAM", "pagination": {"limit": 0}}, "INVALIDPAGINATIONEXCEPTION"),
        ({"type": "TEAM", "pagination": {"limit": "x"}}, "INVALIDPAGINATIONEXCEPTION"),
    ):
        status, answer = call.v3("humanresources.node.list", given)
        assert (status, answer["error"]["code"]) == (400, V3 + code)


def test_the_log_and_its_tail(call, lists):
    lists["main.eventlog"] += [{"id": number, "userId": number % 2} for number in range(1, 121)]
    params = {"filter": [["userId", 1], ["id", ">", 100]], "order": {"id": "DESC"}, "pagination": {"limit": 3}}
    assert ids(call.v3("main.eventlog.list", params)[1]["result"]["items"]) == [119, 117, 115]
    cursor = {"cursor": {"value": 60}, "filter": [["userId", 1]]}
    assert ids(call.v3("main.eventlog.tail", cursor)[1]["result"]["items"]) == [*range(61, 121, 2)]
    for given, code in (
        ({"filter": [["id", ">", 5]]}, "INVALIDFILTEREXCEPTION"),
        ({"filter": [["x", 5]]}, "UNKNOWNDTOPROPERTYEXCEPTION"),
        ({"filter": [["userId", "~", 5]]}, "UNKNOWNFILTEROPERATOREXCEPTION"),
        ({"select": "id"}, "INVALIDSELECTEXCEPTION"),
    ):
        assert call.v3("main.eventlog.tail", given)[1]["error"]["code"] == V3 + code


def test_cursors(call, lists):
    lists["note.collection"] += [{"id": number, "position": -number} for number in range(1, 6)]
    _, answer = call.v3("note.collection.list", {"pagination": {"limit": 2}})
    assert ids(answer["result"]["items"]) == [5, 4]
    follow = {"pagination": {"limit": 3, "afterCursor": answer["result"]["nextCursor"]}}
    _, answer = call.v3("note.collection.list", follow)
    assert (ids(answer["result"]["items"]), answer["result"]["nextCursor"]) == ([3, 2, 1], None)
    assert call.v3("note.collection.list", {"pagination": {"limit": 201}})[0] == 400
    lists["call.followup"] += [
        {"callId": number, "startDate": f"2026-03-{number:02}T10:00:00+00:00", "overview": {}}
        for number in range(1, 26)
    ]
    period = {"filter": {"startDate": {"from": "2026-03-02T00:00:00Z", "to": "2026-03-30T00:00:00Z"}}}
    _, answer = call.v3("call.followup.list", {**period, "select": ["callId", "overview"]})
    assert (ids(answer["result"]["items"]), answer["result"]["hasMore"]) == ([*range(25, 5, -1)], True)
    more = {**period, "pagination": {"afterCursor": answer["result"]["afterCursor"]}}
    _, answer = call.v3("call.followup.list", more)
    assert (ids(answer["result"]["items"]), answer["result"]["hasMore"]) == ([5, 4, 3, 2], False)
    for given, code in (
        ({"filter": {}}, "invalid_date_range"),
        ({**period, "order": {"startDate": "up"}}, "invalid_order"),
        ({**period, "pagination": {"limit": 0}}, "invalid_pagination"),
    ):
        status, answer = call.v3("call.followup.list", given)
        assert (status, answer["error"]["code"]) == (400, code)
