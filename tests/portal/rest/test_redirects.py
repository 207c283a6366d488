"""A portal that was renamed answers with a redirect: where the call and its secret may go then."""

from __future__ import annotations

import dataclasses
import logging
from collections.abc import Callable
from pathlib import Path

import pytest

from airflow_provider_b24.rest.errors import RedirectRefusedError
from airflow_provider_b24.rest.pacing import Plan
from airflow_provider_b24.rest.peer import Peer
from airflow_provider_b24.rest.protocol import Call
from tests.portal.rest.certificates import Authority
from tests.portal.rest.drivers import OLD, QUICK, SECRETS, MakeDriver, app_peer, webhook_peer
from tests.portal.rest.leaks import found, leaks
from tests.portal.rest.proxies import Proxy
from tests.portal.rest.scripted import Compute, Scripted, Seen, ok, page
from tests.unit.rest.clocks import FakeClock

WRITE = Call("crm.item.add", {"fields": {"title": "Ж"}})


def moved(to: Callable[[Seen], str], status: int = 302) -> Compute:
    return Compute(lambda seen: page(status, Location=to(seen)))


@pytest.mark.parametrize("status", [301, 302, 307, 308])
@pytest.mark.parametrize("make", [webhook_peer, app_peer])
def test_the_call_goes_on_whole_at_the_new_address(
    driver: MakeDriver, make: Callable[..., Peer], status: int, everything_logged: pytest.LogCaptureFixture
) -> None:
    with Scripted([ok(17), ok(18)]) as new, Scripted([moved(lambda seen: f"{new.url}{seen.target}", status)]) as old:
        peer = make(old.url)
        with driver(peer) as client:
            assert client.call(WRITE).result == 17
            assert client.call(WRITE).result == 18
    assert [len(old.seen), len(new.seen)] == [1, 2]
    assert {(seen.verb, seen.target, seen.body) for seen in new.seen} == {
        (old.seen[0].verb, old.seen[0].target, old.seen[0].body)
    }
    assert old.seen[0].json["fields"] == {"title": "Ж"}
    assert isinstance(peer.clock, FakeClock)
    assert peer.clock.waits == []
    # said once, and what to do about it
    said = [record for record in everything_logged.records if record.levelno >= logging.WARNING]
    assert len(said) == 1
    assert f"has moved to {new.url}" in said[0].getMessage()
    assert found(everything_logged.text, SECRETS) == []


def test_a_slash_at_the_end_is_no_other_path(driver: MakeDriver) -> None:
    with (
        Scripted([ok(17)]) as new,
        Scripted([moved(lambda seen: f"{new.url}{seen.target}/?x=1")]) as old,
        driver(webhook_peer(old.url)) as client,
    ):
        assert client.call(WRITE).result == 17
    assert new.seen[0].target == old.seen[0].target


def test_every_request_counts_for_the_limit(driver: MakeDriver) -> None:
    """Where the portal lives now: there it is shared with connections that name the new address."""
    with Scripted([ok(17), ok(18)]) as new, Scripted([moved(lambda seen: f"{new.url}{seen.target}")]) as old:
        clock = FakeClock()
        peer = webhook_peer(old.url, clock=clock, plan=Plan(2, 2))
        with driver(peer) as client:
            client.call(WRITE)
        assert clock.waits == []
        with driver(webhook_peer(new.url, clock=clock, plan=Plan(2, 2), ledger=peer.ledger)) as client:
            client.call(WRITE)
    assert clock.waits == [0.5]


