"""AsyncClient: carries the same conversations out over ``httpx``."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import ssl
from collections import deque
from collections.abc import (
    AsyncGenerator,
    AsyncIterable,
    AsyncIterator,
    Callable,
    Generator,
    Hashable,
    Iterable,
    Mapping,
    Sequence,
)
from concurrent.futures import Future
from itertools import islice
from types import TracebackType
from typing import Any, TypeVar, cast

import anyio
import httpx

from airflow_provider_b24.rest import transport
from airflow_provider_b24.rest.batch import BatchReply, converse_batch
from airflow_provider_b24.rest.client import Client
from airflow_provider_b24.rest.content import Body
from airflow_provider_b24.rest.conversation import converse
from airflow_provider_b24.rest.credentials import Tokens
from airflow_provider_b24.rest.errors import Bitrix24Error
from airflow_provider_b24.rest.lanes import Lane, Work, with_one_ahead
from airflow_provider_b24.rest.peer import Patience, Peer
from airflow_provider_b24.rest.protocol import Call, Reply, Request, Response
from airflow_provider_b24.rest.renewal import outcome_of
from airflow_provider_b24.rest.steps import Ask, Failure, Renew, Send, Step, Wait

T = TypeVar("T")

# It writes the headers of answers at DEBUG, and a redirect names the whole URL.
logging.getLogger("httpcore.http11").addFilter(transport.SecretsOff())


class AsyncClient:
    """Calls one portal from one event loop, over connections that are kept.

    Close it, or use it as an asynchronous context manager.

    :param peer: the portal, the credential and what is known of its limits.
    :param settings: time-outs, certificates, proxy.
    """

    def __init__(self, peer: Peer, settings: transport.Transport | None = None) -> None:
        self.peer = peer
        self.settings = settings or transport.Transport()
        self._renewer = Client(peer, self.settings)
        self._ssl = transport.ssl_context(self.settings.authorities)
        # Transports without a client: that would keep cookies, prepare to follow redirects by itself, and write
        # every URL into the log. By the proxy they use (None: directly), and by the origins they lead to.
        self._transports: dict[str | None, httpx.AsyncHTTPTransport] = {}
        self._ways: dict[str, httpx.AsyncHTTPTransport] = {}
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
        """Close the connections, after renewals that have begun. The client may be used again; it opens new ones."""
        # While this loop runs: a store may need it.
        await _over(self._renewer.renewals())
        self._renewer.close()
        for way in self._transports.values():
            await way.aclose()

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

    async def run(self, conversation: Callable[[Peer], Generator[Step, Any, T]]) -> T:
        """Carry out a conversation of several calls, made for this client's peer."""
        return await self._drive(conversation(self.peer))

    async def stream(self, work: Work[T], source: Iterable[Any] | AsyncIterable[Any] = ()) -> AsyncGenerator[T, None]:
        """Carry out a work of several lanes, each in a task; see :meth:`.Client.stream`."""
        items = _items(source)
        lanes: dict[asyncio.Task[Any], Lane] = {}
        gate = _Gate(work)
        ended: set[asyncio.Task[Any]] = set()
        failure: Exception | None = None
        try:
            while True:
                while (wanted := work.wants()) > 0:
                    taken, failure = await _first(items, wanted)
                    work.offer(taken)
                begun = list(islice(iter(work.begin, None), max(0, with_one_ahead(work.width) - len(lanes))))
                lanes.update({asyncio.create_task(self._outcome(lane, gate)): lane for lane in begun})
                found = work.ready()
                for one in found:
                    yield one
                if work.over:
                    break
                if begun or found:
                    continue
                if not lanes and not ended:
                    raise RuntimeError(f"{type(work).__name__} is not over, and has nothing to do")
                ended = (await asyncio.wait(lanes, return_when=asyncio.FIRST_COMPLETED))[0] if lanes else set()
                for task in ended:
                    work.end(lanes.pop(task), task.result())
            if failure is not None:
                raise failure
        finally:
            for task in lanes:
                task.cancel()
            await asyncio.gather(*lanes, return_exceptions=True)
            await items.aclose()

    async def _outcome(self, lane: Lane, gate: _Gate) -> Any:
        try:
            return await self._drive(lane.conversation(self.peer), gate)
        except Bitrix24Error as error:
            return error.with_traceback(None)

    async def _drive(self, conversation: Generator[Step, Any, T], gate: _Gate | None = None) -> T:
        outcome: Any = None
        failure: Bitrix24Error | None = None
        try:
            while True:
                step = conversation.send(outcome) if failure is None else conversation.throw(failure)
                failure = None
                try:
                    if isinstance(step, Send):
                        async with gate or contextlib.nullcontext():
                            outcome = await self._exchange(step.request, step.deadline)
                        if gate is not None:
                            # Who waits there sends before this answer is read.
                            await asyncio.sleep(0)
                    elif isinstance(step, Wait):
                        await self.peer.clock.asleep(step.seconds)
                        outcome = None
                    elif isinstance(step, Ask):
                        outcome = await asyncio.to_thread(step.question) if step.blocking else step.question()
                    else:
                        outcome = await self._renew(step)
                except Bitrix24Error as error:
                    failure = error.with_traceback(None)
        except StopIteration as stop:
            return stop.value  # type: ignore[no-any-return]
        finally:
            conversation.close()

    async def _renew(self, step: Renew) -> Tokens:
        # The synchronous client's, in a thread: a task would end with the event loop, and the tokens would be lost.
        renewal = self._renewer.renewal(step)
        await _over([renewal], step.within)
        return outcome_of(renewal)

    async def _exchange(self, request: Request, deadline: float | None) -> Response | Failure:
        progress = _Progress()
        connect, read, whole = self.settings.seconds(deadline, request.sending)
        # A file goes in many pieces, none of which may stand still; anything else in one, which the deadline ends.
        times = {"connect": connect, "read": read, "write": read if request.sending else whole, "pool": whole}
        try:
            with anyio.move_on_after(whole) as scope:
                response = await self._send(request, times, progress)
                body = transport.Body(response.headers.get("content-encoding", ""), self.settings.most_bytes)
                pieces = cast("AsyncGenerator[bytes, None]", response.aiter_raw())
                async with contextlib.aclosing(response), contextlib.aclosing(pieces):
                    async for piece in pieces:
                        if not body.take(piece):
                            break
                    if _surplus(response, tls=request.url.startswith("https:")):
                        await response.extensions["network_stream"].aclose()
        except Bitrix24Error:
            raise
        # A host name that is none by the rules of IDNA is a plain ValueError.
        except (httpx.HTTPError, httpx.StreamError, httpx.InvalidURL, OSError, ValueError) as error:
            if progress.sent and request.cut_short:
                return transport.cut_short(late=transport.is_timeout(error))
            return transport.describe(error, sent=progress.sent, waited=read)
        if scope.cancelled_caught and progress.sent and request.cut_short:
            return transport.cut_short(late=True)
        if scope.cancelled_caught:
            return transport.describe(TimeoutError(), sent=progress.sent, waited=read, late=whole)
        content = body.whole()
        return content if isinstance(content, Failure) else Response(response.status_code, response.headers, content)

    async def _send(self, request: Request, times: dict[str, float], progress: _Progress) -> httpx.Response:
        # No local variable here has a repr that shows the URL: this frame may be in a traceback.
        headers, content = request.headers, request.body
        if isinstance(content, Body):
            headers = {**headers, "Content-Length": str(len(content))}
        return await self._way(request).handle_async_request(
            httpx.Request(
                request.verb,
                self._url(request),
                headers=headers,
                content=_read_aside(content) if isinstance(content, Body) else content,
                extensions={"timeout": times, "trace": progress},
            )
        )

    def _url(self, request: Request) -> httpx.URL:
        """The URL, parsed: that costs httpx as much as the rest of building a request."""
        if request.url not in self._urls:
            if len(self._urls) > 256:
                self._urls.clear()
            self._urls[request.url] = httpx.URL(request.url)
        return self._urls[request.url]

    def _way(self, request: Request) -> httpx.AsyncHTTPTransport:
        """The transport to a URL's host."""
        origin = "/".join(request.url.split("/", 3)[:3])
        if origin not in self._ways:
            self._ways[origin] = self._transport(origin)
        return self._ways[origin]

    def _transport(self, origin: str) -> httpx.AsyncHTTPTransport:
        way = self._opened(origin)
        if way is None:
            raise transport.unusable_proxy()
        return way

    def _opened(self, origin: str) -> httpx.AsyncHTTPTransport | None:
        proxy = self.settings.proxy_for(origin)
        if proxy not in self._transports:
            limits = httpx.Limits(
                max_connections=None,
                max_keepalive_connections=self.settings.connections,
                keepalive_expiry=self.settings.idle,
            )
            try:
                self._transports[proxy] = httpx.AsyncHTTPTransport(verify=self._ssl, limits=limits, proxy=proxy)
            except (ImportError, ValueError):
                return None
        return self._transports[proxy]


