"""An application's tokens: renewed once when the portal says so, stored before they are used, by one at a time."""

from __future__ import annotations

import asyncio
import signal
import threading

import pytest

from airflow_provider_b24.rest.aio import AsyncClient
from airflow_provider_b24.rest.credentials import MemoryTokenStore, Tokens
from airflow_provider_b24.rest.errors import (
    AuthenticationError,
    Bitrix24Error,
    NotSentError,
    QueryLimitError,
    TokenExpiredError,
    UnexpectedReplyError,
)
from airflow_provider_b24.rest.peer import Patience
from airflow_provider_b24.rest.protocol import Call, Priority
from tests.portal.rest.drivers import CLIENT_SECRET, NEW, OLD, QUICK, SECRETS, MakeDriver, SyncDriver, app_peer
from tests.portal.rest.leaks import found, leaks
from tests.portal.rest.scripted import Action, Answer, Compute, Raw, Reset, Scripted, Seen, ok, page, refusal
from tests.unit.rest.clocks import FakeClock

WRITE = Call("crm.item.add", {"fields": {"title": "x"}})
FRESH = {"access_token": NEW.access_token, "refresh_token": NEW.refresh_token, "expires_in": 3600}


class Portal:
    """Portal and authorisation server in one: accepts the newest token only, and every refresh token once."""

    def __init__(self, *, renewal: Action | None = None) -> None:
        self.store = MemoryTokenStore(OLD)
        self.renewal = renewal
        self.renewals = 0
        self.valid = NEW.access_token
        self.stored_before_use = True
        self._lock = threading.Lock()

    def __call__(self, seen: Seen) -> Answer:
        if seen.path.startswith("/oauth/"):
            with self._lock:
                self.renewals += 1
            assert (seen.verb, seen.body) == ("GET", b"")
            assert seen.query == {
                "grant_type": "refresh_token",
                "client_id": "local.app",
                "client_secret": CLIENT_SECRET,
                "refresh_token": OLD.refresh_token,
            }
            if self.renewals > 1:
                return refusal(400, "invalid_grant")
            return Answer(200, FRESH)
        if seen.json["auth"] != self.valid:
            return refusal(401, "expired_token", f"The token {seen.json['auth']} has expired")
        self.stored_before_use &= self.store.load().access_token == self.valid
        return ok(seen.json.get("fields"))


def test_renewed_once_and_the_call_repeated(driver: MakeDriver, everything_logged: pytest.LogCaptureFixture) -> None:
    portal = Portal()
    with Scripted([Compute(portal)], forever=True) as server:
        peer = app_peer(server.url, tokens=portal.store)
        with driver(peer) as client:
            assert client.call(WRITE).result == {"title": "x"}
            assert client.call(WRITE).result == {"title": "x"}
    assert [seen.path for seen in server.seen] == [
        "/rest/crm.item.add",
        "/oauth/token/",
        "/rest/crm.item.add",
        "/rest/crm.item.add",
    ]
    assert [seen.json["auth"] for seen in server.seen if seen.body] == [
        OLD.access_token,
        NEW.access_token,
        NEW.access_token,
    ]
    assert portal.store.load() == NEW
    assert portal.stored_before_use
    assert isinstance(peer.clock, FakeClock)
    assert peer.clock.waits == []
    assert found(everything_logged.text, SECRETS) == []


@pytest.mark.parametrize("callers", [2, 8])
def test_many_callers_and_one_renewal(driver: MakeDriver, callers: int) -> None:
    portal = Portal()
    with (
        Scripted([Compute(portal)], forever=True) as server,
        driver(app_peer(server.url, tokens=portal.store)) as client,
    ):
        replies = client.together(WRITE, callers)
    assert [reply.result for reply in replies] == [{"title": "x"}] * callers
    assert portal.renewals == 1


def test_tokens_that_somebody_else_renewed_are_taken_from_the_store(driver: MakeDriver) -> None:
    portal = Portal()
    with Scripted([Compute(portal)], forever=True) as server:
        peer = app_peer(server.url, tokens=portal.store)
        peer.adopt(portal.store.load())
        assert peer.current == OLD
        portal.store.save(NEW)
        with driver(peer) as client:
            assert client.call(WRITE).result == {"title": "x"}
    assert portal.renewals == 0


def test_no_access_token_yet(driver: MakeDriver) -> None:
    portal = Portal()
    portal.store.save(Tokens("", OLD.refresh_token))
    with (
        Scripted([Compute(portal)], forever=True) as server,
        driver(app_peer(server.url, tokens=portal.store)) as client,
    ):
        assert client.call(WRITE).result == {"title": "x"}
    assert [seen.path for seen in server.seen] == ["/oauth/token/", "/rest/crm.item.add"]


def test_a_renewed_token_that_is_refused_too(driver: MakeDriver) -> None:
    portal = Portal()
    portal.valid = "another"
    with (
        Scripted([Compute(portal)], forever=True) as server,
        driver(app_peer(server.url, tokens=portal.store)) as client,
        pytest.raises(TokenExpiredError, match="authorise the application anew") as caught,
    ):
        client.call(WRITE)
    assert len(server.seen) == 3
    assert leaks(caught.value, SECRETS) == []


