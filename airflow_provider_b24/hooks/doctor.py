"""Looking at everything that a connection stands on, and saying of each what to do about it.

Never raises and shows no secret; what takes long is given up. What is seen here is judged in :mod:`.findings`.
"""

from __future__ import annotations

import datetime as dt
import socket
import ssl
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Any, TypeVar
from urllib.parse import urlsplit

from airflow_provider_b24.hooks import findings
from airflow_provider_b24.hooks.findings import Finding
from airflow_provider_b24.rest.credentials import OAuthApp, redact
from airflow_provider_b24.rest.errors import Bitrix24Error, ConfigurationError
from airflow_provider_b24.rest.peer import Patience
from airflow_provider_b24.rest.protocol import Call

if TYPE_CHECKING:
    from airflow_provider_b24.hooks.calls import RestCalls
    from airflow_provider_b24.hooks.settings import Settings
    from airflow_provider_b24.rest.client import Client

T = TypeVar("T")

# Seconds for the network's part, and for the portal's.
_NETWORK_SECONDS = 6.0
_PORTAL_SECONDS = 40.0
_PATIENCE = Patience(tries=1, answer=10.0, limits=5.0, operating=1.0)
# Whose execution time is looked at.
_BUSY = ("im.message.add", "im.dialog.writing", "im.dialog.messages.get", "imbot.v2.Chat.Message.send", "batch")


def diagnose(hook: RestCalls) -> list[Finding]:
    """All findings about a hook's connection, in the order in which to look at them."""
    try:
        settings = hook._sync_settings()
    except Exception as error:
        return [findings.of_error("connection", error)]
    found: list[Finding] = []
    for step in (_address, _network, _portal, _limits, _keeping, _fields):
        try:
            # What was found before something goes wrong is told as well.
            for one in step(hook, settings):
                found.append(one)
        except Exception as error:
            found.append(findings.of_error(step.__name__.strip("_"), error))
    return [_shown(one, settings) for one in found]


def _address(hook: RestCalls, settings: Settings) -> Iterator[Finding]:
    kind = "application" if isinstance(settings.credential, OAuthApp) else "webhook"
    yield findings.of_address(settings.credential.address, kind)


def _network(hook: RestCalls, settings: Settings) -> Iterator[Finding]:
    address, transport = settings.credential.address, settings.transport
    try:
        proxy = transport.proxy_for(f"{address}/")
    except ConfigurationError as error:
        yield findings.of_error("proxy", error)
        return
    parts = urlsplit(proxy or "")
    named = None if proxy is None else f"{parts.scheme}://{parts.hostname}" + (f":{parts.port}" if parts.port else "")
    yield findings.of_proxy(named, own=transport.proxy is not None)
    host = address.host.strip("[]")
    port = address.port or {"https": 443, "http": 80}[address.scheme]
    if proxy is None:
        looked = _within(_NETWORK_SECONDS, partial(_addresses, host, port))
        if looked is None:
            yield findings.of_lookup(host, None)
            return
        if looked != {host}:
            yield findings.of_lookup(host, looked)
    if address.scheme == "https":
        # A tunnel of our own through the proxy is not needed to know whether calls work.
        seen = _within(_NETWORK_SECONDS, partial(_certificate, host, port, settings)) if proxy is None else (None, "")
        days, problem = (None, "the portal did not answer in time") if seen is None else seen
        yield findings.of_certificate(transport.verify, days, problem)


def _portal(hook: RestCalls, settings: Settings) -> Iterator[Finding]:
    found: list[Finding] = []

    def ask() -> bool:
        found.extend(_asked(hook, settings))
        return True

    try:
        done = _within(_PORTAL_SECONDS, ask)
    finally:
        yield from list(found)
    if not done:
        yield Finding("error", "portal", f"it did not say everything within {_PORTAL_SECONDS:.0f} s")


def _asked(hook: RestCalls, settings: Settings) -> Iterator[Finding]:
    """What the portal says, in two requests."""
    try:
        client = hook.get_conn()
        profile = client.call(Call("profile"), patience=_PATIENCE)
    except Exception as error:
        yield findings.of_refusal(error)
        return
    now = time.time()
    yield findings.of_account(profile.result, client.peer.address)
    yield from findings.of_move(settings.credential.address, client.peer.address)
    yield findings.of_clock(None if profile.finished_at is None else profile.finished_at - now)
    yield from _abilities(client, settings, hook.bitrix24_conn_id)


