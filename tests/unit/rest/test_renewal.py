"""The decisions of a renewal: whose turn it is, what was stored meanwhile, and what is not asked again."""

from __future__ import annotations

import logging
from typing import Any

import pytest

from airflow_provider_b24.rest.conversation import converse
from airflow_provider_b24.rest.credentials import AuthorizationCode, MemoryTokenStore, Tokens
from airflow_provider_b24.rest.errors import AuthenticationError, Bitrix24Error, NotSentError, PortalBlockedError
from airflow_provider_b24.rest.lock import MemoryLock
from airflow_provider_b24.rest.peer import Peer
from airflow_provider_b24.rest.protocol import Call, Priority, Reply
from airflow_provider_b24.rest.renewal import exchange, renew
from airflow_provider_b24.rest.steps import Failure, Renew, Send, Wait
from tests.portal.rest.leaks import leaks
from tests.unit.rest.clocks import FakeClock
from tests.unit.rest.simulation import converse_with, error, reply
from tests.unit.rest.test_conversation import APP, NEW, OLD, SECRETS, error_free_tokens

COMMAND = "airflow bitrix24 authorize crm"
STALE = Renew(OLD.access_token)
USED_UP = error(400, "invalid_grant")


def app(**options: Any) -> Peer:
    options = {"tokens": MemoryTokenStore(OLD), "clock": FakeClock(), "jitter": lambda: 0.5, **options}
    return Peer(APP, authorise=COMMAND, **options)


def waits(steps: list[Any]) -> list[float]:
    return [step.seconds for step in steps if isinstance(step, Wait)]


def sends(steps: list[Any]) -> int:
    return sum(isinstance(step, Send) for step in steps)


class Store(MemoryTokenStore):
    """Tokens that somebody else renews, at the given look from now on."""

    def __init__(self, looks: int, then: Tokens) -> None:
        super().__init__(OLD)
        self.looks, self.then = looks, then

    def load(self) -> Tokens:
        self.looks -= 1
        return self.then if self.looks < 0 else super().load()


# ---- one at a time


def test_who_does_not_get_the_lock_waits_and_takes_what_was_stored() -> None:
    peer = app()
    held = peer.lock.take()
    assert held is not None
    conversation: Any = renew(peer, STALE)
    step = next(conversation)
    for _ in range(3):
        step = conversation.send(step.question())
        assert step == Wait(0.1)
        step = conversation.send(None)
    assert peer.tokens is not None
    peer.tokens.save(NEW)
    held.release()
    step = conversation.send(step.question())
    with pytest.raises(StopIteration) as end:
        conversation.send(step.question())
    assert end.value.value == NEW
    assert peer.lock.take() is not None, "it was given back"


def test_the_wait_for_the_lock_has_an_end() -> None:
    peer = app()
    assert peer.lock.take() is not None
    steps, end = converse_with(renew(peer, STALE))
    assert isinstance(end, NotSentError)
    assert "another process of this host has been renewing the access token for 120 s" in str(end)
    assert sum(waits(steps)) == pytest.approx(120, abs=0.2)


@pytest.mark.parametrize("how", ["refused", "closed"])
def test_the_lock_is_given_back(how: str) -> None:
    peer = app()
    conversation: Any = renew(peer, STALE)
    if how == "refused":
        converse_with(conversation, error(401, "PAYMENT_REQUIRED"))
    else:
        step = next(conversation)
        conversation.send(step.question())
        conversation.close()
    assert peer.lock.take() is not None


# ---- others were faster


@pytest.mark.parametrize(("looks", "pauses"), [(1, []), (2, [0.5]), (4, [0.5, 1.0, 2.0])])
def test_a_refresh_token_that_another_host_has_used(looks: int, pauses: list[float]) -> None:
    steps, end = converse_with(renew(app(tokens=Store(looks, NEW)), STALE), USED_UP)
    assert end == NEW
    assert waits(steps) == pauses


def test_nobody_was_faster() -> None:
    steps, end = converse_with(renew(app(), STALE), USED_UP)
    assert isinstance(end, AuthenticationError)
    assert waits(steps) == [0.5, 1.0, 2.0]
    assert "by a process that was stopped before it could store the new one" in str(end)
    assert str(end).endswith(f"authorise the application anew. Run: {COMMAND}")
    assert leaks(end, SECRETS) == []