async def _items(source: Iterable[Any] | AsyncIterable[Any]) -> AsyncGenerator[Any, None]:
    if isinstance(source, AsyncIterable):
        async for item in source:
            yield item
    else:
        for item in source:
            yield item


async def _first(items: AsyncGenerator[Any, None], wanted: int) -> tuple[list[Any], Exception | None]:
    """The next items, no more than are wanted, and what ended them."""
    taken: list[Any] = []
    try:
        while len(taken) < wanted:
            taken.append(await anext(items))
    except StopAsyncIteration:
        pass
    except Exception as error:
        return taken, error
    return taken, None


async def _read_aside(body: Body) -> AsyncIterator[bytes]:
    """The pieces of a body, read in a thread: a file may be slow. Who gives up does not wait for that."""
    pieces = iter(body)
    try:
        while piece := await asyncio.to_thread(next, pieces, b""):
            yield piece
    finally:
        # Where a thread is still reading, it closes the file when it is over.
        with contextlib.suppress(ValueError):
            pieces.close()


async def _over(renewals: Sequence[Future[Tokens]], within: float | None = None) -> None:
    """Wait until renewals are over, or for so many seconds. They go on whatever becomes of this coroutine."""
    here = [asyncio.wrap_future(renewal) for renewal in renewals]
    try:
        if here:
            await asyncio.wait(here, timeout=within)
    finally:
        for one in here:
            # Otherwise it would complain: of a loop that is closed by then, or that nobody has looked at its error.
            if not one.cancel():
                one.exception()