@pytest.mark.parametrize(
    ("to", "words"),
    [
        (lambda seen: f"https://evil.example{seen.target}", "may not be given the secret"),
        (lambda seen: f"https://evil.bitrix24.com{seen.target}", "may not be given the secret"),
        (lambda seen: f"http://10.0.0.7{seen.target}", "nowhere that can be called"),
        (lambda seen: f"//evil.example{seen.target}", "nowhere that can be called"),
        (lambda seen: seen.target, "nowhere that can be called"),
        (lambda seen: "", "nowhere that can be called"),
        (lambda seen: "mailto:x@example.com", "nowhere that can be called"),
        (lambda seen: f"http://{seen.headers['host']}/login?back={seen.target}", "another path"),
        (lambda seen: f"http://{seen.headers['host']}/", "another path"),
    ],
)
def test_the_secret_goes_nowhere_else(
    driver: MakeDriver, to: Callable[[Seen], str], words: str, everything_logged: pytest.LogCaptureFixture
) -> None:
    with (
        Scripted([moved(to)]) as server,
        driver(webhook_peer(server.url)) as client,
        pytest.raises(RedirectRefusedError, match=words) as caught,
    ):
        client.call(WRITE)
    assert len(server.seen) == 1
    assert (caught.value.status, caught.value.method) == (302, "crm.item.add")
    assert "new address into the Airflow connection" in caught.value.advice
    assert leaks(caught.value, SECRETS) == []
    assert found(everything_logged.text, SECRETS) == []


@pytest.mark.filterwarnings("ignore:Unverified HTTPS request")
@pytest.mark.parametrize("host", ["b24.acme.example", "new.b24.acme.example", "evil.example"])
def test_a_host_that_the_user_allows(driver: MakeDriver, host: str, tmp_path: Path) -> None:
    tls = Authority(tmp_path).context()
    with (
        Scripted([ok(17)], tls=tls) as new,
        Scripted([moved(lambda seen: f"https://{host}:{new.port}{seen.target}")], tls=tls) as old,
        Proxy() as proxy,
    ):
        peer = webhook_peer(f"https://portal.other.example:{old.port}", redirect_hosts=("b24.acme.example",))
        with driver(peer, dataclasses.replace(QUICK, proxy=proxy.url)) as client:
            if host == "evil.example":
                with pytest.raises(RedirectRefusedError, match="may not be given the secret") as caught:
                    client.call(WRITE)
                assert "redirect_hosts" in caught.value.advice
            else:
                assert client.call(WRITE).result == 17
    assert len(new.seen) == (host != "evil.example")


@pytest.mark.parametrize(
    ("endpoint", "goes_there"),
    [
        ("https://new.b24.acme.example/rest/", True),
        ("https://old.other.example/rest/", True),
        ("https://evil.example/rest/", False),
        ("http://b24.acme.example/rest/", False),
        ("http://127.0.0.1/rest/", False),
    ],
)
def test_where_the_authorisation_server_says_the_portal_is(
    endpoint: str, caplog: pytest.LogCaptureFixture, *, goes_there: bool
) -> None:
    peer = app_peer("https://other.example", redirect_hosts=("b24.acme.example",))
    for _ in range(2):
        peer.adopt(dataclasses.replace(OLD, endpoint=endpoint))
    assert (str(peer.address) == endpoint.removesuffix("/rest/")) is goes_there
    told = [message for message in caplog.messages if "may not be given the secret" in message]
    # what is no address of a portal at all is none to speak of
    assert len(told) == endpoint.startswith(("https://evil", "http://127"))
    assert all("redirect_hosts" in message for message in told)


def test_round_in_a_circle(driver: MakeDriver) -> None:
    here = moved(lambda seen: f"http://{seen.headers['host']}{seen.target}")
    with (
        Scripted([here], forever=True) as server,
        driver(webhook_peer(server.url)) as client,
        pytest.raises(RedirectRefusedError, match="in a circle"),
    ):
        client.call(WRITE)
    assert len(server.seen) == 4


def test_the_authorisation_server_is_not_followed(driver: MakeDriver) -> None:
    with (
        Scripted() as elsewhere,
        Scripted([moved(lambda seen: f"{elsewhere.url}{seen.target}")], forever=True) as server,
    ):
        peer = app_peer(server.url)
        peer.adopt(dataclasses.replace(OLD, access_token=""))
        assert peer.tokens is not None
        peer.tokens.save(dataclasses.replace(OLD, access_token=""))
        with driver(peer) as client, pytest.raises(Exception, match="oauth/token") as caught:
            client.call(WRITE)
    assert elsewhere.seen == []
    assert len(server.seen) == 1
    assert leaks(caught.value, SECRETS) == []
