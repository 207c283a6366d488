"""New tokens for an application: for a code the first time, for a refresh token from then on. Pure, as conversations.

A refresh token is good once. So it is used by one at a time; what it brought is stored before it is used; and who
finds it used up looks again whether somebody else has stored something newer.
"""

from __future__ import annotations

import hashlib
import json
import logging
from collections.abc import Generator
from concurrent.futures import Future
from contextlib import suppress
from copy import copy
from functools import partial
from typing import Any

from airflow_provider_b24.rest import errors
from airflow_provider_b24.rest.conversation import cleaned, error_of, load_tokens
from airflow_provider_b24.rest.credentials import AuthorizationCode, OAuthApp, Tokens, TokenStore, redact
from airflow_provider_b24.rest.errors import (
    AuthenticationError,
    Bitrix24Error,
    ConfigurationError,
    NotSentError,
    OutcomeUnknownError,
)
from airflow_provider_b24.rest.lock import Held
from airflow_provider_b24.rest.peer import Peer
from airflow_provider_b24.rest.protocol import Call, Response, decode_tokens, encode_exchange, encode_renewal
from airflow_provider_b24.rest.steps import Ask, Renew, Send, Step, Wait

log = logging.getLogger(__name__)

METHOD = "oauth/token"

# How often a lock that another holds is asked for, and for how long, in seconds. A renewal takes less than one; only
# where the authorisation server does not answer, minutes.
_LOOK_AGAIN = 0.1
_LONGEST_WAIT = 120.0
# Who was faster may not have stored yet what it got: so many seconds are waited between looks at the store.
_LOOKS = (0.0, 0.5, 1.0, 2.0)
# For so many seconds a refresh token that was refused is not tried again. Not for ever: a portal can be paid for.
_REFUSED_SECONDS = 300.0

Renewal = Generator[Step, Any, Tokens]


def renew(peer: Peer, step: Renew) -> Renewal:
    """Get tokens newer than the step's, from the store or from the authorisation server; they are stored by then.

    :raises AuthenticationError: if the authorisation server refuses, with what to do about it.
    :raises NotSentError: if it gives no usable answer, or another process takes too long.
    """
    since = peer.clock.time()
    held = yield from _turn(peer)
    try:
        tokens: Tokens = peer.newer((yield from load_tokens(peer)))
        if tokens.access_token not in ("", step.stale):
            return tokens
        _check_renewable(peer, tokens)
        _raise_again(peer, held, tokens, since)
        try:
            fresh = yield from _renewed(peer, tokens)
        except Bitrix24Error as error:
            if (error.code or "").lower() == "invalid_grant":
                found = yield from _found_newer(peer, tokens)
                if found is not None:
                    return found
            held.write(_note(peer, tokens, error))
            raise
        yield from _store(peer, tokens, fresh)
        return fresh
    finally:
        held.release()


def exchange(peer: Peer, code: AuthorizationCode) -> Renewal:
    """The first tokens, for the code that the portal gave to somebody who agreed; they are not stored yet.

    A code is good once and for 30 s, so it is sent once.

    :raises AuthenticationError: if the authorisation server refuses.
    :raises NotSentError: if it gives no usable answer.
    """
    app = peer.credential
    assert isinstance(app, OAuthApp)
    outcome = yield Send(encode_exchange(app, code))
    fresh, error = _decoded(peer, outcome, Tokens("", ""), code.secrets)
    if fresh is not None:
        return fresh
    assert error is not None
    if (error.code or "").lower() == "invalid_grant":
        error.advice = (
            "The code was used already, is older than 30 seconds, or was not copied whole: open the address again, "
            "and hand in the new code at once."
        )
    raise _failure(error, "the code could not be exchanged for tokens")


def replace(peer: Peer, tokens: Tokens) -> Generator[Step, Any, None]:
    """Store tokens in place of all that there were, whatever they descend from.

    :raises ConfigurationError: if they can not be stored.
    """
    held: Held | None = None
    # Somebody who renews the old ones would store what he gets over these.
    with suppress(NotSentError):
        held = yield from _turn(peer)
    try:
        assert peer.tokens is not None
        problem = yield Ask(partial(_saved, peer.tokens, tokens))
        if problem:
            raise ConfigurationError(f"the tokens could not be stored: {problem}")
    finally:
        if held is not None:
            held.release()


def outcome_of(renewal: Future[Tokens]) -> Tokens:
    """What a renewal has brought, for a call that does not wait for it any longer.

    :raises NotSentError: if it is still under way.
    :raises Bitrix24Error: as the renewal has failed.
    """
    if not renewal.done():
        raise NotSentError(
            "the access token is being renewed", method=METHOD, advice="That goes on; the next call finds it done."
        )
    error = renewal.exception()
    if error is not None:
        # A copy: several may wait for it, and each adds its traceback.
        raise copy(error) from None
    return renewal.result()


def _turn(peer: Peer) -> Generator[Step, Any, Held]:
    waited = 0.0
    while True:
        held: Held | None = yield Ask(peer.lock.take, blocking=False)
        if held is not None:
            return held
        if waited >= _LONGEST_WAIT:
            raise NotSentError(
                f"another process of this host has been renewing the access token for {waited:.0f} s",
                method=METHOD,
                advice="The authorisation server may be in trouble; try again later.",
            )
        yield Wait(_LOOK_AGAIN)
        waited += _LOOK_AGAIN


