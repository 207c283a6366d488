"""Where a portal lives: checking an address, and deciding which other address may be given the secret."""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Collection
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
_LABEL = r"[a-z0-9_](?:[a-z0-9_-]{0,61}[a-z0-9_])?"
_HOST = re.compile(rf"(?=.{{1,253}}\Z){_LABEL}(?:\.{_LABEL})*\.?\Z")


def is_loopback(host: str) -> bool:
    """Whether a host name can only mean this machine.

    A name below ``localhost`` should, too, but there are resolvers that ask the network for it.
    """
    if host == "localhost":
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
            # A whole webhook URL may have got into the wrong field.
            short = self.scheme.isalpha() and len(self.scheme) < 8
            raise ConfigurationError(
                f"schema is {self.scheme!r}" if short else "schema is neither https nor http (it is not shown here)",
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

    @property
    def is_cloud(self) -> bool:
        """Whether it is of the vendor's own cloud."""
        return self.host.endswith(_CLOUD_ZONES)

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

    def may_become(self, other: Address, allowed: Collection[str] = ()) -> bool:
        """Whether a redirect from here may take the secret to ``other``.

        Only over HTTPS (or on this machine), and only to the same host, to one below it, from one cloud portal of the
        vendor's to another, or to a host that the user has allowed. Two hosts below one domain need not have one owner
        (``a.dyndns.example`` and ``b.dyndns.example`` have not), and no name tells.

        :param allowed: host names; each stands for itself and for all that is below it.
        """
        if other.scheme == "https" and any(other._is_within(host) for host in allowed):
            return True
        if is_loopback(self.host) or is_loopback(other.host):
            return is_loopback(self.host) and is_loopback(other.host) and other.scheme >= self.scheme
        if other.scheme != "https":
            return False
        if self.is_cloud:
            return other.is_cloud
        return other._is_within(self.host)

    def _is_within(self, host: str) -> bool:
        return self.host == host or ("." in host and self.host.endswith(f".{host}"))
