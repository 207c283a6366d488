"""What is said of what was seen of a connection."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from airflow_provider_b24.chat.bots import Card
from airflow_provider_b24.chat.typing import Bot
from airflow_provider_b24.hooks import findings
from airflow_provider_b24.hooks.settings import Settings, read_settings
from airflow_provider_b24.rest.address import Address
from airflow_provider_b24.rest.errors import AccessDeniedError
from airflow_provider_b24.rest.pacing import Level

CLOUD = Address("https", "acme.bitrix24.com")
OWN = Address("https", "portal.acme.example")


def settings(**extra: Any) -> Settings:
    return read_settings(host="acme.bitrix24.com", login="1", password="abcdefgh12345678", extra=extra)


@pytest.mark.parametrize(
    ("found", "severity", "words"),
    [
        (findings.of_address(CLOUD, "webhook"), "ok", "https://acme.bitrix24.com, in the cloud, by webhook"),
        (findings.of_address(OWN, "application"), "ok", "on-premise, by application"),
        (findings.of_lookup("x.example", None), "error", "the name x.example is not known here"),
        (findings.of_lookup("x.example", {"192.0.2.1"}), "ok", "x.example is 192.0.2.1"),
        (findings.of_proxy(None, own=False), "ok", "called directly"),
        (findings.of_proxy("http://proxy:3128", own=True), "ok", "from the connection"),
        (findings.of_proxy("http://proxy:3128", own=False), "ok", "from the environment"),
        (findings.of_certificate(False, 90.0), "warning", "verify is false"),
        (findings.of_certificate(True, 90.0), "ok", "good for 90 days; trusted are the usual authorities"),
        (findings.of_certificate("/ca.pem", 13.4), "warning", "ends in 13 days"),
        (findings.of_certificate("/ca.pem", None, "is not trusted"), "error", "the authorities in /ca.pem"),
        (findings.of_certificate(True, None), "note", "the proxy is on the way"),
        (findings.of_clock(None), "note", "does not tell"),
        (findings.of_clock(-59.0), "ok", "differs by 59 s"),
        (findings.of_clock(61.0), "warning", "61 s ahead of this machine's"),
        (findings.of_clock(-7200.0), "warning", "7,200 s behind this machine's"),
        (findings.of_account({}, CLOUD), "error", "not active any more"),
        (findings.of_account([], CLOUD), "error", "not active any more"),
        (findings.of_account({"ID": "7", "NAME": "Anna"}, CLOUD), "ok", "as Anna (user 7)."),
        (findings.of_account({"ID": "7", "ADMIN": True}, CLOUD), "ok", "a user without a name (user 7, administrator)"),
        (findings.of_plan(settings()), "ok", "50 requests at once and 2 a second"),
        (findings.of_plan(settings(plan="unlimited")), "warning", "not limited"),
        (findings.of_level(Level(12.4, 1.0, 0), settings()), "ok", "12 of 50 requests are used now"),
        (findings.of_level(Level(49, 0.5, 3), settings()), "warning", "3 wait for their turn; the portal has refused"),
        (findings.of_limiter(None), "ok", "none"),
        (findings.of_limiter(""), "ok", "Redis answers"),
        (findings.of_limiter("TimeoutError"), "error", "fails with TimeoutError"),
        (findings.of_bot(None, None, "crm"), "ok", "the account speaks"),
        (findings.of_bot(Bot(5), None, "crm"), "error", "the portal has no bot 5"),
        (findings.of_bot(Bot(5), Card(5, "x", "Rep", own=False), "crm"), "error", "does not answer to"),
        (findings.of_bot(Bot(5), Card(5, "x", "Rep", chats=0), "crm"), "warning", "Rep (bot 5, code x) is in no chat"),
        (findings.of_bot(Bot(5), Card(5, "x", chats=3), "crm"), "ok", "without a name (bot 5, code x), in 3 chats"),
        (findings.of_token_store(""), "ok", "can be stored"),
        (findings.of_token_store("OSError"), "error", "can not be stored here (OSError)"),
    ],
)  # fmt: skip
def test_one_finding(found, severity, words):
    assert found.severity == severity
    assert words in found.text
    if severity in ("error", "warning") and "not active" not in words:
        assert found.advice, "something is to be done about it"


def test_an_error_and_its_advice_are_told_apart():
    found = findings.of_error("account", AccessDeniedError("No", method="profile", advice="Ask for it."))
    assert (found.text, found.advice) == ("profile: No.", "Ask for it.")
    unforeseen = findings.of_error("account", RuntimeError("s3cret"))
    assert unforeseen.text == "unforeseen RuntimeError"


@pytest.mark.parametrize(
    ("granted", "bot", "expected"),
    [
        (["im", "user", "disk", "crm", "task"], False, []),
        (["im", "user_basic", "disk", "crm", "task"], False, []),
        (["user", "disk", "crm", "task"], False, [("error", "im")]),
        (["im", "user", "disk", "crm", "task"], True, [("error", "imbot")]),
        (["im"], False, [("warning", "user"), ("note", "disk"), ("note", "crm"), ("note", "task")]),
    ],
)
def test_missing_scopes_by_how_much_they_are_missed(granted, bot, expected):
    first, *others = findings.of_scopes(granted, bot=bot)
    assert first.text == f"granted: {', '.join(sorted(granted))}"
    assert [(one.severity, one.text.split()[0]) for one in others] == expected


def test_an_enterprise_portal_called_at_the_standard_pace():
    (found,) = findings.of_license("ru_ent250", settings())
    assert found.advice == "Set plan to enterprise in the connection."
    assert findings.of_license("ru_ent250", settings(plan="enterprise")) == []
    assert findings.of_license("ru_pro100", settings()) == []
    assert findings.of_license(None, settings()) == []


def test_methods_that_are_nearly_used_up():
    found = findings.of_operating({"im.message.add": 300.0, "batch": 200.0}, 480.0)
    assert [one.text[:35] for one in found] == ["im.message.add has used 300 of 480 "]


def test_what_an_old_portal_lacks():
    there = dict.fromkeys(findings.METHODS, True)
    assert findings.of_methods(there, bot=True) == []
    assert findings.of_methods({}, bot=True) == [], "nothing is said of what is not known"
    lacking = {**there, "im.v2.File.upload": False, "imbot.v2.Chat.Message.send": False}
    assert [one.severity for one in findings.of_methods(lacking, bot=True)] == ["note", "error"]
    assert [one.severity for one in findings.of_methods(lacking, bot=False)] == ["note", "note"]


@pytest.mark.parametrize(
    ("extra", "severities"),
    [({}, []), ({"timeout": 10}, ["note"]), ({"longest_request": 5}, ["warning"]), ({"longest_request": 90}, ["note"])],
)
def test_times_that_can_not_be_meant(extra, severities):
    assert [one.severity for one in findings.of_times(settings(**extra))] == severities


def test_a_portal_that_has_moved():
    assert findings.of_move(CLOUD, CLOUD) == []
    (found,) = findings.of_move(CLOUD, Address("https", "new.bitrix24.com"))
    assert found.severity == "warning"
    assert "Put new.bitrix24.com into the host" in found.advice


@pytest.mark.parametrize(
    ("url", "masked", "severities"),
    [
        (None, [], []),
        ("redis://redis.example/0", [], []),
        ("redis://:s3cret@redis.example/0", [""], ["warning"]),
        ("redis://:s3cret@redis.example/0", ["limiter_url"], []),
    ],
)
def test_a_password_that_airflow_shows(url, masked, severities):
    found = findings.of_secrets(replace(settings(), limiter_url=url), masked)
    assert [one.severity for one in found] == severities
    assert "s3cret" not in str(found)
