from __future__ import annotations

import base64
import pickle
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from airflow_provider_b24.rest.address import Address
from airflow_provider_b24.rest.credentials import (
    DEFAULT_OAUTH_URL,
    MemoryTokenStore,
    OAuthApp,
    Tokens,
    Webhook,
    forms,
    redact,
)
from airflow_provider_b24.rest.errors import Bitrix24Error, ConfigurationError
from tests.portal.rest.leaks import forms as leaked_forms
from tests.portal.rest.leaks import found, leaks

CODE = "s3cr3t.w3bh00k~c0de"
PORTAL = Address("https", "acme.bitrix24.com")


@pytest.mark.parametrize(
    "url",
    [
        f"https://acme.bitrix24.com/rest/7/{CODE}",
        f"https://acme.bitrix24.com/rest/7/{CODE}/",
        f"https://acme.bitrix24.com/rest/7/{CODE}/profile",
        f"https://acme.bitrix24.com/rest/7/{CODE}/crm.item.list.json",
        f"https://acme.bitrix24.com/rest/7/{CODE}/profile/",
        f"https://acme.bitrix24.com/rest/7/{CODE}/profile?a=1#b",
        f"https://acme.bitrix24.com/rest/api/7/{CODE}/tasks.task.get",
        f"  https://ACME.bitrix24.com:443/rest/7/{CODE}/\n",
        f"https://user:word@acme.bitrix24.com/rest/7/{CODE}/",
    ],
)
def test_a_webhook_url_as_it_is_copied(url: str) -> None:
    assert Webhook.of_url(url) == Webhook(PORTAL, "7", CODE)


@pytest.mark.parametrize(
    "url",
    [
        "",
        CODE,
        f"acme.bitrix24.com/rest/7/{CODE}/",
        f"https://acme.bitrix24.com/{CODE}/",
        f"https://acme.bitrix24.com/rest/{CODE}/",
        f"https://acme.bitrix24.com/rest/seven/{CODE}/",
        f"https://acme.bitrix24.com/rest/7/{CODE}/a/b",
        f"https://acme.bitrix24.com/rest/7/{CODE}%2Fx/",
        f"https://acme.bitrix24.com/rest/7/{CODE}(/",
        f"https:///rest/7/{CODE}/",
        f"https://a b/rest/7/{CODE}/",
        f"https://[::1/rest/7/{CODE}/",
        f"https://user:{CODE}@acme..com/rest/7/{CODE}/",
        f"http://acme.bitrix24.com/rest/7/{CODE}/",
        f"ftp://acme.bitrix24.com/rest/7/{CODE}/",
    ],
)
def test_no_webhook_url_and_the_error_does_not_show_it(url: str) -> None:
    with pytest.raises(ConfigurationError) as caught:
        Webhook.of_url(url)
    assert leaks(caught.value, [CODE]) == []


@pytest.mark.parametrize(
    ("user_id", "code"),
    [
        *((wrong, CODE) for wrong in ("", "7x", "٧", "7\n", "-7")),
        *(("7", wrong) for wrong in (f"{CODE}\n", f"{CODE}/", f"{CODE} ", f"https://x/rest/7/{CODE}/", f"{CODE}é")),
        (CODE, "7"),
    ],
)
def test_a_wrong_field_and_the_error_does_not_show_it(user_id: str, code: str) -> None:
    with pytest.raises(ConfigurationError) as caught:
        Webhook(PORTAL, user_id, code)
    assert leaks(caught.value, [CODE]) == []


@pytest.mark.parametrize("code", ["", ".", ".."])
def test_a_code_that_would_be_no_part_of_a_path(code: str) -> None:
    with pytest.raises(ConfigurationError):
        Webhook(PORTAL, "7", code)


def test_reprs_without_secrets() -> None:
    tokens = Tokens("acc3ss", "r3fresh", "https://acme.bitrix24.com/rest/")
    things: list[Any] = [
        Webhook(PORTAL, "7", CODE),
        OAuthApp(PORTAL, "local.app", "s3cr3t"),
        tokens,
        MemoryTokenStore(tokens),
    ]
    assert found(repr(things) + str(things), [CODE, "acc3ss", "r3fresh", "s3cr3t"]) == []
    assert pickle.loads(pickle.dumps(things[:3])) == things[:3]


