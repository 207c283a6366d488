"""A portal that means harm, or has gone mad: whatever it does to a connection, a call ends in time, in our words."""

from __future__ import annotations

import dataclasses
import io
import itertools
import random
import time
import tracemalloc
from collections.abc import Callable, Iterable, Iterator
from typing import Any

import pytest

from airflow_provider_b24.rest.errors import Bitrix24Error, NotSentError, OutcomeUnknownError
from airflow_provider_b24.rest.peer import Patience
from airflow_provider_b24.rest.protocol import Call
from airflow_provider_b24.rest.transport import Transport
from tests.portal.rest.certificates import Authority
from tests.portal.rest.drivers import QUICK, SECRETS, MakeDriver, webhook_peer
from tests.portal.rest.leaks import leaks
from tests.portal.rest.proxies import Proxy
from tests.portal.rest.scripted import Answer, Pour, Raw, Scripted, ok

READ = Call("crm.item.get", {"id": 7})
WRITE = Call("crm.item.add", {"fields": {"title": "Ж"}})
LARGE = Call("disk.folder.uploadfile", {"fileContent": "x" * 16_000_000})

HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n"
WHOLE = Answer(200, {"result": "x" * 300}).encode()
CHUNKED = HEAD + b"Transfer-Encoding: chunked\r\n\r\n"

# No byte comes later than the read time-out allows, and the whole never comes.
SHORT = dataclasses.replace(QUICK, read_timeout=0.08, deadline=0.1, most_bytes=300_000)
LATE = r"no (complete )?answer within 0\.\d+ s"
# A machine under load is slow; what is not cut off takes for ever.
IN_TIME = 8.0


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority(tmp_path_factory.mktemp("certificates"))


def trusting(authority: Authority, **more: Any) -> Transport:
    return dataclasses.replace(SHORT, verify=str(authority.path), **more)


def bytewise(data: bytes) -> Callable[[], Iterable[bytes]]:
    return lambda: (data[at : at + 1] for at in range(len(data)))


def endless(piece: bytes, begin: bytes = b"") -> Callable[[], Iterator[bytes]]:
    return lambda: itertools.chain([begin], itertools.repeat(piece))


def drip(data: bytes) -> Pour:
    return Pour(bytewise(data), pause=0.01)


DRIPS = {
    "the status line": drip(WHOLE),
    "headers": Pour(endless(b"X: y\r\n", HEAD), pause=0.005),
    "one header": Pour(endless(b"y", HEAD + b"X: "), pause=0.01),
    "the body": Pour(lambda: itertools.chain([WHOLE[:-290]], bytewise(WHOLE[-290:])()), pause=0.01),
    "chunks": Pour(endless(b"1\r\nx\r\n", CHUNKED), pause=0.01),
    "the size of a chunk": Pour(endless(b"0", CHUNKED), pause=0.01),
    "trailers": Pour(endless(b"X: y\r\n", CHUNKED + b"0\r\n"), pause=0.01),
    "announcements": Pour(endless(b"HTTP/1.1 100 Continue\r\n\r\n"), pause=0.01),
    "early hints": Pour(endless(b"HTTP/1.1 103 Early Hints\r\nLink: </x>\r\n\r\n"), pause=0.01),
    "a body without a length": Pour(endless(b"x", HEAD + b"\r\n"), pause=0.01),
    "compressed": Pour(endless(b"\x00", HEAD + b"Content-Encoding: gzip\r\n\r\n\x1f\x8b\x08"), pause=0.01),
}


@pytest.mark.parametrize(
    ("name", "tls"), [*((name, False) for name in DRIPS), *((name, True) for name in ("the status line", "the body"))]
)
def test_an_answer_that_drips_is_cut_off(driver: MakeDriver, authority: Authority, name: str, *, tls: bool) -> None:
    with (
        Scripted([DRIPS[name], ok("next")], tls=authority.context() if tls else None) as server,
        driver(webhook_peer(server.url), trusting(authority)) as client,
    ):
        begin = time.monotonic()
        # "headers": http.client takes no more than a hundred of them
        with pytest.raises(OutcomeUnknownError, match=rf"{LATE}|broke off|compression is broken") as caught:
            client.call(WRITE)
        assert time.monotonic() - begin < IN_TIME
        assert "may have been carried out" in caught.value.advice
        assert leaks(caught.value, SECRETS) == []
        # what still drips is not taken for the next answer
        assert client.call(READ).result == "next"
    assert server.accepted == 2


