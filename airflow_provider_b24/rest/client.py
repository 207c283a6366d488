"""Client: carries conversations out over ``requests``."""

from __future__ import annotations

import threading
from collections.abc import Callable, Generator, Hashable, Iterator, Mapping, Sequence
from types import TracebackType
from typing import Any, TypeVar

import requests
import urllib3
from requests.adapters import HTTPAdapter
from requests.structures import CaseInsensitiveDict

from airflow_provider_b24.rest import transport
from airflow_provider_b24.rest.batch import BatchReply, converse_batch
from airflow_provider_b24.rest.conversation import (
    Failure,
    Patience,
    Peer,
    Renew,
    Send,
    Step,
    Wait,
    converse,
    renewal,
)
from airflow_provider_b24.rest.credentials import Tokens
from airflow_provider_b24.rest.listing import reader_for
from airflow_provider_b24.rest.protocol import Call, Reply, Request, Response

T = TypeVar("T")


class Client:
    """Calls one portal, over connections that are kept.

    May be shared by threads. Close it, or use it as a context manager.

    :param peer: the portal, the credential and what is known of its limits.
    :param settings: time-outs, certificates, proxy.
    """

    def __init__(self, peer: Peer, settings: transport.Transport | None = None) -> None:
        self.peer = peer
        self.settings = settings or transport.Transport()
        self._renewing = threading.Lock()
        self._used = peer.clock.monotonic()
        self._session = requests.Session()
        adapter = HTTPAdapter(pool_connections=4, pool_maxsize=self.settings.connections)
        self._session.mount("https://", adapter)
        self._session.mount("http://", adapter)
        self._options: dict[str, dict[str, Any]] = {}

    def __repr__(self) -> str:
        return f"Client({self.peer!r})"

    def __enter__(self) -> Client:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Close the connections. The client may be used again; it opens new ones."""
        self._session.close()

    def call(self, call: Call, *, patience: Patience | None = None) -> Reply:
        """Carry out one call.

        :raises Bitrix24Error: see :mod:`~airflow_provider_b24.rest.errors`.
        """
        return self._drive(converse(self.peer, call, patience=patience))

    def batch(
        self,
        calls: Mapping[Hashable, Call] | Sequence[Call],
        *,
        halt: bool | None = None,
        patience: Patience | None = None,
    ) -> BatchReply[Any]:
        """Carry out any number of calls, 50 to a request; see :func:`~.batch.converse_batch`."""
        return self._drive(converse_batch(self.peer, calls, halt=halt, patience=patience))

    def iterate(self, method: str, params: Mapping[str, Any] | None = None, *, version: int = 2) -> Iterator[Any]:
        """Every row of a list method, page by page; see :func:`~.listing.reader_for`."""
        reader = reader_for(method, params or {}, version=version)
        while (call := reader.next_call()) is not None:
            yield from reader.feed(self.call(call))

    def run(self, conversation: Callable[[Peer], Generator[Step, Any, T]]) -> T:
        """Carry out a conversation of several calls, made for this client's peer."""
        return self._drive(conversation(self.peer))

    def _drive(self, conversation: Generator[Step, Any, T]) -> T:
        outcome: Any = None
        try:
            while True:
                step = conversation.send(outcome)
                if isinstance(step, Send):
                    outcome = self._exchange(step.request, step.read_timeout or self.settings.read_timeout)
                elif isinstance(step, Wait):
                    self.peer.clock.sleep(step.seconds)
                    outcome = None
                else:
                    outcome = self._renew(step)
        except StopIteration as stop:
            return stop.value  # type: ignore[no-any-return]

    def _renew(self, step: Renew) -> Tokens:
        store = self.peer.tokens
        assert store is not None
        with self._renewing:
            tokens = store.load()
            if tokens.access_token == step.stale:
                tokens = self._drive(renewal(self.peer, tokens))
                store.save(tokens)
        return tokens

    def _exchange(self, request: Request, read_timeout: float) -> Response | Failure:
        settings = self.settings
        self._drop_stale_connections()
        prepared = requests.PreparedRequest()
        prepared.method, prepared.url, prepared.body = request.verb, request.url, request.body
        prepared.headers = CaseInsensitiveDict(request.headers)
        prepared.hooks = {"response": []}
        if request.body is not None:
            prepared.headers["Content-Length"] = str(len(request.body))
        try:
            response = self._session.send(
                prepared,
                timeout=(settings.connect_timeout, read_timeout),
                allow_redirects=False,
                stream=True,
                **self._environment(prepared),
            )
            # One byte more than is taken tells an answer that fits from one that does not.
            body = response.raw.read(settings.most_bytes + 1, decode_content=True)
            if len(body) > settings.most_bytes:
                response.close()
                return transport.too_big(settings.most_bytes)
            response.raw.release_conn()
            return Response(
                response.status_code, {name.lower(): value for name, value in response.headers.items()}, body
            )
        except (requests.RequestException, urllib3.exceptions.HTTPError, OSError) as error:
            return transport.describe(error, sent=_may_have_left(error), waited=read_timeout)

    def _environment(self, prepared: requests.PreparedRequest) -> dict[str, Any]:
        """Certificates and proxies for a host; looked up once, for the look-up costs as much as a small call."""
        assert prepared.url is not None
        host = prepared.url.split("/", 3)[2]
        if host not in self._options:
            proxies: Any = {"http": self.settings.proxy, "https": self.settings.proxy} if self.settings.proxy else None
            if proxies is None:
                proxies = requests.utils.get_environ_proxies(prepared.url)
            self._options[host] = {"verify": self.settings.authorities, "proxies": proxies, "cert": None}
        return self._options[host]

    def _drop_stale_connections(self) -> None:
        """A server closes what idles; a call on such a connection would end with its outcome unknown."""
        now = self.peer.clock.monotonic()
        if now - self._used > self.settings.idle:
            self._session.close()
        self._used = now


def _may_have_left(error: BaseException) -> bool:
    """Whether the request may have reached the portal before this happened."""
    if isinstance(error, (requests.ConnectTimeout, requests.exceptions.ProxyError, requests.exceptions.InvalidURL)):
        return False
    if isinstance(error, requests.ConnectionError) and error.args:
        reason = getattr(error.args[0], "reason", None)
        return not isinstance(reason, urllib3.exceptions.NewConnectionError)
    return True
