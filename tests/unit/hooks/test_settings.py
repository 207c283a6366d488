"""Every way of writing a connection, and every way of writing it wrong."""

from __future__ import annotations

import json
import logging

import pytest
from airflow.sdk import Connection

from airflow_provider_b24.chat.typing import Bot
from airflow_provider_b24.hooks.bitrix24 import Bitrix24Hook
from airflow_provider_b24.hooks.settings import read_settings
from airflow_provider_b24.rest.credentials import DEFAULT_OAUTH_URL, OAuthApp, Tokens, Webhook
from airflow_provider_b24.rest.errors import ConfigurationError
from airflow_provider_b24.rest.pacing import PLANS, Plan
from airflow_provider_b24.rest.transport import Transport

CODE = "s3cr3t.w3bh00k~c0de"
URL = f"https://example.bitrix24.com/rest/7/{CODE}/"
HOST = "example.bitrix24.com"
APP = {
    "client_id": "local.5f2.1",
    "client_secret": "cli3nts3cret",
    "access_token": "acc3sst0ken",
    "refresh_token": "refr3sht0ken",
}
SECRETS = (CODE, "cli3nts3cret", "acc3sst0ken", "refr3sht0ken", "b0tt0ken", "pr0xypass")


def webhook(**fields):
    return read_settings(**{"host": HOST, "login": "7", "password": CODE, **fields})


def app(**extra):
    return read_settings(host=HOST, extra={**APP, **extra})


def extra(**given):
    return webhook(extra=given)


# ---- webhooks


@pytest.mark.parametrize(
    ("fields", "address"),
    [
        ({"host": HOST, "login": "7", "password": CODE}, "https://example.bitrix24.com"),
        ({"host": f" {HOST} ", "login": " 7 ", "password": f" {CODE}\n"}, "https://example.bitrix24.com"),
        ({"host": "EXAMPLE.Bitrix24.COM", "login": "7", "password": CODE}, "https://example.bitrix24.com"),
        ({"host": f"{HOST}/", "login": "7", "password": CODE}, "https://example.bitrix24.com"),
        ({"host": HOST, "schema": "https", "login": "7", "password": CODE}, "https://example.bitrix24.com"),
        ({"host": HOST, "schema": " ", "login": "7", "password": CODE}, "https://example.bitrix24.com"),
        ({"host": HOST, "port": 8443, "login": "7", "password": CODE}, "https://example.bitrix24.com:8443"),
        ({"host": HOST, "port": 443, "login": "7", "password": CODE}, "https://example.bitrix24.com"),
        ({"host": f"{HOST}:8443", "login": "7", "password": CODE}, "https://example.bitrix24.com:8443"),
        ({"host": f"https://{HOST}", "login": "7", "password": CODE}, "https://example.bitrix24.com"),
        ({"host": f"https://{HOST}/", "login": "7", "password": CODE}, "https://example.bitrix24.com"),
        ({"host": f"https://{HOST}:8443", "login": "7", "password": CODE}, "https://example.bitrix24.com:8443"),
        ({"host": f"https://{HOST}", "port": 8443, "login": "7", "password": CODE}, "https://example.bitrix24.com:8443"),
        ({"host": "127.0.0.1", "port": 8080, "schema": "http", "login": "7", "password": CODE}, "http://127.0.0.1:8080"),
        ({"host": "http://localhost:8080", "login": "7", "password": CODE}, "http://localhost:8080"),
        ({"host": "crm.firma.local", "login": "7", "password": CODE}, "https://crm.firma.local"),
        ({"password": URL}, "https://example.bitrix24.com"),
        ({"password": f" {URL}\n"}, "https://example.bitrix24.com"),
        ({"password": URL.rstrip("/")}, "https://example.bitrix24.com"),
        ({"password": f"{URL}profile.json"}, "https://example.bitrix24.com"),
        ({"password": f"{URL}crm.item.list"}, "https://example.bitrix24.com"),
        ({"password": URL.removeprefix("https://")}, "https://example.bitrix24.com"),
        ({"password": URL.replace("/rest/", "/rest/api/")}, "https://example.bitrix24.com"),
        ({"password": URL, "host": HOST, "login": "7", "schema": "https"}, "https://example.bitrix24.com"),
        ({"password": f"http://127.0.0.1:8080/rest/7/{CODE}/"}, "http://127.0.0.1:8080"),
        ({"password": f"https://crm.firma.local:8443/rest/7/{CODE}/"}, "https://crm.firma.local:8443"),
    ],
)  # fmt: skip
def test_a_webhook(fields, address):
    settings = read_settings(**fields)
    assert isinstance(settings.credential, Webhook)
    assert (settings.credential.user_id, settings.credential.code) == ("7", CODE)
    assert str(settings.credential.address) == address
    assert (settings.tokens, settings.bot) == (None, None)
    assert (settings.transport, settings.plan) == (Transport(), Plan(50, 2))


