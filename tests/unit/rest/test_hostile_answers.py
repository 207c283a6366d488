"""Answers of a portal that means harm, or of one that is broken: they end in an error of ours, whatever is in them."""

from __future__ import annotations

import json
import random
from collections.abc import Generator
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from airflow_provider_b24.rest.address import Address
from airflow_provider_b24.rest.batch import converse_batch
from airflow_provider_b24.rest.conversation import converse
from airflow_provider_b24.rest.credentials import MemoryTokenStore, OAuthApp, Tokens, Webhook
from airflow_provider_b24.rest.errors import Bitrix24Error, OutcomeUnknownError, RequestRefusedError
from airflow_provider_b24.rest.listing import reader_for
from airflow_provider_b24.rest.pacing import PLANS
from airflow_provider_b24.rest.peer import Peer
from airflow_provider_b24.rest.protocol import Call, Priority, Response, decode, decode_tokens
from airflow_provider_b24.rest.renewal import renew
from airflow_provider_b24.rest.steps import Ask, Failure, Renew, Send, Wait
from tests.portal.rest.leaks import found
from tests.unit.rest.clocks import FakeClock

PORTAL = Address("https", "acme.bitrix24.com")
HOOK = Webhook(PORTAL, "7", "s3cr3tc0de")
APP = OAuthApp(PORTAL, "local.app", "cl13nts3cr3t")
TOKENS = Tokens("old4ccess", "oldr3fresh")
SECRETS = (*HOOK.secrets, *APP.secrets, *TOKENS.secrets)

UNREADABLE = {
    "100,000 lists": b'{"result":' + b"[" * 100_000 + b"]" * 100_000 + b"}",
    "100,000 lists without an end": b'{"result":' + b"[" * 100_000,
    "100,000 objects": b'{"a":' * 100_000 + b"1" + b"}" * 100_000,
    "an integer of a million digits": b'{"result":' + b"9" * 1_000_000 + b"}",
    "NaN": b'{"result":NaN}',
    "Infinity": b'{"result":[Infinity]}',
    "-Infinity": b'{"result":-Infinity}',
    "a list": b'[{"result":1}]',
    "a text": b'"result"',
    "a number": b"1",
    "null": b"null",
    "true": b"true",
    "no UTF-8": b'{"result":"\xff\xfe"}',
    "half of a character": b'{"result":"\xd0"}',
    "UTF-16": '{"result":1}'.encode("utf-16"),
    "UTF-32": '{"result":1}'.encode("utf-32"),
    "two documents": b'{"result":1}{"result":2}',
    "a document and more": b'{"result":1} x',
    "two marks of order": b'\xef\xbb\xbf\xef\xbb\xbf{"result":1}',
    "a zero byte": b'{"result":1}\0',
    "a raw line break": b'{"result":"a\nb"}',
    "single quotes": b"{'result':1}",
    "a comma too many": b'{"result":1,}',
    "nothing": b"",
    "spaces": b" " * 100_000,
}


@pytest.mark.parametrize("status", [200, 500, 502])
@pytest.mark.parametrize("name", UNREADABLE)
def test_what_can_not_be_read_leaves_the_effect_open(name: str, status: int) -> None:
    with pytest.raises(OutcomeUnknownError, match="not the JSON object that a portal sends"):
        decode("crm.item.add", Response(status, {}, UNREADABLE[name]))
    with pytest.raises(OutcomeUnknownError):
        decode_tokens(Response(status, {}, UNREADABLE[name]), TOKENS)