def test_no_refresh_token(driver: MakeDriver) -> None:
    portal = Portal()
    portal.store.save(Tokens(OLD.access_token, ""))
    with (
        Scripted([Compute(portal)], forever=True) as server,
        driver(app_peer(server.url, tokens=portal.store)) as client,
        pytest.raises(AuthenticationError, match="no refresh token") as caught,
    ):
        client.call(WRITE)
    assert len(server.seen) == 1
    assert leaks(caught.value, SECRETS) == []


def test_the_portal_moves_to_where_the_authorisation_server_says(driver: MakeDriver) -> None:
    with Scripted([ok(17)]) as new:
        fresh = Answer(200, {**FRESH, "client_endpoint": f"{new.url}/rest/"})
        with Scripted([refusal(401, "expired_token"), fresh]) as old, driver(app_peer(old.url)) as client:
            assert client.call(WRITE).result == 17
    assert new.seen[0].path == "/rest/crm.item.add"


@pytest.mark.parametrize("endpoint", ["https://evil.example/rest/", "http://10.0.0.7/rest/", "rest", "https://[::1/"])
def test_but_only_where_the_secret_may_go(driver: MakeDriver, endpoint: str) -> None:
    fresh = Answer(200, {**FRESH, "client_endpoint": endpoint})
    with Scripted([refusal(401, "expired_token"), fresh, ok(17)]) as server, driver(app_peer(server.url)) as client:
        assert client.call(WRITE).result == 17


def _echo(status: int, code: str) -> Compute:
    return Compute(lambda seen: refusal(status, code, f"{seen.target} {seen.query}"))


@pytest.mark.parametrize(
    ("does", "kind", "requests", "advice"),
    [
        (_echo(400, "invalid_grant"), AuthenticationError, 1, "authorise the application anew"),
        (_echo(400, "invalid_client"), AuthenticationError, 1, "client_secret"),
        (_echo(200, "wrong_client"), AuthenticationError, 1, "client_id"),
        (_echo(401, "NOT_INSTALLED"), AuthenticationError, 1, "install it"),
        (_echo(503, "QUERY_LIMIT_EXCEEDED"), QueryLimitError, 4, "try again later"),
        (page(404), UnexpectedReplyError, 1, "Is this the address"),
        (page(502), NotSentError, 4, "authorisation server"),
        (Answer(200, {}), NotSentError, 4, "authorisation server"),
        (Answer(200, {"access_token": "a\nb", "refresh_token": "c"}), NotSentError, 4, "authorisation server"),
        (Reset(), NotSentError, 4, "authorisation server"),
        (Raw(b"nonsense"), NotSentError, 4, "authorisation server"),
    ],
)
def test_a_renewal_that_fails(
    *,
    driver: MakeDriver,
    does: Action,
    kind: type[Bitrix24Error],
    requests: int,
    advice: str,
    everything_logged: pytest.LogCaptureFixture,
) -> None:
    with Scripted([refusal(401, "expired_token"), does], forever=True) as server:
        peer = app_peer(server.url)
        with driver(peer) as client, pytest.raises(Bitrix24Error) as caught:
            client.call(WRITE)
    error = caught.value
    assert type(error) is kind
    assert len(server.seen) == 1 + requests
    assert isinstance(peer.clock, FakeClock)
    # between tries; or between looks at the store, for what somebody else may have renewed
    assert peer.clock.waits == [0.5, 1.0, 2.0][: 3 if error.code == "invalid_grant" else requests - 1]
    assert error.method == "oauth/token"
    assert advice in error.advice
    # the call itself was refused, so nothing about it is unknown
    assert not error.effect_unknown
    assert peer.tokens is not None
    assert peer.tokens.load() == OLD
    assert leaks(error, SECRETS) == []
    assert found(everything_logged.text, SECRETS) == []


def test_a_renewal_that_fails_for_a_while(driver: MakeDriver) -> None:
    script: list[Action] = [refusal(401, "expired_token"), page(502), Reset(), Answer(200, FRESH), ok(17)]
    with Scripted(script) as server, driver(app_peer(server.url)) as client:
        assert client.call(WRITE).result == 17


def test_what_was_renewed_is_stored_though_the_caller_was_cancelled() -> None:
    asked = threading.Event()
    go_on = threading.Event()

    def slowly(seen: Seen) -> Answer:
        asked.set()
        assert go_on.wait(10)
        return Answer(200, FRESH)

    caught: list[BaseException] = []

    async def watched(client: AsyncClient) -> None:
        try:
            await client.call(WRITE)
        except asyncio.CancelledError as error:
            caught.append(error)
            raise

    async def run(url: str, store: MemoryTokenStore) -> None:
        async with AsyncClient(app_peer(url, tokens=store), QUICK) as client:
            task = asyncio.create_task(watched(client))
            await asyncio.to_thread(asked.wait, 10)
            task.cancel()
            await asyncio.wait([task])
            assert store.load() == OLD
            go_on.set()

    with Scripted([refusal(401, "expired_token"), Compute(slowly)]) as server:
        store = MemoryTokenStore(OLD)
        asyncio.run(run(server.url, store))
    assert store.load() == NEW
    assert leaks(caught[0], SECRETS) == []


