"""Files on their way: as much memory as a few pieces take, and what is certain when they do not get there."""

from __future__ import annotations

import base64
import dataclasses
import threading
import tracemalloc
from contextlib import suppress
from functools import partial
from io import BytesIO, RawIOBase
from typing import Any

import pytest

from airflow_provider_b24.rest import content
from airflow_provider_b24.rest.content import Content
from airflow_provider_b24.rest.errors import FileError, NotSentError, OutcomeUnknownError, UnexpectedReplyError
from airflow_provider_b24.rest.peer import Patience
from airflow_provider_b24.rest.protocol import Call
from tests.portal.rest.drivers import QUICK, SECRETS, MakeDriver, webhook_peer
from tests.portal.rest.leaks import leaks_of_ours
from tests.portal.rest.scripted import Compute, Pour, Reset, Scripted, ok, page

MEGABYTE = 1_000_000
ONCE = Patience(tries=1)
HURRY = dataclasses.replace(QUICK, read_timeout=0.2)


class Zeros(RawIOBase):
    """A file of zeros that is in nobody's memory."""

    def __init__(self, size: int) -> None:
        self.left = size

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        count = min(len(buffer), self.left)
        buffer[:count] = bytes(count)
        self.left -= count
        return count


def upload(size: int, kind: Any = Zeros) -> Call:
    return Call("im.v2.File.upload", {"fields": {"content": Content("zeros.bin", size, partial(kind, size))}})


class Sink(Scripted):
    """Reads requests of any size without keeping them."""

    received: int = 0

    def __enter__(self) -> Sink:
        return self

    def _serve(self, sock: Any, number: int) -> None:
        with sock.makefile("rb") as stream:
            length = 0
            while (line := stream.readline().strip().lower()) != b"":
                if line.startswith(b"content-length:"):
                    length = int(line.split(b":")[1])
            buffer = memoryview(bytearray(1 << 16))
            while self.received < length and (count := stream.readinto(buffer[: length - self.received])):
                self.received += count
        # Who has given up in the midst is gone.
        with suppress(ConnectionError):
            sock.sendall(ok({"messageId": 5}).encode())
        sock.close()


def test_memory_does_not_grow_with_the_file(driver: MakeDriver) -> None:
    size = 90 * MEGABYTE
    with Sink() as server, driver(webhook_peer(server.url)) as client:
        tracemalloc.start()
        try:
            assert client.call(upload(size)).result == {"messageId": 5}
            most = tracemalloc.get_traced_memory()[1]
        finally:
            tracemalloc.stop()
    assert server.received > size * 4 / 3
    assert most < 5 * MEGABYTE


def test_what_arrives(driver: MakeDriver) -> None:
    files = {
        name: Content(name, len(text), partial(BytesIO, text)) for name, text in (("a", b"1234"), ("b", b"\xff" * 9))
    }
    params = {"first": [files["a"], "“"], "x": 1, "second": {"deep": files["b"]}, "again": files["a"]}
    with Scripted([ok()]) as server, driver(webhook_peer(server.url)) as client:
        client.call(Call("any.add", params))
    first, second = (base64.b64encode(text).decode() for text in (b"1234", b"\xff" * 9))
    assert server.seen[0].json == {"first": [first, "“"], "x": 1, "second": {"deep": second}, "again": first}
    assert "transfer-encoding" not in server.seen[0].headers


def test_a_broken_line_is_tried_again_for_half_a_file_is_none(driver: MakeDriver) -> None:
    with Scripted([Reset(early=True), ok()]) as server, driver(webhook_peer(server.url)) as client:
        assert client.call(upload(30 * MEGABYTE)).result is True
    assert len(server.seen) == 1


def test_after_its_end_the_outcome_is_unknown(driver: MakeDriver) -> None:
    with (
        Scripted([Reset()]) as server,
        driver(webhook_peer(server.url)) as client,
        pytest.raises(OutcomeUnknownError) as caught,
    ):
        client.call(upload(100))
    assert caught.value.permanent


def test_a_line_that_stands_still(driver: MakeDriver) -> None:
    with (
        Scripted([Pour(list, early=True)]) as server,
        driver(webhook_peer(server.url), HURRY) as client,
        pytest.raises(NotSentError, match="the line stood still while a file was being sent") as caught,
    ):
        client.call(upload(30 * MEGABYTE), patience=ONCE)
    assert not caught.value.permanent
    assert not leaks_of_ours(caught.value, SECRETS)


class Slow(Zeros):
    """One that takes its time for each piece."""

    def readinto(self, buffer: Any) -> int:
        threading.Event().wait(0.03)
        return super().readinto(buffer)


def test_a_file_may_take_longer_than_the_deadline(driver: MakeDriver) -> None:
    """The deadline is for what the portal does; a file has its own time besides."""
    settings = dataclasses.replace(QUICK, deadline=0.05)
    with Scripted([ok()]) as server, driver(webhook_peer(server.url), settings) as client:
        assert client.call(upload(MEGABYTE, Slow)).result is True


def test_a_line_that_gets_on_too_slowly(driver: MakeDriver, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(content, "_AT_LEAST", 0.05)
    monkeypatch.setattr(content, "_LEAST_SPEED", 1e12)
    with (
        Sink() as server,
        driver(webhook_peer(server.url)) as client,
        pytest.raises(FileError, match=r"the file 'zeros\.bin' was not sent within 0 s\. Nothing was posted\."),
    ):
        client.call(upload(MEGABYTE, Slow))


def test_a_web_server_that_takes_no_request_so_large(driver: MakeDriver) -> None:
    with (
        Scripted([Compute(lambda _: page(413))]) as server,
        driver(webhook_peer(server.url)) as client,
        pytest.raises(UnexpectedReplyError, match=r"HTTP 413: .* takes no request so large: send less"),
    ):
        client.call(upload(MEGABYTE))
