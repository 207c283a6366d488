from __future__ import annotations

import random
from collections.abc import Callable, Iterable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from airflow_provider_b24.rest.errors import (
    AccessDeniedError,
    Bitrix24Error,
    ConfigurationError,
    IncompleteReplyError,
    NotSentError,
    OperatingLimitError,
    OutcomeUnknownError,
)
from airflow_provider_b24.rest.protocol import Response
from airflow_provider_b24.rest.reading import Page, reading
from tests.unit.rest.list_portal import LOST, NOT_SENT, ListPortal, Reader, refused, truncated

ITEMS, DEALS = "crm.item.list", "crm.deal.list"
DEFAULTS: dict[str, Any] = {ITEMS: {"entityTypeId": 2}, DEALS: {}}
EITHER = pytest.mark.parametrize("method", [ITEMS, DEALS])


def ids_of(pages: Iterable[Page], method: str = ITEMS) -> list[int]:
    return [int(row["id" if method == ITEMS else "ID"]) for page in pages for row in page.rows]


def read(reader: Reader, method: str = ITEMS, params: Any = None, **options: Any) -> list[int]:
    return ids_of(reader.pages(reading(method, {**DEFAULTS[method], **(params or {})}, **options)), method)


def read_until_error(reader: Reader, method: str = ITEMS, **options: Any) -> tuple[list[int], Bitrix24Error | None]:
    """What comes until the end, or until an error."""
    found: list[int] = []
    try:
        for page in reader.pages(reading(method, DEFAULTS[method], **options)):
            found += ids_of([page], method)
            assert page.after == found[-1]
    except Bitrix24Error as error:
        reader.lanes.clear()
        return found, error
    return found, None


def read_on(reader: Reader, method: str = ITEMS, *, times: int = 60, **options: Any) -> list[int]:
    """Everything, going on behind the last key whenever the reading ends in an error."""
    found: list[int] = []
    for _ in range(times):
        more, error = read_until_error(reader, method, after=found[-1] if found else None, **options)
        found += more
        if error is None:
            return found
        assert error.after == (found[-1] if found else None)
        assert error.after is None or f"after={error.after}" in error.advice
    raise AssertionError("it does not come to an end")


def gaps(count: int, share: float, seed: int = 3) -> list[int]:
    """So many ids, of which a share is missing in between."""
    source = random.Random(seed)
    found: list[int] = []
    number = 0
    while len(found) < count:
        number += 1
        if source.random() >= share:
            found.append(number)
    return found


CLUSTERS = [million * 1_000_000 + number for million in range(5) for number in range(1, 3001)]
SHAPES: dict[str, Iterable[int]] = {
    **{f"{count} rows": range(1, count + 1) for count in (0, 1, 49, 50, 51, 100, 2449, 2450, 2451, 2500, 2501, 12_345)},
    "far from the beginning": range(900_001, 906_000),
    "one in ten missing": gaps(6000, 0.1),
    "one in two missing": gaps(6000, 0.5),
    "nine in ten missing": gaps(6000, 0.9),
    "clusters": CLUSTERS,
    "one at each end": [1, 10**12],
    "dense, then sparse": [*range(1, 3000), *range(10**6, 10**8, 33_333)],
    "sparse, then dense": [*range(1, 10**8, 33_333), *range(10**8, 10**8 + 6000)],
}


@EITHER
@pytest.mark.parametrize("order", ["ASC", "DESC"])
@pytest.mark.parametrize("ids", SHAPES.values(), ids=SHAPES)
def test_every_row_once_in_order(method: str, order: str, ids: Iterable[int]) -> None:
    reader = Reader(ListPortal(ids))
    params = {"order": {"id": order}}
    assert read(reader, method, params) == sorted(ids, reverse=order == "DESC")