# ---- applications


def test_an_application():
    settings = app()
    assert isinstance(settings.credential, OAuthApp)
    assert str(settings.credential.address) == "https://example.bitrix24.com"
    assert (settings.credential.client_id, settings.credential.client_secret) == ("local.5f2.1", "cli3nts3cret")
    assert settings.credential.oauth_url == DEFAULT_OAUTH_URL == "https://oauth.bitrix24.tech/oauth/token/"
    assert settings.tokens == Tokens("acc3sst0ken", "refr3sht0ken")


def test_an_application_elsewhere():
    settings = app(oauth_url="https://oauth.firma.local/oauth/token/")
    assert isinstance(settings.credential, OAuthApp)
    assert settings.credential.oauth_url == "https://oauth.firma.local/oauth/token/"


@pytest.mark.parametrize("missing", ["access_token", "refresh_token"])
def test_one_token_is_enough_to_begin_with(missing):
    tokens = app(**{missing: ""}).tokens
    assert tokens is not None
    assert getattr(tokens, missing) == ""


def test_an_application_that_is_not_authorised_yet():
    assert app(access_token="", refresh_token=None).tokens == Tokens("", "")


# ---- further fields


@pytest.mark.parametrize(
    ("given", "bot"),
    [
        ({"bot_id": 101, "bot_token": "b0tt0ken"}, Bot(101, "b0tt0ken")),
        ({"bot_id": "101", "bot_token": " b0tt0ken "}, Bot(101, "b0tt0ken")),
        ({"bot_id": 101}, Bot(101, None)),
        ({"bot_id": None, "bot_token": ""}, None),
    ],
)
def test_a_bot(given, bot):
    assert extra(**given).bot == bot


@pytest.mark.parametrize(
    ("given", "plan"),
    [
        ({}, Plan(50, 2)),
        ({"plan": "standard"}, Plan(50, 2)),
        ({"plan": " Enterprise"}, Plan(250, 5)),
        ({"plan": "unlimited"}, None),
        ({"burst": 10}, Plan(10, 2)),
        ({"rate": "0.5"}, Plan(50, 0.5)),
        ({"plan": "enterprise", "burst": "100", "rate": 4}, Plan(100, 4)),
        ({"plan": "unlimited", "burst": 5, "rate": 1}, Plan(5, 1)),
    ],
)
def test_the_request_limit(given, plan):
    assert extra(**given).plan == plan
    assert set(PLANS) == {"standard", "enterprise", "unlimited"}


@pytest.mark.parametrize(("given", "late"), [({}, 90), ({"longest_request": "120"}, 180), ({"longest_request": 8}, 12)])
def test_after_how_long_a_lost_request_is_lost(given, late):
    assert extra(**given).late == late


@pytest.mark.parametrize(
    ("given", "seconds"),
    [
        ({}, 480),
        ({"plan": "enterprise"}, 480),
        ({"plan": " Unlimited"}, 420),
        ({"plan": "unlimited", "operating_limit": 900}, 900),
        ({"operating_limit": "60"}, 60),
    ],
)
def test_the_execution_time(given, seconds, monkeypatch):
    assert extra(**given).operating_limit == seconds
    monkeypatch.setenv(
        "AIRFLOW_CONN_BITRIX24_DEFAULT", json.dumps({"conn_type": "bitrix24", "password": URL, "extra": given})
    )
    with Bitrix24Hook() as hook:
        assert hook.get_conn().peer.budget.limit == seconds


