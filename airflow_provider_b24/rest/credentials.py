"""Where a call goes and what proves it: the two kinds of credential, each with a repr without secrets."""

from __future__ import annotations

import base64
import html
import json
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import Protocol
from urllib.parse import quote, quote_plus, urlsplit

from airflow_provider_b24.rest.address import Address
from airflow_provider_b24.rest.errors import ConfigurationError

DEFAULT_OAUTH_URL = "https://oauth.bitrix24.tech/oauth/token/"

_WEBHOOK_PATH = re.compile(r"/rest/(?:api/)?(?P<user>[0-9]+)/(?P<code>[^/]+)(?:/[^/]*)?/?\Z")
_CODE = re.compile(r"(?!\.+\Z)[A-Za-z0-9._~-]+\Z")
_PLAIN_URL = re.compile(r"https?://[A-Za-z0-9._~:/\[\]-]+\Z", re.IGNORECASE)
_IN_WEBHOOK = re.compile(r"(/rest/(?:api/)?\d+/)[^/\s?#\"'<>]+")
_IN_HEX = re.compile(r"%[0-9A-F]{2}")
_IN_USERINFO = re.compile(r"(://[^\s/?#:@]*:)[^\s/?#@]+(?=@)")
_IN_QUERY = re.compile(r"([?&](?:client_secret|refresh_token|access_token|auth|code)=)[^&\s\"'<>]+")


@dataclass(frozen=True, init=False)
class Webhook:
    """An incoming webhook: the secret ``code`` stands in the path of every call.

    :ivar address: the portal.
    :ivar user_id: the id of the user who made the webhook, and as whom it acts.
    :ivar code: the secret.
    :raises ConfigurationError: for a user id that is no number, or a code with characters no code has.
    """

    address: Address
    user_id: str
    code: str = field(repr=False)

    def __init__(self, address: Address, user_id: str, code: str) -> None:
        user_id = str(user_id)
        is_number = user_id.isascii() and user_id.isdecimal()
        is_code = _CODE.match(code) is not None
        # Whoever mixes the two up has the code for a user id; and the locals of this frame are in the tracebacks of
        # the errors below.
        object.__setattr__(self, "address", address)
        object.__setattr__(self, "user_id", user_id if is_number else "")
        object.__setattr__(self, "code", code)
        del user_id, code
        if not is_number:
            raise ConfigurationError(
                "the webhook's user id is no number (it is not shown here)",
                advice="It is the number after /rest/ in the webhook URL.",
            )
        if not is_code:
            raise ConfigurationError(
                "the webhook's code has characters that no code has (it is not shown here)",
                advice="It is the part after the user id in the webhook URL; the whole URL will do as well.",
            )

    @classmethod
    def of_url(cls, url: str) -> Webhook:
        """Read a webhook URL as the portal shows it, with or without a method at its end.

        :raises ConfigurationError: if it is not one; the URL is not repeated in the message.
        """
        found = _taken_apart(url)
        # The locals of this frame are in the tracebacks of the errors below.
        del url
        if found is None:
            raise ConfigurationError(
                "this is not the URL of an incoming webhook (it is not shown here)",
                advice="It looks like https://example.bitrix24.com/rest/1/CODE/ and is copied from the portal: "
                "Applications - Developer resources - Other - Inbound webhook.",
            )
        return cls(Address.of_url(found.origin), found.user_id, found.code)

    @property
    def secrets(self) -> tuple[str, ...]:
        """What must never be shown."""
        return (self.code,)


@dataclass(frozen=True)
class _Found:
    """The parts of a webhook URL."""

    origin: str
    user_id: str
    code: str = field(repr=False)


def _taken_apart(url: str) -> _Found | None:
    try:
        parts = urlsplit(url.strip())
    except ValueError:
        return None
    match = _WEBHOOK_PATH.match(parts.path)
    # Without what may stand before an @: it is no part of an address, and may be secret.
    origin = f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}"
    return _Found(origin, match["user"], match["code"]) if match else None