@pytest.mark.parametrize(
    ("method", "share", "most"),
    # The first request brings as many rows as any other.
    [(ITEMS, 0.0, 40), (ITEMS, 0.1, 42), (ITEMS, 0.9, 46), (DEALS, 0.0, 40), (DEALS, 0.001, 42)],
)
def test_a_request_brings_nearly_2500_rows(method: str, share: float, most: int) -> None:
    ids = gaps(100_000, share) if share else range(1, 100_001)
    portal = ListPortal(ids)
    assert read(Reader(portal), method) == list(ids)
    assert portal.requests <= most


@EITHER
def test_stretches_without_rows_are_leapt_over(method: str) -> None:
    ids = [million * 1_000_000 + number for million in range(10) for number in range(1, 5001)]
    portal = ListPortal(ids)
    assert read(Reader(portal), method) == ids
    assert portal.requests <= 80
    assert portal.commands <= 2500


@pytest.mark.parametrize("count", [0, 1, 49, 50, 51, 499])
def test_a_short_list_takes_one_request(count: int) -> None:
    portal = ListPortal(range(1, count + 1))
    read(Reader(portal))
    assert portal.requests == 1


def test_where_no_request_need_be_spared_lanes_begin_sooner() -> None:
    portal = ListPortal(range(1, 20_001))
    reader = Reader(portal, limited=False)
    pages = reader.pages(reading(ITEMS, DEFAULTS[ITEMS]))
    first = next(pages)
    assert portal.commands % 50 == 11
    assert len(first.rows) + sum(len(page.rows) for page in pages) == 20_000
    assert portal.requests == 9


@EITHER
def test_a_short_list_with_conditions_takes_few_pages(method: str) -> None:
    portal = ListPortal(range(1, 5001))
    portal.rows.update(dict.fromkeys(range(100, 4900, 100), "b"))
    assert read(Reader(portal), method, {"filter": {"group": "b"}}) == list(range(100, 4900, 100))
    assert portal.requests == 1
    assert portal.commands == 3


def test_the_callers_bounds_hold() -> None:
    ids = gaps(9000, 0.1)
    condition = {">id": 500, "<id": 9000, "<=id": 8000, ">=id": 400}
    expected = [number for number in ids if 500 < number <= 8000]
    assert read(Reader(ListPortal(ids)), params={"filter": condition}) == expected
    assert read(Reader(ListPortal(ids)), params={"filter": condition, "order": {"id": "desc"}}) == expected[::-1]


@EITHER
def test_what_is_not_filtered_out_is_read_in_full_windows(method: str) -> None:
    portal = ListPortal(range(1, 40_001))
    portal.rows.update(dict.fromkeys(range(1, 40_001, 4), "b"))
    assert read(Reader(portal), method, {"filter": {"group": "b"}}) == list(range(1, 40_001, 4))
    assert portal.requests <= 8


@pytest.mark.parametrize("parallel", [1, 2, 4, 40])
def test_lanes(parallel: int) -> None:
    reader = Reader(ListPortal(range(1, 30_001)))
    assert read(reader, parallel=parallel) == list(range(1, 30_001))
    assert min(parallel, 10) <= reader.most_lanes <= parallel


@pytest.mark.parametrize("parallel", [0, 41, True, "4", 1.5, None])
def test_a_number_of_lanes_that_can_not_be(parallel: Any) -> None:
    with pytest.raises(ConfigurationError, match="parallel is"):
        reading(ITEMS, DEFAULTS[ITEMS], parallel=parallel)


def test_what_is_held_does_not_grow_with_the_list() -> None:
    portal = ListPortal(range(1, 60_001))
    given_out = most = 0
    for page in Reader(portal, random.Random(8)).pages(reading(ITEMS, DEFAULTS[ITEMS])):
        most = max(most, portal.pages * 50 - given_out)
        given_out += len(page.rows)
        assert len(page.rows) <= 2500
    assert most <= 7 * 2550


# ---- while others write