# ---- what was refused is not asked again


@pytest.mark.parametrize("refusal", [USED_UP, error(400, "invalid_client"), error(401, "PAYMENT_REQUIRED")])
def test_a_refused_token_is_not_tried_again(refusal: Any) -> None:
    clock, lock = FakeClock(), MemoryLock()
    _, first = converse_with(renew(app(clock=clock, lock=lock), STALE), refusal)
    clock.now += 7
    steps, second = converse_with(renew(app(clock=clock, lock=lock), STALE))
    assert (type(second), second.code, second.advice) == (type(first), first.code, first.advice)
    assert steps == []
    assert "(not asked again, after 7 s)" in str(second)
    assert leaks(second, SECRETS) == []


def test_but_another_one_is() -> None:
    lock = MemoryLock()
    converse_with(renew(app(lock=lock), STALE), USED_UP)
    authorised = app(lock=lock, tokens=MemoryTokenStore(Tokens("", "an0therr3fresh")))
    assert converse_with(renew(authorised, Renew("")), error_free_tokens())[1] == NEW


def test_and_the_same_after_a_while() -> None:
    clock, lock = FakeClock(), MemoryLock()
    converse_with(renew(app(clock=clock, lock=lock), STALE), error(401, "PAYMENT_REQUIRED"))
    clock.now += 301
    assert converse_with(renew(app(clock=clock, lock=lock), STALE), error_free_tokens())[1] == NEW


def test_a_failure_of_the_server_is_shared_by_those_who_waited_only() -> None:
    clock, lock = FakeClock(), MemoryLock()
    waiting: Any = renew(app(clock=clock, lock=lock), STALE)
    held = lock.take()
    step = next(waiting)
    assert held is not None
    assert step.question() is None
    held.release()
    step = waiting.send(None)
    assert isinstance(step, Wait)
    down = [error(502, "")] * 4
    steps, _ = converse_with(renew(app(clock=clock, lock=lock), STALE), *down)
    assert sends(steps) == 4
    steps, end = converse_with(waiting)
    assert isinstance(end, NotSentError)
    assert steps == []
    clock.now += 1
    assert converse_with(renew(app(clock=clock, lock=lock), STALE), error_free_tokens())[1] == NEW


@pytest.mark.parametrize("note", [b"", b"{", b"[]", b'{"of": 1}', b'{"kind": "nonsense", "at": 0}', b"\xff"])
def test_a_note_that_is_none(note: bytes) -> None:
    lock = MemoryLock()
    lock.write(note)
    assert converse_with(renew(app(lock=lock), STALE), error_free_tokens())[1] == NEW


# ---- no tokens yet, or none that may be used


def test_an_application_that_was_never_authorised() -> None:
    steps, end = converse_with(renew(app(tokens=MemoryTokenStore(Tokens("", ""))), Renew("")))
    assert steps == []
    assert str(end) == f"oauth/token: the application is not authorised yet. Authorise it first. Run: {COMMAND}"
    assert isinstance(end, AuthenticationError)


def test_where_nothing_can_be_stored_nothing_is_renewed() -> None:
    steps, end = converse_with(renew(app(renewal_refused="Not here."), STALE))
    assert steps == []
    assert isinstance(end, NotSentError)
    assert str(end) == "oauth/token: the access token has expired. Not here."
    # but what others have stored is taken
    peer = app(renewal_refused="Not here.", tokens=MemoryTokenStore(NEW))
    assert converse_with(renew(peer, STALE))[1] == NEW


def test_authorised_anew_while_the_peer_lives() -> None:
    """A portal that knows nothing of the old tokens any more says so in other words than expired_token."""
    peer = app()
    peer.adopt(OLD)
    assert peer.tokens is not None
    peer.tokens.save(NEW)
    steps, end = converse_with(converse(peer, Call("crm.item.add")), error(401, "NO_AUTH_FOUND"), reply(5))
    assert end == Reply(5)
    assert [NEW.access_token in str(step.request.body) for step in steps] == [False, True]
    _, end = converse_with(converse(peer, Call("crm.item.add")), error(401, "NO_AUTH_FOUND"))
    assert str(end).endswith(f"no longer valid: authorise the application anew. Run: {COMMAND}")


