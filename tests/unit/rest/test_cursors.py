"""Lists that are read by a cursor."""

from __future__ import annotations

from typing import Any

import pytest

from airflow_provider_b24.rest.errors import ConfigurationError, IncompleteReplyError
from airflow_provider_b24.rest.listing import reader_for
from airflow_provider_b24.rest.protocol import Call, Reply
from tests.unit.rest.readers import given_params, read

LOG = [{"id": number} for number in range(1, 131)]
PERIOD = {"filter": {"startDate": {"from": "2026-01-01T00:00:00Z", "to": "2026-02-01T00:00:00Z"}}}


def tail(call: Call) -> Reply:
    cursor = given_params(call)["cursor"]
    assert cursor == {"field": "id", "order": "ASC", "value": cursor["value"], "limit": 50}
    return Reply({"items": [row for row in LOG if row["id"] > cursor["value"]][:50]})


def messages(call: Call) -> Reply:
    params = given_params(call)
    found = [row for row in LOG if row["id"] < params.get("LAST_ID", 10**9)][-params["LIMIT"] :]
    return Reply({"chat_id": 1, "messages": found, "users": [], "files": []})


def test_the_tail_of_a_log() -> None:
    rows, calls = read("main.eventlog.tail", {"select": ["userId"], "filter": [["userId", 1]]}, tail, version=3)
    assert rows == LOG
    assert [given_params(call)["cursor"]["value"] for call in calls] == [0, 50, 100, 130]
    assert {tuple(given_params(call)["select"]) for call in calls} == {("id", "userId")}
    rows, _ = read("main.eventlog.tail", {}, tail, version=3, after=100)
    assert rows == LOG[100:]


def test_the_messages_of_a_chat_go_back_from_the_last() -> None:
    rows, calls = read("im.dialog.messages.get", {"DIALOG_ID": "chat1"}, messages)
    assert rows == LOG[::-1]
    assert [given_params(call).get("LAST_ID") for call in calls] == [None, 81, 31, 1]
    assert read("im.dialog.messages.get", {"DIALOG_ID": "chat1"}, messages, after=4)[0] == LOG[2::-1]


@pytest.mark.parametrize(
    ("rows", "words"),
    [
        ([{"id": 7}], "above 7 and sent 7"),
        ([{"id": 9}, {"id": 9}], "a row twice"),
        ([{"name": "x"}], "no usable 'id'"),
        (["x"], "no usable 'id'"),
    ],
)
def test_a_tail_that_can_not_be_believed(rows: list[Any], words: str) -> None:
    with pytest.raises(IncompleteReplyError, match=words):
        read("main.eventlog.tail", {}, lambda call: Reply({"items": rows}), version=3, after=7)


class Pages:
    """A list by cursor: an object that leads behind the last row."""

    def __init__(self, cursor: str, *, has_more: bool) -> None:
        self.cursor, self.has_more = cursor, has_more

    def __call__(self, call: Call) -> Reply:
        pagination = given_params(call)["pagination"]
        assert pagination["limit"] == 200
        at = pagination.get("afterCursor", {"id": 0})["id"]
        rows = [{"id": number, "callId": number} for number in range(at + 1, min(at + 201, 451))]
        more = at + 200 < 450
        result: dict[str, Any] = {"items": rows, self.cursor: {"id": at + 200} if more else None}
        return Reply({**result, "hasMore": more} if self.has_more else result)


@pytest.mark.parametrize(
    ("method", "params", "pages"),
    [
        ("note.collection.list", {}, Pages("nextCursor", has_more=False)),
        ("call.followup.list", {**PERIOD, "select": ["startDate"]}, Pages("afterCursor", has_more=True)),
    ],
    ids=["nextCursor", "afterCursor"],
)
def test_a_cursor_of_the_answers(method: str, params: dict[str, Any], pages: Pages) -> None:
    rows, calls = read(method, params, pages, version=3)
    assert [row["id"] for row in rows] == [*range(1, 451)]
    assert len(calls) == 3


@pytest.mark.parametrize(
    "result",
    [
        {"items": [{"callId": 1}], "hasMore": True, "afterCursor": None},
        {"items": [{"callId": 1}], "hasMore": True},
        {"items": [{"callId": 1}], "hasMore": True, "afterCursor": {"id": 1}},
    ],
    ids=["none", "missing", "the same again"],
)
def test_a_cursor_that_leads_nowhere(result: dict[str, Any]) -> None:
    with pytest.raises(IncompleteReplyError, match="afterCursor does not lead to them"):
        read("call.followup.list", PERIOD, lambda call: Reply(result), version=3)


@pytest.mark.parametrize(
    ("method", "params", "words"),
    [
        ("main.eventlog.tail", {"cursor": {"value": 5}}, "cursor is"),
        ("main.eventlog.tail", {"filter": [["id", ">", 5]]}, "filter is"),
        ("main.eventlog.tail", {"filter": {"id": 5}}, "filter is"),
        ("call.followup.list", {}, "filter's startDate is missing"),
        ("note.collection.list", {"pagination": {"limit": 5}}, "pagination is"),
    ],
)
def test_parameters_that_leave_no_room(method: str, params: dict[str, Any], words: str) -> None:
    with pytest.raises(ConfigurationError, match=words):
        reader_for(method, params, version=3)


@pytest.mark.parametrize("after", ["x", True])
def test_a_key_to_go_on_from_is_a_number(after: Any) -> None:
    with pytest.raises(ConfigurationError, match="An id is a number"):
        reader_for("main.eventlog.tail", {}, version=3, after=after)
