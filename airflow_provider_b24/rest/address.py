"""Where a portal lives: checking an address, and deciding which other address may be given the secret."""

from __future__ import annotations

import ipaddress
import re
from dataclasses import dataclass
from urllib.parse import urlsplit

from airflow_provider_b24.rest.errors import ConfigurationError

# The vendor's own cloud domains: a renamed portal stays inside this family.
_CLOUD_ZONES = tuple(
    f".bitrix24.{zone}"
    for zone in [
        "by",
        "cn",
        "co",
        "com",
        "com.br",
        "com.tr",
        "de",
        "es",
        "eu",
        "fr",
        "id",
        "in",
        "it",
        "jp",
        "kz",
        "la",
        "mx",
        "pl",
        "ru",
        "tech",
        "ua",
        "uk",
        "vn",
    ]
)
# Second-level labels under which registries sell names, so that "acme.co.uk" is one owner and "co.uk" is not.
_SECOND_LEVEL = frozenset(
    ["ac", "co", "com", "edu", "gob", "gov", "gub", "mil", "msk", "net", "nom", "or", "org", "spb"]
)

_LABEL = r"[a-z0-9_](?:[a-z0-9_-]{0,61}[a-z0-9_])?"
_HOST = re.compile(rf"(?=.{{1,253}}\Z){_LABEL}(?:\.{_LABEL})*\.?\Z")


def is_loopback(host: str) -> bool:
    """Whether a host name can only mean this machine."""
    if host == "localhost" or host.endswith(".localhost"):
        return True
    try:
        return ipaddress.ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return False


@dataclass(frozen=True)
class Address:
    """A portal's address: scheme, host and port, nothing secret.

    :raises ConfigurationError: for a host that can not be one, and for ``http`` off this machine
        (the portal refuses it, and the secret would travel in clear).
    """

    scheme: str
    host: str
    port: int | None = None

    def __post_init__(self) -> None:
        scheme, host = self.scheme.lower(), self.host.strip().lower()
        if scheme not in ("https", "http"):
            raise ConfigurationError(
                f"schema is {self.scheme!r}",
                advice="A portal is called by 'https'; leave the field 'schema' empty.",
            )
        try:
            # The interface that "%" names is this machine's business, and no part of a URL.
            literal = ipaddress.ip_address("" if "%" in host else host.strip("[]"))
            host = f"[{literal}]" if literal.version == 6 else str(literal)
        except ValueError:
            try:
                host = host.encode("idna").decode("ascii") if not host.isascii() else host
            except UnicodeError:
                host = ""
            if not _HOST.match(host):
                raise ConfigurationError(
                    "the portal's host is not a host name", advice="It looks like 'example.bitrix24.com'."
                ) from None
        if scheme == "http" and not is_loopback(host):
            raise ConfigurationError(
                f"http is refused for {host}",
                advice="The portal takes HTTPS only, and the secret would travel in clear: set 'schema' to https.",
            )
        if self.port is not None and not 0 < self.port < 65536:
            raise ConfigurationError(f"port is {self.port!r}", advice="A port is a number from 1 to 65535.")
        object.__setattr__(self, "scheme", scheme)
        object.__setattr__(self, "host", host)
        object.__setattr__(self, "port", None if self.port == {"https": 443, "http": 80}[scheme] else self.port)

    def __str__(self) -> str:
        return f"{self.scheme}://{self.host}" + (f":{self.port}" if self.port is not None else "")

    @classmethod
    def of_url(cls, url: str) -> Address:
        """The address part of a URL.

        :raises ConfigurationError: if there is none.
        """
        try:
            parts = urlsplit(url)
            host, port = parts.hostname, parts.port
        except ValueError:
            host, port, parts = None, None, urlsplit("")
        if not host:
            raise ConfigurationError("this is not the URL of a portal", advice="It starts with https:// and a host.")
        return cls(parts.scheme, host, port)

    def may_become(self, other: Address) -> bool:
        """Whether a redirect from here may take the secret to ``other``.

        Only over HTTPS (or on this machine), and only inside the same owner's domain: the vendor's cloud family
        for a cloud portal, the same registered domain for any other.
        """
        if is_loopback(self.host) or is_loopback(other.host):
            return is_loopback(self.host) and is_loopback(other.host) and other.scheme >= self.scheme
        if other.scheme != "https":
            return False
        if self.host.endswith(_CLOUD_ZONES):
            return other.host.endswith(_CLOUD_ZONES)
        return self.host == other.host or (
            registered_domain(self.host) is not None and registered_domain(self.host) == registered_domain(other.host)
        )


def registered_domain(host: str) -> str | None:
    """The part of a host name that one owner registered; None for IP addresses and bare names."""
    labels = host.rstrip(".").split(".")
    if len(labels) < 2 or labels[-1].isdigit() or ":" in host:
        return None
    size = 3 if labels[-2] in _SECOND_LEVEL else 2
    return ".".join(labels[-size:]) if len(labels) >= size else None
