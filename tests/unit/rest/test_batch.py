from __future__ import annotations

import datetime as dt
import enum
import json
from collections.abc import Hashable, Mapping
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from airflow_provider_b24.rest.address import Address
from airflow_provider_b24.rest.batch import BatchReply, command, converse_batch, references
from airflow_provider_b24.rest.credentials import Webhook
from airflow_provider_b24.rest.errors import (
    AccessDeniedError,
    AuthenticationError,
    Bitrix24Error,
    ConfigurationError,
    IncompleteReplyError,
    LowBucketError,
    NotExecutedError,
    NotSentError,
    OperatingLimitError,
    OutcomeUnknownError,
    QueryLimitError,
    RequestRefusedError,
)
from airflow_provider_b24.rest.pacing import Plan, Turn
from airflow_provider_b24.rest.peer import Patience, Peer
from airflow_provider_b24.rest.protocol import Call, Priority, Reply, Response
from airflow_provider_b24.rest.shared import SharedBucket
from airflow_provider_b24.rest.steps import Failure, Send, Wait
from tests.portal.rest.leaks import leaks
from tests.unit.rest.clocks import FakeClock
from tests.unit.rest.php_query import parse
from tests.unit.rest.simulation import converse_with, error, reply

HOOK = Webhook(Address("https", "acme.bitrix24.com"), "7", "s3cr3tc0de")
READ = Call("crm.item.get", {"id": 1})
WRITE = Call("crm.item.add")
BULK = Call("crm.item.add", priority=Priority.BULK)
SIGNAL = Call("im.dialog.writing", {"DIALOG_ID": "chat1"}, priority=Priority.TYPING)


class Colour(str, enum.Enum):
    RED = "red"


class Number(enum.IntEnum):
    ONE = 1


def peer(**options: Any) -> Peer:
    return Peer(HOOK, **{"clock": FakeClock(), "jitter": lambda: 0.5, **options})


def answer(
    result: Any = (), errors: Any = (), total: Any = (), following: Any = (), time: Any = (), **more: Any
) -> Response:
    """The portal's answer to a batch; an empty section is a list, as PHP writes it."""
    body = {
        "result": result,
        "result_error": errors,
        "result_total": total,
        "result_next": following,
        "result_time": time,
    }
    return reply({**{name: section or [] for name, section in body.items()}, **more})


def refusal(code: str, description: str = "") -> dict[str, str]:
    return {"error": code, "error_description": description}


def carried_out(
    calls: Mapping[Any, Call] | list[Call], *answers: Any, halt: bool | None = None, by: Peer | None = None
) -> tuple[list[Any], Any]:
    """The bodies of the requests (and the waits between), and what came out."""
    by = by or peer()
    assert isinstance(by.clock, FakeClock)
    steps, outcome = converse_with(converse_batch(by, calls, halt=halt), *answers, clock=by.clock)
    return [step.seconds if isinstance(step, Wait) else json.loads(step.request.body) for step in steps], outcome


# writing


@pytest.mark.parametrize(
    ("params", "text"),
    [
        ({}, "m"),
        ([], "m"),
        ({"id": 7}, "m?id=7"),
        ([13, {"POST_MESSAGE": "x"}], "m?0=13&1[POST_MESSAGE]=x"),
        ({"a": True, "b": False, "c": None}, "m?a=1&b=0&c="),
        ({"a": 1.5, "b": Decimal("10.10"), "c": -3}, "m?a=1.5&b=10.10&c=-3"),
        ({"a": [], "b": {}}, "m?a[]=&b[]="),
        ({"select": ["ID", "TITLE"]}, "m?select[0]=ID&select[1]=TITLE"),
        ({"filter": {">ID": 5, "%TITLE": "a&b=c"}}, "m?filter[%3EID]=5&filter[%25TITLE]=a%26b%3Dc"),
        ({"fields": {"PHONE": [{"VALUE": "+7 1"}]}}, "m?fields[PHONE][0][VALUE]=%2B7%201"),
        ({"t": "Да"}, "m?t=%D0%94%D0%B0"),
        ({"f": {"Имя": 1}}, "m?f[%D0%98%D0%BC%D1%8F]=1"),
        ({"a": [[], [None]]}, "m?a[0][]=&a[1][0]="),
        ({"d": dt.date(2026, 8, 21), "t": (1, 2), "s": {3}}, "m?d=2026-08-21&t[0]=1&t[1]=2&s[0]=3"),
        ({"e": Colour.RED, "n": Number.ONE, "p": Priority.WORK}, "m?e=red&n=1&p=work"),
        ({"r": "$result[a][0][ID]"}, "m?r=%24result%5Ba%5D%5B0%5D%5BID%5D"),
    ],
)
def test_how_a_command_is_written(params: Any, text: str) -> None:
    assert command("m", params) == text