class Others:
    """They add, change and delete rows at random; what is left alone has to be read."""

    def __init__(self, portal: ListPortal, source: random.Random, often: float) -> None:
        self.portal, self.source, self.often = portal, source, often
        self.touched: set[int] = set()
        self.end = max(portal.rows, default=0)

    def write(self) -> None:
        while self.source.random() < self.often:
            number = self.source.randrange(1, self.end + 200)
            self.touched.add(number)
            if number not in self.portal.rows:
                self.portal.insert(number)
            elif self.source.random() < 0.5:
                self.portal.delete(number)
            else:
                self.portal.rows[number] = self.source.choice("ab")


@given(
    seed=st.integers(0, 10**6),
    count=st.integers(0, 4000),
    share=st.sampled_from([0.0, 0.02, 0.3, 0.9]),
    often=st.sampled_from([0.1, 0.6]),
    method=st.sampled_from([ITEMS, DEALS]),
    order=st.sampled_from(["ASC", "DESC"]),
    filtered=st.booleans(),
)
def test_no_row_is_lost_or_doubled_by_what_others_do(
    *, seed: int, count: int, share: float, often: float, method: str, order: str, filtered: bool
) -> None:
    source = random.Random(seed)
    ids = gaps(count, share, seed)
    portal = ListPortal(ids)
    others = Others(portal, source, often)
    portal.churn = others.write
    params = {"order": {"ID": order}, "filter": {"group": "a"} if filtered else {}}
    found = read(Reader(portal, source), method, params)
    assert found == sorted(set(found), reverse=order == "DESC")
    assert set(ids) - others.touched <= set(found)
    assert set(found) <= set(ids) | others.touched


# ---- when something goes wrong


def once(what: Any, at: int) -> Callable[[], Any]:
    left = iter([None] * at + [what])
    return lambda: next(left, None)


@pytest.mark.parametrize("at", range(5))
@pytest.mark.parametrize(
    "what", [LOST, NOT_SENT, truncated, refused], ids=["lost", "not sent", "truncated", "server error"]
)
@EITHER
def test_a_request_that_fails_is_made_again(method: str, what: Any, at: int) -> None:
    reader = Reader(ListPortal(range(1, 12_001)))
    reader.misfortune = once(what, at)
    assert read(reader, method) == list(range(1, 12_001))
    assert len(reader.clock.waits) == 1


def test_an_answer_that_was_lost_is_asked_for_in_smaller_pieces() -> None:
    portal = ListPortal(range(1, 20_001))
    sizes: list[int] = []
    reader = Reader(portal)

    def too_large(response: Response) -> Any:
        sizes.append(portal.commands - sum(sizes))
        return LOST if sizes[-1] > 20 else response

    reader.misfortune = lambda: too_large
    assert read(reader) == list(range(1, 20_001))
    assert max(sizes) == 50
    assert max(sizes[-3:]) <= 25


KINDS: dict[str, dict[str, Any]] = {
    "a passing error": {"error": "INTERNAL_SERVER_ERROR", "error_description": ""},
    "a limit": {"error": "QUERY_LIMIT_EXCEEDED", "error_description": ""},
    "an error that comes once": {"error": "SOMETHING", "error_description": "of the day"},
}


@pytest.mark.parametrize("error", KINDS.values(), ids=KINDS)
@pytest.mark.parametrize("at", [2, 3, 25, 50])
@EITHER
def test_a_page_that_fails_is_read_again_from_the_last_key(method: str, at: int, error: dict[str, Any]) -> None:
    portal = ListPortal(range(1, 9001))
    left = [error]
    portal.trouble = lambda name, number: left.pop() if left and portal.commands >= 50 and number == at - 1 else None
    assert read(Reader(portal), method) == list(range(1, 9001))
    assert left == []
    assert portal.requests <= 7


