from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from airflow_provider_b24.rest.errors import Bitrix24Error, ConfigurationError, IncompleteReplyError
from airflow_provider_b24.rest.keyset import Keyset
from airflow_provider_b24.rest.list_table import LISTS
from airflow_provider_b24.rest.listing import KeysetReader, reader_for
from airflow_provider_b24.rest.offsets import OffsetReader
from airflow_provider_b24.rest.protocol import Call, Reply
from tests.unit.rest.readers import enough, given_params, read

DEALS = [{"ID": str(number), "TITLE": f"deal {number}"} for number in range(1, 301) if number % 3]


class Deals:
    """``crm.deal.list`` as documented: 50 rows a page, filter and order by ID."""

    def __init__(self, rows: list[dict[str, Any]], page: int = 50) -> None:
        self.rows, self.page = rows, page

    def __call__(self, call: Call) -> Reply:
        params = given_params(call)
        assert params["start"] == -1
        rows = list(self.rows)
        for name, value in params.get("filter", {}).items():
            bound = int(value)
            if name == ">ID":
                rows = [row for row in rows if int(row["ID"]) > bound]
            elif name == "<ID":
                rows = [row for row in rows if int(row["ID"]) < bound]
            elif name == ">=ID":
                rows = [row for row in rows if int(row["ID"]) >= bound]
        rows.sort(key=lambda row: int(row["ID"]), reverse=params["order"]["ID"] == "DESC")
        return Reply(rows[: self.page])


def test_all_rows_once_in_order() -> None:
    rows, calls = read("crm.deal.list", {}, Deals(DEALS))
    assert rows == DEALS
    assert given_params(calls[0]) == {"order": {"ID": "ASC"}, "start": -1}
    assert given_params(calls[1]) == {"order": {"ID": "ASC"}, "filter": {">ID": 74}, "start": -1}
    # 200 rows in 4 pages; only an empty one is the end
    assert len(calls) == 5


def test_descending() -> None:
    rows, calls = read("crm.deal.list", {"order": {"id": "desc"}}, Deals(DEALS))
    assert rows == DEALS[::-1]
    assert given_params(calls[1])["filter"] == {"<ID": 226}


def test_short_pages_are_not_the_end() -> None:
    rows, calls = read("crm.deal.list", {}, Deals(DEALS[:30], page=7))
    assert rows == DEALS[:30]
    assert len(calls) == 6


def test_nothing_to_read() -> None:
    assert read("crm.deal.list", {}, Deals([]))[0] == []


def test_the_callers_filter_goes_along_and_his_bound_is_where_reading_begins() -> None:
    params = {"filter": {">ID": "100", ">=ID": 5, "<ID": 200, "STAGE_ID": 7}}
    rows, calls = read("crm.deal.list", params, Deals(DEALS))
    assert rows == [row for row in DEALS if 100 < int(row["ID"]) < 200]
    assert given_params(calls[0])["filter"] == {">ID": 100, ">=ID": 5, "<ID": 200, "STAGE_ID": 7}
    assert given_params(calls[1])["filter"][">ID"] == 175
    assert params == {"filter": {">ID": "100", ">=ID": 5, "<ID": 200, "STAGE_ID": 7}}


def test_alternatives_of_the_callers_stand_for_themselves() -> None:
    either = {"logic": "OR", "0": {"STAGE_ID": "WON"}, "1": {"STAGE_ID": "LOSE"}}
    reader = reader_for("crm.deal.list", {"filter": either}, after=7)
    assert [given_params(call)["filter"] for call in reader.next_calls()] == [{"0": either, ">ID": 7}]


def test_a_bound_against_the_order_is_left_alone() -> None:
    rows, calls = read("crm.deal.list", {"order": {"ID": "DESC"}, "filter": {">ID": 290}}, Deals(DEALS))
    assert [row["ID"] for row in rows] == ["299", "298", "296", "295", "293", "292"]
    assert given_params(calls[1])["filter"] == {">ID": 290, "<ID": 292}


@pytest.mark.parametrize(
    ("select", "sent"),
    [
        (["TITLE"], ["ID", "TITLE"]),
        (("TITLE",), ["ID", "TITLE"]),
        (["TITLE", "ID"], ["TITLE", "ID"]),
        (["id"], ["id"]),
        (["*", "UF_*"], ["*", "UF_*"]),
        ([], []),
    ],
)
def test_the_id_is_always_selected(select: Any, sent: Any) -> None:
    _, calls = read("crm.deal.list", {"SELECT": select}, Deals([]))
    assert given_params(calls[0])["SELECT"] == sent