@pytest.mark.parametrize(
    "value", [b"x", object(), float("nan"), float("inf"), Decimal("NaN"), "\ud800", {"a": [b"x"]}], ids=type
)
def test_what_has_no_text(value: Any) -> None:
    with pytest.raises(ConfigurationError, match="can not be written as a query") as caught:
        command("m", {"botToken": "b0tt0ken", "v": value})
    assert caught.value.method == "m"
    assert leaks(caught.value, ["b0tt0ken"]) == []


def test_an_endless_value() -> None:
    endless: list[Any] = []
    endless.append(endless)
    with pytest.raises(ConfigurationError):
        command("m", {"v": endless})


def _as_php_has_it(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {key: _as_php_has_it(item) for key, item in value.items()} or {"0": ""}
    if isinstance(value, list):
        return _as_php_has_it({str(index): item for index, item in enumerate(value)})
    if value is None:
        return ""
    return str(int(value)) if isinstance(value, bool) else str(value)


_text = st.text(st.characters(exclude_categories=["Cs"]))
# PHP reads brackets in a key as nesting even where they are percent-encoded, and an empty key as "append".
_key = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="[]"), min_size=1)
_scalar = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | _text
_nested = st.recursive(_scalar, lambda inner: st.lists(inner, max_size=4) | st.dictionaries(_key, inner, max_size=4))
_name = st.from_regex(r"\A[A-Za-z_][A-Za-z0-9_]{0,9}\Z")


@given(st.dictionaries(_name, _nested, max_size=5))
def test_php_reads_what_was_written(params: dict[str, Any]) -> None:
    method, _, query = command("crm.item.list", params).partition("?")
    assert method == "crm.item.list"
    assert parse(query) == {name: _as_php_has_it(value) for name, value in params.items()}


@given(st.lists(_nested, max_size=4))
def test_php_reads_positional_parameters(params: list[Any]) -> None:
    assert parse(command("m", params).partition("?")[2]) == {str(i): _as_php_has_it(v) for i, v in enumerate(params)}


def test_the_other_parser_knows_appending() -> None:
    assert parse("a[]=1&a[]=2&b[x][]=3&c.d=4&e=5+6") == {
        "a": {"0": "1", "1": "2"},
        "b": {"x": {"0": "3"}},
        "c_d": "4",
        "e": "5 6",
    }


def test_references() -> None:
    value = {"a": ["$result[x][0][ID]", ("$result[y]", 7)], "b": {"c": "$result[z]-$result[x]"}, "d": "result[no]"}
    assert references(value) == {"x", "y", "z"}


# sending


def test_the_request_of_a_batch() -> None:
    calls = {"me": Call("profile"), 7: Call("crm.item.get", {"entityTypeId": 2, "id": 7})}
    (body,), outcome = carried_out(calls, answer({"me": {"ID": "7"}, "7": {"item": {}}}))
    assert body == {"halt": 0, "cmd": {"me": "profile", "7": "crm.item.get?entityTypeId=2&id=7"}}
    assert outcome.results == {"me": {"ID": "7"}, 7: {"item": {}}}
    assert outcome.errors == {}
    assert outcome.unwrap() == outcome.results


def test_no_calls_no_request() -> None:
    nothing: Any
    for nothing in ({}, []):
        steps, outcome = carried_out(nothing)
        assert steps == []
        assert outcome == BatchReply()


def test_more_than_fifty() -> None:
    calls = [Call("crm.item.get", {"id": number}) for number in range(120)]
    answers = [answer([{"id": number} for number in range(120)[at : at + 50]]) for at in (0,)]
    answers += [
        answer({str(n): {"id": n} for n in range(50, 100)}),
        answer({str(n): {"id": n} for n in range(100, 120)}),
    ]
    bodies, outcome = carried_out(calls, *answers)
    assert [len(body["cmd"]) for body in bodies] == [50, 50, 20]
    assert list(bodies[1]["cmd"])[:2] == ["50", "51"]
    assert outcome.results == {number: {"id": number} for number in range(120)}