class _Gate:
    """Lets no more lanes send at once than a work is wide."""

    def __init__(self, work: Work[Any]) -> None:
        self._work = work
        self._passing = 0
        self._waiting: deque[asyncio.Future[None]] = deque()

    async def __aenter__(self) -> None:
        while self._passing >= self._work.width:
            turn = asyncio.get_running_loop().create_future()
            self._waiting.append(turn)
            try:
                await turn
            except asyncio.CancelledError:
                if turn.done():
                    self._next()
                raise
        self._passing += 1

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._passing -= 1
        self._next()

    def _next(self) -> None:
        while self._waiting:
            turn = self._waiting.popleft()
            if not turn.done():
                turn.set_result(None)
                return


class _Progress:
    """How far a request has come, told by the transport.

    :ivar sent: whether any of it may have left, for the portal and not only for a proxy on the way.
    """

    sent = False

    async def __call__(self, event: str, details: Mapping[str, Any]) -> None:
        if event.endswith("send_request_headers.started") and details["request"].method != b"CONNECT":
            self.sent = True


def _surplus(response: httpx.Response, *, tls: bool) -> bool:
    """Whether more has come in than the answer that was read.

    It must not become the answer to the next call. httpcore looks at the socket before it uses a connection again; what
    was read from it already, and waits in the parser or in what decrypts, it does not see. The parser has to be looked
    for where it is hidden; should a later version hide it elsewhere, connections are used once, which is slow and safe.
    Only what came in together with more than 64 KB, and fills what is read at once to the byte, goes unseen.
    """
    stream: Any = response.stream
    try:
        left_over, _ = stream._httpcore_stream._stream._connection._h11_state.trailing_data
    except AttributeError:
        return True
    if left_over or not tls:
        return bool(left_over)
    try:
        response.extensions["network_stream"].get_extra_info("ssl_object").read(1)
    except ssl.SSLWantReadError:
        return False
    except ssl.SSLError:
        pass
    return True
