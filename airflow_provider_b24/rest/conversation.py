"""The life of one call: pace, send, decode, renew the token, send again or give up. Pure.

A conversation is a generator. It yields what has to be done next (:class:`Send`, :class:`Wait`,
:class:`Renew`, :class:`Ask`) and is sent the outcome; it returns the reply or raises. It never waits, sends
or locks itself, so the synchronous and the asynchronous driver carry out the very same decisions.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Generator
from functools import partial
from typing import Any
from urllib.parse import urlsplit

from airflow_provider_b24.rest.address import Address
from airflow_provider_b24.rest.allowance import await_allowance, closed, noted
from airflow_provider_b24.rest.credentials import OAuthApp, Tokens, TokenStore, Webhook
from airflow_provider_b24.rest.errors import (
    AuthenticationError,
    Bitrix24Error,
    CertificateError,
    ConfigurationError,
    LimitError,
    LowBucketError,
    NotSentError,
    OperatingLimitError,
    OutcomeUnknownError,
    QueryLimitError,
    RedirectRefusedError,
    TokenExpiredError,
)
from airflow_provider_b24.rest.pacing import Turn
from airflow_provider_b24.rest.peer import Patience, Peer
from airflow_provider_b24.rest.protocol import (
    Call,
    Priority,
    Reply,
    Request,
    Response,
    decode,
    encode,
)
from airflow_provider_b24.rest.steps import Ask, Failure, Renew, Send, Step, Wait

log = logging.getLogger(__name__)

_REDIRECTS = frozenset({301, 302, 307, 308})
_MOST_REDIRECTS = 3
# How much of a portal's own words goes into an error, in characters.
_LONGEST_CODE = 200
_LONGEST_DESCRIPTION = 500
# After a refusal at least this is waited, in seconds: a portal's rate is a few requests a second.
_SHORTEST_PAUSE = 0.5


Conversation = Generator[Step, Any, Reply]


def converse(peer: Peer, call: Call, *, patience: Patience | None = None) -> Conversation:
    """Carry one call through to its reply.

    :param patience: instead of the peer's own.
    :raises Bitrix24Error: see :mod:`~airflow_provider_b24.rest.errors`; never with a secret in it.
    """
    try:
        reply = yield from _converse(peer, call, patience or peer.patience)
    except Bitrix24Error as error:
        peer.count("bitrix24.calls", call.method, outcome=type(error).__name__)
        # What becomes of the commands of a batch is counted there.
        if error.effect_unknown and not call.repeatable and call.method != "batch":
            peer.count("bitrix24.unknown_outcomes", call.method)
        raise
    peer.count("bitrix24.calls", call.method, outcome="success")
    return reply


def _converse(peer: Peer, call: Call, patience: Patience) -> Conversation:
    attempt = refusals = redirects = 0
    waited = waited_for_method = 0.0
    tried: set[str] = set()
    # A signal is worth nothing later.
    within = patience.answer if call.priority is Priority.TYPING else None
    while True:
        waited_for_method = yield from await_allowance(peer, call, patience, waited_for_method)
        pause, slow = yield from _draw(peer, call, waited, patience)
        waited += pause

        proof = yield from _proof(peer)
        if isinstance(proof, Tokens) and not proof.access_token:
            tried.add("renewed")
            proof = yield Renew(proof.access_token, within)
            peer.adopt(proof)
        attempt += 1
        request = encode(call, peer.address, proof)
        outcome = yield Send(request, patience.answer)

        if isinstance(outcome, Response):
            if outcome.status in _REDIRECTS:
                redirects += 1
                _follow(peer, call, request, outcome, redirects)
                attempt -= 1
                continue
            reply, error = _decoded(peer, call, outcome)
            if reply is not None:
                yield from _learn(peer, call, reply, slow)
                return reply
            assert error is not None
        else:
            error = error_of(call, outcome)

        if isinstance(error, AuthenticationError) and (yield from _other_tokens(peer, error, proof, tried, within)):
            attempt -= 1
            continue

        if isinstance(error, LimitError):
            # A refusal is no failed try: only the time that limits take is bounded.
            attempt -= 1
            refusals += 1
            peer.count("bitrix24.refusals", call.method, limit=reason(error))
            if isinstance(error, OperatingLimitError):
                again = yield from closed(peer, call, error, patience, waited_for_method)
            else:
                again = yield from _after_refusal(peer, call, error, refusals, patience)
                waited += again or 0.0
        else:
            again = _pause_after(peer, call, error, attempt, patience)
        if again is None or waited > patience.limits:
            raise _final(peer, call, error, attempt)
        peer.count("bitrix24.retries", call.method, reason=reason(error))
        if again:
            peer.tell_wait(call.method, again, reason(error), str(error))
            yield Wait(again)


def _proof(peer: Peer) -> Generator[Step, Any, Webhook | Tokens]:
    """What a call carries to be accepted."""
    if isinstance(peer.credential, Webhook):
        return peer.credential
    if peer.current is None:
        peer.adopt((yield from load_tokens(peer)))
    assert peer.current is not None
    return peer.current


def _other_tokens(
    peer: Peer, error: AuthenticationError, proof: Webhook | Tokens, tried: set[str], within: float | None
) -> Generator[Step, Any, bool]:
    """Whether there are other tokens to call with, after an error that speaks against these. Each way is gone once."""
    if not isinstance(proof, Tokens) or "renewed" in tried:
        return False
    if isinstance(error, TokenExpiredError):
        tried.add("renewed")
        peer.adopt((yield Renew(proof.access_token, within)))
        return True
    if "reloaded" in tried:
        return False
    tried.add("reloaded")
    # The application may have been authorised anew meanwhile.
    stored = peer.newer((yield from load_tokens(peer)))
    if stored.access_token in ("", proof.access_token):
        return False
    peer.adopt(stored)
    return True


def load_tokens(peer: Peer) -> Generator[Step, Any, Tokens]:
    """An application's tokens, as the store has them now.

    :raises NotSentError: if the store fails.
    """
    assert peer.tokens is not None
    found = yield Ask(partial(_loaded, peer.tokens))
    if isinstance(found, Tokens):
        return found
    raise NotSentError(found, advice="Without tokens nothing can be called; try again later.")


def _loaded(store: TokenStore) -> Tokens | str:
    try:
        return store.load()
    except Bitrix24Error:
        raise
    except Exception as error:
        # Its words may hold anything.
        return f"the store of tokens, {type(store).__name__}, failed with {type(error).__name__}"


def _draw(peer: Peer, call: Call, waited: float, patience: Patience) -> Generator[Step, Any, tuple[float, bool]]:
    """Wait for the request limit; how long that took, and whether the pace is lowered."""
    bucket = peer.bucket
    if bucket is None:
        return 0.0, False
    pause = 0.0
    ticket = None
    while True:
        at_most = patience.limits - waited - pause
        turn: Turn = yield Ask(partial(bucket.draw, call.priority, ticket, at_most), bucket.blocking)
        if not turn.ready and turn.ticket is None:
            if call.priority is Priority.TYPING:
                raise LowBucketError("skipped, for the request limit is nearly used up", method=call.method)
            raise QueryLimitError(
                f"the request limit leaves no room for {waited + pause + turn.whole:.0f} s",
                method=call.method,
                retry_after=turn.whole,
            )
        if turn.wait:
            if not pause:
                peer.tell_wait(call.method, turn.whole, "query_limit", "the portal's request limit")
            pause += turn.wait
            yield Wait(turn.wait)
        if turn.ready:
            return pause, turn.slow
        ticket = turn.ticket


def _learn(peer: Peer, call: Call, reply: Reply, slow: bool) -> Generator[Step, Any, None]:
    if slow and peer.bucket is not None:
        yield Ask(peer.bucket.accepted, peer.bucket.blocking)
    yield from noted(peer, call.method, [reply])


def _decoded(peer: Peer, call: Call, response: Response) -> tuple[Reply | None, Bitrix24Error | None]:
    """The reply, or an error without secrets: a portal, or one who plays it, may repeat in its words what we sent.

    What becomes of the error later, it may be in the locals of a frame in a traceback.
    """
    try:
        return decode(call.method, response), None
    except Bitrix24Error as error:
        return None, cleaned(error, peer.redact)


def error_of(call: Call, failure: Failure) -> Bitrix24Error:
    """The exception that stands for a call without an answer."""
    if failure.certificate:
        return CertificateError(failure.text, method=call.method)
    if not failure.sent:
        return NotSentError(failure.text, method=call.method)
    error = OutcomeUnknownError(failure.text, method=call.method, advice=failure.advice or None)
    error.permanent = bool(failure.advice)
    return error


def _after_refusal(
    peer: Peer, call: Call, error: LimitError, refusals: int, patience: Patience
) -> Generator[Step, Any, float | None]:
    """Seconds until the call is sent again, or None to give up."""
    if peer.bucket is not None:
        # The pause is in the level of the bucket now: the next draw waits for it, behind who waits already.
        yield Ask(peer.bucket.refused, peer.bucket.blocking)
    if call.priority is Priority.TYPING:
        return None
    if peer.bucket is not None:
        return error.retry_after or 0.0
    return error.retry_after or min(60.0, max(_SHORTEST_PAUSE, peer.backoff(refusals, patience)))


def _pause_after(peer: Peer, call: Call, error: Bitrix24Error, attempt: int, patience: Patience) -> float | None:
    """Seconds until the call is sent again, or None to give up."""
    if error.permanent or attempt >= patience.tries or (error.effect_unknown and not call.repeatable):
        return None
    asked_for = error.retry_after or 0.0
    return max(peer.backoff(attempt, patience), asked_for) if asked_for <= patience.limits else None


def _final(peer: Peer, call: Call, error: Bitrix24Error, attempt: int) -> Bitrix24Error:
    if isinstance(error, OutcomeUnknownError):
        if not call.repeatable:
            error.advice = (
                "The call may have been carried out; it was not sent again. Look in the portal before repeating it."
            )
            error.permanent = True
        elif not error.permanent:
            tried = f"Tried {attempt} times; the" if attempt > 1 else "The"
            error.advice = f"{tried} portal or a proxy before it is in trouble."
    elif isinstance(error, TokenExpiredError) and isinstance(peer.credential, Webhook):
        error.advice = AuthenticationError.default_advice
    elif isinstance(error, TokenExpiredError):
        error.advice = peer.with_command(error.advice)
    elif isinstance(error, AuthenticationError) and isinstance(peer.credential, OAuthApp):
        if error.advice == AuthenticationError.default_advice and peer.authorise:
            error.advice = peer.with_command("The tokens are no longer valid: authorise the application anew.")
    elif isinstance(error, NotSentError) and attempt > 1:
        error.advice = f"Tried {attempt} times. {error.advice}"
    return error


def cleaned(error: Bitrix24Error, without_secrets: Callable[[str], str]) -> Bitrix24Error:
    """The error with its words redacted and cut to size, and without the traceback of where it was decoded."""
    # Cut only afterwards: half a secret would not be recognised.
    error.description = without_secrets(error.description)[:_LONGEST_DESCRIPTION]
    if error.code is not None:
        error.code = without_secrets(error.code)[:_LONGEST_CODE]
    error.args = (error.description,)
    return error.with_traceback(None)


def _follow(peer: Peer, call: Call, request: Request, response: Response, redirects: int) -> None:
    """Go on at the portal's new address."""
    new, problem = _redirect(peer, request, response)
    if new is None or redirects > _MOST_REDIRECTS:
        raise RedirectRefusedError(
            problem or f"the portal redirects in a circle, {redirects} times by now",
            method=call.method,
            status=response.status,
        )
    peer.move(new)


def _redirect(peer: Peer, request: Request, response: Response) -> tuple[Address | None, str]:
    """The portal's new address, if the call may go there: whole, to the same path; or what speaks against it."""
    location = response.headers.get("location", "")
    old = peer.address
    try:
        new = Address.of_url(location)
    except ConfigurationError:
        return None, "the portal redirects to nowhere that can be called"
    if urlsplit(location).path.rstrip("/") != urlsplit(request.url).path.rstrip("/"):
        return None, f"the portal redirects to another path at {peer.redact(str(new))}"
    if not peer.may_move(new):
        return (
            None,
            f"the portal redirects from {old} to {peer.redact(str(new))}, which may not be given the secret",
        )
    return new, ""


def reason(error: Bitrix24Error) -> str:
    """What a pause is for, in one word for the meter."""
    if isinstance(error, OperatingLimitError):
        return "operating_limit"
    return "query_limit" if isinstance(error, LimitError) else "failure"