def test_every_call_is_checked_before_anything_is_sent() -> None:
    calls = [*[WRITE] * 50, Call("crm.item.add", {"x": b"no text"})]
    steps, outcome = carried_out(calls)
    assert steps == []
    assert isinstance(outcome, ConfigurationError)


@pytest.mark.parametrize(
    ("calls", "words"),
    [
        ({"a": "profile"}, "not a call"),
        ({1: READ, "1": READ}, "same text"),
        ({"a b": READ}, "key"),
        ({"a\n": READ}, "key"),
        ({"": READ}, "key"),
        ({"a-b": READ}, "key"),
        ({"ключ": READ}, "key"),
        ({"a": Call("tasks.task.get", version=3)}, "version 3"),
        ({"a": Call("batch")}, "can not go into a batch"),
        ({"a": Call("disk.folder.uploadFile")}, "can not go into a batch"),
        ({"a": Call("disk.file.uploadversion")}, "can not go into a batch"),
        ({"a": Call("im.v2.File.upload")}, "can not go into a batch"),
        ({"a": Call("imbot.v2.File.download")}, "can not go into a batch"),
        ({"a": Call("x", {"id": "$result[b]"}), "b": READ}, "no earlier call"),
        ({"a": Call("x", {"id": "$result[a]"})}, "no earlier call"),
        ({"a": Call("x", {"id": "$result[nobody]"})}, "no earlier call"),
        ([READ] * 50 + [Call("x", {"id": "$result[3]"})], "no earlier call of the same 50"),
    ],
)
def test_calls_that_a_batch_can_not_carry(calls: Any, words: str) -> None:
    steps, outcome = carried_out(calls)
    assert steps == []
    assert isinstance(outcome, ConfigurationError)
    assert words in str(outcome)


CHAIN = {"a": READ, "b": Call("crm.deal.get", {"id": "$result[a][ID]"})}


def test_a_chain_stops_at_the_first_failure() -> None:
    (body,), outcome = carried_out(CHAIN, answer([], {"a": refusal("ACCESS_ERROR")}))
    assert body["halt"] == 1
    assert type(outcome.errors["a"]) is AccessDeniedError
    assert type(outcome.errors["b"]) is NotExecutedError
    assert outcome.replies == {}


def test_a_chain_that_does_not_stop_is_refused() -> None:
    steps, outcome = carried_out(CHAIN, halt=False)
    assert steps == []
    assert isinstance(outcome, ConfigurationError)


def test_halt_keeps_later_requests_from_being_sent() -> None:
    calls = [WRITE] * 60
    (body,), outcome = carried_out(calls, answer([17], {"1": refusal("ACCESS_ERROR")}), halt=True)
    assert body["halt"] == 1
    assert outcome.results == {0: 17}
    assert list(outcome.errors) == list(range(1, 60))
    assert {type(outcome.errors[key]) for key in range(2, 60)} == {NotExecutedError}


def test_without_halt_the_rest_goes_on() -> None:
    calls = [WRITE] * 60
    first = answer({str(n): n for n in range(50) if n != 1}, {"1": refusal("ACCESS_ERROR")})
    bodies, outcome = carried_out(calls, first, answer({str(n): n for n in range(50, 60)}))
    assert len(bodies) == 2
    assert list(outcome.errors) == [1]
    assert len(outcome.results) == 59


# reading the answer


@pytest.mark.parametrize(
    ("calls", "response", "results"),
    [
        ([READ, READ], answer([1, 2]), {0: 1, 1: 2}),
        ([READ, READ], answer({"0": 1, "1": 2}), {0: 1, 1: 2}),
        ([READ], answer([None]), {0: None}),
        ({"a": READ}, answer({"a": False}), {"a": False}),
        ({"a": READ}, answer({"a": []}), {"a": []}),
        ({"00": READ, "0": READ}, answer({"00": 1, "0": 2}), {"00": 1, "0": 2}),
    ],
)
def test_results_by_key(calls: Any, response: Response, results: dict[Hashable, Any]) -> None:
    assert carried_out(calls, response)[1].results == results