@dataclass(frozen=True)
class Tokens:
    """What the authorisation server hands out: an access token for an hour, a refresh token for its renewal.

    :ivar endpoint: the portal's REST address as the server named it (``client_endpoint``), or None.
    """

    access_token: str = field(repr=False)
    refresh_token: str = field(repr=False)
    endpoint: str | None = None

    @property
    def secrets(self) -> tuple[str, ...]:
        """What must never be shown."""
        return tuple(token for token in (self.access_token, self.refresh_token) if token)


@dataclass(frozen=True)
class AuthorizationCode:
    """What the portal gives to a user who lets an application act for him: good once, within 30 s, for tokens."""

    code: str = field(repr=False)

    @property
    def secrets(self) -> tuple[str, ...]:
        """What must never be shown."""
        return (self.code,)


@dataclass(frozen=True)
class OAuthApp:
    """A local or marketplace application that calls with renewable tokens.

    :ivar address: the portal.
    :ivar client_id: the application's key.
    :ivar client_secret: its secret.
    :ivar oauth_url: the authorisation server's token address.
    :raises ConfigurationError: if the key or its secret is missing.
    """

    address: Address
    client_id: str
    client_secret: str = field(repr=False)
    oauth_url: str = DEFAULT_OAUTH_URL

    def __post_init__(self) -> None:
        for name in ("client_id", "client_secret"):
            if not getattr(self, name):
                raise ConfigurationError(
                    f"{name} is empty", advice="Copy it from the application's card in the portal."
                )
        Address.of_url(self.oauth_url)
        if not _PLAIN_URL.match(self.oauth_url):
            raise ConfigurationError(
                "oauth_url is more than a plain address",
                advice=f"Leave it empty, or give one like {DEFAULT_OAUTH_URL}.",
            )

    @property
    def secrets(self) -> tuple[str, ...]:
        """What must never be shown."""
        return (self.client_secret,)


Credential = Webhook | OAuthApp


class TokenStore(Protocol):
    """Where an application's tokens are kept between calls. Renewed tokens are saved before they are used."""

    def load(self) -> Tokens:
        """The newest tokens."""

    def save(self, tokens: Tokens) -> None:
        """Keep renewed tokens; returns when they are safe."""


class MemoryTokenStore:
    """Tokens that live as long as this object."""

    def __init__(self, tokens: Tokens) -> None:
        self._tokens = tokens

    def load(self) -> Tokens:
        """The newest tokens."""
        return self._tokens

    def save(self, tokens: Tokens) -> None:
        """Keep renewed tokens."""
        self._tokens = tokens


def forms(secret: str) -> set[str]:
    """Every form in which a secret may turn up in a text.

    As it is; in a URL, once or twice encoded; in JSON; in HTML; in base64, by itself and as a part of anything longer.
    """
    raw = secret.encode(errors="surrogatepass")
    quoted = {quote(raw, safe=""), quote_plus(raw), quote(raw)}
    quoted |= {_IN_HEX.sub(lambda match: match[0].lower(), text) for text in quoted}
    in_json = {json.dumps(secret)[1:-1], json.dumps(secret, ensure_ascii=False)[1:-1]}
    return {
        secret,
        html.escape(secret),
        *quoted,
        *(quote(text, safe="") for text in quoted),
        *in_json,
        # as PHP writes it
        *(text.replace("/", "\\/") for text in in_json),
        *_in_base64(raw),
    }


def _in_base64(raw: bytes) -> Iterator[str]:
    """What a secret becomes depends on how many bytes stand before it, for three of them are four letters."""
    for encode in (base64.b64encode, base64.urlsafe_b64encode):
        yield encode(raw).decode()
        yield encode(raw).decode().rstrip("=")
        for before, shared in ((0, 0), (1, 2), (2, 3)):
            # Without the letters that it shares with its neighbours.
            yield encode(b" " * before + raw).decode()[shared : (before + len(raw)) * 8 // 6]


def redact(text: str, secrets: Iterable[str]) -> str:
    """The text with every form of the given secrets, and what is secret in any URL, replaced by ``***``."""
    for secret in secrets:
        if len(secret) >= 4:
            for form in sorted(forms(secret), key=len, reverse=True):
                text = text.replace(form, "***")
    for pattern in (_IN_WEBHOOK, _IN_QUERY, _IN_USERINFO):
        text = pattern.sub(r"\1***", text)
    return text