FLOODS = {
    "chunks": endless(b"10000\r\n%s\r\n" % (b"x" * 65536), CHUNKED),
    "tiny chunks": endless(b"1\r\nx\r\n" * 5000, CHUNKED),
    "the size of a chunk": endless(b"0" * 65536, CHUNKED),
    "what follows the size of a chunk": endless(b"x" * 65536, CHUNKED + b"1;"),
    "trailers": endless(b"X: y\r\n" * 5000, CHUNKED + b"0\r\n"),
    "one trailer": endless(b"y" * 65536, CHUNKED + b"0\r\nX: "),
    "headers": endless(b"X: y\r\n" * 5000, HEAD),
    "one header": endless(b"y" * 65536, HEAD + b"X: "),
    "the status line": endless(b"y" * 65536),
    "announcements": endless(b"HTTP/1.1 100 Continue\r\n\r\n" * 2000),
    "early hints": endless(b"HTTP/1.1 103 Early Hints\r\nLink: </x>\r\n\r\n" * 1000),
    "a body without a length": endless(b"x" * 65536, HEAD + b"\r\n"),
    "more than the length": endless(b"x" * 65536, HEAD + b"Content-Length: 999999999999\r\n\r\n"),
}


@pytest.mark.parametrize("name", FLOODS)
def test_an_answer_without_end_is_cut_off(driver: MakeDriver, name: str) -> None:
    settings = dataclasses.replace(SHORT, deadline=0.25, read_timeout=0.2)
    with (
        Scripted([Pour(FLOODS[name]), ok("next")]) as server,
        driver(webhook_peer(server.url), settings) as client,
    ):
        tracemalloc.start()
        try:
            begin = time.monotonic()
            with pytest.raises(OutcomeUnknownError, match=rf"larger than 0\.3 MB|broke off|{LATE}") as caught:
                client.call(WRITE)
            took = time.monotonic() - begin
            _, most = tracemalloc.get_traced_memory()
        finally:
            tracemalloc.stop()
        assert took < IN_TIME
        assert most < 12_000_000
        assert leaks(caught.value, SECRETS) == []
        assert client.call(READ).result == "next"


def test_what_is_too_large_is_not_asked_for_again(driver: MakeDriver) -> None:
    answer = Answer(200, {"result": "x" * 400_000})
    with Scripted([answer], forever=True) as server, driver(webhook_peer(server.url), SHORT) as client:
        with pytest.raises(OutcomeUnknownError, match=r"larger than 0\.3 MB") as caught:
            client.call(READ)
        assert "max_response_mb" in caught.value.advice
        assert caught.value.permanent
    assert len(server.seen) == 1


@pytest.mark.parametrize("tls", [False, True], ids=["plain", "TLS"])
@pytest.mark.parametrize("early", [b"", WHOLE], ids=["silent", "with an early answer"])
def test_a_portal_that_does_not_read(driver: MakeDriver, authority: Authority, early: bytes, *, tls: bool) -> None:
    with (
        Scripted([Pour(lambda: [early], early=True)], tls=authority.context() if tls else None) as server,
        driver(webhook_peer(server.url), trusting(authority)) as client,
    ):
        begin = time.monotonic()
        with pytest.raises(OutcomeUnknownError, match=LATE):
            client.call(LARGE)
        assert time.monotonic() - begin < IN_TIME


def test_the_handshake_of_tls_drips(driver: MakeDriver) -> None:
    does = Pour(endless(b"\x00", b"\x16\x03\x03\x40\x00\x02\x00\x3f\xfc"), pause=0.01, early=True)
    with Scripted([does], forever=True) as server:
        settings = dataclasses.replace(QUICK, connect_timeout=0.1)
        with driver(webhook_peer(server.url.replace("http:", "https:")), settings) as client:
            begin = time.monotonic()
            with pytest.raises(NotSentError, match="no connection in time"):
                client.call(WRITE, patience=Patience(tries=1))
            assert time.monotonic() - begin < IN_TIME


def test_the_answer_of_a_proxy_drips(driver: MakeDriver) -> None:
    with Scripted([drip(b"HTTP/1.1 200 Connected\r\n" + b"X: y\r\n" * 50)], forever=True) as proxy:
        settings = dataclasses.replace(SHORT, proxy=proxy.url)
        with driver(webhook_peer("https://acme.bitrix24.com"), settings) as client:
            begin = time.monotonic()
            with pytest.raises(NotSentError, match="no connection in time"):
                client.call(WRITE, patience=Patience(tries=1))
            assert time.monotonic() - begin < IN_TIME