def _abilities(client: Client, settings: Settings, conn_id: str) -> Iterator[Finding]:
    bot = settings.bot
    calls: dict[Any, Call] = {"scope": Call("scope")}
    for number, name in enumerate(findings.METHODS):
        calls[number] = Call("method.get", {"name": name.lower()})
    if isinstance(settings.credential, OAuthApp):
        calls["app"] = Call("app.info")
    reply = client.batch(calls, patience=_PATIENCE)
    results = reply.results
    if "scope" in results:
        granted = results["scope"] if isinstance(results["scope"], list) else []
        yield from findings.of_scopes([str(name) for name in granted], bot=bot is not None)
    else:
        yield findings.of_error("scopes", reply.errors["scope"])
    answers = {name: results.get(number) for number, name in enumerate(findings.METHODS)}
    there = {name: bool(told.get("isExisting")) for name, told in answers.items() if isinstance(told, dict)}
    yield from findings.of_methods(there, bot=bot is not None)
    if isinstance(results.get("app"), dict):
        yield from findings.of_license(results["app"].get("LICENSE"), settings)
    if bot is None or there.get("imbot.v2.Chat.Message.send") is not False:
        yield _bot(client, settings, conn_id)


def _bot(client: Client, settings: Settings, conn_id: str) -> Finding:
    from airflow_provider_b24.chat.bots import find

    bot = settings.bot
    if bot is None:
        return findings.of_bot(None, None, conn_id)
    try:
        card = client.run(partial(find, bot_id=bot.bot_id, token=bot.token, patience=_PATIENCE))
    except Bitrix24Error as error:
        return findings.of_error("bot", error)
    return findings.of_bot(bot, card, conn_id)


def _limits(hook: RestCalls, settings: Settings) -> Iterator[Finding]:
    from airflow_provider_b24.rest.redis_ledger import RedisLedger

    yield findings.of_plan(settings)
    peer = hook._peer_of(settings)
    if isinstance(peer.ledger, RedisLedger):
        yield findings.of_limiter(peer.ledger.problem())
    else:
        yield findings.of_limiter(None)
    if peer.bucket is not None:
        yield findings.of_level(peer.bucket.look(), settings)
    used = {method: peer.budget.allowance(method, peer.clock.monotonic(), take=False).used for method in _BUSY}
    yield from findings.of_operating(used, settings.operating_limit)


def _keeping(hook: RestCalls, settings: Settings) -> Iterator[Finding]:
    from airflow_provider_b24.hooks import variables

    if not isinstance(settings.credential, OAuthApp):
        return
    name, problem = "bitrix24_tokens_written_as_a_test", ""
    try:
        kept = variables.reachable()
        if kept is None:
            problem = "nobody keeps Variables for this process"
        else:
            # Not the tokens themselves: somebody may be renewing them at this moment.
            kept.put(name, "x", "Written as a test by the provider for Bitrix24, and removed at once.")
            problem = "" if kept.get(name) == "x" else "a Variable that was written is not there"
            kept.remove(name)
    except Exception as error:
        problem = type(error).__name__
    yield findings.of_token_store(problem)


def _fields(hook: RestCalls, settings: Settings) -> Iterator[Finding]:
    from airflow.sdk import conf

    masked = conf.get("core", "sensitive_var_conn_names", fallback="")
    yield from findings.of_times(settings)
    yield from findings.of_secrets(settings, [name.strip().lower() for name in masked.split(",")])


def _addresses(host: str, port: int) -> set[str] | None:
    try:
        return {str(info[4][0]) for info in socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)}
    except OSError:
        return None


def _certificate(host: str, port: int, settings: Settings) -> tuple[float | None, str]:
    """For how many days the portal's certificate is good, or what is wrong with it."""
    from airflow_provider_b24.rest.transport import ssl_context

    try:
        context = ssl_context(settings.transport.authorities)
        with (
            socket.create_connection((host, port), timeout=_NETWORK_SECONDS / 2) as sock,
            context.wrap_socket(sock, server_hostname=host) as tls,
        ):
            ends = (tls.getpeercert() or {}).get("notAfter")
    except ssl.SSLCertVerificationError as error:
        return None, f"the certificate is not trusted ({error.verify_message})"
    except ConfigurationError as error:
        return None, error.description
    except OSError as error:
        return None, f"the portal can not be reached ({error.strerror or type(error).__name__})"
    if not isinstance(ends, str):
        return None, ""
    left = dt.datetime.fromtimestamp(ssl.cert_time_to_seconds(ends), dt.timezone.utc) - dt.datetime.now(dt.timezone.utc)
    return left.total_seconds() / 86400, ""


def _within(seconds: float, look: Callable[[], T]) -> T | None:
    """What a look returns; None if it takes longer. Not every wait has a time-out of its own."""
    outcome: list[T] = []
    problem: list[BaseException] = []

    def run() -> None:
        try:
            outcome.append(look())
        except Exception as error:
            problem.append(error)

    worker = threading.Thread(target=run, name="bitrix24-doctor", daemon=True)
    worker.start()
    worker.join(seconds)
    if problem:
        raise problem[0]
    return outcome[0] if outcome else None


def _shown(finding: Finding, settings: Settings) -> Finding:
    from airflow_provider_b24.hooks.masking import masked

    text, advice = (masked(redact(words, settings.secrets)) for words in (finding.text, finding.advice))
    return replace(finding, text=text, advice=advice)
