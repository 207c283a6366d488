from __future__ import annotations

from collections.abc import Iterator
from random import Random
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from airflow_provider_b24.rest.errors import (
    ConfigurationError,
    LimitError,
    NotSentError,
    OperatingLimitError,
    OutcomeUnknownError,
    RequestRefusedError,
)
from airflow_provider_b24.rest.outcomes import Outcome, Row, as_row, id_of
from airflow_provider_b24.rest.peer import Patience
from airflow_provider_b24.rest.protocol import Reply, Request, Response
from airflow_provider_b24.rest.steps import Failure
from airflow_provider_b24.rest.writing import writing
from tests.unit.rest.clocks import FakeClock
from tests.unit.rest.storing import StoringPortal, carried_out, peer

FAULTS = ["lost before", "lost after", "cut", "500", "half", "silent", "late"]
REFUSALS = ["not sent", "query limit", "refused inside"]


def rows_of(count: int) -> list[dict[str, Any]]:
    return [{"fields": {"title": f"row {number}"}} for number in range(count)]


def write(
    count: int, faults: dict[int, str] | None = None, parallel: int = 3, **options: Any
) -> tuple[StoringPortal, list[Outcome], Exception | None]:
    by = peer(**options)
    assert isinstance(by.clock, FakeClock)
    portal = StoringPortal(by.clock, faults)
    outcomes, error = carried_out(writing("crm.item.add", parallel=parallel), rows_of(count), portal, by)
    portal.later()
    return portal, outcomes, error


@settings(max_examples=30)
@given(
    st.integers(0, 420),
    st.integers(1, 5),
    st.dictionaries(st.integers(0, 12), st.sampled_from(FAULTS + REFUSALS + ["blocked inside"]), max_size=5),
    st.data(),
)
def test_what_an_outcome_says_is_what_has_happened_and_no_row_is_written_twice(
    count: int, parallel: int, faults: dict[int, str], data: st.DataObject
) -> None:
    by = peer()
    assert isinstance(by.clock, FakeClock)
    portal = StoringPortal(by.clock, faults)

    def which(lanes: int) -> int:
        return data.draw(st.integers(0, lanes - 1)) if lanes > 1 else 0

    work = writing("crm.item.add", parallel=parallel)
    outcomes, error = carried_out(work, rows_of(count), portal, by, which)
    portal.later()
    titles = portal.titles()
    assert len(titles) == len(set(titles))
    assert [outcome.index for outcome in outcomes] == list(range(len(outcomes)))
    for outcome in outcomes:
        if not outcome.unknown:
            assert (outcome.params["fields"]["title"] in titles) is outcome.ok
        if outcome.ok:
            assert outcome.created
            assert portal.elements[outcome.id or 0]["title"] == outcome.params["fields"]["title"]
    if error is None:
        assert len(outcomes) == count
    else:
        assert isinstance(error, (LimitError, NotSentError, OutcomeUnknownError))
        assert error.done == len(outcomes)
        unsent = {row["fields"]["title"] for row in rows_of(count)[len(outcomes) :]}
        assert unsent.isdisjoint(titles)


