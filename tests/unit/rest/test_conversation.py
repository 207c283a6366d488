"""The decisions of a conversation, without any client: what it asks for next, and what it ends with."""

from __future__ import annotations

import asyncio
import logging
from typing import Any

import pytest

from airflow_provider_b24.rest.address import Address
from airflow_provider_b24.rest.clock import SystemClock
from airflow_provider_b24.rest.conversation import converse
from airflow_provider_b24.rest.credentials import MemoryTokenStore, OAuthApp, Tokens, Webhook
from airflow_provider_b24.rest.errors import (
    AuthenticationError,
    ConfigurationError,
    LowBucketError,
    NotSentError,
    OperatingLimitError,
    OutcomeUnknownError,
    QueryLimitError,
    RequestRefusedError,
)
from airflow_provider_b24.rest.pacing import Plan
from airflow_provider_b24.rest.peer import Patience, Peer
from airflow_provider_b24.rest.protocol import Call, Priority, Reply, Response
from airflow_provider_b24.rest.renewal import renew
from airflow_provider_b24.rest.steps import Failure, Renew, Send, Wait
from tests.portal.rest.leaks import found, leaks
from tests.unit.rest.clocks import FakeClock
from tests.unit.rest.simulation import converse_with, error, reply

PORTAL = Address("https", "acme.bitrix24.com")
HOOK = Webhook(PORTAL, "7", "s3cr3tc0de")
APP = OAuthApp(PORTAL, "local.app", "cl13nts3cr3t")
OLD = Tokens("old4ccess", "oldr3fresh")
NEW = Tokens("new4ccess", "newr3fresh")
SECRETS = (*HOOK.secrets, *APP.secrets, *OLD.secrets, *NEW.secrets)

READ = Call("crm.item.get")
WRITE = Call("crm.item.add")
SIGNAL = Call("im.dialog.writing", priority=Priority.TYPING)
LOST = Failure("no answer", sent=True)
NOT_SENT = Failure("refused", sent=False)
FULL = error(503, "QUERY_LIMIT_EXCEEDED")


def peer(**options: Any) -> Peer:
    return Peer(HOOK, **{"clock": FakeClock(), "jitter": lambda: 0.5, **options})


def told(conversation: Any, *answers: Any, clock: FakeClock | None = None) -> tuple[list[float], Any]:
    """What was waited, and the end."""
    steps, end = converse_with(conversation, *answers, clock=clock)
    return [step.seconds for step in steps if isinstance(step, Wait)], end


def test_a_call_and_its_reply() -> None:
    steps, end = converse_with(converse(peer(), READ), reply(5, total=1))
    assert [type(step) for step in steps] == [Send]
    assert end == Reply(5, 1)


def test_pauses_double_and_are_shaken() -> None:
    shaken = iter([0.0, 1.0, 0.5])
    waits, end = told(converse(peer(jitter=lambda: next(shaken)), READ), LOST, LOST, LOST, LOST)
    assert waits == [0.25, 1.5, 2.0]
    assert type(end) is OutcomeUnknownError


def test_a_pause_never_overflows() -> None:
    assert peer().backoff(100_000) < float("inf")


def test_the_patience_of_a_call_goes_before_that_of_its_peer() -> None:
    waits, end = told(converse(peer(), READ, patience=Patience(tries=3, pause=10.0)), LOST, LOST, LOST)
    assert waits == [10.0, 20.0]
    assert "Tried 3 times" in end.advice


def test_the_time_to_answer_goes_to_the_transport() -> None:
    steps, _ = converse_with(converse(peer(), READ, patience=Patience(answer=3.5)), reply())
    assert steps[0].deadline == 3.5


def test_one_try() -> None:
    waits, end = told(converse(peer(), READ, patience=Patience(tries=1)), NOT_SENT)
    assert waits == []
    assert type(end) is NotSentError
    assert "Tried" not in end.advice


def test_refusals_by_a_limit_are_no_failed_tries() -> None:
    waits, end = told(converse(peer(), READ), *[FULL] * 9, LOST, NOT_SENT, reply(5))
    assert end == Reply(5)
    assert waits[9:] == [0.5, 1.0]


def test_no_waiting_for_limits_still_leaves_the_other_tries() -> None:
    patience = Patience(limits=0.0)
    assert told(converse(peer(), READ, patience=patience), LOST, reply(5)) == ([0.5], Reply(5))
    waits, end = told(converse(peer(), READ, patience=patience), FULL)
    assert waits == []
    assert type(end) is QueryLimitError


