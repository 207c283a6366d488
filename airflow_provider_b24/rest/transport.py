"""What the synchronous and the asynchronous driver share: settings of a connection, and words for its failures."""

from __future__ import annotations

import errno
import io
import logging
import os
import socket
import ssl
import urllib.request
import zlib
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any
from urllib.parse import urlsplit

from airflow_provider_b24.rest.credentials import redact
from airflow_provider_b24.rest.errors import ConfigurationError
from airflow_provider_b24.rest.lanes import MOST_LANES
from airflow_provider_b24.rest.steps import Failure


@dataclass(frozen=True)
class Transport:
    """How requests travel.

    :ivar connect_timeout: seconds to reach the portal. Default 5.
    :ivar read_timeout: seconds without a byte until an answer counts as lost. Default 65, for the portal
        itself gives up after 60.
    :ivar deadline: seconds until an answer that is not complete counts as lost, however much of it comes in. They
        begin when the connection is looked for. Default 300. Files have as much again as they need at 2 Mbit/s, and
        must get on within the read time-out, always.
    :ivar verify: True (the usual authorities, or those that ``REQUESTS_CA_BUNDLE``, ``CURL_CA_BUNDLE`` or
        ``SSL_CERT_FILE`` name), False (no check), or the path of a file of authorities.
    :ivar proxy: URL of a proxy for all requests; default: what the environment says (``HTTPS_PROXY``,
        ``NO_PROXY``).
    :ivar most_bytes: the largest answer that is read, in bytes, unpacked. Default 64 MB. In memory it may take
        thirty times as much, if it consists of nothing but tiny objects; an answer of rows takes four times.
    :ivar connections: how many connections to a portal are kept, once they were needed at once. Default 40:
        one for each lane there can be.
    :ivar idle: seconds after which an unused connection is not trusted any more. Default 15.
    """

    connect_timeout: float = 5.0
    read_timeout: float = 65.0
    deadline: float = 300.0
    verify: bool | str = True
    proxy: str | None = field(default=None, repr=False)
    most_bytes: int = 64_000_000
    connections: int = MOST_LANES
    idle: float = 15.0

    def __post_init__(self) -> None:
        for name in ("connect_timeout", "read_timeout", "deadline"):
            if not 0 < getattr(self, name) < 86400:
                raise ConfigurationError(f"{name} is {getattr(self, name)!r}", advice="It is a number of seconds.")
        if isinstance(self.verify, str) and not os.path.exists(self.verify):
            # Shown if it looks like the path of a file: a secret may have got into the wrong field.
            named = repr(self.verify) if self.verify.startswith(("/", "~", ".")) else "a file (it is not shown here)"
            raise ConfigurationError(
                f"verify names {named}, and there is no such file on this machine",
                advice="It is true, false, or the path of a file with certificates in PEM form.",
            )
        if self.proxy is not None and not _is_proxy(self.proxy):
            raise ConfigurationError(
                "proxy is not the URL of a proxy (it is not shown here)", advice="Like http://proxy.example:3128."
            )

    def seconds(self, deadline: float | None, sending: float = 0.0) -> tuple[float, float, float]:
        """How long an exchange waits for a connection, for each further byte, and in all.

        :param deadline: of one request, where the usual times are not meant.
        :param sending: what its files may take besides.
        """
        whole = (deadline or self.deadline) + sending
        return min(self.connect_timeout, whole), min(deadline or self.read_timeout, whole), whole

    @property
    def most_received(self) -> int:
        """How many bytes are received for an answer: with headers, and with what tells its pieces apart."""
        return 2 * self.most_bytes + 1_000_000

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

    def proxy_for(self, url: str) -> str | None:
        """The proxy on the way to a URL: the one that is set, else the environment's, else none.

        :raises ConfigurationError: if the environment names something that is no proxy.
        """
        if self.proxy is not None or not urllib.request.getproxies():
            return self.proxy
        # Knows more ways to write NO_PROXY than the standard library; not needed where there is no proxy.
        from requests.utils import get_environ_proxies, select_proxy

        proxy = select_proxy(url, get_environ_proxies(url))
        del url
        if proxy and "://" not in proxy:
            proxy = f"http://{proxy}"
        if proxy and not _is_proxy(proxy):
            del proxy
            raise ConfigurationError(
                "the environment names a proxy that is not the URL of one (it is not shown here)",
                advice="Look at HTTPS_PROXY, HTTP_PROXY and ALL_PROXY; one looks like http://proxy.example:3128.",
            )
        return proxy or None


def _is_proxy(url: str) -> bool:
    try:
        parts = urlsplit(url)
        known = parts.scheme in ("http", "https", "socks5", "socks5h") and (parts.port is None or parts.port > 0)
    except ValueError:
        return False
    return known and bool(parts.hostname) and url.isascii() and url.isprintable() and " " not in url


def unusable_proxy() -> ConfigurationError:
    """The proxy is of a kind for which there is no library."""
    return ConfigurationError(
        "the proxy is of a kind that needs another library",
        advice="For a SOCKS proxy: pip install 'requests[socks]' 'httpx[socks]'.",
    )


