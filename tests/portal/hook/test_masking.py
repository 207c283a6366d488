"""No secret reaches a log: Airflow masks what is entered, what is cut out of it, and what comes up later."""

from __future__ import annotations

import asyncio
import base64
import os
import threading
from typing import Any
from urllib.parse import quote, quote_plus

import pytest
from airflow.sdk._shared.secrets_masker import redact

from airflow_provider_b24.hooks import masking
from airflow_provider_b24.hooks.bitrix24 import Bitrix24Hook
from airflow_provider_b24.hooks.masking import MaskingTokenStore, mask
from airflow_provider_b24.rest.credentials import MemoryTokenStore, Tokens
from airflow_provider_b24.rest.errors import Bitrix24Error
from airflow_provider_b24.rest.protocol import Call
from airflow_provider_b24.testing import Fault


@pytest.fixture(autouse=True)
def fresh_masker():
    """Nothing is masked yet."""
    from airflow.sdk._shared.secrets_masker import _secrets_masker

    masker = _secrets_masker()
    before = (masker.patterns, masker.replacer)
    masker.reset_masker()
    yield
    masker.patterns, masker.replacer = before


def written(secret):
    """The secret as logs may have it."""
    raw = secret.encode()
    coded = {base64.b64encode(raw).decode(), base64.urlsafe_b64encode(raw).decode()}
    quoted = {quote(secret, safe=""), quote(secret), quote_plus(secret)}
    return {secret, *coded, *quoted, *(text.rstrip("=") for text in coded)}


def shown(*secrets):
    """The forms of secrets that would show in a log."""
    return [form for secret in secrets for form in written(secret) if form in redact(f"before {form} after")]


def connected(hook, how):
    if how == "sync":
        hook.get_conn()
        return

    async def main():
        await hook.aget_conn()
        await hook.aclose()

    asyncio.run(main())


def unlike(prefix):
    """A secret of letters that a URL and base64 write differently."""
    return f"{prefix}/+?{os.urandom(6).hex()}~x"


@pytest.mark.parametrize("how", ["sync", "async"])
class TestWhatIsEntered:
    def test_the_code(self, connect, how):
        code = f"s3~c.r-{os.urandom(6).hex()}"
        connect({"conn_type": "bitrix24", "host": "example.bitrix24.com", "login": "1", "password": code})
        connected(Bitrix24Hook(), how)
        assert shown(code) == []
        assert code not in redact(f"https://example.bitrix24.com/rest/1/{code}/profile")

    def test_the_code_in_the_whole_url(self, connect, how):
        code = f"s3~c.r-{os.urandom(6).hex()}"
        connect({"conn_type": "bitrix24", "password": f"https://example.bitrix24.com/rest/1/{code}/"})
        connected(Bitrix24Hook(), how)
        assert shown(code) == []
        assert "example.bitrix24.com" in redact("https://example.bitrix24.com/"), "the address is no secret"

    def test_a_bots_token_and_a_proxys_password(self, connect, how):
        token, password = unlike("bot"), unlike("proxy")
        proxy = f"http://user:{quote(password, safe='')}@proxy.example:3128"
        connect(
            {"conn_type": "bitrix24", "host": "example.bitrix24.com", "login": "1", "password": "c0dec0dec0de"},
            bot_id=1,
            bot_token=token,
            proxy=proxy,
        )
        connected(Bitrix24Hook(), how)
        assert shown(token, password, proxy) == []

    def test_an_applications_keys(self, connect, how):
        secret, access, refresh = unlike("secret"), unlike("access"), unlike("refresh")
        connect(
            {"conn_type": "bitrix24", "host": "example.bitrix24.com"},
            client_id="local.1",
            client_secret=secret,
            access_token=access,
            refresh_token=refresh,
        )
        connected(Bitrix24Hook(), how)
        assert shown(secret, access, refresh) == []


def test_before_there_is_a_client_nothing_is_hidden():
    """The tests above can fail."""
    assert shown("s3cr3tc0de")


@pytest.mark.parametrize("how", ["sync", "async"])
def test_what_the_test_button_reads_is_masked(portal, how):
    Bitrix24Hook().test_connection()
    assert shown(portal.access.webhook_code) == []


def test_renewed_tokens_are_masked(face, portal, connect):
    connect(portal.oauth_connection())
    face.call("profile")
    old = face.hook._peer.current
    portal.expire_tokens()
    assert face.call("profile")["ID"] == "1"
    new = face.hook._peer.current
    assert not set(new.secrets) & set(old.secrets)
    assert shown(*new.secrets, *old.secrets) == []


def test_renewed_tokens_are_masked_before_they_are_stored(portal, connect):
    class Store(MemoryTokenStore):
        def save(self, tokens):
            seen.append(shown(*tokens.secrets))
            super().save(tokens)

    seen: list[list[str]] = []
    connect(portal.oauth_connection())
    connection = portal.oauth_connection()["extra"]
    store = Store(Tokens(connection["access_token"], connection["refresh_token"]))
    with Bitrix24Hook(token_store=store) as hook:
        portal.expire_tokens()
        hook.call("profile")
    assert seen == [[]]