def _check_renewable(peer: Peer, tokens: Tokens) -> None:
    if not tokens.secrets:
        advice = peer.with_command("Authorise it first.")
        raise AuthenticationError("the application is not authorised yet", method=METHOD, advice=advice)
    if not tokens.refresh_token:
        advice = peer.with_command("Authorise the application anew.")
        problem = "the access token has expired and there is no refresh token"
        raise AuthenticationError(problem, method=METHOD, advice=advice)
    if peer.renewal_refused:
        raise NotSentError("the access token has expired", method=METHOD, advice=peer.renewal_refused)


def _renewed(peer: Peer, tokens: Tokens) -> Renewal:
    """Ask the authorisation server."""
    app = peer.credential
    assert isinstance(app, OAuthApp)
    attempt = 0
    while True:
        attempt += 1
        fresh, error = _decoded(peer, (yield Send(encode_renewal(app, tokens))), tokens, tokens.secrets)
        if fresh is not None:
            return fresh
        assert error is not None
        # A refresh token may be sent again: at worst it is refused as used.
        if error.permanent or attempt >= peer.patience.tries:
            if (error.code or "").lower() == "invalid_grant":
                error.advice = peer.with_command(error.advice)
            raise _failure(error, "the access token could not be renewed")
        yield Wait(peer.backoff(attempt))


def _decoded(
    peer: Peer, outcome: Any, before: Tokens, given: tuple[str, ...]
) -> tuple[Tokens | None, Bitrix24Error | None]:
    """The tokens, or what came instead of them; without a word that repeats what was given."""
    if not isinstance(outcome, Response):
        error = error_of(Call("oauth"), outcome)
        error.method = METHOD
        return None, error
    try:
        return decode_tokens(outcome, before), None
    except Bitrix24Error as error:
        return None, cleaned(error, lambda text: redact(peer.redact(text), given))


def _failure(error: Bitrix24Error, what: str) -> Bitrix24Error:
    """The failure of a renewal, as that of the call it was for: the portal has refused that, so it had no effect."""
    if isinstance(error, OutcomeUnknownError):
        return NotSentError(
            f"{what}: {error.description}",
            method=error.method,
            status=error.status,
            advice="The authorisation server gives no usable answer; try again later.",
            retry_after=error.retry_after,
        )
    return error


def _found_newer(peer: Peer, refused: Tokens) -> Generator[Step, Any, Tokens | None]:
    """What somebody else, on another host, got for the refresh token before us."""
    for pause in _LOOKS:
        if pause:
            yield Wait(pause)
        tokens = peer.newer((yield from load_tokens(peer)))
        if tokens.access_token and tokens.refresh_token != refused.refresh_token:
            log.info("The access token was renewed by another host meanwhile.")
            return tokens
    return None


def _store(peer: Peer, used: Tokens, fresh: Tokens) -> Generator[Step, Any, None]:
    assert peer.tokens is not None
    problem = yield Ask(partial(_saved, peer.tokens, fresh))
    peer.note_stored(used, fresh, problem)
    if problem:
        log.error(
            "The renewed tokens could not be stored: %s This process goes on with them. The refresh token that all "
            "others have is used up: once their access token has expired, they are refused (invalid_grant). %s",
            problem,
            peer.with_command("Then authorise the application anew."),
        )


def _saved(store: TokenStore, tokens: Tokens) -> str:
    """Have the tokens stored; what went wrong is returned, for the words of an error that is not ours may hold them."""
    try:
        store.save(tokens)
    except Bitrix24Error as error:
        return str(error)
    except Exception as error:
        return f"{type(store).__name__} failed with {type(error).__name__}."
    return ""


def _fingerprint(peer: Peer, tokens: Tokens) -> str:
    app = peer.credential
    assert isinstance(app, OAuthApp)
    parts = (app.oauth_url, app.client_id, app.client_secret, tokens.refresh_token)
    return hashlib.sha256(json.dumps(parts).encode()).hexdigest()


def _note(peer: Peer, tokens: Tokens, error: Bitrix24Error) -> bytes:
    """What the next one should know of a failure."""
    words = {name: getattr(error, name) for name in ("description", "code", "status", "advice")}
    found = {"of": _fingerprint(peer, tokens), "at": peer.clock.time(), "kind": type(error).__name__, **words}
    return json.dumps(found).encode()


def _raise_again(peer: Peer, held: Held, tokens: Tokens, since: float) -> None:
    """Fail as the last one did with the same refresh token: while this one waited, or for good and not long ago."""
    try:
        note = json.loads(held.read())
        kind, ago = getattr(errors, note["kind"]), peer.clock.time() - note["at"]
        lasts = ago <= peer.clock.time() - since or (kind.permanent and 0 <= ago < _REFUSED_SECONDS)
        if note["of"] != _fingerprint(peer, tokens) or not lasts:
            return
        words = {name: note[name] for name in ("code", "status", "advice")}
        again = kind(f"{note['description']} (not asked again, after {ago:.0f} s)", method=METHOD, **words)
    except (ValueError, KeyError, TypeError, AttributeError):
        # No note, or not one of this version.
        return
    raise again
