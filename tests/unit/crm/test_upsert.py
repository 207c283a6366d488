from __future__ import annotations

from decimal import Decimal
from random import Random
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from airflow_provider_b24.crm.entities import ENTITIES
from airflow_provider_b24.crm.finding import key_value
from airflow_provider_b24.crm.multifields import CLASSIC, without_known
from airflow_provider_b24.crm.upsert import upserting
from airflow_provider_b24.rest.errors import (
    Bitrix24Error,
    ConfigurationError,
    IncompleteReplyError,
    NotFoundError,
    RequestRefusedError,
)
from airflow_provider_b24.rest.lists import list_method
from airflow_provider_b24.rest.outcomes import Outcome
from airflow_provider_b24.rest.writing import Writing
from tests.unit.rest.clocks import FakeClock
from tests.unit.rest.storing import Refused, Stopped, StoringPortal, carried_out, peer

FAULTS = ["lost before", "lost after", "cut", "500", "half", "silent", "late", "not sent", "query limit"]
FAULTS.append("refused inside")
DEAL = {"entityTypeId": 2}


def rows_of(keys: list[Any], version: int = 0) -> list[dict[str, Any]]:
    return [{**DEAL, "fields": {"title": f"{place}.{version}", "originId": key}} for place, key in enumerate(keys)]


def work_of(method: str = "crm.item.add", key: Any = "originId", **options: Any) -> Writing:
    return upserting(method, key, **options)


def write(
    rows: list[Any], portal: StoringPortal | None = None, work: Writing | None = None, which: Any = None
) -> tuple[StoringPortal, list[Outcome], Exception | None]:
    portal = portal or StoringPortal(FakeClock())
    outcomes, error = carried_out(
        work or work_of(), rows, portal, peer(clock=portal.clock), which or (lambda lanes: lanes - 1)
    )
    portal.later()
    return portal, outcomes, error


def stored(portal: StoringPortal) -> dict[str, str]:
    """The title by the key; each key once."""
    found = {element["originId"]: element["title"] for element in portal.elements.values()}
    assert len(found) == len(portal.elements)
    return found


def wanted(rows: list[dict[str, Any]]) -> dict[str, str]:
    """The last row of a key stands."""
    return {str(row["fields"]["originId"]): row["fields"]["title"] for row in rows}


def test_what_is_there_is_updated_and_the_others_are_added() -> None:
    portal, _, _ = write(rows_of(["a", "c", "e"]))
    rows = rows_of(["a", "b", "c", "d"], version=1)
    portal, outcomes, error = write(rows, portal)
    assert error is None
    assert [(one.created, one.updated, one.id) for one in outcomes] == [
        (False, True, 1),
        (True, False, 4),
        (False, True, 2),
        (True, False, 5),
    ]
    assert stored(portal) == {**wanted(rows), "e": "2.0"}


def test_a_repeat_adds_nothing() -> None:
    rows = rows_of([f"x{number}" for number in range(330)])
    portal, _, _ = write(rows)
    before = portal.requests
    portal, outcomes, error = write(rows, portal)
    assert error is None
    assert all(outcome.updated for outcome in outcomes)
    assert stored(portal) == wanted(rows)
    # What is found, that there is no more, and the updates: for each 50 rows.
    assert portal.requests - before == 3 * 7


@settings(max_examples=20, deadline=None)
@given(
    st.integers(0, 300),
    st.integers(1, 4),
    st.dictionaries(st.integers(0, 15), st.sampled_from(FAULTS), max_size=5),
    st.randoms(use_true_random=False),
)
def test_every_key_is_there_once_whatever_goes_wrong(
    count: int, parallel: int, faults: dict[int, str], chance: Random
) -> None:
    keys = [chance.randrange(150) for _ in range(count)]
    portal = StoringPortal(FakeClock(), faults)
    rows = rows_of(keys)

    portal, outcomes, error = write(rows, portal, work_of(parallel=parallel), chance.randrange)
    found = stored(portal)
    assert [outcome.index for outcome in outcomes] == list(range(len(outcomes)))
    if error is None:
        assert len(outcomes) == len(rows)
        failed = {str(outcome.params["fields"]["originId"]) for outcome in outcomes if not outcome.ok}
        assert {key: title for key, title in found.items() if key not in failed} == {
            key: title for key, title in wanted(rows).items() if key not in failed
        }
    else:
        assert isinstance(error, Bitrix24Error)
        assert error.done == len(outcomes)
    portal, outcomes, error = write(rows, portal)
    assert error is None or portal.faults
    assert not {str(one.params["fields"]["originId"]) for one in outcomes if one.ok} - set(stored(portal))