# ---- stores that fail


class Broken(MemoryTokenStore):
    """Can be read only, and complains in words that show what it was given."""

    def save(self, tokens: Tokens) -> None:
        raise OSError(f"can not write {tokens.secrets}")


def test_tokens_that_can_not_be_stored_are_used_all_the_same(caplog: pytest.LogCaptureFixture) -> None:
    peer = app(tokens=Broken(OLD))
    newer = Tokens("n3west4ccess", "n3westr3fresh")
    assert converse_with(renew(peer, STALE), error_free_tokens())[1] == NEW
    # The next one begins with those, and not with what the store has.
    body = f'{{"access_token": "{newer.access_token}", "refresh_token": "{newer.refresh_token}"}}'
    response = error_free_tokens()
    steps, end = converse_with(renew(peer, Renew(NEW.access_token)), type(response)(200, {}, body.encode()))
    assert NEW.refresh_token in steps[0].request.url
    assert end == newer
    assert peer.newer(OLD) == newer
    told = [record.getMessage() for record in caplog.records if record.levelno == logging.ERROR]
    assert "The renewed tokens could not be stored: Broken failed with OSError." in told[0]
    assert told[0].endswith(f"Run: {COMMAND}")
    assert not [secret for secret in (*SECRETS, *newer.secrets) if secret in caplog.text]


class Gone(MemoryTokenStore):
    def load(self) -> Tokens:
        raise OSError(f"can not read {super().load().secrets}")


def test_a_store_that_can_not_be_read() -> None:
    for conversation in (renew(app(tokens=Gone(OLD)), STALE), converse(app(tokens=Gone(OLD)), Call("profile"))):
        _, end = converse_with(conversation)
        assert isinstance(end, NotSentError)
        assert "Gone, failed with OSError" in str(end)
        assert leaks(end, SECRETS) == []


# ---- the first pair


def test_a_code_is_exchanged_once() -> None:
    steps, end = converse_with(exchange(app(), AuthorizationCode("c0de/c0de")), error_free_tokens())
    assert end == NEW
    assert sends(steps) == 1
    assert steps[0].request.url.startswith(APP.oauth_url + "?grant_type=authorization_code&")
    assert steps[0].request.url.endswith("&code=c0de%2Fc0de")


@pytest.mark.parametrize(
    ("answer", "kind", "words"),
    [
        (USED_UP, AuthenticationError, "older than 30 seconds"),
        (error(400, "invalid_client"), AuthenticationError, "installed on this portal"),
        (error(200, "wrong_client"), AuthenticationError, "client_id"),
        (error(401, "PAYMENT_REQUIRED"), PortalBlockedError, "paid or trial period is over"),
        (error(403, "invalid_scope"), Bitrix24Error, "Add the scope"),
        (error(502, ""), NotSentError, "the code could not be exchanged"),
        (Failure("no answer", sent=True), NotSentError, "the code could not be exchanged"),
    ],
)
def test_a_code_that_is_refused(answer: Any, kind: type[Bitrix24Error], words: str) -> None:
    steps, end = converse_with(exchange(app(), AuthorizationCode("c0dec0de")), answer)
    assert isinstance(end, kind)
    assert words in str(end)
    assert sends(steps) == 1
    assert leaks(end, (*SECRETS, "c0dec0de")) == []


def test_a_refusal_that_repeats_the_code() -> None:
    answer = error(400, "invalid_grant", f"c0dec0de {APP.client_secret}")
    _, end = converse_with(exchange(app(), AuthorizationCode("c0dec0de")), answer)
    assert end.description == "*** ***"


# ---- typing


def test_a_signal_does_not_wait_for_a_renewal() -> None:
    from airflow_provider_b24.chat.typing import SIGNAL_PATIENCE

    peer = app()
    signal = Call("im.dialog.writing", priority=Priority.TYPING)
    expired = error(401, "expired_token")
    steps, _ = converse_with(converse(peer, signal, patience=SIGNAL_PATIENCE), expired, NEW, reply())
    assert steps[1] == Renew(OLD.access_token, within=SIGNAL_PATIENCE.answer)
    steps, _ = converse_with(converse(app(), Call("profile")), expired, NEW, reply())
    assert steps[1] == STALE
