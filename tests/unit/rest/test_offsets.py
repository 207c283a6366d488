"""Lists by offset or number of the page, while they change."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Mapping
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from airflow_provider_b24.rest.errors import ConfigurationError, IncompleteReplyError
from airflow_provider_b24.rest.listing import reader_for
from airflow_provider_b24.rest.protocol import Call, Reply
from tests.unit.rest.readers import Listing, given_params, read

Change = Callable[[list[Any]], object]

COMMENTS = "crm.timeline.comment.list"
WHOSE = {"filter": {"ENTITY_ID": 1, "ENTITY_TYPE": "deal"}}
# Neither in the table nor sorted.
UNKNOWN = "some.list"


def ids_of(rows: list[Any]) -> list[Any]:
    return [row["ID"] for row in rows]


def remove(*ids: Any) -> Change:
    def change(there: list[Any]) -> None:
        there[:] = [one for one in there if one not in ids]

    return change


def add(*ids: Any) -> Change:
    return lambda there: there.extend(ids)


def both(*changes: Change) -> Change:
    def change(there: list[Any]) -> None:
        for one in changes:
            one(there)

    return change


@pytest.mark.parametrize("total", [0, 1, 49, 50, 51, 100, 137])
@pytest.mark.parametrize(
    ("method", "params", "wrapper"), [(COMMENTS, WHOSE, ""), (UNKNOWN, {}, ""), (UNKNOWN, {}, "x")]
)
def test_all_rows(method: str, params: dict[str, Any], wrapper: str, total: int) -> None:
    rows, calls = read(method, params, Listing([*range(1, total + 1)], wrapper=wrapper))
    assert ids_of(rows) == [*range(1, total + 1)]
    # The last page before those between; at the end, the first and the last once more.
    starts = [given_params(call).get("start") for call in calls]
    assert starts == {51: [None, 50, None], 100: [None, 50, None], 137: [None, 100, 50, None, 100]}.get(total, [None])
    assert all(given_params(call).get("filter") == params.get("filter") for call in calls)


def test_it_is_sorted_by_id_where_that_is_possible_and_the_caller_wants_no_other_order() -> None:
    orders = [
        given_params(read(COMMENTS, {**WHOSE, **order}, Listing([1]))[1][0])["order"]
        for order in ({}, {"order": {"CREATED": "DESC"}})
    ]
    assert orders == [{"ID": "ASC"}, {"CREATED": "DESC"}]
    assert given_params(read("department.get", {}, Listing([1]))[1][0]) == {"sort": "ID", "order": "ASC"}
    assert given_params(read("department.get", {"sort": "NAME"}, Listing([1]))[1][0]) == {"sort": "NAME"}
    conditions = {"SORT": 500}
    assert given_params(read("department.get", conditions, Listing([1]))[1][0]) == {
        **conditions,
        "sort": "ID",
        "order": "ASC",
    }


def test_pages_that_are_known_to_be_there_are_asked_for_at_once() -> None:
    listing = Listing([*range(1, 6001)])
    reader = reader_for(COMMENTS, WHOSE)
    sizes, rows = [], []
    while calls := reader.next_calls():
        sizes.append(len(calls))
        for reply in [listing(call) for call in calls]:
            rows += reader.feed(reply)
    assert sizes == [1, 1, 100, 18, 2]
    assert ids_of(rows) == [*range(1, 6001)]


@pytest.mark.parametrize("after_call", [1, 2, 3])
def test_what_is_added_to_a_sorted_list_moves_nothing(after_call: int) -> None:
    listing = Listing([*range(1, 131)], changes={after_call: add(131)})
    rows, calls = read(COMMENTS, WHOSE, listing)
    assert ids_of(rows)[:130] == [*range(1, 131)]
    assert len(calls) == 5


@pytest.mark.parametrize("after_call", [1, 2, 3])
@pytest.mark.parametrize("what", ["fewer", "as many", "more"])
def test_rows_that_moved_past_the_reading_are_read_again(after_call: int, what: str) -> None:
    removed = {"fewer": remove(7), "as many": both(remove(7), add(131)), "more": both(remove(7), add(131, 132))}[what]
    listing = Listing([*range(1, 131)], changes={after_call: removed})
    found = ids_of(read(COMMENTS, WHOSE, listing)[0])
    assert set(found) >= set(range(1, 131)) - {7}
    assert len(found) == len(set(found))


def test_a_list_that_never_keeps_still_is_an_error() -> None:
    def changes() -> Mapping[int, Change]:
        return {call: remove(call) for call in range(1, 100)}

    with pytest.raises(IncompleteReplyError, match="changed while it was read") as caught:
        read(COMMENTS, WHOSE, Listing([*range(1, 200)], changes=changes()))
    assert "read it again when less is going on" in caught.value.advice


def test_rows_without_an_id_are_not_read_twice() -> None:
    listing = Listing([*range(1, 131)], key="OTHER", changes={1: remove(7)})
    with pytest.raises(IncompleteReplyError, match="changed while it was read"):
        read(UNKNOWN, {}, listing)
    assert listing.calls == 2


@given(
    size=st.integers(0, 180),
    steps=st.dictionaries(
        st.integers(1, 12), st.tuples(st.lists(st.integers(1, 180), max_size=3), st.integers(0, 3)), max_size=4
    ),
    method=st.sampled_from([(COMMENTS, WHOSE), (UNKNOWN, {})]),
)
def test_no_row_that_stays_is_missing_and_none_comes_twice(
    size: int, steps: dict[int, tuple[list[int], int]], method: tuple[str, dict[str, Any]]
) -> None:
    new = itertools.count(1000)
    changes = {
        call: both(remove(*removed), add(*itertools.islice(new, added))) for call, (removed, added) in steps.items()
    }
    listing = Listing([*range(1, size + 1)], changes=changes)
    try:
        found = ids_of(read(*method, listing)[0])
    except IncompleteReplyError:
        return
    removed = {one for gone, _ in steps.values() for one in gone}
    assert set(found) >= set(range(1, size + 1)) - removed
    assert len(found) == len(set(found))


@pytest.mark.parametrize(
    "pages",
    [
        [Reply([{"ID": 1}], 120, 0)],
        [Reply([], 120, 50)],
        [Reply([{"ID": 1}] * 50, 50)],
        [Reply([{"ID": number} for number in range(50)], 49)],
    ],
)
def test_pages_that_can_not_be_believed(pages: list[Reply]) -> None:
    with pytest.raises(IncompleteReplyError):
        read(COMMENTS, WHOSE, lambda call: pages[0])


@pytest.mark.parametrize("word", ["hasMore", "hasNextPage", "truncated"])
def test_more_rows_that_can_not_be_asked_for_are_no_shorter_list(word: str) -> None:
    with pytest.raises(IncompleteReplyError, match="there are more rows"):
        read("im.recent.list", {}, lambda call: Reply({"items": [{"id": 1}], word: True}))
    assert read("im.recent.list", {}, lambda call: Reply({"items": [1], word: False}))[0] == [1]


def test_a_first_page_that_is_all_there_is_must_not_be_full() -> None:
    def serve(found: int) -> Callable[[Call], Reply]:
        return lambda call: Reply({"items": [{"id": number} for number in range(found)]})

    params = {"type": "TEAM", "name": "x"}
    rows, calls = read("humanresources.node.search", params, serve(199), version=3)
    assert len(rows) == 199
    assert given_params(calls[0]) == {**params, "pagination": {"limit": 200}}
    with pytest.raises(IncompleteReplyError, match="there may be more"):
        read("humanresources.node.search", params, serve(200), version=3)


@pytest.mark.parametrize("result", [{"a": [1], "b": [2]}, {"a": 1}, {}, None, "x", True])
def test_where_the_rows_are_can_not_be_told(result: Any) -> None:
    with pytest.raises(IncompleteReplyError, match="no list of rows"):
        read(UNKNOWN, {}, lambda call: Reply(result))


def test_an_unknown_method_that_counts_nothing_may_have_more() -> None:
    with pytest.raises(IncompleteReplyError, match="neither 'total' nor 'next'") as caught:
        read(UNKNOWN, {}, lambda call: Reply([{"ID": 1}]))
    assert "hook.call" in caught.value.advice
    assert read(UNKNOWN, {}, lambda call: Reply([]))[0] == []
    # One of the table has all in one answer.
    assert read("bizproc.activity.list", {}, lambda call: Reply(["a", "b"]))[0] == ["a", "b"]


@pytest.mark.parametrize("total", [0, 1, 49, 50, 51, 100, 137])
@pytest.mark.parametrize(("method", "params", "key"), [(COMMENTS, WHOSE, "ID"), ("crm.currency.list", {}, "CURRENCY")])
def test_a_full_page_that_counts_nothing_may_not_be_all(
    method: str, params: dict[str, Any], key: str, total: int
) -> None:
    def serve(call: Call) -> Reply:
        start = given_params(call).get("start", 0)
        return Reply([{key: number} for number in range(1, total + 1)[start : start + 50]])

    rows, calls = read(method, params, serve)
    assert [row[key] for row in rows] == [*range(1, total + 1)]
    assert len(calls) == {50: 2, 51: 4, 100: 5, 137: 6}.get(total, 1)


def test_a_method_without_pages_may_have_as_many_rows_as_a_page() -> None:
    rows = [{"CURRENCY": str(number)} for number in range(50)]
    found, calls = read("crm.currency.list", {}, lambda call: Reply(rows))
    assert found == rows
    assert [given_params(call).get("start") for call in calls] == [None, 50]
    with pytest.raises(IncompleteReplyError, match="changed while it was read"):
        read(COMMENTS, WHOSE, lambda call: Reply([{"ID": number} for number in range(50)]))


def test_what_comes_in_one_answer_is_given_out_as_it_is() -> None:
    twice = [{"ID": "5"}, {"ID": "5"}]
    assert read("crm.status.list", {}, lambda call: Reply(twice, 2))[0] == twice


def test_rows_in_a_mapping_by_their_ids() -> None:
    people = {str(number): {"id": number} for number in range(120)}

    def serve(call: Call) -> Reply:
        at = given_params(call)["OFFSET"]
        page = dict([*people.items()][at : at + 50])
        return Reply(page, 120, at + 50 if at + 50 < 120 else None)

    rows, calls = read("im.search.user.list", {"FIND": "An"}, serve)
    assert rows == [*people.values()]
    assert [given_params(call)["OFFSET"] for call in calls] == [0, 49, 98, 119]
    assert {given_params(call)["LIMIT"] for call in calls} == {50}


# without a total: by offset and limit, or the number of the page


class Window:
    """A list whose pages are asked for by offset and limit, or by number, and counted by nobody."""

    def __init__(self, ids: list[int], *, wrapper: str = "items", changes: Mapping[int, Change] | None = None) -> None:
        self.ids, self.wrapper, self.changes = list(ids), wrapper, dict(changes or {})
        self.calls = 0

    def __call__(self, call: Call) -> Reply:
        params = given_params(call)
        if "page" in params:
            at, limit = (params["page"] - 1) * 50, 50
        else:
            window = params.get("pagination", params)
            at, limit = window["offset"], window["limit"]
        rows = [{"id": number} for number in self.ids[at : at + limit]]
        self.calls += 1
        if self.calls in self.changes:
            self.changes[self.calls](self.ids)
        return Reply({self.wrapper: rows} if self.wrapper else rows)


NODES: tuple[str, dict[str, Any], Any, int] = ("humanresources.node.list", {"type": "DEPARTMENT"}, 3, 200)


@pytest.mark.parametrize(
    "how",
    [NODES, ("mail.mailbox.list", {}, 3, 100), ("humanresources.hcmlink.company.list", {}, 2, 1000)],
    ids=lambda how: str(how[0]),
)
@pytest.mark.parametrize("size", [0, 1, 199, 200, 201, 399, 400, 1500])
def test_pages_that_overlap(how: tuple[str, dict[str, Any], Any, int], size: int) -> None:
    method, params, version, page = how
    ids = [*range(1, size + 1)]
    rows, calls = read(method, params, Window(ids, wrapper="items" if version == 3 else ""), version=version)
    assert [row["id"] for row in rows] == ids
    # One more than there are pages: that there is nothing beyond the last row shows in an answer that has no other.
    assert len(calls) == 1 + -(-max(size - 1, 0) // (page - 1)) + (size == 1)
    assert {**given_params(calls[0]), **params} == given_params(calls[0])


def test_an_uncounted_list_that_moves_is_read_again() -> None:
    method, params, version, _ = NODES
    listing = Window([*range(1, 451)], changes={1: remove(7), 4: add(451), 5: both(remove(8), add(452))})
    rows, _ = read(method, params, listing, version=version)
    found = [row["id"] for row in rows]
    assert set(found) >= set(range(1, 451))
    assert len(found) == len(set(found))


@given(
    size=st.integers(0, 700),
    changes=st.dictionaries(
        st.integers(1, 12), st.tuples(st.lists(st.integers(1, 700), max_size=3), st.integers(0, 3)), max_size=4
    ),
    at_front=st.booleans(),
)
def test_no_row_of_an_uncounted_list_is_missing(
    size: int, changes: dict[int, tuple[list[int], int]], *, at_front: bool
) -> None:
    new = itertools.count(1000)

    def change(removed: list[int], added: int) -> Change:
        def do(there: list[Any]) -> None:
            remove(*removed)(there)
            place = 0 if at_front else len(there)
            there[place:place] = itertools.islice(new, added)

        return do

    method, params, version, _ = NODES
    listing = Window([*range(1, size + 1)], changes={call: change(*what) for call, what in changes.items()})
    try:
        found = [row["id"] for row in read(method, params, listing, version=version)[0]]
    except IncompleteReplyError:
        return
    removed = {one for gone, _ in changes.values() for one in gone}
    assert set(found) >= set(range(1, size + 1)) - removed
    assert len(found) == len(set(found))


def test_pages_by_number_are_all_read_twice_where_nothing_else_could_show_a_change() -> None:
    rows, calls = read("biconnector.source.list", {}, Window([*range(1, 121)], wrapper=""))
    assert [row["id"] for row in rows] == [*range(1, 121)]
    assert [given_params(call)["page"] for call in calls] == [1, 2, 3, 4, 1, 2, 3]
    moving = Window([*range(1, 121)], wrapper="", changes={1: both(remove(7), add(121))})
    found = [row["id"] for row in read("biconnector.source.list", {}, moving)[0]]
    assert sorted(found) == [*range(1, 122)]


def test_more_is_said_by_the_answer() -> None:
    bots = [{"id": number} for number in range(120)]

    def serve(call: Call) -> Reply:
        at = given_params(call)["offset"]
        return Reply({"bots": bots[at : at + 50], "users": [], "hasNextPage": at + 50 < 120})

    rows, calls = read("imbot.v2.Bot.list", {}, serve)
    assert rows == bots
    assert [given_params(call)["offset"] for call in calls] == [0, 49, 98]


@pytest.mark.parametrize(
    ("method", "params", "words"),
    [
        ("crm.status.list", {"start": -1}, "start is -1"),
        ("department.get", {"START": 50}, "(?i)start is 50"),
        ("biconnector.source.list", {"page": 2}, "page is 2"),
        ("im.search.user.list", {"FIND": "x", "limit": 5}, "LIMIT is 5"),
        ("imopenlines.config.list.get", {"PARAMS": {"limit": 5}}, "PARAMS.limit is 5"),
        ("crm.category.list", {}, "entityTypeId is missing"),
        ("lists.element.get", {"IBLOCK_TYPE_ID": "lists"}, "IBLOCK_ID or IBLOCK_CODE is missing"),
        ("catalog.product.list", {"select": ["id"]}, "filter's iblockId is missing"),
        ("catalog.product.list", {"filter": {"iblockId": 1}}, "select is missing"),
        ("im.notify.get", {}, "can not be read to its end"),
        ("some.list", {"filter": {}}, "after is 5"),
        ("crm.status.list", {}, "after is 5"),
    ],
)
def test_parameters_that_leave_no_room(method: str, params: dict[str, Any], words: str) -> None:
    with pytest.raises(ConfigurationError, match=words):
        reader_for(method, params, after=5 if "after" in words else None)


@pytest.mark.parametrize("condition", ["iblockId", "=IBLOCKID", "@iblockId"])
def test_a_condition_may_have_any_comparison(condition: str) -> None:
    params = {"select": ["name"], "filter": {condition: 14}}
    (call,) = reader_for("Catalog.Product.List", params).next_calls()
    assert given_params(call)["select"] == ["id", "iblockId", "name"]