def test_whole_replies() -> None:
    portal = peer()
    response = answer(
        {"a": [], "b": []},
        total={"a": 120, "b": "7"},
        following={"a": 50},
        time={"a": {"operating": 0.5, "operating_reset_at": 1_790_001_300, "finish": 1_790_001_000.5}, "b": []},
    )
    _, outcome = carried_out({"a": Call("crm.item.list"), "b": Call("user.get")}, response, by=portal)
    assert outcome.replies["a"] == Reply([], 120, 50, 0.5, 1_790_001_300, 1_790_001_000.5)
    assert outcome.replies["b"] == Reply([], 7)


def test_results_and_errors_stand_in_the_order_of_the_calls() -> None:
    response = answer({"d": 4, "b": 2}, {"c": refusal("X"), "a": refusal("Y")})
    _, outcome = carried_out(dict.fromkeys("abcd", READ), response)
    assert list(outcome.results) == ["b", "d"]
    assert list(outcome.errors) == ["a", "c"]


@pytest.mark.parametrize(
    ("value", "kind", "code", "description"),
    [
        (refusal("ACCESS_ERROR", "no\nway"), AccessDeniedError, "ACCESS_ERROR", "no way"),
        (refusal(""), RequestRefusedError, "", ""),
        (refusal("INTERNAL_SERVER_ERROR"), OutcomeUnknownError, "INTERNAL_SERVER_ERROR", ""),
        ({"error": {"code": "X", "message": "y"}}, RequestRefusedError, "X", "y"),
        ("X", RequestRefusedError, "X", ""),
        ([], RequestRefusedError, "", ""),
        (None, RequestRefusedError, "", ""),
    ],
)
def test_the_error_of_a_call(value: Any, kind: type[Bitrix24Error], code: str, description: str) -> None:
    _, outcome = carried_out({"a": WRITE}, answer([], {"a": value}))
    refused = outcome.errors["a"]
    assert type(refused) is kind
    assert (refused.code, refused.description, refused.method, refused.status) == (
        code,
        description,
        WRITE.method,
        None,
    )
    with pytest.raises(kind):
        outcome.unwrap()


def test_a_portal_that_repeats_the_secret() -> None:
    told = refusal("s3cr3tc0de", f"{'x' * 490} https://acme.bitrix24.com/rest/7/s3cr3tc0de/batch")
    _, outcome = carried_out({"a": WRITE}, answer([], {"a": told}))
    assert leaks(outcome.errors["a"], ["s3cr3tc0de", "s3cr3t"]) == []
    assert len(outcome.errors["a"].description) <= 500


@pytest.mark.parametrize("body", [[], None, True, "x", {}, {"result": None}, {"result": "x", "result_error": 7}])
def test_calls_of_which_the_answer_says_nothing(body: Any) -> None:
    _, outcome = carried_out({"r": READ, "w": WRITE}, reply(body))
    assert type(outcome.errors["r"]) is IncompleteReplyError
    assert type(outcome.errors["w"]) is OutcomeUnknownError
    assert outcome.errors["w"].permanent
    assert not outcome.errors["r"].permanent


def test_without_an_earlier_failure_nothing_counts_as_not_executed() -> None:
    _, outcome = carried_out({"a": WRITE, "b": WRITE}, answer({"b": 1}), halt=True)
    assert type(outcome.errors["a"]) is OutcomeUnknownError


# limits


def test_commands_that_a_limit_refused_are_sent_again_and_only_they() -> None:
    first = answer([1], {"1": refusal("QUERY_LIMIT_EXCEEDED"), "2": refusal("ACCESS_ERROR")})
    steps, outcome = carried_out([WRITE, Call("crm.deal.add"), WRITE], first, answer({"1": 2}))
    assert steps == [
        {"halt": 0, "cmd": {"0": "crm.item.add", "1": "crm.deal.add", "2": "crm.item.add"}},
        0.5,
        {"halt": 0, "cmd": {"1": "crm.deal.add"}},
    ]
    assert outcome.results == {0: 1, 1: 2}
    assert type(outcome.errors[2]) is AccessDeniedError


def test_a_limit_that_stays_is_an_error_at_last() -> None:
    refused = answer([], [refusal("QUERY_LIMIT_EXCEEDED")])
    steps, outcome = carried_out([WRITE], refused, refused, refused, refused)
    assert [step for step in steps if isinstance(step, float)] == [0.5, 1.0, 2.0]
    assert type(outcome.errors[0]) is QueryLimitError


