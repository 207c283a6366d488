"""TLS: who is trusted, and what counts as sent when a handshake or a tunnel fails."""

from __future__ import annotations

import dataclasses
import socket
from pathlib import Path
from typing import Any

import pytest

from airflow_provider_b24.rest.errors import CertificateError, ConfigurationError, NotSentError, OutcomeUnknownError
from airflow_provider_b24.rest.peer import Patience
from airflow_provider_b24.rest.protocol import Call
from airflow_provider_b24.rest.transport import Transport
from tests.portal.rest.certificates import Authority
from tests.portal.rest.drivers import QUICK, SECRETS, MakeDriver, webhook_peer
from tests.portal.rest.leaks import found, leaks
from tests.portal.rest.proxies import Proxy
from tests.portal.rest.scripted import Action, Compute, Raw, Reset, Scripted, Silence, ok, page

WRITE = Call("crm.item.add", {"id": 7})
TRIES = [0.5, 1.0, 2.0]


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority(tmp_path_factory.mktemp("certificates"))


def trusting(authority: Authority, **more: Any) -> Transport:
    return Transport(connect_timeout=5.0, read_timeout=5.0, verify=str(authority.path), **more)


def waits(client: Any) -> list[float]:
    return client.client.peer.clock.waits


def test_an_authority_that_the_connection_names(driver: MakeDriver, authority: Authority) -> None:
    with (
        Scripted([ok(5)], forever=True, tls=authority.context()) as server,
        driver(webhook_peer(server.url), trusting(authority)) as client,
    ):
        assert [client.call(WRITE).result for _ in range(3)] == [5, 5, 5]
    assert server.accepted == 1


