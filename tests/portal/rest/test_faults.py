"""One table: whatever can go wrong with a call, for what is read, written and signalled, by either client."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import Any

import pytest

from airflow_provider_b24.rest.errors import (
    AccessDeniedError,
    AuthenticationError,
    Bitrix24Error,
    NotFoundError,
    NotSentError,
    OperatingLimitError,
    OutcomeUnknownError,
    PortalBlockedError,
    QueryLimitError,
    RedirectRefusedError,
    RequestRefusedError,
    UnexpectedReplyError,
)
from airflow_provider_b24.rest.peer import Peer
from airflow_provider_b24.rest.protocol import Call, Priority
from tests.portal.rest.drivers import QUICK, SECRETS, MakeDriver, app_peer, webhook_peer
from tests.portal.rest.leaks import found, leaks
from tests.portal.rest.scripted import Action, Answer, Compute, Raw, Reset, Scripted, Seen, Silence, ok, page, refusal
from tests.unit.rest.clocks import FakeClock

CALLS = {
    "read": Call("crm.item.get", {"id": 7}),
    "write": Call("crm.item.add", {"fields": {"title": "Ж"}}),
    "typing": Call("im.dialog.writing", {"DIALOG_ID": "chat1"}, priority=Priority.TYPING),
}
TRIES = [0.5, 1.0, 2.0]
LIMITS = [0.5, 1.0, 2.0, 4.0, 8.0, 16.0, 32.0] + [60.0] * 13


@dataclasses.dataclass(frozen=True)
class Fault:
    """What the server does with every request, and what comes of it.

    :ivar waits: what is waited between the requests for a read, a write and a signal.
    :ivar reaches: whether the server gets to see the requests.
    """

    does: Action
    error: type[Bitrix24Error]
    waits: tuple[list[float], list[float], list[float]] = ([], [], [])
    advice: str = ""
    code: str | None = None
    reaches: bool = True


def echo(status: int, code: str, **headers: str) -> Compute:
    """The portal's error, which repeats all that was sent to it."""

    def answer(seen: Seen) -> Answer:
        return refusal(status, code, f"{'x' * 400} {seen.target} {seen.body.decode()} {seen.headers}", **headers)

    return Compute(answer)


def refused(status: int, code: str, error: type[Bitrix24Error], advice: str = "") -> Fault:
    return Fault(echo(status, code), error, advice=advice, code=code)


def limited(status: int, code: str, **headers: str) -> Fault:
    return Fault(echo(status, code, **headers), QueryLimitError, (LIMITS, LIMITS, []), "try again later", code)


def unknown(does: Action, code: str | None = None, *, reaches: bool = True) -> Fault:
    """It may or may not have been done: reads and signals are sent again, writes are not."""
    return Fault(does, OutcomeUnknownError, (TRIES, [], TRIES), code=code, reaches=reaches)