def test_tls_inside_of_tls(driver: MakeDriver, authority: Authority, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SSL_CERT_FILE", str(authority.path))
    tls = authority.context()
    with Scripted([ok(1), DRIPS["the body"], ok(3)], tls=tls) as server, Proxy(tls=tls) as proxy:
        settings = trusting(authority, proxy=proxy.url, read_timeout=5.0, deadline=5.0)
        with driver(webhook_peer(server.url), settings) as client:
            assert client.call(READ).result == 1
            begin = time.monotonic()
            with pytest.raises(OutcomeUnknownError, match=LATE):
                client.call(WRITE, patience=Patience(answer=0.1))
            assert time.monotonic() - begin < IN_TIME
            assert client.call(READ).result == 3
    assert len(proxy.asked) == 2


def test_tls_inside_of_tls_drips(driver: MakeDriver, authority: Authority, monkeypatch: pytest.MonkeyPatch) -> None:
    # Even its handshake takes half a minute; no single byte is late.
    monkeypatch.setenv("SSL_CERT_FILE", str(authority.path))
    tls = authority.context()
    with Scripted([ok(1)], tls=tls) as server, Proxy(tls=tls, drips=True) as proxy:
        settings = trusting(authority, proxy=proxy.url, connect_timeout=0.5, deadline=1.0)
        with driver(webhook_peer(server.url), settings) as client:
            begin = time.monotonic()
            with pytest.raises(NotSentError, match="no connection in time"):
                client.call(WRITE, patience=Patience(tries=1))
            assert time.monotonic() - begin < IN_TIME


def test_a_signal_has_a_deadline_of_its_own(driver: MakeDriver) -> None:
    with Scripted([drip(WHOLE)], forever=True) as server, driver(webhook_peer(server.url), QUICK) as client:
        begin = time.monotonic()
        with pytest.raises(OutcomeUnknownError, match=r"no answer within 0\.1 s"):
            client.call(READ, patience=Patience(tries=1, answer=0.1))
        assert time.monotonic() - begin < IN_TIME


def test_the_deadline_of_one_call_is_not_that_of_the_next(driver: MakeDriver) -> None:
    slowly = Pour(lambda: [WHOLE[:20], WHOLE[20:]], pause=0.15, goes_on=True)
    with Scripted([ok(1), slowly, ok(3)]) as server, driver(webhook_peer(server.url), QUICK) as client:
        assert client.call(READ, patience=Patience(tries=1, answer=0.1)).result == 1
        assert client.call(READ).result == "x" * 300
        assert client.call(READ, patience=Patience(tries=1, answer=5.0)).result == 3
    assert server.accepted == 1


# one answer, and more than one


SURPLUS = Answer(200, {"result": "of nobody's asking"}).encode()
FIRST = Answer(200, {"result": "mine"}).encode()


def of_size(size: int) -> bytes:
    """An answer of so many bytes, headers and all: a buffer is full with it, and what follows waits before it."""
    head = HEAD + b"Content-Length: %06d\r\n\r\n"
    length = size - len(head % 0)
    return head % length + b'{"result":"mine"}'.ljust(length)


FIRST_IN_CHUNKS = CHUNKED + b'11\r\n{"result":"mine"}\r\n0\r\n\r\n'


@pytest.mark.parametrize("tls", [False, True], ids=["plain", "TLS"])
@pytest.mark.parametrize(
    "first", [FIRST, FIRST_IN_CHUNKS, of_size(io.DEFAULT_BUFFER_SIZE)], ids=["length", "chunks", "a buffer full"]
)
@pytest.mark.parametrize("apart", [False, True], ids=["at once", "apart"])
@pytest.mark.parametrize("surplus", [SURPLUS, SURPLUS * 400, b"\r\n"], ids=["answer", "answers", "line"])
def test_what_follows_an_answer_is_no_answer_to_the_next_call(
    driver: MakeDriver, authority: Authority, first: bytes, surplus: bytes, *, apart: bool, tls: bool
) -> None:
    pieces = [first, surplus] if apart else [first + surplus]
    does = Pour(lambda: pieces, goes_on=True)
    with (
        Scripted([does, does, ok("last")], tls=authority.context() if tls else None) as server,
        driver(webhook_peer(server.url), trusting(authority, read_timeout=5.0, deadline=5.0)) as client,
    ):
        for _ in range(2):
            assert client.call(READ).result == "mine"
            # sent apart, it may come in only now
            server.poured.wait(5)
            server.poured.clear()
        assert client.call(READ).result == "last"


def test_announcements_before_an_answer(driver: MakeDriver) -> None:
    hints = b"HTTP/1.1 100 Continue\r\n\r\n" + b"HTTP/1.1 103 Early Hints\r\nLink: </x>\r\n\r\n" * 3
    with (
        Scripted([Pour(lambda: [hints + FIRST], goes_on=True), ok("next")]) as server,
        driver(webhook_peer(server.url), QUICK) as client,
    ):
        assert client.call(READ).result == "mine"
        assert client.call(READ).result == "next"
    assert server.accepted == 1


@pytest.mark.parametrize(
    "data",
    [
        b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\nConnection: upgrade\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: -5\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: 1e3\r\n\r\n{}",
        b"HTTP/1.1 200 OK\r\nContent-Length: \xb2\r\n\r\n{}",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked, chunked\r\n\r\n2\r\n{}\r\n0\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n-2\r\n{}\r\n0\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n" + b"f" * 5000 + b"\r\n{}\r\n",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\n{}xx0\r\n\r\n",
        b"HTTP/1.1 200 OK\r\n: y\r\n\r\n{}",
        b"HTTP/1.1 200 OK\r\nX\x00Y: z\r\n\r\n{}",
        b"HTTP/1.1 200 OK\r\nContent-Type: \xff\xfe\r\n folded\r\n\r\n{}",
        b"HTTP/1.1 200 " + b"\xff" * 100 + b"\r\n\r\n{}",
        b"HTTP/1.1 99999999999 OK\r\n\r\n{}",
        b"HTTP/1.1 -20 OK\r\n\r\n{}",
        b"HTTP/1.1 \xd9\xa2\xd9\xa0\xd9\xa0 OK\r\n\r\n{}",
        b"\x00" * 5000,
        b"\r\n" * 500,
        b"HTTP/0.9 200 OK\r\n\r\n{}",
        b"HTTP/2 200\r\n\r\n{}",
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
    ],
)
def test_no_proper_http(driver: MakeDriver, data: bytes) -> None:
    with Scripted([Raw(data), ok("next")]) as server, driver(webhook_peer(server.url), QUICK) as client:
        with pytest.raises(Bitrix24Error) as caught:
            client.call(WRITE)
        assert caught.value.effect_unknown
        assert client.call(READ).result == "next"
    assert leaks(caught.value, SECRETS) == []


def mutated(rng: random.Random) -> bytes:
    """An answer with something wrong in it: pieces doubled, left out, swapped or overwritten."""
    data = rng.choice(
        [FIRST, FIRST_IN_CHUNKS, WHOLE, SURPLUS, HEAD + b"Content-Encoding: gzip\r\n\r\n\x1f\x8b\x08\x00"]
    )
    for _ in range(rng.randint(1, 4)):
        at = rng.randrange(len(data) + 1)
        to = min(len(data), at + rng.choice([0, 1, 1, 2, 8, 40]))
        middle = rng.choice([b"", data[at:to] * 2, data[at:to][::-1], rng.randbytes(to - at), rng.choice(ODDS)])
        data = data[:at] + middle + data[to:]
    return data


ODDS = [
    b"\r\n",
    b"\r\n\r\n",
    b"\n",
    b"\0",
    b":",
    b"-",
    b"9" * 30,
    b"Transfer-Encoding: chunked\r\n",
    b"HTTP/1.1 100 C\r\n\r\n",
]


def test_any_answer_is_a_reply_or_an_error_of_ours(driver: MakeDriver) -> None:
    rng = random.Random(24)
    answers = [mutated(rng) for _ in range(250)]
    outcomes = set()
    settings = dataclasses.replace(QUICK, read_timeout=1.0, deadline=1.0)
    with Scripted([Raw(data) for data in answers]) as server, driver(webhook_peer(server.url), settings) as client:
        for _ in answers:
            try:
                outcomes.add(str(client.call(WRITE).result)[:4])
            except Bitrix24Error as error:
                outcomes.add(type(error).__name__)
    assert {"mine", "OutcomeUnknownError"} <= outcomes
