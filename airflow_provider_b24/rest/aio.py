"""AsyncClient: carries the same conversations out over ``httpx``."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Generator, Hashable, Mapping, Sequence
from types import TracebackType
from typing import Any, TypeVar

import httpx

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


class AsyncClient:
    """Calls one portal from one event loop, over connections that are kept.

    Close it, or use it as an asynchronous context manager.

    :param peer: the portal, the credential and what is known of its limits.
    :param settings: time-outs, certificates, proxy.
    """

    def __init__(self, peer: Peer, settings: transport.Transport | None = None) -> None:
        self.peer = peer
        self.settings = settings or transport.Transport()
        self._renewing = asyncio.Lock()
        timeout = httpx.Timeout(self.settings.read_timeout, connect=self.settings.connect_timeout)
        self._http = httpx.AsyncClient(
            verify=transport.ssl_context(self.settings.authorities),
            proxy=self.settings.proxy,
            timeout=timeout,
            follow_redirects=False,
            limits=httpx.Limits(
                max_connections=None,
                max_keepalive_connections=self.settings.connections,
                keepalive_expiry=self.settings.idle,
            ),
        )
        self._urls: dict[str, httpx.URL] = {}

    def __repr__(self) -> str:
        return f"AsyncClient({self.peer!r})"

    async def __aenter__(self) -> AsyncClient:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.aclose()

    async def aclose(self) -> None:
        """Close the connections. The client can not be used again."""
        await self._http.aclose()

    async def call(self, call: Call, *, patience: Patience | None = None) -> Reply:
        """Carry out one call.

        :raises Bitrix24Error: see :mod:`~airflow_provider_b24.rest.errors`.
        """
        return await self._drive(converse(self.peer, call, patience=patience))

    async def batch(
        self,
        calls: Mapping[Hashable, Call] | Sequence[Call],
        *,
        halt: bool | None = None,
        patience: Patience | None = None,
    ) -> BatchReply[Any]:
        """Carry out any number of calls, 50 to a request; see :func:`~.batch.converse_batch`."""
        return await self._drive(converse_batch(self.peer, calls, halt=halt, patience=patience))

    async def iterate(
        self, method: str, params: Mapping[str, Any] | None = None, *, version: int = 2
    ) -> AsyncIterator[Any]:
        """Every row of a list method, page by page; see :func:`~.listing.reader_for`."""
        reader = reader_for(method, params or {}, version=version)
        while (call := reader.next_call()) is not None:
            for row in reader.feed(await self.call(call)):
                yield row

    async def run(self, conversation: Callable[[Peer], Generator[Step, Any, T]]) -> T:
        """Carry out a conversation of several calls, made for this client's peer."""
        return await self._drive(conversation(self.peer))

    async def _drive(self, conversation: Generator[Step, Any, T]) -> T:
        outcome: Any = None
        try:
            while True:
                step = conversation.send(outcome)
                if isinstance(step, Send):
                    outcome = await self._exchange(step.request, step.read_timeout or self.settings.read_timeout)
                elif isinstance(step, Wait):
                    await self.peer.clock.asleep(step.seconds)
                    outcome = None
                else:
                    outcome = await self._renew(step)
        except StopIteration as stop:
            return stop.value  # type: ignore[no-any-return]

    async def _renew(self, step: Renew) -> Tokens:
        store = self.peer.tokens
        assert store is not None
        async with self._renewing:
            tokens = await asyncio.to_thread(store.load)
            if tokens.access_token == step.stale:
                tokens = await self._drive(renewal(self.peer, tokens))
                await asyncio.to_thread(store.save, tokens)
        return tokens

    async def _exchange(self, request: Request, read_timeout: float) -> Response | Failure:
        settings = self.settings
        # Parsing a URL costs httpx as much as the rest of building a request.
        url = self._urls.get(request.url)
        if url is None:
            if len(self._urls) > 256:
                self._urls.clear()
            url = self._urls[request.url] = httpx.URL(request.url)
        message = self._http.build_request(
            request.verb,
            url,
            headers=request.headers,
            content=request.body,
            timeout=httpx.Timeout(read_timeout, connect=settings.connect_timeout),
        )
        try:
            response = await self._http.send(message, stream=True)
            try:
                body = bytearray()
                async for chunk in response.aiter_bytes():
                    body += chunk
                    if len(body) > settings.most_bytes:
                        return transport.too_big(settings.most_bytes)
            finally:
                await response.aclose()
        except (httpx.HTTPError, httpx.StreamError, httpx.InvalidURL, OSError) as error:
            return transport.describe(error, sent=_may_have_left(error), waited=read_timeout)
        # httpx gives header names in lower case.
        return Response(response.status_code, response.headers, bytes(body))


def _may_have_left(error: BaseException) -> bool:
    """Whether the request may have reached the portal before this happened."""
    return not isinstance(
        error,
        (
            httpx.ConnectError,
            httpx.ConnectTimeout,
            httpx.PoolTimeout,
            httpx.ProxyError,
            httpx.UnsupportedProtocol,
        ),
    )
