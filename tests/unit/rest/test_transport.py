from __future__ import annotations

import dataclasses
import errno
import gzip
import logging
import os
import socket
import ssl
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from airflow_provider_b24.rest.errors import ConfigurationError
from airflow_provider_b24.rest.steps import Failure
from airflow_provider_b24.rest.transport import Body, SecretsOff, Transport, describe, ssl_context


@pytest.mark.parametrize("name", ["connect_timeout", "read_timeout", "deadline"])
@pytest.mark.parametrize("value", [0, -1, 86400, float("nan"), float("inf")])
def test_no_time_out(name: str, value: float) -> None:
    with pytest.raises(ConfigurationError, match=name):
        dataclasses.replace(Transport(), **{name: value})  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "proxy",
    [
        "",
        "proxy:3128",
        "ftp://proxy",
        "http://",
        "http://[::1",
        "http://a:b:c",
        "http://a b",
        "http://u:w0rd@",
        "http://a:0",
    ],
)
def test_no_proxy(proxy: str) -> None:
    with pytest.raises(ConfigurationError, match="not the URL of a proxy") as caught:
        Transport(proxy=proxy)
    assert "w0rd" not in str(caught.value)


@pytest.mark.parametrize(
    "proxy",
    ["http://proxy", "http://proxy:3128/", "https://u:w0rd@proxy:3128", "socks5://proxy:1080", "socks5h://[::1]:1"],
)
def test_a_proxy_and_a_repr_without_it(proxy: str) -> None:
    settings = Transport(proxy=proxy)
    assert settings.proxy_for("https://acme.example/") == proxy
    assert "proxy:" not in repr(settings)


def test_no_such_file_of_authorities(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="no such file"):
        Transport(verify=str(tmp_path / "none.pem"))


def test_authorities(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE", "SSL_CERT_FILE"):
        monkeypatch.delenv(name, raising=False)
    file = tmp_path / "a.pem"
    file.write_text("x")
    assert Transport(verify=False).authorities is False
    assert Transport(verify=str(file)).authorities == str(file)
    usual = Transport().authorities
    assert isinstance(usual, str)
    assert os.path.exists(usual)
    monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "none.pem"))
    assert Transport().authorities == usual
    monkeypatch.setenv("SSL_CERT_FILE", str(file))
    assert Transport().authorities == str(file)


def test_contexts() -> None:
    careless = ssl_context(False)
    assert (careless.verify_mode, careless.check_hostname) == (ssl.CERT_NONE, False)
    usual = Transport().authorities
    careful = ssl_context(usual)
    assert (careful.verify_mode, careful.check_hostname) == (ssl.CERT_REQUIRED, True)
    assert ssl_context(usual) is careful


# the words for a failure


def _caused(error: BaseException, cause: BaseException) -> BaseException:
    error.__cause__ = cause
    return error


def _certificate() -> ssl.SSLCertVerificationError:
    error = ssl.SSLCertVerificationError(1, "x")
    error.verify_message = "self-signed"
    return error


SECRET = "https://acme.example/rest/7/s3cr3t/profile"


@pytest.mark.parametrize(
    ("error", "sent", "text", "counts_as_sent"),
    [
        (_certificate(), True, "not trusted: self-signed", False),
        (Exception(SECRET, _certificate()), True, "not trusted", False),
        (ssl.SSLEOFError(8, "EOF"), True, "TLS connection broke off", True),
        (ssl.SSLEOFError(8, "EOF"), False, "TLS connection broke off", False),
        (ssl.SSLError(1, "x"), True, "TLS failed", True),
        (socket.gaierror(-2, "x"), True, "can not be resolved", False),
        (ConnectionRefusedError(errno.ECONNREFUSED, "x"), True, "was refused", False),
        (OSError(errno.EHOSTUNREACH, "x"), True, "can not be reached", False),
        (OSError(errno.ENETUNREACH, "x"), True, "can not be reached", False),
        (TimeoutError(SECRET), True, "no answer within 65 s", True),
        (TimeoutError(SECRET), False, "no connection in time", False),
        (ConnectionResetError(errno.ECONNRESET, "x"), True, "broke off", True),
        (ConnectionResetError(errno.ECONNRESET, "x"), False, "no connection could be made", False),
        (OSError("Tunnel connection failed: 407 x"), False, "the proxy", False),
        (_caused(RuntimeError(SECRET), socket.gaierror(-2, "x")), True, "can not be resolved", False),
        (RuntimeError(SECRET), True, "broke off", True),
    ],
)
def test_a_failure_in_our_words(error: BaseException, text: str, *, sent: bool, counts_as_sent: bool) -> None:
    failure = describe(error, sent=sent, waited=65.0)
    assert text in failure.text
    assert failure.sent is counts_as_sent
    assert failure.certificate is ("not trusted" in text)
    assert "s3cr3t" not in failure.text