def test_the_callers_patience_counts() -> None:
    refused = answer([], [refusal("QUERY_LIMIT_EXCEEDED")])
    conversation = converse_batch(peer(), [WRITE], patience=Patience(tries=2, pause=4.0))
    steps, outcome = converse_with(conversation, refused, refused)
    assert [step.seconds for step in steps if isinstance(step, Wait)] == [4.0]
    assert type(outcome.errors[0]) is QueryLimitError


def test_an_operating_limit_is_waited_for_if_it_is_short() -> None:
    refused = answer([], [refusal("OPERATION_TIME_LIMIT")])
    steps, outcome = carried_out([WRITE], refused, answer([5]), by=using({WRITE.method: (30, 40)}))
    assert steps[1] == 41.0
    assert outcome.results == {0: 5}


def test_a_long_operating_limit_keeps_none_of_the_others() -> None:
    refused = answer([], [refusal("OPERATION_TIME_LIMIT"), refusal("QUERY_LIMIT_EXCEEDED")])
    calls = [WRITE, Call("crm.deal.add")]
    steps, outcome = carried_out(calls, refused, answer({"1": 6}), by=using({WRITE.method: (30, 400)}))
    assert steps[1:] == [0.5, {"halt": 0, "cmd": {"1": "crm.deal.add"}}]
    assert outcome.results == {1: 6}
    assert (type(outcome.errors[0]), outcome.errors[0].code) == (OperatingLimitError, "OPERATION_TIME_LIMIT")
    assert outcome.errors[0].retry_after == 401.0
    assert "until 14:36:41 UTC (in 401 s)" in str(outcome.errors[0])


def using(methods: dict[str, tuple[float, float]]) -> Peer:
    """A peer that knows so many seconds of execution time of each method, and in how many the oldest fall away."""
    made = peer()
    for method, (operating, resets_in) in methods.items():
        made.budget.note(method, operating, resets_in)
    return made


def test_commands_whose_method_is_used_up_go_later_and_keep_none_of_the_others() -> None:
    later, never = Call("crm.item.list"), Call("crm.deal.list")
    by = using({later.method: (500, 20), never.method: (500, 400)})
    calls = {"a": later, "b": never, "c": WRITE, "d": later}
    steps, outcome = carried_out(calls, answer({"c": 3}), answer({"a": 1, "d": 4}), by=by)
    assert [step if isinstance(step, float) else list(step["cmd"]) for step in steps] == [["c"], 21.0, ["a", "d"]]
    assert outcome.results == {"a": 1, "c": 3, "d": 4}
    assert (type(outcome.errors["b"]), outcome.errors["b"].retry_after) == (OperatingLimitError, 401.0)
    assert "crm.deal.list: not sent, until 14:36:41 UTC (in 401 s): 500 of its 480 s" in str(outcome.errors["b"])


def test_with_halt_nothing_is_begun_that_can_not_be_finished() -> None:
    calls = [WRITE, Call("crm.deal.list")]
    steps, outcome = carried_out(calls, by=using({"crm.deal.list": (500, 400)}), halt=True)
    assert steps == []
    assert (type(outcome), outcome.method) == (OperatingLimitError, "crm.deal.list")
    steps, outcome = carried_out(calls, answer([1, 2]), by=using({"crm.deal.list": (500, 20)}), halt=True)
    assert [type(step) for step in steps] == [float, dict]
    assert outcome.results == {0: 1, 1: 2}


def test_with_halt_a_later_request_is_not_begun_and_what_was_done_is_kept() -> None:
    calls = [*[WRITE] * 51, Call("crm.deal.list")]
    by = using({"crm.deal.list": (500, 400)})
    steps, outcome = carried_out(calls, answer(list(range(50))), by=by, halt=True)
    assert len(steps) == 1
    assert len(outcome.results) == 50
    assert [type(outcome.errors[key]) for key in (50, 51)] == [NotExecutedError, OperatingLimitError]


def test_the_answer_to_a_batch_tells_what_its_methods_have_used() -> None:
    by = peer()
    now = by.clock.time()
    times = [{"operating": used, "operating_reset_at": now + 300, "finish": now} for used in (470, 485)]
    carried_out([WRITE, WRITE], answer([1, 2], time={"0": times[0], "1": times[1]}), by=by)
    steps, outcome = carried_out([WRITE], by=by)
    assert steps == []
    assert outcome.errors[0].retry_after == 301.0