@pytest.mark.parametrize("name", ["REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE", "SSL_CERT_FILE"])
def test_an_authority_that_the_environment_names(
    driver: MakeDriver, authority: Authority, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    for other in ("REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE", "SSL_CERT_FILE"):
        monkeypatch.delenv(other, raising=False)
    monkeypatch.setenv(name, str(authority.path))
    with (
        Scripted([ok(5)], tls=authority.context()) as server,
        driver(webhook_peer(server.url), Transport()) as client,
    ):
        assert client.call(WRITE).result == 5


@pytest.mark.filterwarnings("ignore:Unverified HTTPS request")
def test_no_check_if_the_connection_says_so(driver: MakeDriver, authority: Authority) -> None:
    with Scripted([ok(5)], tls=authority.context()) as server, driver(webhook_peer(server.url), QUICK) as client:
        assert client.call(WRITE).result == 5


@pytest.mark.parametrize("case", ["nobody trusts it", "another name", "expired"])
def test_a_certificate_that_is_not_trusted_is_an_error_at_once(
    driver: MakeDriver,
    authority: Authority,
    case: str,
    monkeypatch: pytest.MonkeyPatch,
    everything_logged: pytest.LogCaptureFixture,
) -> None:
    for name in ("REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE", "SSL_CERT_FILE"):
        monkeypatch.delenv(name, raising=False)
    settings = Transport() if case == "nobody trusts it" else trusting(authority)
    context = {
        "nobody trusts it": authority.context,
        "another name": lambda: authority.context("other.example"),
        "expired": lambda: authority.context(days=-1),
    }[case]()
    with (
        Scripted([ok(5)], forever=True, tls=context) as server,
        driver(webhook_peer(server.url), settings) as client,
        pytest.raises(CertificateError, match="the TLS certificate is not trusted") as caught,
    ):
        client.call(Call("profile"))
    assert server.seen == []
    assert server.accepted == 1
    assert waits(client) == []
    assert caught.value.permanent
    assert not caught.value.effect_unknown
    assert "'verify'" in caught.value.advice
    assert leaks(caught.value, SECRETS) == []
    assert found(everything_logged.text, SECRETS) == []


@pytest.mark.parametrize("content", ["", "no certificate", None])
def test_a_file_of_authorities_that_is_none(driver: MakeDriver, tmp_path: Path, content: str | None) -> None:
    path = tmp_path / "authorities.pem"
    if content is not None:
        path.write_text(content)
        settings = Transport(verify=str(path))
        with pytest.raises(ConfigurationError, match="can not be read"):
            driver(webhook_peer("https://127.0.0.1:9"), settings)
    else:
        with pytest.raises(ConfigurationError, match="no such file"):
            Transport(verify=str(path))


def test_a_file_of_authorities_that_vanishes(tmp_path: Path, authority: Authority) -> None:
    from tests.portal.rest.drivers import SyncDriver

    path = tmp_path / "authorities.pem"
    path.write_bytes(authority.path.read_bytes())
    with SyncDriver(webhook_peer("https://127.0.0.1:9"), Transport(verify=str(path))) as client:
        path.unlink()
        with pytest.raises(NotSentError) as caught:
            client.call(WRITE)
    assert leaks(caught.value, SECRETS) == []


def test_a_folder_of_authorities(driver: MakeDriver, authority: Authority, tmp_path: Path) -> None:
    # Without the names by hash that a real one has, it holds no authority at all.
    (tmp_path / "one.pem").write_bytes(authority.path.read_bytes())
    with (
        Scripted([ok(5)], tls=authority.context()) as server,
        driver(webhook_peer(server.url), Transport(verify=str(tmp_path))) as client,
        pytest.raises(CertificateError),
    ):
        client.call(WRITE)


def test_a_server_that_speaks_no_tls(driver: MakeDriver) -> None:
    with (
        Scripted([Raw(b"")], forever=True) as server,
        driver(webhook_peer(server.url.replace("http", "https"))) as client,
    ):
        with pytest.raises(NotSentError, match=r"TLS|no connection") as caught:
            client.call(WRITE)
        assert waits(client) == TRIES
    assert leaks(caught.value, SECRETS) == []


def test_a_connection_that_breaks_off_within_the_handshake(driver: MakeDriver, authority: Authority) -> None:
    with (
        Scripted([Reset(early=True)] * 3 + [ok(5)], tls=authority.context()) as server,
        driver(webhook_peer(server.url), trusting(authority)) as client,
    ):
        assert client.call(WRITE).result == 5
        assert waits(client) == TRIES
    assert len(server.seen) == 1


def test_a_handshake_that_does_not_end(driver: MakeDriver) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        settings = dataclasses.replace(QUICK, connect_timeout=0.05)
        with driver(webhook_peer(f"https://127.0.0.1:{silent.getsockname()[1]}"), settings) as client:
            with pytest.raises(NotSentError, match="no connection in time") as caught:
                client.call(WRITE)
            assert waits(client) == TRIES
    assert leaks(caught.value, SECRETS) == []


def test_a_connection_that_is_not_accepted(driver: MakeDriver) -> None:
    with socket.socket() as full, socket.socket() as first, socket.socket() as second:
        full.bind(("127.0.0.1", 0))
        full.listen(0)
        for filler in (first, second):
            filler.setblocking(False)
            filler.connect_ex(full.getsockname())
        settings = dataclasses.replace(QUICK, connect_timeout=0.05)
        with driver(webhook_peer(f"http://127.0.0.1:{full.getsockname()[1]}"), settings) as client:
            with pytest.raises(NotSentError, match="no connection in time"):
                client.call(WRITE)
            assert waits(client) == TRIES


def test_a_reset_after_the_request_over_tls(driver: MakeDriver, authority: Authority) -> None:
    with (
        Scripted([Reset(), ok(5)], tls=authority.context()) as server,
        driver(webhook_peer(server.url), trusting(authority)) as client,
        pytest.raises(OutcomeUnknownError, match="may have been carried out") as caught,
    ):
        client.call(WRITE)
    assert len(server.seen) == 1
    assert leaks(caught.value, SECRETS) == []


def test_a_redirect_from_http_to_https(driver: MakeDriver, authority: Authority) -> None:
    with Scripted([ok(5)], tls=authority.context()) as new:
        to = Compute(lambda seen: page(302, Location=f"{new.url}{seen.target}"))
        with Scripted([to]) as old, driver(webhook_peer(old.url), trusting(authority)) as client:
            assert client.call(WRITE).result == 5


# proxies


def test_a_proxy_for_plain_requests(driver: MakeDriver) -> None:
    with Scripted([ok(5)], forever=True) as server, Proxy() as proxy:
        settings = dataclasses.replace(QUICK, proxy=proxy.url)
        with driver(webhook_peer(server.url), settings) as client:
            assert client.call(WRITE).result == 5
    assert [line for line, _ in proxy.asked] == [f"POST {server.url}{webhook_path('crm.item.add')} HTTP/1.1"]


def webhook_path(method: str) -> str:
    from tests.portal.rest.drivers import CODE

    return f"/rest/7/{CODE}/{method}"


def test_a_tunnel_with_a_password(driver: MakeDriver, authority: Authority) -> None:
    with Scripted([ok(5)], forever=True, tls=authority.context()) as server, Proxy() as proxy:
        settings = trusting(authority, proxy=proxy.url.replace("//", "//user:w0rd@"))
        with driver(webhook_peer(server.url), settings) as client:
            assert [client.call(WRITE).result for _ in range(2)] == [5, 5]
            assert "w0rd" not in repr(client.client.settings)
    ((line, authorization),) = proxy.asked
    assert line.startswith(f"CONNECT 127.0.0.1:{server.port} ")
    assert authorization == "Basic dXNlcjp3MHJk"
    assert server.accepted == 1


@pytest.mark.parametrize("scheme", ["http", "https"])
def test_a_proxy_that_the_environment_names(
    driver: MakeDriver, authority: Authority, scheme: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    tls = authority.context() if scheme == "https" else None
    with Scripted([ok(5)], forever=True, tls=tls) as server, Proxy() as proxy:
        monkeypatch.setenv(f"{scheme}_proxy", proxy.url.removeprefix("http://"))
        with driver(webhook_peer(server.url), trusting(authority)) as client:
            assert client.call(WRITE).result == 5
        assert len(proxy.asked) == 1
        monkeypatch.setenv("no_proxy", "127.0.0.0/8")
        with driver(webhook_peer(server.url), trusting(authority)) as client:
            assert client.call(WRITE).result == 5
        assert len(proxy.asked) == 1


@pytest.mark.parametrize(
    "answer",
    [
        b"HTTP/1.1 407 Proxy Authentication Required\r\nContent-Length: 0\r\n\r\n",
        b"HTTP/1.1 502 Bad Gateway\r\nContent-Length: 3\r\n\r\nbad",
        b"HTTP/1.1 403 No /rest/\r\n\r\n",
        b"",
        b"nonsense\r\n\r\n",
        None,
    ],
)
def test_a_tunnel_that_is_not_made(driver: MakeDriver, answer: bytes | None) -> None:
    with Proxy(answer=answer, connects=False) as proxy:
        timeouts: dict[str, Any] = {} if answer is not None else {"connect_timeout": 0.05, "read_timeout": 0.05}
        settings = dataclasses.replace(QUICK, proxy=proxy.url.replace("//", "//user:w0rd@"), **timeouts)
        with driver(webhook_peer("https://acme.bitrix24.com"), settings) as client:
            with pytest.raises(NotSentError, match=r"proxy|no connection") as caught:
                client.call(WRITE)
            assert waits(client) == TRIES
    assert len(proxy.asked) == 4
    assert leaks(caught.value, [*SECRETS, "user:w0rd", "w0rd"]) == []


def test_a_proxy_that_does_not_listen(driver: MakeDriver) -> None:
    with Scripted(listening=False) as nobody:
        settings = dataclasses.replace(QUICK, proxy=f"http://user:w0rd@127.0.0.1:{nobody.port}")
        for url in ("https://acme.bitrix24.com", "http://127.0.0.1:9"):
            with driver(webhook_peer(url), settings) as client:
                with pytest.raises(NotSentError, match="the connection was refused") as caught:
                    client.call(WRITE)
                assert waits(client) == TRIES
            assert leaks(caught.value, [*SECRETS, "w0rd"]) == []


def test_an_answer_of_the_proxy_itself_counts_as_sent(driver: MakeDriver) -> None:
    # Whether it has passed the request on before it failed can not be known.
    with Proxy(answer=b"", connects=False) as proxy:
        settings = dataclasses.replace(QUICK, proxy=proxy.url)
        with (
            driver(webhook_peer("http://127.0.0.1:9"), settings) as client,
            pytest.raises(OutcomeUnknownError, match="may have been carried out"),
        ):
            client.call(WRITE)
    assert len(proxy.asked) == 1


@pytest.mark.parametrize("does", [Reset(), Raw(b""), Raw(b"nonsense"), page(502), Silence()], ids=repr)
@pytest.mark.parametrize("scheme", ["http", "https"])
def test_what_was_sent_by_way_of_a_proxy_was_sent(
    driver: MakeDriver, authority: Authority, scheme: str, does: Action
) -> None:
    tls = authority.context() if scheme == "https" else None
    with Scripted([does, ok(5)], tls=tls) as server, Proxy() as proxy:
        settings = trusting(authority, proxy=proxy.url)
        patience = Patience(answer=0.05 if isinstance(does, Silence) else None)
        with (
            driver(webhook_peer(server.url), settings) as client,
            pytest.raises(OutcomeUnknownError, match="may have been carried out") as caught,
        ):
            client.call(WRITE, patience=patience)
    assert len(server.seen) == 1
    assert leaks(caught.value, SECRETS) == []


@pytest.mark.parametrize(
    "value",
    ["foo://bar:1", "http://[::1", "bad host:1", "http://host:port", "http://user:w0rd@", "http://user:w0rd@a b"],
)
def test_an_environment_that_names_no_proxy(driver: MakeDriver, value: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("https_proxy", value)
    with driver(webhook_peer("https://acme.bitrix24.com"), QUICK) as client:
        with pytest.raises(ConfigurationError, match="the environment names a proxy") as caught:
            client.call(WRITE)
        assert waits(client) == []
    assert leaks(caught.value, [*SECRETS, "w0rd"]) == []


def test_a_proxy_for_which_a_library_is_missing(driver: MakeDriver, monkeypatch: pytest.MonkeyPatch) -> None:
    import sys

    # As if they were not installed, wherever the tests are run.
    for name in ("socks", "socksio", "urllib3.contrib.socks", "httpcore._async.socks_proxy"):
        monkeypatch.setitem(sys.modules, name, None)
    settings = dataclasses.replace(QUICK, proxy="socks5://user:w0rd@127.0.0.1:9")
    with (
        driver(webhook_peer("https://acme.bitrix24.com"), settings) as client,
        pytest.raises(ConfigurationError, match=r"pip install 'requests\[socks\]'") as caught,
    ):
        client.call(WRITE)
    assert leaks(caught.value, [*SECRETS, "w0rd"]) == []
