"""``airflow bitrix24 authorize``, against a portal whose pages are opened as a browser does it."""

from __future__ import annotations

import io
import re
from argparse import Namespace
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
import requests

from airflow_provider_b24.cli import authorize as command
from airflow_provider_b24.hooks import token_store
from airflow_provider_b24.hooks.bitrix24 import Bitrix24Hook
from airflow_provider_b24.rest.errors import AuthenticationError
from airflow_provider_b24.testing import Fault

PAGE = "https://airflow.example/callback"


@pytest.fixture
def portal(portal, connect, monkeypatch):
    """A portal with an application that nobody has authorised yet."""
    monkeypatch.setattr(token_store._OfThisProcess, "_kept", {})
    # Set by the command; what it was before comes back after the test.
    monkeypatch.setenv("_AIRFLOW_PROCESS_CONTEXT", "")
    monkeypatch.setattr("airflow_provider_b24.hooks.variables.reachable", Shelf)
    Shelf.kept = {}
    portal.access.redirect_uri = PAGE
    connection = portal.oauth_connection(authorised=False)
    connect(connection, "crm")
    connect(connection)
    yield portal
    portal.access.redirect_uri = ""


class Shelf:
    """Airflow's Variables, without a database."""

    kept: dict[str, str]

    def get(self, key):
        return self.kept.get(key)

    def put(self, key, value, description):
        self.kept[key] = value


def run(code=None, conn_id="crm"):
    command.authorize(Namespace(conn_id=conn_id, code=code))


def opened(address):
    """Where the browser ends up."""
    reply = requests.get(address, allow_redirects=False, timeout=10)
    assert reply.status_code == 302
    return reply.headers["Location"]


def address(portal, conn_id="crm"):
    from airflow_provider_b24.hooks.settings import read_settings

    app: Any = read_settings(host=portal.url, extra=portal.oauth_connection(authorised=False)["extra"]).credential
    return command.address_to_open(app, conn_id)


class Person(io.StringIO):
    """Reads what is printed, opens the address and pastes what comes of it."""

    def __init__(self, capsys, take=lambda landed: landed):
        super().__init__()
        self.capsys, self.take, self.printed = capsys, take, ""

    def readline(self, *_):
        self.printed = self.capsys.readouterr().out
        (found,) = re.findall(r"^  (http\S+)$", self.printed, re.MULTILINE)
        return self.take(opened(found)) + "\n"


@pytest.mark.parametrize("what", ["the address", "the code"])
def test_from_nothing_to_calls(portal, capsys, monkeypatch, what):
    person = Person(capsys)
    if what == "the code":
        person.take = lambda landed: parse_qs(urlsplit(landed).query)["code"][0]
    monkeypatch.setattr("sys.stdin", person)
    run()
    assert "The code is good for 30 seconds" in person.printed
    out = capsys.readouterr().out
    assert out.startswith("Authorised: the tokens of the connection 'crm' are stored.\n")
    assert f"Connected to {portal.url} as Anna Petrova (user 1, administrator). Scopes: crm, disk" in out
    assert list(Shelf.kept)[-1] == "bitrix24_tokens_crm"
    with Bitrix24Hook("crm") as hook:
        assert hook.call("profile")["ID"] == "1"
        portal.expire_tokens()
        assert hook.call("profile")["ID"] == "1"
    shown = person.printed + out
    access = portal.access
    assert not [secret for secret in (access.client_secret, *access._access, *access._refresh) if secret in shown]


def test_what_is_asked_of_the_portal(portal):
    parts = urlsplit(address(portal))
    assert f"{parts.scheme}://{parts.netloc}{parts.path}" == f"{portal.url}/oauth/authorize/"
    assert set(parse_qs(parts.query)) == {"client_id", "state"}
    assert address(portal) != address(portal)


def test_the_code_as_an_argument(portal, capsys):
    run(opened(address(portal)))
    run(portal.access.new_code())
    assert capsys.readouterr().out.count("Connected to") == 2
    assert [call.params["grant_type"] for call in portal.calls if call.method == "oauth.token"] == [
        "authorization_code"
    ] * 2


def test_before_that_every_error_names_the_command(portal):
    with Bitrix24Hook("crm") as hook:
        with pytest.raises(AuthenticationError) as caught:
            hook.call("profile")
        tested = hook.test_connection()
    assert str(caught.value) == (
        "oauth/token: the application is not authorised yet. Authorise it first. Run: airflow bitrix24 authorize crm"
    )
    assert tested == (False, str(caught.value))
    assert portal.calls == []


