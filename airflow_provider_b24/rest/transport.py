"""What the synchronous and the asynchronous driver share: settings of a connection, and words for its failures."""

from __future__ import annotations

import errno
import os
import socket
import ssl
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import lru_cache
from urllib.parse import urlsplit

from airflow_provider_b24.rest.conversation import Failure
from airflow_provider_b24.rest.errors import ConfigurationError


@dataclass(frozen=True)
class Transport:
    """How requests travel.

    :ivar connect_timeout: seconds to reach the portal. Default 5.
    :ivar read_timeout: seconds without a byte until an answer counts as lost. Default 65, for the portal
        itself gives up after 60.
    :ivar verify: True (the usual authorities, or those that ``REQUESTS_CA_BUNDLE``, ``CURL_CA_BUNDLE`` or
        ``SSL_CERT_FILE`` name), False (no check), or the path of a file of authorities.
    :ivar proxy: URL of a proxy for all requests; default: what the environment says (``HTTPS_PROXY``,
        ``NO_PROXY``).
    :ivar most_bytes: the largest answer that is read, in bytes. Default 64 MB.
    :ivar connections: how many connections to a portal are kept. Default 8.
    :ivar idle: seconds after which an unused connection is not trusted any more. Default 15.
    """

    connect_timeout: float = 5.0
    read_timeout: float = 65.0
    verify: bool | str = True
    proxy: str | None = field(default=None, repr=False)
    most_bytes: int = 64_000_000
    connections: int = 8
    idle: float = 15.0

    def __post_init__(self) -> None:
        for name in ("connect_timeout", "read_timeout"):
            if not 0 < getattr(self, name) < 86400:
                raise ConfigurationError(f"{name} is {getattr(self, name)!r}", advice="It is a number of seconds.")
        if isinstance(self.verify, str) and not os.path.exists(self.verify):
            raise ConfigurationError(
                f"verify names {self.verify!r}, and there is no such file on this machine",
                advice="It is true, false, or the path of a file with certificates in PEM form.",
            )
        if self.proxy is not None:
            try:
                parts = urlsplit(self.proxy)
                fine = parts.scheme in ("http", "https", "socks5", "socks5h") and bool(parts.hostname)
            except ValueError:
                fine = False
            if not fine:
                raise ConfigurationError(
                    "proxy is not the URL of a proxy (it is not shown here)",
                    advice="Like http://proxy.example:3128.",
                )

    @property
    def authorities(self) -> bool | str:
        """The file of certificate authorities, or False for no check."""
        if self.verify is not True:
            return self.verify
        import certifi

        for name in ("REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE", "SSL_CERT_FILE"):
            path = os.environ.get(name)
            if path and os.path.exists(path):
                return path
        return certifi.where()


@lru_cache(maxsize=8)
def ssl_context(authorities: bool | str) -> ssl.SSLContext:
    """A context for asynchronous clients; shared, because loading the authorities takes some 20 ms."""
    if authorities is False:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
        return context
    assert isinstance(authorities, str)
    if os.path.isdir(authorities):
        return ssl.create_default_context(capath=authorities)
    return ssl.create_default_context(cafile=authorities)


def too_big(most_bytes: int) -> Failure:
    """The answer was cut off."""
    return Failure(f"the answer is larger than {most_bytes / 1e6:.0f} MB and was not read to its end", sent=True)


def describe(error: BaseException, *, sent: bool, waited: float) -> Failure:
    """A library's exception in words of ours, which can not contain the URL.

    :param sent: whether the library says that the request may have left.
    :param waited: the read time-out, for the case that it ended.
    """
    for cause in _causes(error):
        if isinstance(cause, ssl.SSLCertVerificationError):
            return Failure(f"the TLS certificate is not trusted: {cause.verify_message}", sent=False, certificate=True)
    for cause in _causes(error):
        if isinstance(cause, (ssl.SSLEOFError, ssl.SSLZeroReturnError)):
            return Failure("the TLS connection broke off", sent=sent)
        if isinstance(cause, ssl.SSLError):
            return Failure(f"TLS failed ({cause.reason or 'no reason given'})", sent=sent)
        if isinstance(cause, socket.gaierror):
            return Failure("the host name can not be resolved", sent=False)
        if isinstance(cause, ConnectionRefusedError):
            return Failure("the connection was refused", sent=False)
        if isinstance(cause, OSError) and cause.errno in (errno.ENETUNREACH, errno.EHOSTUNREACH):
            return Failure("the host can not be reached", sent=False)
    names = {type(cause).__name__ for cause in _causes(error)}
    if not sent and any("Proxy" in name for name in names):
        return Failure("the proxy did not let the connection through", sent=False)
    if not sent:
        timed_out = any("Timeout" in name for name in names)
        return Failure("no connection in time" if timed_out else "no connection could be made", sent=False)
    if any("Timeout" in name for name in names):
        return Failure(f"no answer within {waited:g} s", sent=True)
    if any("Decod" in name or "Decompress" in name for name in names):
        return Failure("the answer's compression is broken", sent=True)
    return Failure("the connection broke off before the answer was complete", sent=True)


def _causes(error: BaseException) -> Iterator[BaseException]:
    """An exception with all that it wraps, by whichever of the ways the libraries use."""
    seen: set[int] = set()
    waiting: list[object] = [error]
    while waiting:
        item = waiting.pop()
        if not isinstance(item, BaseException) or id(item) in seen:
            continue
        seen.add(id(item))
        yield item
        waiting += [item.__cause__, item.__context__, getattr(item, "reason", None), *item.args]