def test_tokens_from_a_store_are_masked_when_they_are_loaded(face, portal, connect):
    connection = portal.oauth_connection()["extra"]
    tokens = Tokens(connection["access_token"], connection["refresh_token"])
    connect(portal.oauth_connection())
    face.hook._token_store = MemoryTokenStore(tokens)
    face.call("profile")
    assert shown(*tokens.secrets) == []


def test_in_an_event_loop_nobody_waits_for_the_supervisor(monkeypatch):
    threads = []
    monkeypatch.setattr("airflow.sdk.log.mask_secret", lambda secrets: threads.append(threading.current_thread()))

    async def main():
        mask(["s3cr3tc0de"])
        await asyncio.gather(*masking._telling)

    asyncio.run(main())
    assert len(threads) == 1
    assert threads[0] is not threading.main_thread()
    mask(["s3cr3tc0de"])
    assert threads[1] is threading.main_thread()
    mask([])
    assert len(threads) == 2


def test_nothing_is_masked_twice(monkeypatch):
    masked: list[list[str]] = []
    monkeypatch.setattr("airflow.sdk.log.mask_secret", masked.append)
    store = MaskingTokenStore(MemoryTokenStore(Tokens("acc3ss", "refr3sh")), ["acc3ss", "refr3sh"])
    store.load()
    assert masked == []
    store.save(Tokens("acc3ss2", "refr3sh"))
    assert store.load() == Tokens("acc3ss2", "refr3sh")
    ((*forms,),) = masked
    assert "acc3ss2" in forms
    assert "refr3sh" not in forms


def test_secrets_reach_the_supervisor_too(monkeypatch, connect):
    """What a task prints is masked by the process that supervises it."""
    from airflow.sdk.execution_time import task_runner

    class Comms:
        def send(self, message):
            sent.append(message)

    sent: list[Any] = []
    monkeypatch.setattr(task_runner, "SUPERVISOR_COMMS", Comms(), raising=False)
    connect({"conn_type": "bitrix24", "host": "example.bitrix24.com", "login": "1", "password": "c0dec0dec0de"})
    hook = Bitrix24Hook()
    hook.get_conn()
    ours = [message.value for message in sent if isinstance(getattr(message, "value", None), list)]
    assert [base64.b64encode(b"c0dec0dec0de").decode() in forms for forms in ours] == [True]


def test_a_triggerer_tells_its_supervisor_from_its_own_event_loop(monkeypatch, portal, connect):
    """From another one, on Airflow 3.2, it would read answers that are meant for others, and end."""
    from airflow.sdk.execution_time import task_runner
    from asgiref.sync import async_to_sync

    class Comms:
        def send(self, message):
            return async_to_sync(self.asend)(message)

        async def asend(self, message):
            told.append((message.value, asyncio.get_running_loop()))

    async def main():
        async with Bitrix24Hook() as hook:
            await hook.acall("profile")
            before = len(told)
            portal.expire_tokens()
            await hook.acall("profile")
            assert len(told) > before, "renewed tokens are to be masked"
        return asyncio.get_running_loop()

    told: list[tuple[Any, asyncio.AbstractEventLoop]] = []
    monkeypatch.setattr(task_runner, "SUPERVISOR_COMMS", Comms(), raising=False)
    connect(portal.oauth_connection())
    own = asyncio.run(main())
    # Airflow masks a connection's extra in passing, one by one; ours are lists.
    assert {loop for secrets, loop in told if isinstance(secrets, list)} == {own}


# ---- representations


@pytest.mark.parametrize("kind", ["bot_connection", "oauth_connection"])
def test_no_representation_shows_a_secret(portal, connect, kind):
    connection = getattr(portal, kind)()
    connect(connection)
    secrets = [portal.access.webhook_code, portal.bot_token, portal.access.client_secret]
    secrets += [value for name, value in connection["extra"].items() if "token" in name and name != "oauth_url"]

    async def async_client():
        made = await hook.aget_conn()
        await hook.aclose()
        return made

    with Bitrix24Hook() as hook:
        client = hook.get_conn()
        call = Call("profile", {"auth": secrets[0]})
        things = [hook, client, client.peer, client.peer.tokens, hook._settings, call, hook.typing("chat5")]
        things += [asyncio.run(async_client()), hook.signal("chat5")]
        if kind == "bot_connection":
            things.append(hook.signal("chat5", status="PROCESSING"))
        text = "\n".join(f"{thing!r} {thing}" for thing in things)
    assert [secret for secret in secrets if secret in text] == []


def test_no_error_shows_a_secret(face, portal, connect):
    connect(portal.oauth_connection())
    connection = portal.oauth_connection()["extra"]
    face.call("profile")
    token = face.hook._peer.tokens.load().access_token
    for kind in ("html_500", "html_200", "truncated_json", "reset", "error"):
        portal.faults.add(Fault(kind, "crm.item.add", code=f"E{token}", description=f"bad {token}"))
        with pytest.raises(Bitrix24Error) as caught:
            face.call("crm.item.add", {"entityTypeId": 2, "fields": {}})
        chain = [caught.value, caught.value.__cause__, caught.value.__context__]
        assert token not in repr([(str(error), repr(error), getattr(error, "__dict__", {})) for error in chain])
    assert connection["client_secret"] == portal.access.client_secret
