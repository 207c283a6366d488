"""The Test button: a sentence within ten seconds, whatever the portal does, and no exception."""

from __future__ import annotations

import time

import pytest

from airflow_provider_b24.hooks import calls, examine
from airflow_provider_b24.hooks.bitrix24 import Bitrix24Hook
from airflow_provider_b24.rest.client import Client
from airflow_provider_b24.rest.peer import Patience
from airflow_provider_b24.testing import Fault


def test_who_it_is_and_what_it_may_do(portal):
    fine, text = Bitrix24Hook().test_connection()
    assert fine
    assert text == (
        f"Connected to {portal.url} as Anna Petrova (user 1, administrator). "
        "Scopes: crm, disk, im, imbot, task, tasks, user."
    )
    assert [call.method for call in portal.calls] == ["profile", "scope"]


def test_an_application(portal, connect):
    connect(portal.oauth_connection())
    assert Bitrix24Hook().test_connection()[0]
    portal.expire_tokens()
    assert Bitrix24Hook().test_connection()[0]


@pytest.mark.parametrize(
    ("scopes", "bot", "missing"),
    [
        (["im", "user"], False, ""),
        (["im", "user_basic"], False, ""),
        (["im", "user"], True, "imbot (speaking as a chat bot)"),
        (["im", "user", "imbot"], True, ""),
        (["user"], False, "im (typing and messages)"),
        (["im", "user_brief"], False, "user (naming a dialog by a person's e-mail address)"),
        ([], True, "im (typing and messages), user (naming a dialog by a person's e-mail address), imbot"),
    ],
)
def test_missing_scopes_are_named(portal, connect, scopes, bot, missing):
    portal.scopes = scopes
    connect(portal.bot_connection() if bot else portal.connection())
    fine, text = Bitrix24Hook().test_connection()
    assert fine, "calls work, though not all"
    assert f"Scopes: {', '.join(sorted(scopes)) or 'none'}." in text
    if missing:
        assert f"Missing for operators of this provider: {missing}" in text
    else:
        assert "Missing" not in text


def test_a_user_who_left(portal):
    anna = portal.company.users[1]
    anna.active = False
    try:
        fine, text = Bitrix24Hook().test_connection()
    finally:
        anna.active = True
    assert not fine
    assert "not active any more: make a new webhook" in text


def test_a_wrong_code(portal, connect):
    connect({**portal.connection(), "password": "wr0ngc0de"})
    fine, text = Bitrix24Hook().test_connection()
    assert not fine
    assert "INVALID_CREDENTIALS" in text
    assert "renew the credential in the Airflow connection" in text
    assert "wr0ngc0de" not in text


def test_nobody_listens(connect):
    connect("bitrix24://1:s3cr3tc0de@127.0.0.1:9/http")
    fine, text = Bitrix24Hook().test_connection()
    assert not fine
    assert "the connection was refused" in text
    assert "s3cr3tc0de" not in text


@pytest.mark.parametrize(
    ("connection", "words"),
    [
        ({"conn_type": "bitrix24"}, "the connection has no password"),
        ({"conn_type": "bitrix24", "host": "https://x.bitrix24.com/rest/1/s3cr3tc0de/"}, "into the field 'password'"),
        ({"conn_type": "bitrix24", "host": "x.bitrix24.com", "login": "s3cr3tc0de", "password": "1"}, "not a number"),
    ],
)
def test_a_connection_that_can_not_be_right(connect, connection, words):
    connect(connection)
    fine, text = Bitrix24Hook().test_connection()
    assert not fine
    assert words in text
    assert "s3cr3tc0de" not in text


def test_a_connection_that_is_not_there():
    assert Bitrix24Hook("nowhere").test_connection() == (
        False,
        "Airflow has no connection 'nowhere'. Add it (type: Bitrix24), or name another one as bitrix24_conn_id.",
    )


def test_a_connection_that_can_not_be_read(monkeypatch):
    def fail(conn_id):
        raise RuntimeError("s3cr3tc0de")

    monkeypatch.setattr(Bitrix24Hook, "get_connection", staticmethod(fail))
    assert Bitrix24Hook().test_connection() == (False, "RuntimeError while reading the connection")


@pytest.mark.parametrize("kind", ["html_500", "html_502", "html_200", "truncated_json", "json_500", "reset", "big"])
@pytest.mark.parametrize("method", ["profile", "scope"])
def test_whatever_the_portal_answers(portal, kind, method):
    portal.faults.add(Fault(kind, method, times=None))
    fine, text = Bitrix24Hook().test_connection()
    assert fine is (method == "scope")
    assert len(text) < 600
    if method == "scope":
        assert text.startswith(f"Connected to {portal.url} as Anna Petrova")


@pytest.mark.parametrize(("method", "words"), [("profile", "Unforeseen RuntimeError while"), ("scope", "unforeseen")])
def test_what_nobody_foresaw(portal, monkeypatch, method, words):
    real = Client.call

    def sometimes(self, call, **options):
        if call.method == method:
            raise RuntimeError("s3cr3tc0de")
        return real(self, call, **options)

    monkeypatch.setattr(Client, "call", sometimes)
    fine, text = Bitrix24Hook().test_connection()
    assert fine is (method == "scope")
    assert words in text
    assert "s3cr3tc0de" not in text


def test_no_scopes_to_be_read(portal):
    portal.faults.add(Fault("error", "scope", code="ACCESS_DENIED", status=403))
    fine, text = Bitrix24Hook().test_connection()
    assert fine
    assert "The scopes could not be read: scope: ACCESS_DENIED" in text


@pytest.fixture
def in_a_hurry(monkeypatch):
    """The time limits of the Test button, fifty times as short."""
    monkeypatch.setattr(calls, "_TEST_SECONDS", 0.18)
    monkeypatch.setattr(examine, "_QUICK", Patience(tries=1, answer=0.07, limits=1.0))


@pytest.mark.usefixtures("in_a_hurry")
def test_no_answer(portal):
    portal.faults.add(Fault("timeout", "profile", seconds=1))
    fine, text = Bitrix24Hook().test_connection()
    assert not fine
    assert "no answer within 0.07 s" in text


@pytest.mark.usefixtures("in_a_hurry")
def test_an_answer_byte_by_byte(portal):
    # Each byte comes in time, the whole never does.
    portal.faults.add(Fault("drip", "profile", seconds=0.03))
    begun = time.monotonic()
    fine, text = Bitrix24Hook().test_connection()
    assert not fine
    assert "profile: no answer within 0.07 s" in text
    assert time.monotonic() - begun < 1


def test_the_real_limits_keep_the_promise():
    assert calls._TEST_SECONDS < 10
    assert examine._QUICK.answer is not None
    assert 2 * examine._QUICK.answer < calls._TEST_SECONDS
    assert examine._QUICK.tries == 1