def test_a_permanent_error_ends_it_at_once() -> None:
    portal = ListPortal(range(1, 90_001))
    refusal = {"error": "ACCESS_DENIED", "error_description": ""}
    portal.trouble = lambda name, number: refusal if portal.commands > 700 else None
    reader = Reader(portal)
    found, error = read_until_error(reader)
    assert isinstance(error, AccessDeniedError)
    assert found == list(range(1, len(found) + 1))
    assert len(found) >= 20_000
    assert error.after == found[-1]
    assert str(error).endswith(f"Go on with after={found[-1]}: all rows up to that key were given out.")
    assert reader.clock.waits == []


def test_what_comes_before_a_failure_is_given_out() -> None:
    portal = ListPortal(range(1, 90_001))
    reader = Reader(portal)
    reader.misfortune = lambda: LOST if portal.requests > 20 else None
    found, error = read_until_error(reader)
    assert isinstance(error, OutcomeUnknownError)
    assert "Tried 4 times" in str(error)
    assert found == list(range(1, len(found) + 1))
    assert error.after == len(found) > 40_000


def test_a_portal_that_is_not_reached() -> None:
    reader = Reader(ListPortal(range(1, 90)))
    reader.misfortune = lambda: NOT_SENT
    with pytest.raises(NotSentError) as caught:
        read(reader)
    assert caught.value.after is None
    assert len(reader.clock.waits) == 3
    with pytest.raises(NotSentError) as caught:
        read(reader, after=40)
    assert caught.value.after == 40


def test_the_execution_time_is_waited_for_or_raised() -> None:
    refusal = {"error": "OPERATION_TIME_LIMIT", "error_description": ""}
    portal = ListPortal(range(1, 9001))
    portal.trouble = lambda name, number: refusal if portal.commands == 70 else None
    reader = Reader(portal)
    assert read(reader) == list(range(1, 9001))
    # Until the first part of it falls away, which nothing tells.
    assert max(reader.clock.waits) == pytest.approx(60)

    portal = ListPortal(range(1, 9001))
    portal.trouble = lambda name, number: refusal if portal.commands >= 70 else None
    found, error = read_until_error(Reader(portal))
    assert isinstance(error, OperatingLimitError)
    portal.trouble = lambda name, number: None
    assert found + read(Reader(portal), after=error.after) == list(range(1, 9001))


