"""What the fields of a ``bitrix24`` connection mean. Knows the fields' values, not where they are kept."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qsl, unquote, urlsplit

from airflow_provider_b24.chat.typing import Bot
from airflow_provider_b24.rest.address import Address
from airflow_provider_b24.rest.credentials import DEFAULT_OAUTH_URL, OAuthApp, Tokens, Webhook
from airflow_provider_b24.rest.errors import ConfigurationError
from airflow_provider_b24.rest.operating import CLOUD_LIMIT, ON_PREMISE_LIMIT
from airflow_provider_b24.rest.pacing import PLANS, Plan
from airflow_provider_b24.rest.protocol import as_number
from airflow_provider_b24.rest.transport import Transport

log = logging.getLogger(__name__)

EXTRAS = (
    "client_id",
    "client_secret",
    "access_token",
    "refresh_token",
    "oauth_url",
    "bot_id",
    "bot_token",
    "timeout",
    "longest_request",
    "deadline",
    "max_response_mb",
    "verify",
    "proxy",
    "redirect_hosts",
    "plan",
    "burst",
    "rate",
    "operating_limit",
    "limiter_url",
)
# What is taken for a slip of the pen.
_MOST_MEGABYTES = 10_000
_APP_EXTRAS = ("client_id", "client_secret", "access_token", "refresh_token")

_URL_IN_HOST = (
    "Put the webhook URL into the field 'password' and leave the host empty, or give the host alone: "
    "Airflow never masks the host."
)


@dataclass(frozen=True)
class Settings:
    """A connection, understood.

    :ivar credential: what proves a call, and where it goes.
    :ivar tokens: an application's tokens as the connection has them, perhaps none; None for a webhook.
    :ivar bot: the chat bot to speak as, if the connection names one.
    :ivar transport: time-outs, certificates, proxy.
    :ivar plan: the portal's request limit, or None where it has none.
    :ivar limiter_url: the Redis server through which several hosts share that limit, or None.
    :ivar late: seconds after which a request without an answer can not take effect any more.
    :ivar redirect_hosts: hosts that a redirect may take the secret to, besides those it may in any case.
    :ivar operating_limit: seconds of execution time that a method may use in ten minutes.
    """

    credential: Webhook | OAuthApp
    tokens: Tokens | None
    bot: Bot | None
    transport: Transport
    plan: Plan | None
    limiter_url: str | None = field(default=None, repr=False)
    late: float = 90.0
    redirect_hosts: tuple[str, ...] = ()
    operating_limit: float = CLOUD_LIMIT

    @property
    def secrets(self) -> set[str]:
        """What must never be shown."""
        found = set(self.credential.secrets)
        if self.tokens is not None:
            found.update(self.tokens.secrets)
        if self.bot is not None and self.bot.token:
            found.add(self.bot.token)
        for url in (self.transport.proxy, self.limiter_url):
            if url and ("@" in url or "password=" in url):
                found.update({url, *_passwords(url)})
        return found


def _passwords(url: str) -> set[str]:
    """The password in a URL, as it is written there and as it is meant."""
    try:
        parts = urlsplit(url)
        named = [value for name, value in parse_qsl(parts.query) if name == "password"]
        written = parts.password or ""
    except ValueError:
        return set()
    return {written, unquote(written), *named} - {""}


def read_settings(
    *,
    host: str | None = None,
    port: int | None = None,
    schema: str | None = None,
    login: str | None = None,
    password: str | None = None,
    extra: Mapping[str, Any] | None = None,
) -> Settings:
    """Understand the fields of a connection.

    :raises ConfigurationError: naming the field that is wrong or missing, and what belongs there; never with a
        secret in it.
    """
    host = (host or "").strip()
    login = (login or "").strip()
    password = (password or "").strip()
    given = {
        name: value.strip() if isinstance(value, str) else value
        for name, value in (extra or {}).items()
        if value is not None and str(value).strip()
    }
    unknown = sorted(str(name) for name in given if name not in EXTRAS)
    if unknown:
        log.warning("The Bitrix24 connection has extra fields without a meaning: %s", ", ".join(unknown))
    if "/rest/" in host or "?" in host or "@" in host:
        raise ConfigurationError("the host of the connection holds more than an address", advice=_URL_IN_HOST)

    is_app = any(name in given for name in _APP_EXTRAS)
    if is_app and password:
        raise ConfigurationError(
            "the connection has a password (a webhook) and application keys as well",
            advice="Leave the password empty for an OAuth application, or remove client_id, client_secret and tokens.",
        )
    credential: Webhook | OAuthApp
    tokens = None
    if is_app:
        credential, tokens = _application(_address(host, port, schema), given)
    else:
        credential = _webhook(host, port, schema, login, password)
    limiter_url = str(given["limiter_url"]) if "limiter_url" in given else None
    return Settings(
        credential,
        tokens,
        _bot(given),
        _transport(given),
        _plan(given),
        limiter_url,
        _late(given),
        _redirect_hosts(given),
        _operating_limit(given),
    )


def _webhook(host: str, port: int | None, schema: str | None, login: str, password: str) -> Webhook:
    if not password:
        raise ConfigurationError(
            "the connection has no password",
            advice="Put the whole webhook URL there, or the webhook's code (then host and login are needed as well); "
            "for an OAuth application give client_id and client_secret as extra fields.",
        )
    if login and not (login.isascii() and login.isdecimal()):
        # Not shown: whoever mixed the fields up has put the code or the whole URL here.
        raise ConfigurationError(
            "the login of the connection is not a number",
            advice="It is the webhook's user id, the number after /rest/ in its URL; with the whole URL in the "
            "password it may stay empty.",
        )
    if "/" in password:
        webhook = Webhook.of_url(password if "://" in password else f"https://{password}")
        if host and _address(host, port, schema) != webhook.address:
            raise ConfigurationError(
                f"the host of the connection is {host!r}, and the webhook URL in the password names {webhook.address}",
                advice="Leave the host empty when the password is a whole webhook URL.",
            )
        if login and login != webhook.user_id:
            raise ConfigurationError(
                f"the login of the connection is {login!r}, and the webhook URL names user {webhook.user_id}",
                advice="Leave the login empty when the password is a whole webhook URL.",
            )
        return webhook
    if not host:
        raise ConfigurationError(
            "the connection has no host",
            advice="Give the portal's address, such as example.bitrix24.com, or put the whole webhook URL into the "
            "password.",
        )
    if not login:
        raise ConfigurationError(
            "the connection has no login",
            advice="It is the webhook's user id, the number after /rest/ in its URL; or put the whole URL into the "
            "password.",
        )
    return Webhook(_address(host, port, schema), login, password)


def _application(address: Address, extra: Mapping[str, Any]) -> tuple[OAuthApp, Tokens]:
    for name in ("client_id", "client_secret"):
        if not extra.get(name):
            raise ConfigurationError(
                f"the connection has no {name}", advice="Copy it from the application's card in the portal."
            )
    app = OAuthApp(
        address,
        str(extra["client_id"]),
        str(extra["client_secret"]),
        str(extra.get("oauth_url") or DEFAULT_OAUTH_URL),
    )
    return app, Tokens(str(extra.get("access_token") or ""), str(extra.get("refresh_token") or ""))


def _address(host: str, port: int | None, schema: str | None) -> Address:
    if not host:
        raise ConfigurationError(
            "the connection has no host", advice="Give the portal's address, such as example.bitrix24.com."
        )
    if "://" in host:
        named = Address.of_url(host)
        if host.split("://", 1)[1].strip("/").count("/"):
            raise ConfigurationError("the host of the connection holds more than an address", advice=_URL_IN_HOST)
        return Address(named.scheme, named.host, named.port or port)
    if host.count(":") == 1 and not port:
        host, _, text = host.partition(":")
        port = _whole("port", text)
    return Address((schema or "https").strip() or "https", host.strip("/"), port)


def _bot(extra: Mapping[str, Any]) -> Bot | None:
    if "bot_id" not in extra:
        if "bot_token" in extra:
            raise ConfigurationError(
                "the connection has a bot_token without a bot_id",
                advice="Give both, or neither; airflow bitrix24 bot register makes a bot and enters both.",
            )
        return None
    token = extra.get("bot_token")
    return Bot(_whole("bot_id", extra["bot_id"]), str(token) if token else None)


def _transport(extra: Mapping[str, Any]) -> Transport:
    settings: dict[str, Any] = {}
    if "timeout" in extra:
        settings["read_timeout"] = timeout = _number("timeout", extra["timeout"])
        if not 0 < timeout < 86400:
            raise ConfigurationError(
                f"timeout is {timeout:g}",
                advice="It is how many seconds to wait for an answer, above 0; the portal itself gives up after 60.",
            )
        settings["deadline"] = max(timeout, Transport.deadline)
    if "deadline" in extra:
        settings["deadline"] = _number("deadline", extra["deadline"])
    if "max_response_mb" in extra:
        size = _number("max_response_mb", extra["max_response_mb"])
        if not 0 < size <= _MOST_MEGABYTES:
            raise ConfigurationError(
                f"max_response_mb is {size:g}",
                advice=f"It is the largest answer that is read, in megabytes, up to {_MOST_MEGABYTES:,}; default 64.",
            )
        settings["most_bytes"] = max(1, int(size * 1e6))
    if "verify" in extra:
        verify = extra["verify"]
        flag = {"true": True, "false": False, "1": True, "0": False}.get(str(verify).strip().lower())
        settings["verify"] = str(verify) if flag is None else flag
    if "proxy" in extra:
        settings["proxy"] = str(extra["proxy"])
    return Transport(**settings)


def _late(extra: Mapping[str, Any]) -> float:
    longest = _number("longest_request", extra.get("longest_request", 60))
    if not 0 < longest < 86400:
        raise ConfigurationError(
            f"longest_request is {longest:g}",
            advice="It is after how many seconds the portal gives a request up, above 0; in the cloud, after 60.",
        )
    # It may take a while until the portal begins with it.
    return 1.5 * longest


def _redirect_hosts(extra: Mapping[str, Any]) -> tuple[str, ...]:
    names = extra.get("redirect_hosts", ())
    names = names.split(",") if isinstance(names, str) else names
    with suppress(ConfigurationError):
        if isinstance(names, (list, tuple)) and all(isinstance(name, str) for name in names):
            return tuple(Address("https", name).host for name in names if name.strip())
    # Not shown: something else may have got into the wrong field.
    raise ConfigurationError(
        "redirect_hosts of the connection is no list of host names",
        advice="Give hosts that a redirect may take the secret to, separated by commas: 'b24.acme.example'.",
    )


def _plan(extra: Mapping[str, Any]) -> Plan | None:
    name = str(extra.get("plan", "standard")).strip().lower()
    if name not in PLANS:
        raise ConfigurationError(
            f"plan is {name!r}" if name.isalpha() and len(name) < 12 else "plan is none that is known (not shown here)",
            advice="It is 'standard' (50 requests at once, 2 a second), 'enterprise' (250 and 5) or 'unlimited' "
            "(on-premise).",
        )
    plan = PLANS[name]
    if "burst" not in extra and "rate" not in extra:
        return plan
    burst, rate = (plan.burst, plan.rate) if plan else (None, None)
    if "burst" in extra:
        burst = _number("burst", extra["burst"])
    if "rate" in extra:
        rate = _number("rate", extra["rate"])
    if burst is None or rate is None:
        raise ConfigurationError(
            "with the plan 'unlimited', burst and rate go together", advice="Give both, or neither."
        )
    return Plan(burst, rate)


def _operating_limit(extra: Mapping[str, Any]) -> float:
    if "operating_limit" not in extra:
        return ON_PREMISE_LIMIT if str(extra.get("plan", "")).strip().lower() == "unlimited" else CLOUD_LIMIT
    limit = _number("operating_limit", extra["operating_limit"])
    if not 1 <= limit < 86400:
        raise ConfigurationError(
            f"operating_limit is {limit:g}",
            advice="It is how many seconds of execution time a method may use in ten minutes: 480 in the cloud, 420 "
            "on-premise unless the administrator has set another limit.",
        )
    return limit


def _number(name: str, value: Any) -> float:
    number = None if isinstance(value, bool) else as_number(value)
    if number is None:
        # Not shown: a token may have got into the wrong field.
        raise ConfigurationError(f"{name} of the connection is not a number", advice=f"Give {name} as a number.")
    return number


def _whole(name: str, value: Any) -> int:
    number = _number(name, value)
    if number != int(number) or number <= 0:
        raise ConfigurationError(f"{name} is {number:g}", advice="It is a whole number above zero.")
    return int(number)