FAULTS: dict[str, Fault] = {
    "reset before the request was read": unknown(Reset(early=True), reaches=False),
    "reset after the request": unknown(Reset()),
    "closed without an answer": unknown(Raw(b"")),
    "no answer in time": unknown(Silence()),
    "500 JSON": unknown(echo(500, "INTERNAL_SERVER_ERROR"), "INTERNAL_SERVER_ERROR"),
    "500 JSON, another code": unknown(echo(500, "SOMETHING"), "SOMETHING"),
    "500 unexpected answer": unknown(echo(500, "ERROR_UNEXPECTED_ANSWER"), "ERROR_UNEXPECTED_ANSWER"),
    "502 HTML": unknown(page(502)),
    "503 HTML": unknown(page(503)),
    "504 HTML": unknown(page(504)),
    "408 HTML": unknown(page(408)),
    "200 HTML": unknown(page(200)),
    "200 empty": unknown(Answer(200, b"")),
    "204": unknown(Answer(204, b"")),
    "200 no result": unknown(Answer(200, {"time": {}})),
    "200 truncated JSON": unknown(Answer(200, b'{"result": tr')),
    "200 truncated": unknown(Answer(200, b'{"result": true}', length=500)),
    "200 cut short by its length": unknown(Answer(200, b'{"result": true}', length=5, close=True)),
    "200 broken chunk": unknown(Raw(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n")),
    "200 last chunk missing": unknown(
        Raw(b'HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nc\r\n{"result":1}\r\n')
    ),
    "200 broken gzip": unknown(Answer(200, {"result": True}, {"Content-Encoding": "gzip"})),
    "200 compressed unasked": unknown(Answer(200, {"result": True}, {"Content-Encoding": "br"})),
    "200 headers cut off": unknown(Raw(b"HTTP/1.1 200 OK\r\nContent-Le")),
    "no HTTP": unknown(Raw(b"SSH-2.0-OpenSSH_9.2\r\n")),
    "no HTTP version": unknown(Raw(b"HTTP/9.9 200\r\n\r\n")),
    "endless header": unknown(Raw(b"HTTP/1.1 200 OK\r\nX: " + b"x" * 200_000 + b"\r\n\r\n")),
    "contradicting lengths": unknown(Raw(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nContent-Length: 3\r\n\r\n{}")),
    "QUERY_LIMIT_EXCEEDED as 503": limited(503, "QUERY_LIMIT_EXCEEDED"),
    "QUERY_LIMIT_EXCEEDED as 429": limited(429, "QUERY_LIMIT_EXCEEDED"),
    "QUERY_LIMIT_EXCEEDED as 200": limited(200, "query_limit_exceeded"),
    "429 HTML": Fault(page(429), QueryLimitError, (LIMITS, LIMITS, []), "try again later"),
    "QUERY_LIMIT_EXCEEDED for 300 s": Fault(
        echo(503, "QUERY_LIMIT_EXCEEDED", Retry_After="300"),
        *(QueryLimitError, ([300.0] * 3, [300.0] * 3, []), "try again later", "QUERY_LIMIT_EXCEEDED"),
    ),
    "QUERY_LIMIT_EXCEEDED for a day": Fault(
        echo(503, "QUERY_LIMIT_EXCEEDED", Retry_After="86400"),
        *(QueryLimitError, ([], [], []), "try again later", "QUERY_LIMIT_EXCEEDED"),
    ),
    "503 HTML for 5 s": Fault(page(503, Retry_After="5"), OutcomeUnknownError, ([5.0] * 3, [], [5.0] * 3)),
    "503 HTML for a day": Fault(page(503, Retry_After="86400"), OutcomeUnknownError),
    "OPERATION_TIME_LIMIT": Fault(
        echo(429, "OPERATION_TIME_LIMIT"),
        *(OperatingLimitError, ([60.0], [60.0], []), "this one method", "OPERATION_TIME_LIMIT"),
    ),
    "OPERATION_TIME_LIMIT for 10 minutes": Fault(
        echo(429, "OPERATION_TIME_LIMIT", Retry_After="600"),
        *(OperatingLimitError, ([], [], []), "this one method", "OPERATION_TIME_LIMIT"),
    ),
    "OVERLOAD_LIMIT": refused(503, "OVERLOAD_LIMIT", PortalBlockedError, "Bitrix24 support"),
    "PORTAL_DELETED": refused(500, "PORTAL_DELETED", PortalBlockedError, "deleted"),
    "PAYMENT_REQUIRED": refused(401, "PAYMENT_REQUIRED", PortalBlockedError, "period is over"),
    "NO_AUTH_FOUND": refused(401, "NO_AUTH_FOUND", AuthenticationError, "renew the credential"),
    "INVALID_CREDENTIALS": refused(403, "INVALID_CREDENTIALS", AuthenticationError, "renew the credential"),
    "insufficient_scope": refused(403, "insufficient_scope", AccessDeniedError, "Add the scope"),
    "ACCESS_DENIED": refused(403, "ACCESS_DENIED", AccessDeniedError, "plan"),
    "ACCESS_ERROR": refused(403, "ACCESS_ERROR", AccessDeniedError, "member of that chat"),
    "WRONG_AUTH_TYPE": refused(403, "WRONG_AUTH_TYPE", AccessDeniedError, "webhook or application"),
    "INVALID_REQUEST": refused(400, "INVALID_REQUEST", RequestRefusedError, "HTTPS"),
    "DIALOG_ID_EMPTY": refused(400, "DIALOG_ID_EMPTY", RequestRefusedError, "chat2935"),
    "ERROR_METHOD_NOT_FOUND": refused(404, "ERROR_METHOD_NOT_FOUND", NotFoundError, "no such method"),
    "an unknown code": refused(400, "SOMETHING_NEW", RequestRefusedError),
    "an unknown code in 200": refused(200, "SOMETHING_NEW", RequestRefusedError),
    "a numeric code": refused(400, "100", RequestRefusedError),
    "an empty code": refused(400, "", RequestRefusedError),
    "a code of REST 3.0": Fault(
        Answer(400, {"error": {"code": "BITRIX_REST_V3_EXCEPTION_INVALIDSELECTEXCEPTION", "message": "x"}}),
        RequestRefusedError,
        code="BITRIX_REST_V3_EXCEPTION_INVALIDSELECTEXCEPTION",
    ),
    "403 HTML": Fault(page(403), UnexpectedReplyError, advice="Is this the address"),
    "404 HTML": Fault(page(404), UnexpectedReplyError, advice="Is this the address"),
    "302 to nowhere": Fault(page(302), RedirectRefusedError, advice="new address into the Airflow connection"),
    "302 to another path": Fault(page(302, Location="/login"), RedirectRefusedError, advice="new address"),
    "302 to no URL": Fault(page(302, Location="https://пор тал:x/"), RedirectRefusedError, advice="new address"),
    "303": Fault(page(303, Location="/login"), UnexpectedReplyError, advice="Is this the address"),
}

MAKERS: dict[str, Callable[..., Peer]] = {"webhook": webhook_peer, "application": app_peer}


def settings(fault: Fault, seconds: float = 0.05) -> Any:
    """As short a time-out as the case bears: one that an answer must make is longer than one that none will."""
    return dataclasses.replace(QUICK, read_timeout=seconds) if isinstance(fault.does, Silence) else QUICK


@pytest.mark.parametrize("kind", list(CALLS))
@pytest.mark.parametrize("credential", list(MAKERS))
@pytest.mark.parametrize("name", list(FAULTS))
def test_a_fault_that_stays(
    driver: MakeDriver, name: str, credential: str, kind: str, everything_logged: pytest.LogCaptureFixture
) -> None:
    fault, call = FAULTS[name], CALLS[kind]
    waits = fault.waits[list(CALLS).index(kind)]
    with Scripted([fault.does], forever=True) as server:
        peer = MAKERS[credential](server.url)
        with driver(peer, settings(fault)) as client, pytest.raises(Bitrix24Error) as caught:
            client.call(call)
    requests = len(server.seen) if fault.reaches else server.accepted
    error = caught.value
    assert type(error) is fault.error
    assert isinstance(peer.clock, FakeClock)
    assert peer.clock.waits == waits
    assert requests == len(waits) + 1
    assert (error.code, error.method) == (fault.code, call.method)
    assert fault.advice in error.advice
    if error.effect_unknown:
        assert error.permanent is (kind == "write")
        assert ("may have been carried out" if kind == "write" else "in trouble") in error.advice
    assert len({(seen.verb, seen.path, seen.body) for seen in server.seen}) <= 1
    assert leaks(error, SECRETS) == []
    assert found(everything_logged.text, SECRETS) == []


@pytest.mark.parametrize("kind", list(CALLS))
@pytest.mark.parametrize("name", [name for name, fault in FAULTS.items() if any(fault.waits)])
def test_a_fault_that_passes(driver: MakeDriver, name: str, kind: str) -> None:
    fault = FAULTS[name]
    waits = fault.waits[list(CALLS).index(kind)]
    with Scripted([fault.does, ok("done")]) as server:
        peer = webhook_peer(server.url)
        with driver(peer, settings(fault, 0.25)) as client:
            if waits:
                assert client.call(CALLS[kind]).result == "done"
            else:
                with pytest.raises(fault.error):
                    client.call(CALLS[kind])
                # the client has taken no harm
                assert client.call(CALLS["read"]).result == "done"
    assert isinstance(peer.clock, FakeClock)
    assert peer.clock.waits == waits[:1]


@pytest.mark.parametrize("kind", list(CALLS))
def test_nobody_listens(driver: MakeDriver, kind: str) -> None:
    with Scripted(listening=False) as server, driver(webhook_peer(server.url)) as client:
        with pytest.raises(NotSentError, match=r"the connection was refused\. Tried 4 times") as caught:
            client.call(CALLS[kind])
        assert client.client.peer.clock.waits == TRIES  # type: ignore[attr-defined]
    assert leaks(caught.value, SECRETS) == []


@pytest.mark.parametrize("kind", list(CALLS))
def test_a_portal_that_comes_up_meanwhile(driver: MakeDriver, kind: str) -> None:
    with Scripted([ok("done")], listening=False) as server:
        clock = FakeClock()
        clock.on_sleep = server.listen
        with driver(webhook_peer(server.url, clock=clock)) as client:
            assert client.call(CALLS[kind]).result == "done"
    assert clock.waits == [0.5]
    assert len(server.seen) == 1