@pytest.mark.parametrize("fault", FAULTS)
def test_what_may_have_been_carried_out_is_said_to_be_unknown_and_the_others_are_written(fault: str) -> None:
    portal, outcomes, error = write(500, {2: fault})
    assert error is None
    lost = [outcome for outcome in outcomes if not outcome.ok]
    assert lost
    assert all(outcome.unknown and not outcome.retryable for outcome in lost)
    # 50 to a request, and the one that was lost is not sent again.
    assert portal.requests == 10
    assert len({outcome.index // 50 for outcome in lost}) == 1


@pytest.mark.parametrize("fault", REFUSALS)
def test_what_was_refused_is_sent_again(fault: str) -> None:
    portal, outcomes, error = write(500, {2: fault, 5: fault})
    assert error is None
    assert all(outcome.ok for outcome in outcomes)
    assert sorted(portal.titles()) == sorted(row["fields"]["title"] for row in rows_of(500))
    assert portal.requests == 12


def test_rows_whose_method_has_used_up_its_time_wait_for_it_as_long_as_the_patience_lasts() -> None:
    portal, outcomes, error = write(200, {1: "blocked inside"}, parallel=2)
    assert error is None
    assert all(outcome.ok for outcome in outcomes)
    assert sorted(portal.titles()) == sorted(row["fields"]["title"] for row in rows_of(200))
    assert portal.clock.waits == [60.0]


@pytest.mark.parametrize("fault", ["lost before", "lost after", "cut", "500", "late"])
def test_rest_3_is_asked_again_under_the_same_name_and_answers_what_the_first_call_came_to(fault: str) -> None:
    by = peer()
    assert isinstance(by.clock, FakeClock)
    portal = StoringPortal(by.clock, {2: fault, 5: fault})
    outcomes, error = carried_out(writing("crm.item.add", version=3, parallel=3), rows_of(20), portal, by)
    assert error is None
    assert all(outcome.created for outcome in outcomes)
    assert sorted(portal.titles()) == sorted(row["fields"]["title"] for row in rows_of(20))
    assert portal.requests == 22


REUSED = b'{"error": {"code": "BITRIX_REST_V3_EXCEPTION_IDEMPOTENCYKEYREUSEDEXCEPTION", "message": ""}}'


@pytest.mark.parametrize(
    "second",
    [
        Response(422, {}, REUSED),
        Response(403, {}, b'{"error": "ACCESS_DENIED"}'),
        Failure("no way there", sent=False),
        Failure("no answer came", sent=True),
    ],
    ids=["taken for another call", "access denied", "not sent", "lost"],
)
def test_what_says_nothing_of_the_first_call_leaves_it_unknown(second: Response | Failure) -> None:
    class Changed(StoringPortal):
        def answer(self, request: Request) -> Response | Failure:
            if self.requests == 0:
                return super().answer(request)
            self.requests += 1
            return second

    by = peer()
    assert isinstance(by.clock, FakeClock)
    portal = Changed(by.clock, {0: "lost after"})
    outcomes, _ = carried_out(writing("crm.item.add", version=3), rows_of(1), portal, by)
    assert outcomes[0].unknown


def test_an_error_of_one_row_stops_nothing() -> None:
    by = peer()
    assert isinstance(by.clock, FakeClock)
    portal = StoringPortal(by.clock)
    rows: list[Any] = rows_of(120)
    rows[7] = {"fields": {"title": "refuse"}}
    rows[60] = ["no", "mapping"]
    rows[70] = {"fields": {"title": object()}}
    outcomes, error = carried_out(writing("crm.item.add"), rows, portal, by)
    assert error is None
    assert {outcome.index: type(outcome.error) for outcome in outcomes if not outcome.ok} == {
        7: RequestRefusedError,
        60: ConfigurationError,
        70: ConfigurationError,
    }
    assert len(portal.elements) == 117


def test_a_limit_beyond_the_patience_ends_it_and_tells_how_many_rows_were_given_out() -> None:
    portal, outcomes, error = write(1000, dict.fromkeys(range(3, 99), "blocked inside"), parallel=2)
    assert isinstance(error, OperatingLimitError)
    assert error.done == len(outcomes)
    assert error.retry_after
    assert 200 <= len(outcomes) < 350
    left = [outcome for outcome in outcomes if not outcome.ok]
    assert left
    assert all(outcome.retryable and isinstance(outcome.error, OperatingLimitError) for outcome in left)
    # What goes on with these, and the rows behind, writes the rest and nothing twice.
    again = [outcome.params for outcome in left] + rows_of(1000)[error.done :]
    portal.faults = {}
    portal.clock.now += 700
    by = peer(clock=portal.clock)
    outcomes, error = carried_out(writing("crm.item.add"), again, portal, by)
    assert error is None
    assert sorted(portal.titles()) == sorted(row["fields"]["title"] for row in rows_of(1000))


def test_a_portal_that_can_not_be_reached_ends_it_before_all_rows_are_tried() -> None:
    _, outcomes, error = write(10_000, dict.fromkeys(range(10, 999), "not sent"), parallel=2)
    assert isinstance(error, NotSentError)
    assert error.done == len(outcomes) < 1000
    assert all(outcome.retryable for outcome in outcomes if not outcome.ok)


def test_a_portal_that_answers_nothing_any_more_is_not_sent_one_batch_after_the_other() -> None:
    _, outcomes, error = write(10_000, dict.fromkeys(range(10, 999), "500"), parallel=2)
    assert isinstance(error, OutcomeUnknownError)
    assert error.done == len(outcomes) < 1000


def test_a_method_there_is_not_ends_it() -> None:
    by = peer()
    assert isinstance(by.clock, FakeClock)
    portal = StoringPortal(by.clock)
    outcomes, error = carried_out(writing("crm.itme.add", parallel=1), rows_of(500), portal, by)
    assert "ERROR_METHOD_NOT_FOUND" in str(error)
    assert portal.requests == 1
    assert len(outcomes) == 50


def test_an_error_of_the_source_comes_after_the_outcomes_of_the_rows_before_it() -> None:
    def rows() -> Iterator[Any]:
        yield from rows_of(130)
        raise RuntimeError("the cursor is gone")

    by = peer()
    assert isinstance(by.clock, FakeClock)
    portal = StoringPortal(by.clock)
    outcomes, error = carried_out(writing("crm.item.add", parallel=2), rows(), portal, by)
    assert str(error) == "the cursor is gone"
    assert len(outcomes) == len(portal.elements) == 130


@pytest.mark.parametrize("parallel", [1, 4, 40])
def test_no_more_rows_are_held_than_go_into_the_lanes_and_one_more(parallel: int) -> None:
    taken = given_out = most = 0

    def rows() -> Iterator[Any]:
        nonlocal taken, most
        for row in rows_of(6_000):
            taken += 1
            most = max(most, taken - given_out)
            yield row

    by = peer()
    assert isinstance(by.clock, FakeClock)
    portal = StoringPortal(by.clock)
    work = writing("crm.item.add", parallel=parallel)
    ready = work.ready

    def counted() -> list[Outcome]:
        nonlocal given_out
        found = ready()
        given_out += len(found)
        return found

    work.ready = counted  # type: ignore[method-assign]
    outcomes, error = carried_out(work, rows(), portal, by, lambda lanes: lanes - 1)
    assert error is None
    assert len(outcomes) == 6_000
    assert most <= (parallel + 1) * 50
    assert portal.requests <= 6_000 / 50 + 10


@settings(max_examples=30)
@given(
    st.integers(0, 400),
    st.integers(1, 4),
    st.dictionaries(st.integers(0, 12), st.sampled_from(REFUSALS), max_size=3),
    st.randoms(use_true_random=False),
)
def test_of_the_rows_that_change_one_element_the_last_one_stands(
    count: int, parallel: int, faults: dict[int, str], chance: Random
) -> None:
    ids = [chance.randint(1, 70) for _ in range(count)]
    by = peer()
    assert isinstance(by.clock, FakeClock)
    portal = StoringPortal(by.clock, faults)
    portal.elements = {number: {"id": number, "title": "old"} for number in range(1, 71)}
    rows = [{"id": number, "fields": {"title": f"{place}"}} for place, number in enumerate(ids)]

    outcomes, error = carried_out(writing("crm.item.update", parallel=parallel), rows, portal, by, chance.randrange)
    assert error is None
    assert all(outcome.updated and outcome.id == outcome.params["id"] for outcome in outcomes)
    for number, title in {number: f"{place}" for place, number in enumerate(ids)}.items():
        assert portal.elements[number]["title"] == title


TEXTS = ["$result[0]", "$result[0][item][id]", "a $RESULT[1] b", "$result", "{$result[0]}"]


@pytest.mark.parametrize("text", TEXTS)
def test_a_text_that_looks_like_a_reference_arrives_as_it_is(text: str) -> None:
    by = peer()
    assert isinstance(by.clock, FakeClock)
    portal = StoringPortal(by.clock)
    rows = rows_of(60)
    rows[1] = {"fields": {"title": text}}
    rows[3] = {"fields": {"title": "inside", "more": {"deep": [text]}}}
    rows[5] = {"fields": {"title": "named", text: "x"}}
    outcomes, _ = carried_out(writing("crm.item.add"), rows, portal, by)
    assert not portal.resolved
    assert all(outcome.ok for outcome in outcomes)
    assert portal.elements[outcomes[1].id or 0]["title"] == text
    assert portal.elements[outcomes[3].id or 0]["more"] == {"deep": [text]}
    assert portal.elements[outcomes[5].id or 0][text] == "x"


def test_a_request_is_not_larger_than_a_web_server_takes() -> None:
    by = peer()
    assert isinstance(by.clock, FakeClock)
    portal = StoringPortal(by.clock)
    rows = [{"fields": {"title": f"{number}", "comments": "x" * 100_000}} for number in range(30)]
    outcomes, _ = carried_out(writing("crm.item.add"), rows, portal, by)
    assert all(outcome.ok for outcome in outcomes)
    assert portal.largest == 8


def test_requests_that_take_too_long_become_smaller() -> None:
    by = peer(patience=Patience(tries=1))
    assert isinstance(by.clock, FakeClock)
    portal = StoringPortal(by.clock)
    sizes: list[int] = []
    answer = portal.answer

    def slow(request: Request) -> Response | Failure:
        # 2.5 s a row, and the portal gives up after 60.
        assert isinstance(request.body, bytes)
        sizes.append(request.body.count(b"crm.item.add?"))
        portal.clock.now += min(60.0, 2.5 * sizes[-1])
        return answer(request) if 2.5 * sizes[-1] < 60 else Failure("no answer came", sent=True)

    portal.answer = slow  # type: ignore[method-assign]
    outcomes, error = carried_out(writing("crm.item.add", parallel=1), rows_of(300), portal, by)
    assert error is None
    assert sizes[:3] == [50, 25, 12]
    assert max(sizes[2:]) < 24
    assert sum(outcome.unknown for outcome in outcomes) == 75


def test_an_outcome_shows_none_of_its_values() -> None:
    secret = Outcome({"fields": {"title": "secret"}}, {"item": {"title": "secret"}}, index=4, id=7, created=True)
    assert repr(secret) == "<Outcome 4: created, id 7>"
    refused = RequestRefusedError("secret", code="WRONG")
    assert repr(Outcome({}, error=refused, index=5)) == "<Outcome 5: RequestRefusedError WRONG>"


@pytest.mark.parametrize(
    ("result", "number"),
    [
        (5, 5),
        ("5", 5),
        (True, None),
        (None, None),
        ([], None),
        ({"item": {"id": 5, "title": "x"}}, 5),
        ({"task": {"id": "5"}}, 5),
        ({"ID": "5"}, 5),
        ({"id": 5, "parent": {"id": 6}}, 5),
        ({"item": {"title": "x"}}, None),
        ("5a", None),
    ],
)
def test_the_id_in_a_result(result: Any, number: int | None) -> None:
    assert id_of(result) == number


@pytest.mark.parametrize("parallel", [0, 41, 2.5, True, "4"])
def test_the_number_of_lanes_is_checked(parallel: Any) -> None:
    with pytest.raises(ConfigurationError, match="parallel is"):
        writing("crm.item.add", parallel=parallel)


def test_an_add_that_is_answered_with_nothing_is_unknown() -> None:
    (row,) = rows_of(1)
    made = as_row(0, row, "crm.item.add")
    assert isinstance(made, Row)
    assert made.became(Reply(None), "created").unknown
    assert made.became(Reply({"item": {"id": 5}}), "created").created
    # An update may well have nothing to say.
    assert made.became(Reply(None), "updated").updated