def test_rows_that_vanish_and_appear_meanwhile_take_no_others_with_them() -> None:
    deals = Deals(list(DEALS))

    def serve(call: Call) -> Reply:
        reply = deals(call)
        deals.rows = [row for row in deals.rows if int(row["ID"]) > 20]
        return reply

    assert read("crm.deal.list", {}, serve)[0] == DEALS


@pytest.mark.parametrize("desc", [False, True])
def test_a_portal_that_ignores_the_filter(*, desc: bool) -> None:
    rows = DEALS[:50] if not desc else DEALS[:-51:-1]
    with pytest.raises(IncompleteReplyError, match="was asked for rows with ID"):
        read("crm.deal.list", {"order": {"ID": "DESC" if desc else "ASC"}}, lambda call: Reply(rows))


@pytest.mark.parametrize("ids", [[3, 2, 1], [1, 3, 2], [1, 1]])
def test_a_portal_that_ignores_the_order(ids: list[int]) -> None:
    with pytest.raises(IncompleteReplyError, match="filter or sort"):
        read("crm.deal.list", {}, lambda call: Reply([{"ID": number} for number in ids]))


@pytest.mark.parametrize(
    "row",
    [
        *({}, [], None, "1", 7, {"id": 1}),
        *({"ID": value} for value in (None, "", "x", True, 1.5, "-1", "٣", "9" * 30, [1])),
    ],
)
def test_a_row_without_an_id(row: Any) -> None:
    with pytest.raises(IncompleteReplyError, match="no usable 'ID'"):
        read("crm.deal.list", {}, lambda call: Reply([row]))


@pytest.mark.parametrize(
    "result", [None, True, "x", 7, {}, {"items": None}, {"items": "x"}, {"tasks": [{"id": 1}]}, [{"id": 1}]]
)
def test_a_result_that_is_no_list_of_rows(result: Any) -> None:
    with pytest.raises(IncompleteReplyError, match="no list of rows"):
        read("crm.item.list", {"entityTypeId": 2}, lambda call: Reply(result))


def _wrapped(name: str, rows: list[Any]) -> Any:
    return {name: rows} if name else rows


@pytest.mark.parametrize("method", [name for name, listed in LISTS.items() if listed.by_key])
@pytest.mark.parametrize("ids_as_text", [True, False])
def test_every_method_that_is_read_by_key(method: str, *, ids_as_text: bool) -> None:
    keyset = LISTS[method]
    rows = [{keyset.key: str(number) if ids_as_text else number} for number in range(1, 120)]

    def serve(call: Call) -> Reply:
        params = given_params(call)
        bound = params.get(keyset.filter, {}).get(f">{keyset.filter_key}", 0)
        order = params[keyset.order[0]] if isinstance(keyset.order, tuple) else params[keyset.order]
        assert order == (keyset.filter_key if isinstance(keyset.order, tuple) else {keyset.filter_key: "ASC"})
        if isinstance(keyset.order, tuple):
            assert params[keyset.order[1]] == "ASC"
        assert params[keyset.position[0]] == -1
        return Reply(_wrapped(keyset.rows, [row for row in rows if int(row[keyset.key]) > bound][:50]))

    assert read(method, {"other": 1, **enough(keyset)}, serve)[0] == rows


def test_field_and_direction_as_two_parameters() -> None:
    _, calls = read("user.get", {"SORT": "ID", "order": "desc", "filter": {"ACTIVE": True}}, lambda call: Reply([]))
    assert given_params(calls[0]) == {"sort": "ID", "order": "DESC", "FILTER": {"ACTIVE": True}, "start": -1}


def test_conditions_beside_the_filter() -> None:
    params = {"ACTIVE": True, "UF_DEPARTMENT": [1], ">ID": 7, "ADMIN_MODE": True, "select": ["NAME"]}
    _, calls = read("user.get", params, lambda call: Reply([]))
    assert given_params(calls[0]) == {
        "sort": "ID",
        "order": "ASC",
        "FILTER": {"ACTIVE": True, "UF_DEPARTMENT": [1], ">ID": 7},
        "ADMIN_MODE": True,
        "select": ["ID", "NAME"],
        "start": -1,
    }
    either = {"logic": "OR", "0": {"NAME": "x"}, "1": {"NAME": "y"}}
    _, calls = read("user.get", {"ACTIVE": True, "FILTER": either}, lambda call: Reply([]))
    assert given_params(calls[0])["FILTER"] == {"0": either, "ACTIVE": True}
    with pytest.raises(ConfigurationError, match="ACTIVE is given twice"):
        read("user.get", {"ACTIVE": True, "FILTER": {"ACTIVE": False}}, lambda call: Reply([]))


