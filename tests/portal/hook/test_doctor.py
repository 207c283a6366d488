"""``airflow bitrix24 doctor`` against portals in all states: it says what is wrong, and ends in any case."""

from __future__ import annotations

import json
import time
from argparse import Namespace

import pytest

from airflow_provider_b24.cli.doctor import doctor
from airflow_provider_b24.hooks import doctor as diagnosis
from airflow_provider_b24.hooks.bitrix24 import Bitrix24Hook
from airflow_provider_b24.rest.peer import Patience
from airflow_provider_b24.testing import FakePortal, Fault
from airflow_provider_b24.testing.registry import V2
from tests.portal.rest.certificates import Authority
from tests.portal.rest.proxies import Proxy
from tests.portal.rest.scripted import Scripted, ok


@pytest.fixture(scope="module")
def authority(tmp_path_factory):
    return Authority(tmp_path_factory.mktemp("certificates"))


@pytest.fixture(autouse=True)
def no_environment(monkeypatch):
    """Neither proxies nor authorities of this machine."""
    for name in ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "NO_PROXY", "REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.lower(), raising=False)


def diagnose(conn_id="bitrix24_default"):
    with Bitrix24Hook(conn_id) as hook:
        return diagnosis.diagnose(hook)


def troubles(found):
    return [(one.severity, one.subject) for one in found if one.severity in ("error", "warning")]


def words(found):
    return "\n".join(f"{one.text} {one.advice}" for one in found)


def test_all_is_well(portal, connect):
    connect(portal.bot_connection())
    found = diagnose()
    assert troubles(found) == []
    assert [one.subject for one in found] == [
        "address", "proxy", "account", "clock", "scopes", "bot", "limits", "limiter"
    ]  # fmt: skip
    assert "Report Bot (bot 101, code report_bot), in 5 chats" in words(found)
    assert [call.method for call in portal.requests] == ["profile", "batch", "imbot.v2.Bot.get"]
    assert portal.access.webhook_code not in words(found)
    assert portal.bot_token not in words(found)


def test_an_application(portal, connect, monkeypatch):
    kept: dict[str, str] = {}

    class Shelf:
        def get(self, key):
            return kept.get(key)

        def put(self, key, value, description):
            kept[key] = value

        def remove(self, key):
            kept.pop(key, None)

    monkeypatch.setattr("airflow_provider_b24.hooks.variables.reachable", Shelf)
    connect(portal.oauth_connection())
    found = diagnose()
    assert troubles(found) == []
    assert "renewed tokens can be stored" in words(found)
    connect(portal.oauth_connection(), plan="standard")
    monkeypatch.setattr(portal.company, "license", "ru_ent250")
    assert "Set plan to enterprise in the connection." in words(diagnose())
    assert not [name for name in kept if "test" in name], "what was written as a test is gone"

    monkeypatch.setattr(Shelf, "put", lambda *_: (_ for _ in ()).throw(PermissionError("s3cret")))
    found = diagnose()
    assert ("error", "tokens") in troubles(found)
    assert "(PermissionError)" in words(found)
    assert "s3cret" not in words(found)


def test_a_used_up_credential(portal, connect):
    connect({**portal.connection(), "password": "wr0ngc0de1234567"})
    found = diagnose()
    assert troubles(found) == [("error", "account")]
    assert "INVALID_CREDENTIALS" in words(found)
    assert "renew the credential in the Airflow connection" in words(found)
    assert "wr0ngc0de1234567" not in words(found)


def test_a_plan_without_rest(portal):
    portal.faults.add(
        Fault("error", "profile", code="ACCESS_DENIED", status=403, description="REST is available on commercial plans")
    )
    found = words(diagnose())
    assert "REST is available on commercial plans" in found
    assert "REST needs a paid plan of the portal with a subscription to its Marketplace" in found


def test_a_portal_that_is_gone(connect):
    with FakePortal() as gone:
        connect(gone.bot_connection())
    found = diagnose()
    assert troubles(found) == [("error", "account")]
    assert "the connection was refused" in words(found)