def test_waits_for_limits_are_bounded_together() -> None:
    full = error(503, "QUERY_LIMIT_EXCEEDED", retry_after="40")
    waits, end = told(converse(peer(), WRITE, patience=Patience(limits=100.0)), full, full, full)
    assert waits == [40.0, 40.0]
    assert end.retry_after == 40.0


def test_a_bucket_that_leaves_no_room() -> None:
    busy = peer(plan=Plan(2, 0.001))
    told(converse(busy, WRITE), reply())
    waits, end = told(converse(busy, WRITE))
    assert waits == []
    assert type(end) is QueryLimitError
    assert end.retry_after == pytest.approx(1000.0)


def test_a_refusal_is_waited_for_in_the_bucket() -> None:
    waits, end = told(converse(peer(plan=Plan(50, 2)), WRITE), FULL, reply(5))
    assert waits == [1.0]
    assert end == Reply(5)


def test_a_signal_that_is_refused_teaches_the_bucket_too() -> None:
    clock = FakeClock()
    shared = peer(plan=Plan(50, 2), clock=clock)
    _, end = told(converse(shared, SIGNAL), FULL)
    assert type(end) is QueryLimitError
    _, end = told(converse(shared, SIGNAL))
    assert type(end) is LowBucketError
    waits, _ = told(converse(shared, WRITE), reply())
    assert waits == [1.0]


def spent(clock: FakeClock, operating: float, resets_in: float) -> dict[str, float]:
    return {"operating": operating, "operating_reset_at": clock.time() + resets_in, "finish": clock.time()}


def test_an_operating_limit_waits_for_the_reset_that_was_told() -> None:
    clock = FakeClock()
    shared = peer(clock=clock)
    told(converse(shared, READ), reply(1, time=spent(clock, 30, 42)))
    waits, end = told(converse(shared, READ), error(429, "OPERATION_TIME_LIMIT"), reply(5), clock=clock)
    assert waits == [43.0]
    assert end == Reply(5)


def test_an_operating_limit_is_slept_for_a_minute_in_all() -> None:
    clock = FakeClock()
    full = error(429, "OPERATION_TIME_LIMIT")
    waits, end = told(converse(peer(clock=clock), WRITE), full, full, clock=clock)
    assert waits == [60.0]
    assert (type(end), end.retry_after) == (OperatingLimitError, 60.0)


def test_a_long_operating_limit_says_when_to_come_back() -> None:
    clock = FakeClock()
    shared = peer(clock=clock)
    told(converse(shared, READ), reply(1, time=spent(clock, 30, 300)))
    waits, end = told(converse(shared, READ), error(429, "OPERATION_TIME_LIMIT", "No more time"))
    assert waits == []
    assert type(end) is OperatingLimitError
    assert end.retry_after == 301.0
    assert not end.permanent
    assert str(end) == (
        "crm.item.get: OPERATION_TIME_LIMIT (HTTP 429): blocked until 14:35:01 UTC (in 301 s): No more time. The "
        "portal blocks this one method until its execution time of the last ten minutes falls below the limit: call it "
        "again then, or ask for less in each call."
    )


def test_a_method_that_is_used_up_is_not_called() -> None:
    clock = FakeClock()
    shared = peer(clock=clock)
    told(converse(shared, READ), reply(1, time=spent(clock, 481, 300)))
    steps, end = converse_with(converse(shared, READ))
    assert steps == []
    assert type(end) is OperatingLimitError
    assert end.retry_after == 301.0
    assert str(end).startswith(
        "crm.item.get: not sent, until 14:35:01 UTC (in 301 s): 481 of its 480 s of execution time in ten minutes are "
        "used up. The portal blocks this one method until"
    )
    assert told(converse(shared, WRITE), reply(6)) == ([], Reply(6))


def test_a_short_wait_for_a_method_is_slept() -> None:
    clock = FakeClock()
    shared = peer(clock=clock)
    told(converse(shared, READ), reply(1, time=spent(clock, 500, 20)))
    assert told(converse(shared, READ), reply(5), clock=clock) == ([21.0], Reply(5))


def test_a_signal_is_skipped_where_its_method_is_slowed() -> None:
    clock = FakeClock()
    shared = peer(clock=clock)
    told(converse(shared, SIGNAL), reply(time=spent(clock, 400, 300)))
    told(converse(shared, SIGNAL), reply(time=spent(clock, 408, 300)))
    steps, end = converse_with(converse(shared, SIGNAL))
    assert steps == []
    assert type(end) is OperatingLimitError


