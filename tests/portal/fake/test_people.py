"""People and departments of the fake portal, as the vendor describes the methods."""

from __future__ import annotations

import pytest


def ids(rows):
    return [int(row.get("ID", row.get("id"))) for row in (rows.values() if isinstance(rows, dict) else rows)]


@pytest.mark.parametrize(
    ("given", "found"),
    [
        ({"FILTER": {"EMAIL": ["anna@example.com", "BORIS@example.com"]}}, [1, 2]),
        ({"FILTER": {"@ID": [2, 3]}}, [2, 3]),
        ({"FILTER": {"UF_DEPARTMENT": 3, "ACTIVE": True}}, [2, 3]),
        ({"FILTER": {"UF_DEPARTMENT": [5, 7]}}, [1, 5]),
        ({"FILTER": {"NAME_SEARCH": "petrova anna"}}, [1]),
        ({"ID": 4}, [4]),
    ],
)
def test_users_by_what_a_filter_says(call, given, found):
    assert ids(call.result("user.get", given)) == found


@pytest.mark.parametrize(
    ("scope", "email", "last_login"), [("user", True, True), ("user_basic", True, False), ("user_brief", False, False)]
)
def test_the_scope_says_what_is_shown(portal, call, scope, email, last_login):
    portal.scopes = [scope]
    for method in ("user.get", "user.search"):
        (row,) = call.result(method, {"FILTER": {"NAME": "Anna"}})
        assert ("EMAIL" in row, "LAST_LOGIN" in row) == (email, last_login)


def test_people_are_searched_by_the_beginnings_of_words(call):
    assert ids(call.result("im.search.user.list", {"FIND": "pet ann"})) == [1]
    assert ids(call.result("im.search.user.list", {"FIND": "sales man"})) == [2, 3]
    assert call.result("im.search.user.list", {"FIND": "etrova"}) == []
    assert call.refusal("im.search.user.list", {"FIND": "a"}) == (400, "FIND_SHORT")
    (card,) = call.result("im.search.user.list", {"FIND": "Anna"}).values()
    assert card["name"] == "Anna Petrova"
    assert "email" not in card


def test_a_page_of_people(call):
    status, answer = call("im.search.user.list", {"FIND": "sales", "LIMIT": 1, "OFFSET": 1})
    assert (status, ids(answer["result"]), answer["total"]) == (200, [3], 2)
    assert "next" not in answer


def test_users_by_id(call):
    assert call.result("im.user.get", {"ID": 2})["name"] == "Boris Orlov"
    assert call.result("im.user.get")["id"] == 1
    assert call.refusal("im.user.get", {"ID": 0}) == (400, "ID_EMPTY")
    assert call.refusal("im.user.get", {"ID": 999}) == (400, "USER_NOT_EXISTS")
    assert sorted(call.result("im.user.list.get", {"ID": [2, 999, 3]})) == ["2", "3"]
    assert ids(call.result("im.user.list.get", {"ID": "[2, 3]", "RESULT_TYPE": "array"})) == [2, 3]
    assert call.refusal("im.user.list.get", {"ID": "x"}) == (400, "INVALID_FORMAT")


def test_departments_by_name(call):
    found = call.result("im.search.department.list", {"FIND": "sales", "USER_DATA": "Y"})
    assert [row["full_name"] for row in found] == ["Sales / Example Ltd", "Sales / Analytics / Example Ltd"]
    assert found[0]["manager_user_data"]["name"] == "Daniel Kim"
    assert "manager_user_data" not in found[1]
    assert len(call.result("im.search.department.list", {"FIND": ""})) == 5
    assert call.refusal("im.search.department.list") == (400, "FIND_SHORT")


def test_who_is_in_a_department(call):
    assert call.result("im.department.employees.get", {"ID": [3, 7]}) == {"3": [2, 3], "7": [1]}
    assert ids(call.result("im.department.employees.get", {"ID": [5], "USER_DATA": "Y"})["5"]) == [5]
    assert call.result("im.department.managers.get", {"ID": [3, 9]}) == {"3": [4], "9": []}
    assert [row["manager_user_id"] for row in call.result("im.department.get", {"ID": [3, 9]})] == [4, 0]
    assert call.refusal("im.department.employees.get", {"ID": []}) == (400, "ID_EMPTY")


def test_departments_have_a_scope_of_their_own(portal, call):
    assert call.refusal("department.get")[1] == "insufficient_scope"
    portal.scopes = ["department"]
    assert [row["ID"] for row in call.result("department.get", {"NAME": "Sales", "PARENT": 1})] == ["3"]


def test_a_task_names_its_people(call):
    task = call.result("tasks.task.get", {"taskId": 8293, "select": ["ID", "RESPONSIBLE_ID"]})["task"]
    assert (task["responsibleId"], task["responsible"]["name"]) == ("4", "Daniel Kim")
    assert "title" not in task
    assert call.result("tasks.task.get", {"taskId": 99999}) == []
    assert call.refusal("tasks.task.get", {"taskId": "x"}) == (400, "0")