@pytest.mark.parametrize(
    ("given", "transport"),
    [
        ({"timeout": 10}, Transport(read_timeout=10)),
        ({"timeout": "2.5"}, Transport(read_timeout=2.5)),
        ({"timeout": 600}, Transport(read_timeout=600, deadline=600)),
        ({"timeout": 600, "deadline": 700}, Transport(read_timeout=600, deadline=700)),
        ({"deadline": "30"}, Transport(deadline=30)),
        ({"max_response_mb": "0.5"}, Transport(most_bytes=500_000)),
        ({"max_response_mb": 200}, Transport(most_bytes=200_000_000)),
        ({"verify": True}, Transport()),
        ({"verify": "true"}, Transport()),
        ({"verify": "1"}, Transport()),
        ({"verify": False}, Transport(verify=False)),
        ({"verify": " False "}, Transport(verify=False)),
        ({"verify": "0"}, Transport(verify=False)),
        ({"verify": __file__}, Transport(verify=__file__)),
        ({"proxy": "http://proxy.example:3128"}, Transport(proxy="http://proxy.example:3128")),
        ({"timeout": None, "verify": "", "proxy": " "}, Transport()),
    ],
)
def test_the_transport(given, transport):
    assert extra(**given).transport == transport


@pytest.mark.parametrize(
    ("given", "hosts"),
    [
        ("b24.acme.example", ("b24.acme.example",)),
        (" B24.acme.example ,, 10.0.0.8,", ("b24.acme.example", "10.0.0.8")),
        (["b24.acme.example", "пример.example"], ("b24.acme.example", "xn--e1afmkfd.example")),
        ([], ()),
        (None, ()),
    ],
)
def test_hosts_of_redirects(given, hosts):
    assert extra(redirect_hosts=given).redirect_hosts == hosts


@pytest.mark.parametrize("given", [URL, "a b", ["acme.example", 5], 5, {"acme.example": "x y"}, True, "acme.example/x"])
def test_no_hosts_of_redirects(given):
    with pytest.raises(ConfigurationError, match="redirect_hosts of the connection is no list of host names") as caught:
        extra(redirect_hosts=given)
    assert CODE not in str(caught.value)


@pytest.mark.parametrize("given", [0, -1, "1e9", "nan", "64 MB", True])
def test_no_size_of_an_answer(given):
    with pytest.raises(ConfigurationError, match="max_response_mb"):
        extra(max_response_mb=given)


@pytest.mark.parametrize("given", [0, -1, "1e9", "soon", True])
def test_no_deadline(given):
    with pytest.raises(ConfigurationError, match="deadline"):
        extra(deadline=given)


def test_fields_without_a_meaning_are_told_by_name(caplog):
    extra(webhook_url=URL, timeout=5, Timeout=6)
    ((_, level, message),) = caplog.record_tuples
    assert level == logging.WARNING
    assert message == "The Bitrix24 connection has extra fields without a meaning: Timeout, webhook_url"
    assert CODE not in caplog.text


# ---- as Airflow stores connections


FULL = {
    "bot_id": 101,
    "bot_token": "b0tt0ken",
    "timeout": 10,
    "verify": False,
    "proxy": "http://user:pr0xypass@proxy.example:3128",
    "plan": "enterprise",
    "burst": 100,
    "rate": 4,
}


def of_connection(connection: Connection):
    return read_settings(
        host=connection.host,
        port=connection.port,
        schema=connection.schema,
        login=connection.login,
        password=connection.password,
        extra=connection.extra_dejson,
    )


def test_json_keeps_types_and_a_uri_has_only_text():
    fields = {"conn_type": "bitrix24", "host": HOST, "login": "7", "password": CODE}
    as_json = of_connection(Connection.from_json(json.dumps({**fields, "extra": FULL}), "x"))
    uri = (
        f"bitrix24://7:{CODE}@{HOST}/?bot_id=101&bot_token=b0tt0ken&timeout=10&verify=false&plan=enterprise"
        "&burst=100&rate=4&proxy=http%3A%2F%2Fuser%3Apr0xypass%40proxy.example%3A3128"
    )
    as_uri = of_connection(Connection.from_uri(uri, "x"))
    assert as_json == as_uri
    assert as_json.bot == Bot(101, "b0tt0ken")
    assert as_json.plan == Plan(100, 4)