def test_a_signal_does_not_wait_for_an_operating_limit() -> None:
    waits, end = told(converse(peer(), SIGNAL), error(429, "OPERATION_TIME_LIMIT"))
    assert waits == []
    assert end.retry_after == 60.0


def test_long_waits_are_told_and_short_ones_are_not(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    told(converse(peer(), READ), LOST, LOST, LOST, reply())
    assert caplog.text == ""
    full = error(503, "QUERY_LIMIT_EXCEEDED", "you sent s3cr3tc0de", retry_after="40")
    told(converse(peer(), READ), full, reply())
    [record] = caplog.records
    assert record.getMessage().startswith(
        "crm.item.get waits 40 s, until 14:30:40 UTC: crm.item.get: QUERY_LIMIT_EXCEEDED (HTTP 503): you sent ***."
    )


def test_half_a_secret_is_never_left() -> None:
    for before in range(470, 505):
        words = f"{'x' * before} s3cr3tc0de and s3cr3tc0de"
        _, end = told(converse(peer(), WRITE), error(400, f"{'c' * (before - 300)}s3cr3tc0de", words))
        assert type(end) is RequestRefusedError
        assert "s3c" not in str(end)
        assert len(end.description) <= 500
        assert len(end.code or "") <= 200


def test_other_secrets_are_redacted_too() -> None:
    bot = peer(secrets=("b0tt0ken",))
    _, end = told(converse(bot, WRITE), error(400, "BOT_TOKEN", "not b0tt0ken"))
    assert end.description == "not ***"


# tokens


def app(**options: Any) -> Peer:
    options = {"clock": FakeClock(), "tokens": MemoryTokenStore(OLD), "jitter": lambda: 0.5, **options}
    return Peer(APP, **options)


def test_an_application_needs_tokens() -> None:
    with pytest.raises(ConfigurationError, match="tokens are missing"):
        Peer(APP)


def test_an_expired_token_is_renewed_once() -> None:
    expired = error(401, "expired_token", "old4ccess new4ccess oldr3fresh")
    steps, end = converse_with(converse(app(), WRITE), expired, NEW, expired)
    assert [type(step) for step in steps] == [Send, Renew, Send]
    assert steps[1].stale == "old4ccess"
    assert found(repr(steps), SECRETS) == []
    # the old tokens are not told either
    assert leaks(end, SECRETS) == []


def test_a_renewal_leaves_all_tries() -> None:
    expired = error(401, "expired_token")
    waits, end = told(converse(app(), READ), LOST, expired, NEW, LOST, LOST, reply(5))
    assert waits == [0.5, 1.0, 2.0]
    assert end == Reply(5)


def test_a_webhooks_expired_token_is_no_renewal() -> None:
    waits, end = told(converse(peer(), READ), error(401, "expired_token"))
    assert waits == []
    assert end.advice == AuthenticationError.default_advice


def test_what_a_renewal_sends_and_stores() -> None:
    store = MemoryTokenStore(OLD)
    steps, end = converse_with(renew(app(tokens=store), Renew(OLD.access_token)), error_free_tokens())
    assert [step.request.verb for step in steps] == ["GET"]
    assert end == store.load() == NEW


def error_free_tokens() -> Response:
    return Response(200, {}, b'{"access_token":"new4ccess","refresh_token":"newr3fresh"}')


def test_a_renewal_shows_no_tokens_but_those_of_the_peer() -> None:
    other = Tokens("oth3racc", "oth3rref")
    refused = error(400, "invalid_grant", "oth3rref cl13nts3cr3t old4ccess")
    holder = app(tokens=MemoryTokenStore(other))
    holder.adopt(OLD)
    _, end = told(renew(holder, Renew(other.access_token)), refused)
    assert end.description == "*** *** ***"
    assert leaks(end, [*SECRETS, *other.secrets]) == []


def test_a_peer_shows_nothing() -> None:
    holder = app(secrets=("b0tt0ken",))
    holder.adopt(OLD)
    assert found(repr(holder), [*SECRETS, "b0tt0ken"]) == []


def test_the_clock_of_the_machine() -> None:
    clock = SystemClock()
    before, at = clock.monotonic(), clock.time()
    clock.sleep(0.0)
    asyncio.run(clock.asleep(0.0))
    assert clock.monotonic() >= before
    assert clock.time() >= at - 1