def test_a_table_with_keys_where_a_list_was_meant() -> None:
    pages = iter([Reply({"tasks": {"0": {"id": "1"}, "5": {"id": "2"}}}), Reply({"tasks": []})])
    assert read("tasks.task.list", {}, lambda call: next(pages))[0] == [{"id": "1"}, {"id": "2"}]


def test_an_empty_list_where_a_wrapper_was_meant() -> None:
    assert read("tasks.task.list", {}, lambda call: Reply([]))[0] == []


@pytest.mark.parametrize(
    ("method", "params", "words"),
    [
        ("crm.deal.list", {"start": 50}, "start"),
        ("crm.deal.list", {"START": 0}, "start"),
        ("crm.status.list", {"start": -1}, "start"),
        ("crm.deal.list", {"pagination": {"page": 2}}, "pagination"),
        ("crm.deal.list", {"order": {"TITLE": "ASC"}}, "order"),
        ("crm.deal.list", {"order": {"ID": "ASC", "TITLE": "ASC"}}, "order"),
        ("crm.deal.list", {"order": {"ID": "UP"}}, "order"),
        ("crm.deal.list", {"order": "ID"}, "order"),
        ("user.get", {"sort": "NAME"}, "order"),
        ("user.get", {"order": {"ID": "ASC"}}, "order"),
        ("crm.deal.list", {"filter": "x"}, "filter"),
        ("crm.deal.list", {"filter": ["x"]}, "filter"),
        ("crm.deal.list", {"filter": {">ID": "x"}}, "An id is a number"),
        ("crm.deal.list", {"filter": {">ID": [1]}}, "An id is a number"),
        ("crm.deal.list", {"select": "ID"}, "select"),
    ],
)
def test_parameters_that_leave_no_room(method: str, params: dict[str, Any], words: str) -> None:
    with pytest.raises(ConfigurationError, match=words):
        reader_for(method, params)


# REST 3.0


def test_tasks_in_rest_3() -> None:
    tasks = [{"id": number, "title": "x"} for number in range(1, 120)]

    def serve(call: Call) -> Reply:
        assert call.version == 3
        params = given_params(call)
        assert params["filter"][0] == ["id", ">", 0]
        bound = params["filter"][-1][2]
        return Reply({"items": [task for task in tasks if task["id"] > bound][:50]})

    rows, calls = read("tasks.task.list", {"select": ["title"], "filter": [["id", ">", 0]]}, serve, version=3)
    assert rows == tasks
    assert given_params(calls[1]) == {
        "select": ["id", "title"],
        "filter": [["id", ">", 0], ["id", ">", 50]],
        "order": {"id": "ASC"},
        "pagination": {"page": 1, "limit": 1000},
    }


@pytest.mark.parametrize(
    ("method", "params", "words"),
    [
        ("some.list", {"select": ["id"]}, "REST 3.0 list"),
        ("tasks.task.list", {}, "select is missing"),
        ("tasks.task.list", {"select": ["id"], "filter": {"id": 1}}, "list of conditions"),
        ("tasks.task.list", {"select": ["id"], "pagination": {"limit": 5}}, "pagination"),
    ],
)
def test_what_rest_3_can_not_read(method: str, params: dict[str, Any], words: str) -> None:
    with pytest.raises(ConfigurationError, match=words):
        reader_for(method, params, version=3)


_json = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(["ID", "id", "items", "x"]), inner),
    max_leaves=15,
)


@given(_json, st.none() | st.integers(), st.none() | st.integers())
def test_any_page_is_rows_or_an_error_of_ours(result: Any, total: int | None, following: int | None) -> None:
    for reader in (
        KeysetReader(Keyset("crm.item.list", {}, LISTS["crm.item.list"])),
        KeysetReader(Keyset("crm.deal.list", {}, LISTS["crm.deal.list"])),
        OffsetReader("some.list", {}),
    ):
        reader.next_calls()
        try:
            rows = reader.feed(Reply(result, total, following))
        except Bitrix24Error:
            continue
        assert isinstance(rows, list)
        reader.next_calls()