@pytest.mark.parametrize(
    ("uri", "address"),
    [
        (f"bitrix24://7:{CODE}@127.0.0.1:8080/http", "http://127.0.0.1:8080"),
        (f"bitrix24://7:{CODE}@{HOST}:8443", "https://example.bitrix24.com:8443"),
        (f"bitrix24://7:{CODE}@{HOST}/https", "https://example.bitrix24.com"),
        (f"bitrix24://:https%3A%2F%2F{HOST}%2Frest%2F7%2F{CODE}%2F@", "https://example.bitrix24.com"),
    ],
)
def test_uris(uri, address):
    settings = of_connection(Connection.from_uri(uri, "x"))
    assert isinstance(settings.credential, Webhook)
    assert (str(settings.credential.address), settings.credential.code) == (address, CODE)


def test_a_uri_of_an_application():
    query = "&".join(f"{name}={value}" for name, value in APP.items())
    assert of_connection(Connection.from_uri(f"bitrix24://{HOST}/?{query}", "x")) == app()


# ---- refusals: each names the field and the way out, and shows no secret

REFUSED = {
    "the URL in the host": ({"host": URL, "password": None}, "host", "field 'password'"),
    "the URL in the host, without a scheme": ({"host": URL[8:], "password": None}, "host", "field 'password'"),
    "a part of the URL in the host": ({"host": f"{HOST}/rest"}, "host", "example.bitrix24.com"),
    "a path in the host": ({"host": f"https://{HOST}/crm"}, "host", "field 'password'"),
    "a query in the host": ({"host": f"{HOST}?auth={CODE}"}, "host", "field 'password'"),
    "a password in the host": ({"host": f"7:{CODE}@{HOST}"}, "host", "field 'password'"),
    "no host name": ({"host": "-"}, "host", "example.bitrix24.com"),
    "no host": ({"host": ""}, "host", "example.bitrix24.com"),
    "a port that is none, in the host": ({"host": f"{HOST}:{CODE}"}, "port", "number"),
    "port 0 in the host": ({"host": f"{HOST}:0"}, "port", "above zero"),
    "a port too large": ({"port": 65536}, "port", "1 to 65535"),
    "http": ({"schema": "http"}, "http is refused", "set 'schema' to https"),
    "http in the host": ({"host": f"http://{HOST}"}, "http is refused", "set 'schema' to https"),
    "http in the URL": ({"host": "", "password": URL.replace("https", "http")}, "http is refused", "https"),
    "another scheme": ({"schema": "ftp"}, "schema is 'ftp'", "leave the field 'schema' empty"),
    "no password": ({"password": ""}, "password", "whole webhook URL"),
    "no login": ({"login": ""}, "login", "number after /rest/"),
    "login and password mixed up": ({"login": CODE, "password": "7"}, "login", "number after /rest/"),
    "the URL in the login": ({"login": URL, "password": "7"}, "login", "number after /rest/"),
    "the URL in the login and the password": ({"login": URL, "password": URL}, "login", "may stay empty"),
    "another URL in the password": ({"host": "", "password": f"https://{HOST}/{CODE}/"}, "webhook", "/rest/1/CODE/"),
    "an outgoing webhook": ({"host": "", "password": f"https://{HOST}/rest/{CODE}"}, "webhook", "/rest/1/CODE/"),
    "a code no portal has": ({"password": f"{CODE} x"}, "code", "whole URL"),
    "another host than the URL's": (
        {"host": "other.bitrix24.com", "password": URL}, "host of the connection is 'other.bitrix24.com'",
        "Leave the host empty",
    ),
    "another port than the URL's": ({"port": 8443, "password": URL}, "host", "Leave the host empty"),
    "another login than the URL's": ({"login": "8", "password": URL}, "login of the connection is '8'", "Leave the"),
    "webhook and application": ({"extra": APP}, "a password (a webhook) and application keys", "Leave the password"),
    "webhook and one key": ({"extra": {"client_id": "x"}}, "a password (a webhook) and", "Leave the password"),
    "no client_id": ({"password": "", "extra": {**APP, "client_id": ""}}, "client_id", "application's card"),
    "no client_secret": ({"password": "", "extra": {**APP, "client_secret": None}}, "client_secret", "card"),
    "an application without a host": ({"host": "", "password": "", "extra": APP}, "host", "example.bitrix24.com"),
    "http for tokens": ({"password": "", "extra": {**APP, "oauth_url": "http://a.ru/"}}, "http is refused", "https"),
    "no URL for tokens": ({"password": "", "extra": {**APP, "oauth_url": "oauth"}}, "URL", "https://"),
    "a bot's token alone": ({"extra": {"bot_token": "b0tt0ken"}}, "bot_token without a bot_id", "Give both"),
    "a bot's token for its id": ({"extra": {"bot_id": "b0tt0ken"}}, "bot_id", "as a number"),
    "half a bot": ({"extra": {"bot_id": 1.5}}, "bot_id is 1.5", "whole number"),
    "bot 0": ({"extra": {"bot_id": "0"}}, "bot_id is 0", "above zero"),
    "an endless bot": ({"extra": {"bot_id": "inf"}}, "bot_id", "as a number"),
    "no number of seconds": ({"extra": {"timeout": "long"}}, "timeout", "as a number"),
    "no seconds": ({"extra": {"timeout": 0}}, "timeout is 0", "seconds"),
    "seconds backwards": ({"extra": {"timeout": -5}}, "timeout is -5", "seconds"),
    "seconds without an end": ({"extra": {"timeout": "nan"}}, "timeout", "as a number"),
    "no longest request": ({"extra": {"longest_request": "long"}}, "longest_request", "as a number"),
    "no time for a request": ({"extra": {"longest_request": 0}}, "longest_request is 0", "in the cloud, after 60"),
    "days": ({"extra": {"timeout": 1e6}}, "timeout is 1e+06", "seconds"),
    "true seconds": ({"extra": {"timeout": True}}, "timeout", "as a number"),
    "a list of seconds": ({"extra": {"timeout": [5]}}, "timeout", "as a number"),
    "no such file": ({"extra": {"verify": "/nowhere/ca.pem"}}, "verify names '/nowhere/ca.pem'", "true, false, or"),
    "no proxy": ({"extra": {"proxy": "user:pr0xypass@proxy"}}, "proxy", "http://proxy.example:3128"),
    "another plan": ({"extra": {"plan": "premium"}}, "plan is 'premium'", "'standard' (50"),
    "no number of requests": ({"extra": {"burst": "many"}}, "burst", "as a number"),
    "no execution time": ({"extra": {"operating_limit": 0}}, "operating_limit is 0", "480 in the cloud, 420"),
    "less than a request": ({"extra": {"burst": 0.5}}, "burst is 0.5", "at least 1"),
    "no rate": ({"extra": {"rate": 0}}, "rate is 0", "above 0"),
    "a rate backwards": ({"extra": {"rate": -1}}, "rate is -1", "above 0"),
    "half of an unlimited plan": ({"extra": {"plan": "unlimited", "rate": 1}}, "burst and rate go", "Give both"),
}  # fmt: skip