@lru_cache(maxsize=8)
def ssl_context(authorities: bool | str) -> ssl.SSLContext:
    """A context for these authorities; shared, because loading them takes some 20 ms.

    :raises ConfigurationError: if they can not be read.
    """
    if authorities is False:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
        return context
    assert isinstance(authorities, str)
    try:
        if os.path.isdir(authorities):
            return ssl.create_default_context(capath=authorities)
        return ssl.create_default_context(cafile=authorities)
    except OSError as error:
        problem = getattr(error, "reason", None) or error.strerror
    raise ConfigurationError(
        f"the certificate authorities in {authorities!r} can not be read ({problem})",
        advice="It is a file with certificates in PEM form: the extra field 'verify' of the connection, or "
        "REQUESTS_CA_BUNDLE, CURL_CA_BUNDLE or SSL_CERT_FILE.",
    )


class TooMuchError(OSError):
    """More comes in than an answer can need."""


class Body:
    """An answer as it comes in, unpacked no further than to a size: few packed bytes can stand for very many.

    :param encoding: the answer's ``Content-Encoding``.
    :param most_bytes: the size.
    """

    def __init__(self, encoding: str, most_bytes: int) -> None:
        self._most_bytes = most_bytes
        self._content = io.BytesIO()
        self._unpacker: Any = None
        self._begun = False
        self._problem: Failure | None = None
        encoding = encoding.strip().lower()
        if encoding in ("gzip", "x-gzip", "deflate"):
            self._unpacker = zlib.decompressobj(zlib.MAX_WBITS | 32)
        elif encoding not in ("", "identity"):
            self._problem = Failure("the answer is compressed in a way that was not asked for", sent=True)

    def take(self, piece: bytes) -> bool:
        """Take the next bytes in; whether more can be taken."""
        self._begun = True
        if self._unpacker is not None:
            try:
                piece = self._unpacker.decompress(piece, self._most_bytes - self._content.tell() + 1)
            except zlib.error:
                self._problem = Failure("the answer's compression is broken", sent=True)
        self._content.write(piece)
        if self._content.tell() > self._most_bytes:
            self._problem = too_large(self._most_bytes)
        return self._problem is None

    def whole(self) -> bytes | Failure:
        """All of it, or why not."""
        if self._problem is not None:
            return self._problem
        if self._unpacker is not None and self._begun and not self._unpacker.eof:
            return Failure("the answer's compression is broken", sent=True)
        return self._content.getvalue()


def too_large(most_bytes: int) -> Failure:
    """An answer was not read to its end."""
    return Failure(
        f"the answer is larger than {most_bytes / 1e6:g} MB and was not read to its end",
        sent=True,
        advice="Ask for fewer rows or fields at once; or allow more in the extra field 'max_response_mb' of the "
        "connection.",
    )


class SecretsOff(logging.Filter):
    """Takes the secrets out of the URLs that a library writes into its log."""

    def filter(self, record: logging.LogRecord) -> bool:
        record.msg, record.args = redact(record.getMessage(), ()), None
        return True


def cut_short(*, late: bool) -> Failure:
    """A request with files in it that did not get to its end, so that the portal can not have read it."""
    if late:
        return Failure("the line stood still while a file was being sent", sent=False)
    return Failure(
        "the connection broke off while a file was being sent; so do web servers that take no request so large",
        sent=False,
    )


def describe(error: BaseException, *, sent: bool, waited: float, late: float | None = None) -> Failure:
    """A library's exception in words of ours, which can not contain the URL.

    :param sent: whether the library says that the request may have left.
    :param waited: the read time-out, for the case that it ended.
    :param late: the deadline, if it has passed.
    """
    found = list(causes(error))
    for cause in found:
        if isinstance(cause, ssl.SSLCertVerificationError):
            reason = getattr(cause, "verify_message", None) or "no reason given"
            return Failure(f"the TLS certificate is not trusted: {reason}", sent=False, certificate=True)
    if is_timeout(error):
        if not sent:
            return Failure("no connection in time", sent=False)
        if late is None or late <= waited:
            return Failure(f"no answer within {waited:g} s", sent=True)
        return Failure(f"no complete answer within {late:g} s (the connection's extra field 'deadline')", sent=True)
    for cause in found:
        if isinstance(cause, (ssl.SSLEOFError, ssl.SSLZeroReturnError)):
            return Failure("the TLS connection broke off", sent=sent)
        if isinstance(cause, ssl.SSLError):
            reason = getattr(cause, "reason", None)
            return Failure(f"TLS failed ({reason})" if reason else "TLS failed", sent=sent)
        if isinstance(cause, socket.gaierror):
            return Failure("the host name can not be resolved", sent=False)
        if isinstance(cause, ConnectionRefusedError):
            return Failure("the connection was refused", sent=False)
        if isinstance(cause, OSError) and cause.errno in (errno.ENETUNREACH, errno.EHOSTUNREACH):
            return Failure("the host can not be reached", sent=False)
    if sent:
        return Failure("the connection broke off before the answer was complete", sent=True)
    if any("Proxy" in type(cause).__name__ or "Tunnel" in str(cause) for cause in found):
        return Failure("the proxy did not let the connection through", sent=False)
    return Failure("no connection could be made", sent=False)


def is_timeout(error: BaseException) -> bool:
    """Whether something took too long."""
    return any(isinstance(cause, TimeoutError) or "Timeout" in type(cause).__name__ for cause in causes(error))


def causes(error: BaseException) -> Iterator[BaseException]:
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
        waiting += getattr(item, "exceptions", ())
