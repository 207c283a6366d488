"""``airflow bitrix24 authorize``: the first tokens of an application, or new ones where the old ones are used up."""

from __future__ import annotations

import hashlib
import hmac
import os
import secrets
import sys
from argparse import Namespace
from functools import partial
from typing import TYPE_CHECKING
from urllib.parse import parse_qs, urlencode, urlsplit

from airflow.utils.providers_configuration_loader import providers_configuration_loaded

from airflow_provider_b24.rest.address import Address
from airflow_provider_b24.rest.credentials import AuthorizationCode, OAuthApp, Tokens
from airflow_provider_b24.rest.errors import Bitrix24Error, ConfigurationError

if TYPE_CHECKING:
    from airflow_provider_b24.hooks.bitrix24 import Bitrix24Hook

_ANEW = "Run the command again, open the address that it prints, and paste where the browser ends up."


@providers_configuration_loaded
def authorize(args: Namespace) -> None:
    """Get tokens for a connection's application, store them and test the connection.

    :raises SystemExit: with what went wrong and what to do about it.
    """
    # Connections and Variables are looked up in Airflow's database, as Airflow's own commands do it.
    os.environ["_AIRFLOW_PROCESS_CONTEXT"] = "server"
    from airflow_provider_b24.hooks.bitrix24 import Bitrix24Hook

    with Bitrix24Hook(args.conn_id) as hook:
        try:
            _authorize(hook, args.code)
        except Bitrix24Error as error:
            raise SystemExit(f"Not authorised. {error}") from None
        _say(f"Authorised: the tokens of the connection {args.conn_id!r} are stored.")
        fine, words = hook.test_connection()
    _say(words)
    if not fine:
        raise SystemExit(1)


def _authorize(hook: Bitrix24Hook, pasted: str | None) -> None:
    from airflow_provider_b24.hooks.connection import read_connection
    from airflow_provider_b24.hooks.token_store import keeping
    from airflow_provider_b24.rest.client import Client
    from airflow_provider_b24.rest.peer import Peer
    from airflow_provider_b24.rest.renewal import exchange, replace

    conn_id = hook.bitrix24_conn_id
    settings = read_connection(hook, conn_id)
    app = settings.credential
    if not isinstance(app, OAuthApp):
        raise ConfigurationError(
            f"the connection {conn_id!r} is a webhook, which needs no authorisation",
            advice="For an application leave its password empty, and give client_id and client_secret.",
        )
    code = read_code(_asked(app, conn_id) if pasted is None else pasted, app, conn_id)
    peer = Peer(app, redirect_hosts=settings.redirect_hosts, **keeping(conn_id, settings))
    with Client(peer, settings.transport) as client:
        tokens = client.run(partial(exchange, code=code))
        _check_portal(app, tokens)
        client.run(partial(replace, tokens=tokens))


def address_to_open(app: OAuthApp, conn_id: str) -> str:
    """Where the portal asks its user whether the application may act for him, and then gives a code for it."""
    nonce = secrets.token_urlsafe(12)
    query = urlencode({"client_id": app.client_id, "state": f"{nonce}.{_seal(app, conn_id, nonce)}"})
    return f"{app.address}/oauth/authorize/?{query}"


def read_code(pasted: str, app: OAuthApp, conn_id: str) -> AuthorizationCode:
    """The code in what somebody pasted: a whole redirected address, or the code alone.

    :raises ConfigurationError: if there is none, or it is another connection's or another portal's.
    """
    pasted = pasted.strip()
    if "=" not in pasted and "/" not in pasted:
        if not pasted or not pasted.isprintable() or " " in pasted:
            raise ConfigurationError("there is no code", advice=_ANEW)
        return AuthorizationCode(pasted)
    try:
        parts = urlsplit(pasted)
        found = parse_qs(parts.query if "?" in pasted else pasted)
    except ValueError:
        found = {}
    code, state, domain = (found.get(name, [""])[0] for name in ("code", "state", "domain"))
    # The locals of this frame are in the tracebacks of the errors below.
    code_found = AuthorizationCode(code)
    del pasted, code, found
    if not code_found.code:
        raise ConfigurationError(
            "there is no code in the address",
            advice="Paste the address where the browser ends up after you have agreed, not the one that you opened.",
        )
    nonce, _, seal = state.rpartition(".")
    if not hmac.compare_digest(seal.encode(), _seal(app, conn_id, nonce).encode()):
        raise ConfigurationError("this is not the answer to an address that this command has printed", advice=_ANEW)
    here = str(app.address).partition("://")[2]
    if domain and domain.lower() != here:
        raise ConfigurationError(
            f"the code is of the portal {domain!r}, and the connection names {here!r}",
            advice="Put the portal's present address into the host of the connection, or open the address as a user "
            "of that portal.",
        )
    return code_found


def _seal(app: OAuthApp, conn_id: str, nonce: str) -> str:
    """Ties a nonce to a connection, so that the answer is known again by whichever process it is given to."""
    words = "\n".join((nonce, conn_id, app.client_id)).encode()
    return hmac.new(app.client_secret.encode(), words, hashlib.sha256).hexdigest()[:32]


def _asked(app: OAuthApp, conn_id: str) -> str:
    _say(f"Open this address in a browser, as the user in whose name {conn_id!r} is to act, and agree:\n")
    _say(f"  {address_to_open(app, conn_id)}\n")
    _say("The browser ends up at an address with a code in it (it does not matter if there is no such page).")
    _say("Paste the whole of it here, or the code alone. The code is good for 30 seconds, and once.")
    if sys.stdin.isatty():
        try:
            return input("> ")
        except EOFError:
            return ""
    return sys.stdin.readline()


def _check_portal(app: OAuthApp, tokens: Tokens) -> None:
    """Tokens of another portal are not for this connection."""
    try:
        named = Address.of_url(tokens.endpoint) if tokens.endpoint else app.address
    except ConfigurationError:
        return
    if named != app.address:
        raise ConfigurationError(
            f"the tokens are for {named}, and the connection names {app.address}; they were not stored",
            advice="Put the portal's present address into the host of the connection.",
        )


def _say(words: str) -> None:
    sys.stdout.write(f"{words}\n")
    sys.stdout.flush()