@pytest.mark.parametrize(("fields", "field", "way_out"), REFUSED.values(), ids=REFUSED)
def test_refusals(fields, field, way_out):
    with pytest.raises(ConfigurationError) as caught:
        webhook(**fields)
    error = caught.value
    assert field in str(error)
    assert way_out in str(error)
    assert error.permanent
    shown = repr((str(error), repr(error), error.args, vars(error), error.__cause__, str(error.__context__)))
    assert not [secret for secret in SECRETS if secret in shown]


# ---- secrets


def test_no_secret_is_in_a_repr():
    for settings in (extra(**FULL), app(), webhook(host="", login="", password=URL)):
        for shown in (repr(settings), str(settings), f"{settings!r:s}"):
            assert not [secret for secret in SECRETS if secret in shown]


def test_everything_secret_is_known_as_such():
    assert extra(**FULL).secrets == {CODE, "b0tt0ken", "pr0xypass", "http://user:pr0xypass@proxy.example:3128"}
    assert app().secrets == {"cli3nts3cret", "acc3sst0ken", "refr3sht0ken"}
    assert webhook(host="", login="", password=URL).secrets == {CODE}
    assert extra(proxy="http://proxy.example:3128").secrets == {CODE}
    encoded = extra(proxy="http://user:p%40ss@proxy.example:3128").secrets
    assert encoded == {CODE, "p%40ss", "p@ss", "http://user:p%40ss@proxy.example:3128"}
    for url in ("redis://:r3dis%2Fpass@redis.example:6379/0", "redis://redis.example?password=r3dis%2Fpass"):
        hidden = extra(limiter_url=url)
        assert {url, "r3dis/pass"} <= hidden.secrets
        assert "pass" not in repr(hidden)
    assert extra(limiter_url="redis://redis.example:6379/0").secrets == {CODE}
    assert extra(proxy="http://us3r@proxy.example:3128").secrets == {CODE, "http://us3r@proxy.example:3128"}