def test_a_portal_that_has_moved(connect):
    with FakePortal() as portal:
        connect(portal.connection())
        new = portal.rename()
        found = diagnose()
    assert troubles(found) == [("warning", "address")]
    assert f"to {new}" in words(found)


def test_clocks_that_differ(connect):
    with FakePortal(clock=lambda: time.time() - 300) as portal:
        connect(portal.connection())
        found = diagnose()
    assert troubles(found) == [("warning", "clock")]
    assert "300 s behind this machine's" in words(found)


def test_missing_scopes(portal, connect):
    portal.scopes = ["crm"]
    connect(portal.bot_connection())
    found = diagnose()
    assert troubles(found) == [("error", "scopes"), ("warning", "scopes"), ("error", "scopes"), ("error", "bot")]
    assert "im is missing, needed for MessageAdd" in words(found)
    assert "insufficient_scope" in words(found)


def test_no_scopes_to_be_read(portal):
    portal.faults.add(Fault("error", "scope", code="ACCESS_DENIED", status=403, in_batch=True))
    assert troubles(diagnose()) == [("error", "scopes")]


@pytest.mark.parametrize(
    ("extra", "expected", "text"),
    [
        ({"bot_id": 999}, "error", "the portal has no bot 999"),
        ({"bot_token": "another"}, "error", "does not answer to the connection's bot_token"),
        ({}, "warning", "is in no chat"),
    ],
    ids=["deleted", "token", "no chat"],
)
def test_a_bot_that_can_not_speak(connect, extra, expected, text):
    with FakePortal() as portal:
        for chat in portal.company.chats.by_id.values():
            chat.members.discard(101)
        connect(portal.bot_connection(), **extra)
        found = diagnose()
    assert troubles(found) == [(expected, "bot")]
    assert text in words(found)


def test_an_old_portal(portal, connect, monkeypatch):
    for name in ("im.v2.File.upload", "imbot.v2.Chat.Message.send"):
        monkeypatch.delitem(V2, name)
    connect(portal.bot_connection())
    found = diagnose()
    assert troubles(found) == [("error", "methods")]
    assert "the portal has no im.v2.File.upload: files go the older way" in words(found)


# ---- the way there


def served(connect, server, **extra):
    connect({"conn_type": "bitrix24", "password": f"{server.url}/rest/1/abcdefgh12345678/", "extra": {}}, **extra)


@pytest.mark.parametrize(
    ("days", "trusts", "expected"),
    [
        (30, True, "good for"),
        (5, True, "warning: the portal's certificate ends in"),
        (-1, True, "error: the certificate is not trusted (certificate has expired)"),
        (30, False, "error: the certificate is not trusted"),
    ],
    ids=["good", "ends soon", "expired", "another authority"],
)
def test_certificates(connect, authority, days, trusts, expected):
    with Scripted([ok({"ID": "1"})], forever=True, tls=authority.context(days=days)) as server:
        served(connect, server, **({"verify": str(authority.path)} if trusts else {}))
        found = diagnose()
    (said,) = [f"{one.severity}: {one.text}" for one in found if one.subject == "TLS"]
    assert expected in said
    assert (("error", "account") in troubles(found)) is ("error" in expected)


@pytest.mark.filterwarnings("ignore:Unverified HTTPS request")
def test_a_proxy_and_no_check(connect, authority):
    with Scripted([ok({"ID": "1"})], forever=True, tls=authority.context()) as server, Proxy() as proxy:
        served(connect, server, verify="false", proxy=proxy.url.replace("://", "://user:s3cretpass@"))
        found = diagnose()
    assert f"{proxy.url}, from the connection" in words(found)
    assert ("warning", "TLS") in troubles(found)
    assert "s3cretpass" not in words(found)


def test_a_name_that_nobody_knows(connect):
    connect("bitrix24://1:abcdefgh12345678@portal.invalid")
    found = diagnose()
    assert troubles(found) == [("error", "address"), ("error", "account")]
    assert "portal.invalid is not known here" in words(found)