def test_authorised_anew_after_a_crash(portal, connect, capsys):
    connect(portal.oauth_connection(), "crm")
    run(portal.access.new_code())
    # whoever was stopped before storing leaves a refresh token that is used up
    portal.expire_tokens()
    portal.access._refresh.clear()
    with Bitrix24Hook("crm") as hook:
        with pytest.raises(AuthenticationError, match="Run: airflow bitrix24 authorize crm"):
            hook.call("profile")
        run(portal.access.new_code())
        assert hook.call("profile")["ID"] == "1", "the hook that is at work gets the new ones"


def test_it_wins_over_the_pair_in_the_connection(portal, connect):
    connect(portal.oauth_connection(), "crm")
    run(portal.access.new_code())
    with Bitrix24Hook("crm") as hook:
        current: Any = hook.get_conn().peer.current
        assert current.endpoint == f"{portal.url}/rest/"


def refused(code, conn_id="crm"):
    with pytest.raises(SystemExit) as caught:
        run(code, conn_id)
    words = str(caught.value)
    assert words.startswith("Not authorised. ")
    assert caught.value.__cause__ is None
    assert not Shelf.kept
    return words


@pytest.mark.parametrize(
    ("error", "status", "words"),
    [
        ("invalid_grant", 400, "is older than 30 seconds"),
        ("invalid_client", 400, "Check client_id and client_secret, and that the application is installed"),
        ("wrong_client", 200, "Check client_id"),
        ("PAYMENT_REQUIRED", 401, "paid or trial period is over"),
        ("invalid_scope", 403, "Add the scope"),
        ("invalid_request", 400, ""),
    ],
)
def test_the_vendors_errors(portal, error, status, words):
    portal.faults.add(Fault("error", "oauth.token", code=error, status=status, description="In their words"))
    told = refused(portal.access.new_code())
    assert f"oauth/token: {error} (HTTP {status}): In their words. " in told
    assert words in told


def test_a_code_that_was_used(portal):
    code = portal.access.new_code()
    run(code)
    Shelf.kept.clear()
    told = refused(code)
    assert "hand in the new code at once" in told
    assert code not in told


@pytest.mark.parametrize("kind", ["html_502", "reset", "truncated_json"])
def test_no_usable_answer(portal, kind):
    portal.faults.add(Fault(kind, "oauth.token"))
    assert "the code could not be exchanged for tokens" in refused(portal.access.new_code())
    assert len(portal.calls) == 1


def test_what_is_pasted_in_vain(portal):
    landed = opened(address(portal))
    code = parse_qs(urlsplit(landed).query)["code"][0]
    others = opened(address(portal, "another"))
    for pasted, words in (
        ("", "there is no code"),
        ("\n", "there is no code"),
        ("two words", "there is no code"),
        (address(portal), "Paste the address where the browser ends up"),
        (f"{PAGE}?error=access_denied", "there is no code in the address"),
        ("http://[::1", "there is no code in the address"),
        (others, "not the answer to an address that this command has printed"),
        (f"{PAGE}?code={code}", "not the answer to an address"),
        (f"{PAGE}?code={code}&state=x.y", "not the answer to an address"),
        (landed.replace("127.0.0.1", "other.bitrix24.com", 1), "the code is of the portal 'other.bitrix24.com"),
    ):
        told = refused(pasted)
        assert words in told, pasted
        assert code not in told
    assert portal.calls == []
    run(landed)


def test_a_portal_of_another_address(portal, connect):
    connect({**portal.oauth_connection(authorised=False), "host": "localhost"}, "crm")
    told = refused(portal.access.new_code())
    assert f"the tokens are for {portal.url}, and the connection names http://localhost:{portal.port}" in told


def test_connections_that_can_not_be_authorised(portal, connect):
    assert "Airflow has no connection 'nowhere'" in refused("c0de", "nowhere")
    connect(portal.connection(), "crm")
    assert "is a webhook, which needs no authorisation" in refused("c0de")
    connect({**portal.oauth_connection(authorised=False), "host": ""}, "crm")
    assert "the connection has no host" in refused("c0de")


def test_tokens_that_can_not_be_stored(portal, monkeypatch):
    def put(self, key, value, description):
        raise PermissionError(value)

    monkeypatch.setattr(Shelf, "put", put)
    assert "the tokens could not be stored: The Variable bitrix24_tokens_crm could not" in refused(
        portal.access.new_code()
    )


def test_an_account_that_may_do_nothing(portal, capsys):
    portal.faults.add(Fault("error", "profile", code="ACCESS_DENIED", status=403))
    with pytest.raises(SystemExit) as caught:
        run(portal.access.new_code())
    assert caught.value.code == 1
    assert "ACCESS_DENIED" in capsys.readouterr().out
    assert Shelf.kept