@pytest.mark.parametrize("fault", ["lost before", "lost after", "cut", "500", "half", "silent", "late"])
@pytest.mark.parametrize("request_number", range(6))
def test_what_no_answer_came_to_is_settled_and_there_once(fault: str, request_number: int) -> None:
    rows = rows_of([f"x{number}" for number in range(120)])
    portal, outcomes, error = write(rows, StoringPortal(FakeClock(), {request_number: fault}))
    assert error is None
    assert all(outcome.created for outcome in outcomes)
    assert stored(portal) == wanted(rows)
    assert {outcome.id for outcome in outcomes} == set(portal.elements)


@pytest.mark.parametrize("fault", ["lost before", "lost after", "cut", "500", "half", "silent", "late"])
def test_an_update_that_no_answer_came_to_is_sent_again(fault: str) -> None:
    keys = [f"x{number}" for number in range(50)]
    portal, _, _ = write(rows_of(keys))
    portal.faults = {portal.requests + 2: fault}
    rows = rows_of(keys, version=1)
    portal, outcomes, error = write(rows, portal)
    assert error is None
    assert all(outcome.updated for outcome in outcomes)
    assert stored(portal) == wanted(rows)


@pytest.mark.parametrize("after", [False, True], ids=["before", "after"])
@pytest.mark.parametrize("request_number", range(9))
def test_a_repeat_after_a_kill_at_any_request_leaves_every_key_once(request_number: int, after: bool) -> None:
    rows = rows_of([f"x{number}" for number in range(150)] + ["x7", "x140"])
    portal = StoringPortal(FakeClock())
    portal.kill_at = request_number, after
    with pytest.raises(Stopped):
        write(rows, portal, work_of(parallel=2))
    portal.kill_at = None
    portal, outcomes, error = write(rows, portal)
    assert error is None
    assert all(outcome.ok for outcome in outcomes)
    assert stored(portal) == wanted(rows)


def test_a_key_given_twice_is_added_once_and_updated_by_the_last_of_its_rows() -> None:
    rows = rows_of(["a", "b", "a", "a"] * 40)
    portal, outcomes, error = write(rows, work=work_of(parallel=4))
    assert error is None
    assert stored(portal) == wanted(rows)
    assert [outcome.index for outcome in outcomes if outcome.created] == [0, 1]


def test_a_key_that_several_elements_have_is_an_error_that_names_them() -> None:
    portal = StoringPortal(FakeClock())
    for number, key in enumerate(["a", "b", "a"], 1):
        portal.elements[number] = {"id": number, "originId": key, "title": "old"}
    portal, outcomes, error = write(rows_of(["a", "b", "c"]), portal)
    assert error is None
    assert [outcome.ok for outcome in outcomes] == [False, True, True]
    assert isinstance(outcomes[0].error, RequestRefusedError)
    assert "2 elements have this key: 1, 3" in str(outcomes[0].error)
    assert [element["title"] for element in portal.elements.values()] == ["old", "1.0", "old", "2.0"]


def test_more_elements_than_a_page_are_all_looked_at() -> None:
    portal = StoringPortal(FakeClock())
    for number in range(1, 121):
        portal.elements[number] = {"id": number, "originId": f"x{number % 60}", "title": "old"}
    _, outcomes, error = write(rows_of([f"x{number}" for number in range(60)]), portal)
    assert error is None
    assert all(isinstance(outcome.error, RequestRefusedError) for outcome in outcomes)


def test_a_key_of_two_fields_is_found_only_where_both_are_the_same() -> None:
    def row(system: str, number: str, title: str) -> dict[str, Any]:
        return {**DEAL, "fields": {"originatorId": system, "originId": number, "title": title}}

    key = ("originatorId", "originId")
    rows = [row("shop", "1", "a"), row("bank", "2", "b"), row("shop", "2", "c")]
    portal, _, _ = write(rows, work=work_of(key=key))
    rows = [row("bank", "2", "d"), row("shop", "2", "e"), row("bank", "1", "f")]
    portal, outcomes, _ = write(rows, portal, work=work_of(key=key))
    assert [(one.created, one.updated, one.id) for one in outcomes] == [
        (False, True, 2),
        (False, True, 3),
        (True, False, 4),
    ]
    assert portal.titles() == ["a", "d", "e", "f"]


def test_an_update_finds_its_element_and_adds_none() -> None:
    portal, _, _ = write(rows_of(["a"]))
    portal, outcomes, _ = write(rows_of(["a", "b"], version=1), portal, work_of("crm.item.update"))
    assert outcomes[0].updated
    assert isinstance(outcomes[1].error, NotFoundError)
    assert stored(portal) == {"a": "0.1"}