def test_a_limiter_out_of_reach(portal, connect):
    connect(portal.connection(), limiter_url="redis://:s3cretpass@127.0.0.1:9/0")
    found = diagnose()
    assert troubles(found) == [("error", "limiter"), ("warning", "secrets")]
    assert "s3cretpass" not in words(found)


def test_it_ends_in_any_case(portal, monkeypatch):
    monkeypatch.setattr(diagnosis, "_PATIENCE", Patience(tries=1, answer=0.1, limits=1.0))
    portal.faults.add(Fault("drip", "profile", seconds=0.05))
    found = diagnose()
    assert "profile: no answer within 0.1 s" in words(found)
    monkeypatch.setattr(diagnosis, "_PORTAL_SECONDS", 0.05)
    portal.faults.add(Fault("slow", "profile", seconds=0.3))
    found = diagnose()
    assert ("error", "portal") in troubles(found)
    assert "limits" in [one.subject for one in found], "the others are told nevertheless"


@pytest.mark.parametrize("kind", ["html_502", "truncated_json", "reset"])
@pytest.mark.parametrize("method", ["profile", "batch"])
def test_whatever_the_portal_answers(portal, kind, method):
    portal.faults.add(Fault(kind, method, times=None))
    found = diagnose()
    assert [one.severity for one in found].count("error") == 1
    assert found[-1].subject == "limiter"


def test_what_nobody_foresaw(portal, monkeypatch):
    def fail(*_):
        raise RuntimeError("s3cret")

    monkeypatch.setattr(diagnosis, "_abilities", fail)
    found = diagnose()
    assert ("error", "portal") in troubles(found)
    assert "Connected to" in words(found), "what was found before is told as well"
    assert "unforeseen RuntimeError" in words(found)
    assert "s3cret" not in words(found)


# ---- the command


def run(capsys, conn_id="bitrix24_default", output="json"):
    status = 0
    try:
        doctor(Namespace(conn_id=conn_id, output=output))
    except SystemExit as end:
        status = int(str(end.code))
    return status, capsys.readouterr().out


@pytest.fixture(autouse=True)
def as_a_command(monkeypatch):
    # Set by the command; what it was before comes back after the test.
    monkeypatch.setenv("_AIRFLOW_PROCESS_CONTEXT", "")


def test_its_status_tells_of_errors(portal, connect, capsys):
    status, out = run(capsys)
    assert status == 0
    assert list(json.loads(out)[0]) == ["level", "about", "finding", "what to do"]
    connect({"conn_type": "bitrix24", "host": f"{portal.url}/rest/1/s3cr3tc0de123456/"})
    status, out = run(capsys)
    assert status == 1
    (row,) = json.loads(out)
    assert (row["level"], row["about"]) == ("error", "connection")
    assert "into the field 'password'" in row["what to do"]
    assert "s3cr3tc0de123456" not in out
    status, out = run(capsys, "nowhere")
    assert status == 1
    assert "Airflow has no connection 'nowhere'" in out


def test_a_table_shows_what_is_in_square_brackets(portal, connect, capsys):
    connect(portal.connection(), limiter_url="redis://:s3cretpass@127.0.0.1:9/0")
    status, out = run(capsys, output="table")
    assert status == 1
    assert "[core]" in out


@pytest.mark.parametrize("kind", ["connection", "bot_connection", "oauth_connection"])
def test_a_portal_that_repeats_what_it_was_told(portal, connect, kind, capsys):
    connection = getattr(portal, kind)()
    connect(connection)
    secrets = {value for name, value in connection["extra"].items() if name.endswith(("token", "secret"))}
    secrets |= {connection["password"]} if "password" in connection else set()
    for method in ("profile", "scope", "imbot.v2.Bot.get"):
        for in_batch in (True, False):
            portal.faults.add(
                Fault("error", method, times=None, code="TOLD", description=" ".join(secrets), in_batch=in_batch)
            )
    status, out = run(capsys)
    assert status == 1
    assert "TOLD" in out
    assert secrets
    assert [secret for secret in secrets if secret in out] == []