def test_secrets() -> None:
    assert Webhook(PORTAL, "7", CODE).secrets == (CODE,)
    assert OAuthApp(PORTAL, "local.app", "s3cr3t").secrets == ("s3cr3t",)
    assert Tokens("a", "b").secrets == ("a", "b")
    assert Tokens("a", "").secrets == ("a",)


@pytest.mark.parametrize("name", ["client_id", "client_secret"])
def test_an_application_needs_its_keys(name: str) -> None:
    with pytest.raises(ConfigurationError, match=name):
        OAuthApp(PORTAL, **{"client_id": "a", "client_secret": "b", name: ""})


def test_the_vendors_authorisation_server_unless_another_is_named() -> None:
    assert OAuthApp(PORTAL, "a", "b").oauth_url == DEFAULT_OAUTH_URL


@pytest.mark.parametrize(
    "url",
    [
        "",
        "oauth.example",
        "http://oauth.example/token/",
        "https://o.example/t?x=1",
        "https://o.example/t#x",
        "https://o.example/a b",
        "https://o.example/a\nb",
        "https://o.example/é",
        "https://u:p@o.example/t",
    ],
)
def test_no_address_of_an_authorisation_server(url: str) -> None:
    with pytest.raises(ConfigurationError):
        OAuthApp(PORTAL, "a", "b", url)


def test_a_memory_store() -> None:
    store = MemoryTokenStore(Tokens("a", "b"))
    store.save(Tokens("c", "d"))
    assert store.load() == Tokens("c", "d")


@given(st.text(st.characters(exclude_categories=["Cs"]), min_size=4), st.text(), st.text())
def test_every_form_is_redacted(secret: str, before: str, after: str) -> None:
    assert leaked_forms(secret) <= forms(secret)
    for form in forms(secret):
        if "*" not in secret:
            assert form not in redact(f"{before}{form}{after}", [secret]).replace("***", "")


@given(st.binary(max_size=5), st.binary(max_size=5))
def test_a_secret_inside_of_what_base64_hides_is_redacted(before: bytes, after: bytes) -> None:
    for encode in (base64.b64encode, base64.urlsafe_b64encode):
        shown = redact(f"Basic {encode(before + CODE.encode() + after).decode()}", [CODE])
        assert "***" in shown
        assert found(shown, [CODE]) == []


def test_half_of_a_surrogate_pair_has_forms() -> None:
    assert "%ED%A0%80" in forms("\ud800")


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("GET https://a.example/rest/1/abc/profile now", "GET https://a.example/rest/1/***/profile now"),
        ("/rest/api/12/abc", "/rest/api/12/***"),
        ("/rest/1/abc?x", "/rest/1/***?x"),
        ("('/rest/1/abc', 2)", "('/rest/1/***', 2)"),
        (
            "/oauth/token/?client_id=x&client_secret=a%20b&refresh_token=c HTTP",
            "/oauth/token/?client_id=x&client_secret=***&refresh_token=*** HTTP",
        ),
        ("/rest/profile?auth=abc", "/rest/profile?auth=***"),
        ("postgresql+psycopg2://user:w0rd@db:5432/x", "postgresql+psycopg2://user:***@db:5432/x"),
        ("redis://:w0rd@cache/0 and http://a:b@c", "redis://:***@cache/0 and http://a:***@c"),
        ("https://acme.example:8443/a@b", "https://acme.example:8443/a@b"),
        ("nothing secret, rest assured: 1/2", "nothing secret, rest assured: 1/2"),
    ],
)
def test_what_is_secret_in_urls_is_redacted_unknown_as_it_is(text: str, shown: str) -> None:
    assert redact(text, ()) == shown


def test_a_secret_too_short_to_be_one_is_left() -> None:
    assert redact("a cat", ["a", ""]) == "a cat"


@given(st.text())
def test_any_text_as_a_webhook_url(text: str) -> None:
    for url in (text, f"https://acme.example/rest/7/{text}/"):
        try:
            webhook = Webhook.of_url(url)
        except Bitrix24Error:
            continue
        assert webhook.code.isascii()
        assert webhook.code.isprintable()