@pytest.mark.parametrize(
    ("fields", "says"),
    [
        ({"title": "no key"}, "the key 'originId' is missing"),
        ({"originId": None}, "the key 'originId' is missing"),
        ({"originId": "  "}, "empty, too long"),
        ({"originId": float("nan")}, "nan is not a number"),
        ({"originId": True}, "no text and no number"),
        ({"originId": "x" * 256}, "too long"),
        ({"originId": ["a"]}, "no text and no number"),
        (None, "fields is missing"),
    ],
    ids=str,
)
def test_a_row_without_a_usable_key_is_an_error_and_the_others_are_written(fields: Any, says: str) -> None:
    rows = rows_of(["a", "b"])
    rows.insert(1, {**DEAL, "fields": fields})
    portal, outcomes, error = write(rows)
    assert error is None
    assert [outcome.ok for outcome in outcomes] == [True, False, True]
    assert isinstance(outcomes[1].error, ConfigurationError)
    assert says in str(outcomes[1].error)
    assert set(stored(portal)) == {"a", "b"}


@pytest.mark.parametrize(
    ("params", "says"),
    [
        ({"fields": {"originId": "a"}}, "entityTypeId is missing"),
        ({**DEAL, "id": 5, "fields": {"originId": "a"}}, "id is given"),
    ],
)
def test_a_row_that_says_too_little_or_too_much_is_an_error(params: Any, says: str) -> None:
    _, outcomes, _ = write([params])
    assert says in str(outcomes[0].error)


@pytest.mark.parametrize(
    ("value", "key"),
    [(5, 5), ("5", "5"), (5.0, 5), (Decimal("5.00"), 5), (" 5 ", "5"), ("007", "007"), ("5.0", "5.0"), (2.5, "2.5")],
)
def test_a_value_of_a_key(value: Any, key: Any) -> None:
    assert key_value(value) == key


def test_numbers_are_found_again_whatever_type_they_come_in() -> None:
    portal, _, _ = write(rows_of([5, "7", 8.0]))
    portal, outcomes, _ = write(rows_of(["5", 7, Decimal(8)], version=1), portal)
    assert all(outcome.updated for outcome in outcomes)
    assert len(portal.elements) == 3


def test_a_key_in_another_case_is_another_one_and_one_in_another_form_is_not_guessed() -> None:
    class Typed(StoringPortal):
        """Its filter takes 5 for 5.00, and what it shows was escaped."""

        def _found(self, params: dict[str, Any]) -> list[dict[str, Any]]:
            last = int(params["filter"].get(">id", 0))
            return [dict(element) for number, element in self.elements.items() if number > last]

    portal, _, _ = write(rows_of(["abc", "5.00", "a &amp; b"]), Typed(FakeClock()))
    portal, outcomes, error = write(rows_of(["ABC", "5", "a & b"], version=1), portal)
    assert error is None
    assert outcomes[0].created
    assert all("written differently" in str(outcome.error) for outcome in outcomes[1:])
    assert len(portal.elements) == 4


def test_a_field_that_the_portal_does_not_filter_by_ends_it_before_anything_is_written() -> None:
    class Careless(StoringPortal):
        def _found(self, params: dict[str, Any]) -> list[dict[str, Any]]:
            filter_ = {name: value for name, value in params["filter"].items() if name == ">id"}
            return super()._found({**params, "filter": filter_})

    portal = Careless(FakeClock())
    portal.elements = {number: {"id": number, "originId": f"y{number}"} for number in range(1, 99)}
    _, outcomes, error = write(rows_of(["a", "b"]), portal)
    assert isinstance(error, ConfigurationError)
    assert "does not filter by 'originId'" in str(error)
    assert not any(outcome.ok for outcome in outcomes)
    assert len(portal.elements) == 98


def test_a_field_that_elements_do_not_have_ends_it() -> None:
    class Careless(StoringPortal):
        def _found(self, params: dict[str, Any]) -> list[dict[str, Any]]:
            return [{"id": number} for number in self.elements if number > int(params["filter"].get(">id", 0))]

    portal = Careless(FakeClock())
    portal.elements = {1: {"id": 1}}
    _, _, error = write(rows_of(["a", "b"]), portal)
    assert "shows no usable field 'originId'" in str(error)


def test_a_value_that_the_portal_refuses_to_look_for_is_the_error_of_its_row() -> None:
    class Strict(StoringPortal):
        def _found(self, params: dict[str, Any]) -> list[dict[str, Any]]:
            if "bad" in str(params["filter"]):
                raise Refused("INVALID_ARG_VALUE")
            return super()._found(params)

    portal, outcomes, error = write(rows_of(["a", "bad", "b"]), Strict(FakeClock()))
    assert error is None
    assert [outcome.ok for outcome in outcomes] == [True, False, True]
    assert set(stored(portal)) == {"a", "b"}