def test_time_that_is_billed_to_batch_counts_as_well() -> None:
    by = using({"batch": (481, 300)})
    steps, outcome = carried_out([READ], by=by)
    assert steps == []
    assert (type(outcome), outcome.method) == (OperatingLimitError, "batch")


def test_with_halt_nothing_is_sent_again() -> None:
    steps, outcome = carried_out([WRITE, WRITE], answer([], [refusal("QUERY_LIMIT_EXCEEDED")]), halt=True)
    assert len(steps) == 1
    assert [type(item) for item in outcome.errors.values()] == [QueryLimitError, NotExecutedError]


def test_signals_are_not_sent_again() -> None:
    steps, outcome = carried_out([SIGNAL, SIGNAL], answer({"1": True}, {"0": refusal("QUERY_LIMIT_EXCEEDED")}))
    assert len(steps) == 1
    assert outcome.results == {1: True}
    assert type(outcome.errors[0]) is QueryLimitError


def test_a_batch_of_signals_gives_way() -> None:
    low = peer(plan=Plan(50, 2), clock=FakeClock(now=0.0))
    assert low.bucket is not None
    while low.bucket.draw(Priority.TYPING).ready:
        pass
    steps, outcome = carried_out([SIGNAL], by=low)
    assert steps == []
    assert type(outcome) is LowBucketError
    steps, outcome = carried_out([SIGNAL, READ], answer([1, 2]), by=low)
    assert outcome.results == {0: 1, 1: 2}


@pytest.mark.parametrize(
    ("calls", "priority"),
    [([BULK, BULK], Priority.BULK), ([SIGNAL, BULK], Priority.BULK), ([SIGNAL, BULK, READ], Priority.WORK)],
)
def test_a_batch_goes_when_the_first_of_its_calls_may(
    calls: list[Call], priority: Priority, monkeypatch: pytest.MonkeyPatch
) -> None:
    drawn: list[Priority] = []

    def draw(self: SharedBucket, priority: Priority, ticket: int | None, at_most: float) -> Turn:
        drawn.append(priority)
        return Turn(ready=True)

    monkeypatch.setattr(SharedBucket, "draw", draw)
    carried_out(calls, answer([1] * len(calls)), by=peer(plan=Plan(50, 2)))
    assert drawn == [priority]


# the whole request fails


def test_a_request_that_failed_before_anything_was_done_is_raised() -> None:
    steps, outcome = carried_out([WRITE], error(401, "NO_AUTH_FOUND"))
    assert len(steps) == 1
    assert type(outcome) is AuthenticationError
    assert outcome.method == "batch"


def test_reads_are_read_again_and_then_raised() -> None:
    broken = Response(502, {}, b"")
    steps, outcome = carried_out([READ], broken, broken, broken, broken)
    assert [step for step in steps if isinstance(step, float)] == [0.5, 1.0, 2.0]
    assert type(outcome) is OutcomeUnknownError


@pytest.mark.parametrize("lost", [Response(502, {}, b""), Failure("no answer", sent=True)], ids=["502", "time-out"])
def test_a_lost_answer_to_writes_is_unknown_for_each_and_the_rest_goes_on(lost: Any) -> None:
    calls = [*[WRITE] * 50, READ]
    steps, outcome = carried_out(calls, lost, answer({"50": 1}))
    assert len(steps) == 2
    assert outcome.results == {50: 1}
    assert {type(item) for item in outcome.errors.values()} == {OutcomeUnknownError}
    assert len(outcome.errors) == 50
    assert all(item.permanent and item.method == WRITE.method for item in outcome.errors.values())


def test_unknown_are_exactly_the_writes_whose_answer_was_lost() -> None:
    calls = {"a": WRITE, "b": READ, "c": WRITE}
    steps, outcome = carried_out(calls, Failure("no answer", sent=True))
    assert len(steps) == 1
    assert outcome.unknown == ["a", "c"]
    assert type(outcome.errors["b"]) is IncompleteReplyError
    assert "the answer to the batch was lost: no answer" in str(outcome.errors["b"])


def test_nothing_is_unknown_of_what_was_refused() -> None:
    _, outcome = carried_out([WRITE, WRITE], answer({"0": 5}, {"1": refusal("ACCESS_DENIED")}))
    assert (outcome.results, outcome.unknown) == ({0: 5}, [])