@pytest.mark.parametrize(
    ("body", "result"),
    [
        (b'\xef\xbb\xbf{"result":1}', 1),
        (b' \r\n\t{"result":1} \n', 1),
        # the last one counts, as in PHP and JavaScript
        (b'{"result":1,"result":2}', 2),
        (b'{"error":"X","error":"","result":2}', 2),
        (b'{"result":"\\ud800"}', "\ud800"),
        (b'{"result":1e999}', float("inf")),
        (b'{"result":' + b"9" * 4000 + b"}", int("9" * 4000)),
        (b'{"result":' + b"[" * 500 + b"]" * 500 + b"}", None),
        (b'{"result":1,"total":1e400,"next":"1e400","time":{"operating":"nan","operating_reset_at":[]}}', 1),
        (b'{"result":"' + b"x" * 3_000_000 + b'"}', "x" * 3_000_000),
    ],
)
def test_what_is_odd_and_can_be_read(body: bytes, result: Any) -> None:
    reply = decode("crm.item.get", Response(200, {}, body))
    assert result is None or reply.result == result
    assert (reply.total, reply.next, reply.operating) == (None, None, None)


def test_an_error_is_one_line_that_can_be_shown() -> None:
    body = {
        "error": "ERROR\r\n2026-01-01 12:00 [ERROR] forged \x1b[31m",
        "error_description": "a\nb\x00c\u2028d\u202ee\ud800f\x9bg\x7fh",
    }
    headers = {"content-type": "text/html\r\n forged: \x1b[2J"}
    with pytest.raises(RequestRefusedError) as caught:
        decode("x", Response(400, headers, json.dumps(body).encode()))
    with pytest.raises(OutcomeUnknownError) as unreadable:
        decode("x", Response(200, headers, b""))
    for error in (caught.value, unreadable.value):
        assert str(error).isprintable()
        str(error).encode()
    assert caught.value.description == "a b c d e f g h"


# whole conversations


GOOD: list[Any] = [
    {"result": {"item": {"id": 7}}, "time": {"operating": 0.5, "operating_reset_at": 1790000600}},
    {"result": [{"ID": "1"}, {"ID": "2"}], "total": 2, "next": 50},
    {"result": {"items": [{"id": 3}]}, "total": "1"},
    {
        "result": {
            "result": {"0": 1, "1": {"id": 2}},
            "result_error": {"2": {"error": "QUERY_LIMIT_EXCEEDED", "error_description": "x"}},
            "result_total": {"0": 5},
            "result_next": [],
            "result_time": {"0": {"operating": 481, "operating_reset_at": 1790000100}},
        }
    },
    {"error": "QUERY_LIMIT_EXCEEDED", "error_description": "Too many requests"},
    {"error": "OPERATION_TIME_LIMIT", "error_description": "Method is blocked"},
    {"error": "expired_token", "error_description": "The access token provided has expired"},
    {"error": {"code": "BITRIX_REST_V3_EXCEPTION_X", "message": "m", "validation": [{"field": "a", "message": "b"}]}},
    {"access_token": "n3w4ccess", "refresh_token": "n3wr3fresh", "client_endpoint": "https://b.bitrix24.com/rest/"},
]
ODD: list[Any] = [
    *(None, True, -1, 10**400, 1e308, "", "0", "١", "\ud800\0", "x" * 5000, "https://[::1/rest/"),
    *([], {}, [[[[]]]], {"": {"": None}}, json.loads("[" * 900 + "]" * 900), " ".join(SECRETS)),
]


def changed(value: Any, rng: random.Random) -> Any:
    """The value with one thing in it replaced, left out, doubled or added."""
    if isinstance(value, dict) and value and rng.random() < 0.8:
        copy = dict(value)
        key = rng.choice(list(copy))
        do = rng.randrange(4)
        if do == 0:
            del copy[key]
        elif do == 1:
            copy[rng.choice(["error", "result", "total", "next", "0", "2", "time", "code"])] = rng.choice(ODD)
        else:
            copy[key] = changed(copy[key], rng)
        return copy
    if isinstance(value, list) and value and rng.random() < 0.8:
        at = rng.randrange(len(value))
        return rng.choice([value * 2, value[:at], [*value[:at], changed(value[at], rng), *value[at + 1 :]]])
    return rng.choice(ODD)