@EITHER
def test_references_that_lead_nowhere(method: str, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("INFO")
    portal = ListPortal(gaps(9000, 0.1))
    portal.resolves = False
    assert read(Reader(portal), method) == gaps(9000, 0.1)
    assert portal.requests <= 12 + (method == DEALS)
    assert caplog.text.count("lead nowhere") == 1


@pytest.mark.parametrize("parallel", [1, 4])
@EITHER
def test_a_portal_without_batch(method: str, parallel: int, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("INFO")
    portal = ListPortal(gaps(2000, 0.1))
    portal.without = {"batch"}
    reader = Reader(portal)
    assert read(reader, method, parallel=parallel) == gaps(2000, 0.1)
    assert reader.most_lanes == parallel
    assert portal.requests <= 75
    assert caplog.text.count("has no batch") == 1


@EITHER
def test_a_method_that_no_batch_may_hold(method: str) -> None:
    portal = ListPortal(range(1, 501))
    refusal = {"error": "ERROR_BATCH_METHOD_NOT_ALLOWED", "error_description": ""}
    batch = [True]
    answer = portal.answer

    def answered(request: Any) -> Response:
        batch[0] = request.url.endswith("/batch")
        return answer(request)

    portal.answer = answered  # type: ignore[method-assign]
    portal.trouble = lambda name, number: refusal if batch[0] else None
    assert read(Reader(portal), method) == list(range(1, 501))


@EITHER
def test_pages_that_rights_thin_out(method: str) -> None:
    portal = ListPortal(range(1, 3001))
    portal.spoil = lambda rows: [row for row in rows if int(next(iter(row.values()))) % 50 != 7]
    expected = [number for number in range(1, 3001) if number % 50 != 7]
    assert read(Reader(portal), method) == expected
    assert portal.requests < 30


@pytest.mark.parametrize("at", [1, 2, 12, 52, 101])
@pytest.mark.parametrize("nothing", [[], {}, False, None], ids=repr)
@EITHER
def test_a_page_that_is_empty_by_mistake_takes_no_row_along(method: str, nothing: Any, at: int) -> None:
    ids = gaps(6000, 0.1)
    portal = ListPortal(ids)
    portal.spoil = lambda rows: nothing if portal.pages == at else rows
    assert read(Reader(portal), method) == ids
    assert portal.requests <= 8


@EITHER
@pytest.mark.parametrize("from_page", [2, 30, 51, 80])
def test_pages_that_stay_empty_though_there_is_a_row_behind_them(method: str, from_page: int) -> None:
    portal = ListPortal(range(1, 6001))
    portal.spoil = lambda rows: (
        [] if rows and portal.pages >= from_page and int(next(iter(rows[0].values()))) <= 5950 else rows
    )
    found, error = read_until_error(Reader(portal), method)
    assert isinstance(error, IncompleteReplyError)
    assert "empty pages, and has a row" in str(error)
    portal.spoil = lambda rows: rows
    assert found + read(Reader(portal), method, after=error.after) == list(range(1, 6001))


@EITHER
@pytest.mark.parametrize("of", ["ascending", "the same page again", "nothing", "no rows"])
def test_what_is_wrong_at_the_other_end_is_not_taken(method: str, of: str) -> None:
    portal = ListPortal(gaps(9000, 0.1))
    whole = portal.spoil

    def spoil(rows: list[Any]) -> Any:
        rows = whole(rows)
        # The pages behind the first one from above.
        if portal.requests == 1 and portal.pages > 3:
            return {"ascending": rows[::-1], "the same page again": first, "nothing": [], "no rows": False}[of]
        first[:] = first or rows
        return rows

    first: list[Any] = []
    portal.spoil = spoil
    assert read(Reader(portal), method) == gaps(9000, 0.1)


@EITHER
@pytest.mark.parametrize("from_page", [3, 30, 51, 80])
def test_some_empty_answers_in_a_row_are_no_end(method: str, from_page: int) -> None:
    portal = ListPortal(range(1, 6001))
    portal.spoil = lambda rows: [] if 0 <= portal.pages - from_page < 3 else rows
    portal.without = {"batch"}
    assert read(Reader(portal), method, parallel=1) == list(range(1, 6001))


@EITHER
@pytest.mark.parametrize("parallel", [1, 4])
@pytest.mark.parametrize("left", [0, 2600, 5000])
def test_all_that_was_left_is_removed_meanwhile(method: str, left: int, parallel: int) -> None:
    portal = ListPortal(range(1, 9001))

    def remove() -> None:
        if portal.requests > 1 and len(portal.rows) > left:
            for number in range(left + 1, 9001):
                del portal.rows[number]
            portal.insert(9001)
            portal.delete(9001)

    portal.churn = remove
    found = read(Reader(portal), method, parallel=parallel)
    assert found == sorted(set(found))
    assert set(found) >= set(range(1, left + 1))


@EITHER
@pytest.mark.parametrize("step", [1, 2])
def test_rows_under_their_numbers(method: str, step: int) -> None:
    portal = ListPortal(range(1, 501))
    portal.spoil = lambda rows: {str(step * number): row for number, row in enumerate(rows)}
    assert read(Reader(portal), method) == list(range(1, 501))


@EITHER
@pytest.mark.parametrize("params", [{"filter": {"group": "$result[a0]"}}, {"select": ["ID", "$Result[a0][0]"]}])
def test_text_that_a_batch_would_take_for_a_reference(method: str, params: dict[str, Any]) -> None:
    portal = ListPortal(range(1, 301))
    for number in range(1, 301):
        portal.rows[number] = "$result[a0]"
    answer = portal.answer

    def answered(request: Any) -> Response:
        assert not request.url.endswith("/batch")
        return answer(request)

    portal.answer = answered  # type: ignore[method-assign]
    assert read(Reader(portal), method, params) == list(range(1, 301))


@pytest.mark.parametrize("unresolved", [0, 10**18])
def test_what_comes_behind_a_short_page_says_nothing(unresolved: int) -> None:
    portal = ListPortal(range(1, 3001))
    portal.unresolved = unresolved
    portal.spoil = lambda rows: [row for row in rows if int(row["ID"]) % 300 != 70]
    assert read(Reader(portal), DEALS) == [number for number in range(1, 3001) if number % 300 != 70]


@pytest.mark.parametrize("method", [ITEMS, DEALS])
def test_a_portal_that_does_not_sort_the_other_way(method: str) -> None:
    portal = ListPortal(range(1, 301))
    find = portal.find
    portal.find = lambda bounds, group, descending: find(bounds, group, False)  # type: ignore[method-assign]
    assert read(Reader(portal), method) == list(range(1, 301))


@pytest.mark.parametrize("ids", [[3, 2, 1], [1, 3, 2], [1, 1]])
def test_a_portal_that_does_not_sort(ids: list[int]) -> None:
    portal = ListPortal([1])
    portal.spoil = lambda rows: [{"id": number} for number in ids]
    with pytest.raises(IncompleteReplyError, match="filter or sort"):
        read(Reader(portal))


def test_a_portal_that_does_not_filter() -> None:
    portal = ListPortal(range(1, 3000))
    find = portal.find
    portal.find = lambda bounds, group, descending: find([], group, descending)  # type: ignore[method-assign]
    with pytest.raises(IncompleteReplyError, match="was asked for rows with id > 50") as caught:
        read(Reader(portal))
    assert caught.value.after == 50


@pytest.mark.parametrize("row", [{}, {"id": None}, {"id": "x"}, {"id": True}, {"id": -1}, {"id": 10**30}, None, "7"])
def test_rows_without_an_id(row: Any) -> None:
    portal = ListPortal(range(1, 60))
    portal.spoil = lambda rows: [row]
    with pytest.raises(IncompleteReplyError, match=r"no usable 'id'.*Add it to select"):
        read(Reader(portal))


@given(
    seed=st.integers(0, 10**6),
    count=st.integers(0, 6000),
    share=st.sampled_from([0.0, 0.1, 0.9]),
    method=st.sampled_from([ITEMS, DEALS]),
    often=st.sampled_from([0.05, 0.3]),
    parallel=st.sampled_from([1, 4, 9]),
)
def test_whatever_goes_wrong_all_rows_come_once(
    *, seed: int, count: int, share: float, method: str, often: float, parallel: int
) -> None:
    source = random.Random(seed)
    ids = gaps(count, share, seed)
    portal = ListPortal(ids)
    others = Others(portal, source, 0.05)
    portal.churn = others.write
    errors = ["INTERNAL_SERVER_ERROR", "QUERY_LIMIT_EXCEEDED", "OPERATION_TIME_LIMIT", "", "ACCESS_DENIED"]

    def trouble(name: str, number: int) -> dict[str, Any] | None:
        portal.resolves = source.random() > often / 10
        if source.random() < often / 50:
            return {"error": source.choice(errors), "error_description": "by chance"}
        return None

    def spoil(rows: list[Any]) -> Any:
        if source.random() > often / 50:
            return rows
        return source.choice([rows[::-1], rows[:-1], rows + rows[:1], rows[:1] + rows, rows[:7], [], False, None])

    reader = Reader(portal, source, tries=3)
    reader.misfortune = lambda: source.choice([LOST, NOT_SENT, truncated, refused]) if source.random() < often else None
    portal.trouble = trouble
    # A page that lacks rows within can not be told from one whose rows were deleted.
    portal.spoil = lambda rows: spoil(rows) if len(rows) > 1 else rows
    found = read_on(reader, method, parallel=parallel)
    assert found == sorted(set(found))
    assert set(ids) - others.touched <= set(found)