def test_a_command_that_the_answer_does_not_speak_of_is_unknown() -> None:
    _, outcome = carried_out([WRITE, WRITE, READ], answer({"0": 5}))
    assert outcome.unknown == [1]


@pytest.mark.parametrize(
    "certain",
    [
        error(401, "INVALID_CREDENTIALS"),
        error(403, "insufficient_scope"),
        error(503, "OVERLOAD_LIMIT"),
        Failure("the TLS certificate is not trusted", sent=False, certificate=True),
        Response(302, {"location": "https://elsewhere.example/rest/7/s3cr3tc0de/batch"}, b""),
    ],
    ids=["credential", "scope", "blocked", "certificate", "redirect"],
)
def test_a_certain_failure_is_not_met_again_for_every_request(certain: Any) -> None:
    steps, outcome = carried_out([WRITE] * 5000, answer(list(range(50))), certain)
    assert len(steps) == 2, "not 100"
    assert len(outcome.results) == 50
    assert len(outcome.errors) == 4950
    assert len({(type(item), str(item)) for item in outcome.errors.values()}) == 1
    assert outcome.unknown == []
    steps, raised = carried_out([WRITE] * 5000, certain)
    assert len(steps) == 1
    assert type(raised) is type(outcome.errors[50])


def test_a_failure_of_one_requests_content_keeps_none_of_the_others() -> None:
    lost = Failure("no answer", sent=True)
    steps, outcome = carried_out(
        [WRITE] * 150, lost, error(413, "TOO_LARGE"), answer({str(key): key for key in range(100, 150)})
    )
    assert len(steps) == 3
    assert outcome.unknown == list(range(50))
    assert {type(outcome.errors[key]) for key in range(50, 100)} == {RequestRefusedError}


def test_a_lost_answer_with_halt_ends_it() -> None:
    steps, outcome = carried_out([WRITE] * 51, Failure("no answer", sent=True), halt=True)
    assert len(steps) == 1
    assert type(outcome.errors[0]) is OutcomeUnknownError
    assert type(outcome.errors[50]) is NotExecutedError


def test_what_has_been_done_is_kept_when_a_later_request_fails() -> None:
    calls = [WRITE] * 51
    steps, outcome = carried_out(calls, answer(list(range(50))), error(401, "NO_AUTH_FOUND"))
    assert [type(step) for step in steps] == [dict, dict]
    assert len(outcome.results) == 50
    assert type(outcome.errors[50]) is AuthenticationError
    assert (outcome.errors[50].method, outcome.errors[50].code) == (WRITE.method, "NO_AUTH_FOUND")


def test_not_sent_is_tried_again() -> None:
    refused = Failure("the connection was refused", sent=False)
    steps, outcome = carried_out([WRITE], refused, refused, answer([1]))
    assert [step for step in steps if isinstance(step, float)] == [0.5, 1.0]
    assert outcome.results == {0: 1}
    _, outcome = carried_out([WRITE], refused, refused, refused, refused)
    assert type(outcome) is NotSentError


def test_no_frame_of_a_failure_shows_parameters() -> None:
    calls = [Call("imbot.v2.Chat.Message.send", {"botToken": "b0tt0ken"})]
    _, outcome = carried_out(calls, error(401, "NO_AUTH_FOUND"))
    assert leaks(outcome, ["s3cr3tc0de", "b0tt0ken"]) == []


_word = st.sampled_from(["result", "result_error", "result_total", "result_next", "result_time", "0", "1", "2", "a"])
_json = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(_word, inner, max_size=4),
    max_leaves=20,
)


@given(_json, st.booleans())
def test_any_answer_accounts_for_every_call(body: Any, halt: bool) -> None:
    signals = [Call(call.method, call.params, priority=Priority.TYPING) for call in (READ, WRITE, READ)]
    _, outcome = carried_out(signals, reply(body), halt=halt)
    assert outcome.replies.keys() | outcome.errors.keys() == {0, 1, 2}
    assert not outcome.replies.keys() & outcome.errors.keys()
    assert all(str(item) for item in outcome.errors.values())


def test_a_step_of_a_batch_shows_nothing() -> None:
    step = next(converse_batch(peer(), [Call("x", {"botToken": "b0tt0ken"})]))
    assert isinstance(step, Send)
    assert "b0tt0ken" not in repr(step)
    assert "s3cr3tc0de" not in repr(step)