def response(rng: random.Random) -> Response | Failure:
    """What comes back for a request."""
    if rng.random() < 0.1:
        return Failure("no answer", sent=rng.random() < 0.5, advice=rng.choice(["", "Ask for less."]))
    payload = rng.choice(GOOD)
    for _ in range(rng.choice([0, 1, 1, 2, 5])):
        payload = changed(payload, rng)
    body = json.dumps(payload).encode()
    if rng.random() < 0.15:
        at = rng.randrange(len(body))
        body = body[:at] + rng.choice([b"", rng.randbytes(3), b"[" * 3000, b'"', body])
    headers = {
        "retry-after": rng.choice(
            ["", "0", "1", "-1", "900000", "9" * 30, "٣", "1e9", "Fri, 20 Nov 2026 14:00:00 GMT"]
        ),
        "content-type": rng.choice(["application/json", "text/html", "\0", ";"]),
        "location": rng.choice(["", "/", "https://b.bitrix24.com/rest/7/x", "http://[", "//evil.example", "\ud800"]),
    }
    status = rng.choice([200, 200, 200, 204, 302, 307, 400, 401, 403, 404, 408, 429, 500, 503, 100, 999])
    return Response(status, headers, body)


def driven(conversation: Generator[Any, Any, Any], peer: Peer, rng: random.Random) -> Any:
    """The end of a conversation with that portal, if it has one."""
    outcome: Any = None
    try:
        for _ in range(5000):
            step = conversation.send(outcome)
            outcome = None
            if isinstance(step, Send):
                outcome = response(rng)
            elif isinstance(step, Wait):
                assert 0 <= step.seconds <= 86_400
                peer.clock.sleep(step.seconds)
            elif isinstance(step, Ask):
                outcome = step.question()
            else:
                assert isinstance(step, Renew)
                outcome = driven(renew(peer, step), peer, rng)
    except StopIteration as stop:
        return stop.value
    finally:
        conversation.close()
    raise AssertionError("it does not come to an end")


def carried_out(conversation: Generator[Any, Any, Any], peer: Peer, rng: random.Random) -> Any:
    """The result, or the error of ours."""
    try:
        return driven(conversation, peer, rng)
    except Bitrix24Error as error:
        return error


CALLS = [
    Call("crm.item.get", {"id": 7}),
    Call("crm.item.add", {"fields": {}}),
    Call("im.dialog.writing", {"DIALOG_ID": "chat1"}, priority=Priority.TYPING),
]


@given(st.integers(0, 2**32), st.booleans(), st.sampled_from([None, PLANS["standard"]]))
def test_any_portal(seed: int, webhook: bool, plan: Any) -> None:
    secrets = HOOK.secrets if webhook else (*APP.secrets, *TOKENS.secrets)
    rng = random.Random(seed)
    peer = Peer(
        HOOK if webhook else APP,
        tokens=None if webhook else MemoryTokenStore(TOKENS),
        plan=plan,
        clock=FakeClock(),
        jitter=rng.random,
    )
    ends = [carried_out(converse(peer, call), peer, rng) for call in CALLS]
    outcome = carried_out(converse_batch(peer, CALLS), peer, rng)
    if isinstance(outcome, Bitrix24Error):
        ends.append(outcome)
    else:
        assert outcome.replies.keys() | outcome.errors.keys() == {0, 1, 2}
        ends += outcome.errors.values()
    for method in ("crm.item.list", "some.list"):
        reader = reader_for(method, {"entityTypeId": 2})
        try:
            while (calls := reader.next_calls()) and rng.random() < 0.9:
                for call in calls:
                    reply = carried_out(converse(peer, call), peer, rng)
                    if isinstance(reply, Bitrix24Error):
                        raise reply
                    reader.feed(reply)
        except Bitrix24Error as error:
            ends.append(error)
    for end in ends:
        if isinstance(end, Bitrix24Error):
            shown = f"{end} {end!r} {end.args}"
            assert found(shown, secrets) == []
            assert str(end).isprintable()
            assert len(shown) < 5000