@pytest.mark.parametrize("gives_up", ["cancelled", "cancelled with the loop", "out of patience"])
def test_what_was_renewed_is_stored_though_the_event_loop_is_over(gives_up: str) -> None:
    """Nobody closes the client, and the server answers only when its loop is gone."""
    asked, go_on, saved = threading.Event(), threading.Event(), threading.Event()

    def slowly(seen: Seen) -> Answer:
        asked.set()
        assert go_on.wait(10)
        return Answer(200, FRESH)

    class Store(MemoryTokenStore):
        def save(self, tokens: Tokens) -> None:
            super().save(tokens)
            saved.set()

    async def run(client: AsyncClient) -> None:
        if gives_up == "out of patience":
            with pytest.raises(NotSentError, match="the access token is being renewed"):
                await client.call(
                    Call("im.dialog.writing", {"DIALOG_ID": "chat1"}, priority=Priority.TYPING),
                    patience=Patience(answer=0.05),
                )
            return
        task = asyncio.create_task(client.call(WRITE))
        await asyncio.to_thread(asked.wait, 10)
        if gives_up == "cancelled":
            task.cancel()
            await asyncio.wait([task])

    async def main(url: str) -> None:
        await run(AsyncClient(app_peer(url, tokens=store), QUICK))

    store = Store(OLD)
    expired = Answer(401, {"error": "expired_token"}, close=True)
    with Scripted([expired, Compute(slowly)]) as server:
        asyncio.run(main(server.url))
        assert asked.wait(10)
        assert store.load() == OLD
        go_on.set()
        assert saved.wait(10)
    assert store.load() == NEW
    assert [seen.path for seen in server.seen][1:] == ["/oauth/token/"]


def test_a_signal_gives_up_and_the_renewal_goes_on(driver: MakeDriver) -> None:
    asked, go_on = threading.Event(), threading.Event()

    def slowly(seen: Seen) -> Answer:
        asked.set()
        assert go_on.wait(10)
        return Answer(200, FRESH)

    writing = Call("im.dialog.writing", {"DIALOG_ID": "chat1"}, priority=Priority.TYPING)
    hurry = Patience(tries=1, answer=0.05, limits=0.0)
    with Scripted([refusal(401, "expired_token"), Compute(slowly), ok(True)]) as server:
        peer = app_peer(server.url)
        with driver(peer) as client:
            with pytest.raises(NotSentError, match="the access token is being renewed") as caught:
                client.call(writing, patience=hurry)
            go_on.set()
            # Whoever asks now waits for the same renewal.
            assert client.call(WRITE).result is True
            assert asked.is_set()
    assert leaks(caught.value, SECRETS) == []
    assert [seen.path for seen in server.seen] == ["/rest/im.dialog.writing", "/oauth/token/", "/rest/crm.item.add"]


def test_all_who_wait_for_a_renewal_that_fails_are_told(driver: MakeDriver) -> None:
    with Scripted([Compute(_refused)], forever=True) as server:
        peer = app_peer(server.url)
        with driver(peer) as client:
            outcomes = client.attempts(WRITE, 6)
    assert [type(error) for error in outcomes] == [AuthenticationError] * 6
    assert [leaks(error, SECRETS) for error in outcomes] == [[]] * 6
    assert sum(seen.path == "/oauth/token/" for seen in server.seen) == 1


def _refused(seen: Seen) -> Answer:
    return refusal(400, "invalid_grant") if seen.path.startswith("/oauth/") else refusal(401, "expired_token")


def test_what_was_renewed_is_stored_though_the_caller_was_interrupted() -> None:
    """A time-out of Airflow's is raised in the middle of whatever the main thread does."""
    received = threading.Event()

    class Interrupted(BaseException):
        pass

    def interrupt(number: int, frame: object) -> None:
        raise Interrupted

    def slowly(seen: Seen) -> Answer:
        signal.setitimer(signal.ITIMER_REAL, 0.01)
        assert received.wait(10)
        return Answer(200, FRESH)

    before = signal.signal(signal.SIGALRM, interrupt)
    try:
        with Scripted([refusal(401, "expired_token"), Compute(slowly), ok(17)]) as server:
            peer = app_peer(server.url)
            with SyncDriver(peer) as client:
                with pytest.raises(Interrupted):
                    client.call(WRITE)
                received.set()
                assert client.call(WRITE).result == 17
    finally:
        signal.signal(signal.SIGALRM, before)
    assert peer.tokens is not None
    assert peer.tokens.load() == NEW