@pytest.mark.parametrize(
    ("waited", "late", "sent", "text"),
    [
        (65.0, None, True, "no answer within 65 s"),
        (65.0, 300.0, True, "no complete answer within 300 s (the connection's extra field 'deadline')"),
        (5.0, 5.0, True, "no answer within 5 s"),
        (65.0, 300.0, False, "no connection in time"),
    ],
)
def test_too_late(waited: float, late: float | None, text: str, *, sent: bool) -> None:
    assert describe(TimeoutError(), sent=sent, waited=waited, late=late) == Failure(text, sent=sent)


@pytest.mark.parametrize(
    ("deadline", "seconds"),
    [(None, (5, 65, 300)), (3.5, (3.5, 3.5, 3.5)), (20, (5, 20, 20)), (900, (5, 900, 900))],
)
def test_the_times_of_an_exchange(deadline: float | None, seconds: tuple[float, float, float]) -> None:
    assert Transport().seconds(deadline) == seconds
    assert Transport(deadline=2).seconds(None) == (2, 2, 2)


def test_several_addresses_that_all_refuse() -> None:
    class GroupError(Exception):
        exceptions: Any = (OSError("x"), ConnectionRefusedError(errno.ECONNREFUSED, "x"))

    assert describe(GroupError(), sent=False, waited=1.0).text == "the connection was refused"


def test_causes_that_go_in_a_circle() -> None:
    one, two = RuntimeError("one"), RuntimeError("two")
    one.__cause__, two.__cause__ = two, one
    assert describe(one, sent=True, waited=1.0).sent


# bodies


def _read(data: bytes, encoding: str = "", most: int = 1000, piece: int = 7) -> bytes | Failure:
    body = Body(encoding, most)
    for at in range(0, len(data), piece):
        if not body.take(data[at : at + piece]):
            break
    return body.whole()


@given(st.binary(max_size=300), st.sampled_from(["", "identity", "gzip", "x-gzip", " GZip "]), st.integers(1, 400))
def test_whole_bodies(data: bytes, encoding: str, piece: int) -> None:
    sent = gzip.compress(data) if "zip" in encoding.lower() else data
    assert _read(sent, encoding, piece=piece) == data


@pytest.mark.parametrize("encoding", ["", "gzip"])
def test_bodies_up_to_the_limit(encoding: str) -> None:
    for size, fits in ((999, True), (1000, True), (1001, False), (100_000, False)):
        data = b"x" * size
        whole = _read(gzip.compress(data) if encoding else data, encoding)
        assert (whole == data) is fits
        if not fits:
            assert isinstance(whole, Failure)
            assert (whole.text, whole.sent) == ("the answer is larger than 0.001 MB and was not read to its end", True)
            assert "max_response_mb" in whole.advice


def test_no_body_at_all() -> None:
    assert _read(b"") == b""
    assert _read(b"", "gzip") == b""
    assert isinstance(_read(b"", "br"), Failure)


@pytest.mark.parametrize(
    "data", [b"{}", gzip.compress(b"x" * 500)[:-1], gzip.compress(b"x" * 500)[:20], b"\x1f\x8b"], ids=len
)
def test_broken_compression(data: bytes) -> None:
    assert _read(data, "gzip") == Failure("the answer's compression is broken", sent=True)


@given(st.binary(), st.sampled_from(["gzip", "deflate"]))
def test_any_bytes_as_a_compressed_body(data: bytes, encoding: str) -> None:
    for sent in (data, gzip.compress(data)[:-1] + data, gzip.compress(b"x")[:10] + data):
        assert isinstance(_read(sent, encoding), (bytes, Failure))


def test_secrets_are_taken_out_of_the_logs_of_libraries() -> None:
    record = logging.LogRecord("x", logging.DEBUG, "x", 1, "%s %d", ("POST /rest/7/s3cr3t/profile", 5), None)
    assert SecretsOff().filter(record)
    assert record.getMessage() == "POST /rest/7/***/profile 5"