def test_a_question_that_is_refused_for_all_rows_ends_it() -> None:
    class Strict(StoringPortal):
        def _found(self, params: dict[str, Any]) -> list[dict[str, Any]]:
            raise Refused("INVALID_ARG_VALUE")

    portal, outcomes, error = write(rows_of(list(range(5000))), Strict(FakeClock()))
    assert isinstance(error, RequestRefusedError)
    assert error.done == len(outcomes) <= 250
    assert not portal.elements


def test_what_never_arrives_is_said_to_be_missing_and_not_to_be_unknown() -> None:
    class Deaf(StoringPortal):
        def _execute(self, method: str, params: dict[str, Any]) -> Any:
            if method == "crm.item.add":
                raise Refused("INTERNAL_SERVER_ERROR")
            return super()._execute(method, params)

    portal, outcomes, error = write(rows_of(["a"]), Deaf(FakeClock()))
    assert error is None
    assert isinstance(outcomes[0].error, IncompleteReplyError)
    assert outcomes[0].retryable
    assert portal.requests == 2 * 4 + 1


@pytest.mark.parametrize("text", ["$result[0]", "$result[0][items][0][id]"])
def test_a_key_that_looks_like_a_reference_is_a_key(text: str) -> None:
    rows = rows_of(["a", text, "b"])
    portal, _, _ = write(rows)
    portal, outcomes, error = write(rows, portal)
    assert error is None
    assert all(outcome.updated for outcome in outcomes)
    assert stored(portal) == wanted(rows)
    assert not portal.resolved


@pytest.mark.parametrize(
    ("method", "key", "says"),
    [
        ("im.message.add", "a", "can not be found by a key"),
        ("crm.item.delete", "a", "can not be found by a key"),
        ("crm.item.add", (), "key is ()"),
        ("crm.item.add", ("a", "a"), "key is ('a', 'a')"),
        ("crm.item.add", ["", "a"], "key is"),
    ],
)
def test_arguments_that_can_not_be_right(method: str, key: Any, says: str) -> None:
    with pytest.raises(ConfigurationError) as caught:
        upserting(method, key)
    assert says in str(caught.value)
    assert caught.value.advice


@pytest.mark.parametrize("family", ENTITIES)
def test_every_kind_of_element_can_be_listed(family: str) -> None:
    assert list_method(ENTITIES[family].list) is not None


@pytest.mark.parametrize("fault", [None, "lost after", "late", "silent"])
def test_phones_that_an_element_has_are_not_added_again(fault: str | None) -> None:
    def rows(phones: dict[str, str]) -> list[dict[str, Any]]:
        entries = {key: {"typeId": "PHONE", "valueType": "WORK", "value": value} for key, value in phones.items()}
        return [{"entityTypeId": 3, "fields": {"originId": key, "title": key, "fm": entries}} for key in "abca"]

    portal = StoringPortal(FakeClock())
    write(rows({"n0": "+1", "n1": "+2"}), portal)
    portal.faults = {portal.requests + 2: fault} if fault else {}
    _, outcomes, error = write(rows({"n0": "+2", "n1": "+3", "100": "+4"}), portal)
    assert error is None
    assert all(outcome.ok for outcome in outcomes)
    for element in portal.elements.values():
        assert [entry["value"] for entry in element["fm"]] == ["+4", "+2", "+3"]


@pytest.mark.parametrize(
    ("given_fields", "left"),
    [
        ({"TITLE": "x"}, {"TITLE": "x"}),
        ({"PHONE": [{"VALUE": "+1", "VALUE_TYPE": "HOME"}]}, {}),
        ({"PHONE": [{"VALUE": "+2"}, {"VALUE": "+1"}]}, {"PHONE": [{"VALUE": "+2"}]}),
        ({"PHONE": [{"ID": 7, "VALUE": "+1"}]}, {"PHONE": [{"ID": 7, "VALUE": "+1"}]}),
        ({"EMAIL": [{"VALUE": "+1"}]}, {"EMAIL": [{"VALUE": "+1"}]}),
        ({"PHONE": {"n0": {"VALUE": " +1 "}, "n1": {"VALUE": "+3"}}}, {"PHONE": {"n1": {"VALUE": "+3"}}}),
        ({"PHONE": "nonsense"}, {"PHONE": "nonsense"}),
    ],
    ids=str,
)
def test_what_is_left_of_several_values(given_fields: dict[str, Any], left: dict[str, Any]) -> None:
    element = {"ID": "1", "PHONE": [{"ID": "7", "VALUE": "+1", "VALUE_TYPE": "WORK", "TYPE_ID": "PHONE"}]}
    assert without_known(given_fields, element, CLASSIC) == left
