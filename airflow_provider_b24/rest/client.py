"""Client: carries conversations out over ``requests``."""

from __future__ import annotations

import logging
import math
import threading
import time
from collections.abc import Callable, Generator, Hashable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, wait
from concurrent.futures import TimeoutError as FutureTimeoutError
from contextlib import nullcontext, suppress
from contextvars import copy_context
from functools import partial
from http.client import HTTPException
from itertools import islice
from types import TracebackType
from typing import Any, TypeVar

import requests
import urllib3

from airflow_provider_b24.rest import transport
from airflow_provider_b24.rest.batch import BatchReply, converse_batch
from airflow_provider_b24.rest.connections import Adapter, bounds
from airflow_provider_b24.rest.conversation import converse
from airflow_provider_b24.rest.credentials import Tokens
from airflow_provider_b24.rest.errors import Bitrix24Error
from airflow_provider_b24.rest.lanes import Lane, Work, given_up, with_one_ahead
from airflow_provider_b24.rest.ledger import call_after_fork, new_lock
from airflow_provider_b24.rest.peer import Patience, Peer
from airflow_provider_b24.rest.protocol import Call, Reply, Request, Response
from airflow_provider_b24.rest.renewal import outcome_of, renew
from airflow_provider_b24.rest.steps import Ask, Failure, Renew, Send, Step, Wait

T = TypeVar("T")

# They write whole URLs: all of them at DEBUG, and those of answers with malformed headers at WARNING.
for _name in ("urllib3.connection", "urllib3.connectionpool"):
    logging.getLogger(_name).addFilter(transport.SecretsOff())
# What is raised before a connection is there to send on; see connections.
_NEVER_SENT = (
    urllib3.exceptions.ConnectTimeoutError,
    urllib3.exceptions.NewConnectionError,
    urllib3.exceptions.ClosedPoolError,
    requests.exceptions.InvalidURL,
)
# An answer whose framing makes no sense, such as a piece of -2 bytes, ends in a plain ValueError.
_LIBRARIES_OWN = (requests.RequestException, urllib3.exceptions.HTTPError, HTTPException, ValueError)
# How much of an answer is read at once, in bytes.
_PIECE = 1 << 16


class Client:
    """Calls one portal, over connections that are kept.

    May be shared by threads. Close it, or use it as a context manager.

    :param peer: the portal, the credential and what is known of its limits.
    :param settings: time-outs, certificates, proxy.
    """

    def __init__(self, peer: Peer, settings: transport.Transport | None = None) -> None:
        self.peer = peer
        self.settings = settings or transport.Transport()
        self._used = peer.clock.monotonic()
        self.forked()
        call_after_fork(self)
        self._options: dict[str, dict[str, Any]] = {}
        if isinstance(self.settings.verify, str):
            transport.ssl_context(self.settings.verify)

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
        self._adapter.close()

    def forked(self) -> None:
        """This is a new process: locks, renewals and connections of the other one are not its own.

        Whoever asked on a connection that both have could get the other's answer.
        """
        self._renewing = new_lock()
        self._renewals: dict[str, Future[Tokens]] = {}
        # An adapter without a session: that would keep cookies, and prepare to follow redirects by itself.
        self._adapter = Adapter(pool_connections=4, pool_maxsize=self.settings.connections)

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

    def run(self, conversation: Callable[[Peer], Generator[Step, Any, T]]) -> T:
        """Carry out a conversation of several calls, made for this client's peer."""
        return self._drive(conversation(self.peer))

    def stream(self, work: Work[T], source: Iterable[Any] = ()) -> Generator[T, None, None]:
        """Carry out a work of several lanes, each in a thread; one alone in this one.

        Rows are read no faster than they are taken: no more is under way or ready than the work has room for.

        :param source: what the work is about, taken as it is wanted. What it raises is raised when all that it gave
            before is done.
        :raises Bitrix24Error: the failure that ends the work; what comes before it has been given out by then.
        """
        items = iter(source)
        lanes: dict[Future[Any], Lane] = {}
        ended: set[Future[Any]] = set()
        gate = _Gate(work)
        failure: Exception | None = None
        try:
            while True:
                while (wanted := work.wants()) > 0:
                    taken, failure = _first(items, wanted)
                    work.offer(taken)
                begun = list(islice(iter(work.begin, None), max(0, with_one_ahead(work.width) - len(lanes))))
                if len(begun) == 1 and not lanes:
                    work.end(begun[0], self._outcome(begun[0], None))
                else:
                    lanes.update({self._in_thread(lane, gate): lane for lane in begun})
                found = work.ready()
                yield from found
                if work.over:
                    break
                if begun or found:
                    continue
                if not lanes and not ended:
                    raise RuntimeError(f"{type(work).__name__} is not over, and has nothing to do")
                ended = wait(lanes, return_when=FIRST_COMPLETED).done if lanes else set()
                for future in ended:
                    work.end(lanes.pop(future), future.result())
            if failure is not None:
                raise failure
        finally:
            # A lane that waits now sends nothing afterwards.
            gate.close()

    def _in_thread(self, lane: Lane, gate: _Gate) -> Future[Any]:
        future: Future[Any] = Future()

        def carry_out() -> None:
            try:
                tell = partial(future.set_result, self._outcome(lane, gate))
            except BaseException as error:
                tell = partial(future.set_exception, error)
            tell()

        # A daemon: whoever ends this process does not wait for a limit.
        threading.Thread(target=partial(copy_context().run, carry_out), name="bitrix24-lane", daemon=True).start()
        return future

    def _outcome(self, lane: Lane, gate: _Gate | None) -> Any:
        try:
            return self._drive(lane.conversation(self.peer), gate)
        except Bitrix24Error as error:
            return error.with_traceback(None)

    def _drive(self, conversation: Generator[Step, Any, T], gate: _Gate | None = None) -> T:
        outcome: Any = None
        failure: Bitrix24Error | None = None
        try:
            while True:
                step = conversation.send(outcome) if failure is None else conversation.throw(failure)
                failure = None
                try:
                    if gate is not None and gate.closed:
                        raise given_up()
                    if isinstance(step, Send):
                        with gate or nullcontext():
                            outcome = self._exchange(step.request, step.deadline)
                    elif isinstance(step, Wait):
                        self.peer.clock.sleep(step.seconds)
                        outcome = None
                    elif isinstance(step, Ask):
                        outcome = step.question()
                    else:
                        outcome = self._renew(step)
                except Bitrix24Error as error:
                    failure = error.with_traceback(None)
        except StopIteration as stop:
            return stop.value  # type: ignore[no-any-return]
        finally:
            conversation.close()

    def _renew(self, step: Renew) -> Tokens:
        renewal = self.renewal(step)
        with suppress(FutureTimeoutError):
            renewal.exception(step.within)
        return outcome_of(renewal)

    def renewal(self, step: Renew) -> Future[Tokens]:
        """The renewal of these tokens: the one that is under way, or one that begins now. Nothing waits here.

        It goes on in a thread of its own: once asked for, new tokens are received and stored even if the one who asked
        gives up, is interrupted, or ends his event loop. The old refresh token may be used up by then.
        """
        with self._renewing:
            renewal = self._renewals.get(step.stale)
            if renewal is None:
                renewal = Future()
                # Nobody can cancel it from now on.
                renewal.set_running_or_notify_cancel()
                work = partial(copy_context().run, self._renewed, step, renewal)
                threading.Thread(target=work, name="bitrix24-renewal").start()
                # Not before: had no thread begun, all others would wait for it for ever.
                self._renewals[step.stale] = renewal
            return renewal

    def renewals(self) -> list[Future[Tokens]]:
        """Those that are under way."""
        with self._renewing:
            return list(self._renewals.values())

    def _renewed(self, step: Renew, renewal: Future[Tokens]) -> None:
        try:
            tell = partial(renewal.set_result, self._drive(renew(self.peer, step)))
        except BaseException as error:
            tell = partial(renewal.set_exception, error.with_traceback(None))
        with self._renewing:
            del self._renewals[step.stale]
        # Not before: who is told of a failure and asks again begins anew.
        tell()

    def _exchange(self, request: Request, deadline: float | None) -> Response | Failure:
        self._drop_stale_connections()
        # Given back at the end: this may be a signal handler, in the midst of another exchange.
        outer = bounds.until, bounds.room, bounds.stall
        try:
            return self._exchanged(request, deadline)
        finally:
            bounds.until, bounds.room, bounds.stall = outer

    def _exchanged(self, request: Request, deadline: float | None) -> Response | Failure:
        prepared = requests.PreparedRequest()
        prepared.method, prepared.url = request.verb, request.url
        prepared.body = request.body  # type: ignore[assignment]
        # A plain dict does: each has one spelling here, and a mapping that knows several costs as much as the encoding.
        headers = dict(request.headers)
        if request.body is not None:
            headers["Content-Length"] = str(len(request.body))
        prepared.headers = headers  # type: ignore[assignment]
        connect, read, whole = self.settings.seconds(deadline, request.sending)
        bounds.until, bounds.room = time.monotonic() + whole, self.settings.most_received
        bounds.stall = read if request.sending else math.inf
        try:
            # The options are no local of this frame: a proxy's URL may hold a password.
            response = self._adapter.send(prepared, stream=True, timeout=(connect, read), **self._options_for(request))
            body = transport.Body(response.headers.get("content-encoding", ""), self.settings.most_bytes)
            if all(map(body.take, response.raw.stream(_PIECE, decode_content=False))):
                response.raw.release_conn()
            else:
                response.close()
        except Bitrix24Error:
            raise
        except (*_LIBRARIES_OWN, OSError) as caught:
            error: Exception = caught
        else:
            content = body.whole()
            return (
                content if isinstance(content, Failure) else Response(response.status_code, response.headers, content)
            )
        if isinstance(error, requests.exceptions.InvalidSchema):
            raise transport.unusable_proxy()
        sent, late = _may_have_left(error), time.monotonic() >= bounds.until
        if sent and request.cut_short:
            return transport.cut_short(late=transport.is_timeout(error))
        if sent and any(isinstance(cause, transport.TooMuchError) for cause in transport.causes(error)):
            return transport.too_large(self.settings.most_bytes)
        return transport.describe(error, sent=sent, waited=read, late=whole if late else None)

    def _options_for(self, request: Request) -> dict[str, Any]:
        """Certificates and proxies for a host; looked up once, for the look-up costs as much as a small call."""
        host = request.url.split("/", 3)[2]
        if host not in self._options:
            self._options[host] = {
                "verify": self.settings.authorities,
                "proxies": dict.fromkeys(("http", "https"), self.settings.proxy_for(request.url)),
            }
        return self._options[host]

    def _drop_stale_connections(self) -> None:
        """A server closes what idles; a call on such a connection would end with its outcome unknown."""
        now = self.peer.clock.monotonic()
        idle, self._used = now - self._used, now
        if idle > self.settings.idle:
            self._adapter.close()


def _first(items: Iterator[Any], wanted: int) -> tuple[list[Any], Exception | None]:
    """The next items, no more than are wanted, and what ended them."""
    taken: list[Any] = []
    try:
        for item in islice(items, wanted):
            taken.append(item)
    except Exception as error:
        return taken, error
    return taken, None


class _Gate:
    """Lets no more lanes send at once than a work is wide; nobody at all once it is closed."""

    def __init__(self, work: Work[Any]) -> None:
        self._work = work
        self._passing = 0
        self._changed = threading.Condition()
        self.closed = False

    def __enter__(self) -> None:
        with self._changed:
            self._changed.wait_for(lambda: self.closed or self._passing < self._work.width)
            if self.closed:
                raise given_up()
            self._passing += 1

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        with self._changed:
            self._passing -= 1
            self._changed.notify()

    def close(self) -> None:
        with self._changed:
            self.closed = True
            self._changed.notify_all()


def _may_have_left(error: BaseException) -> bool:
    """Whether the request may have reached the portal before this happened."""
    # A ProxyError does not tell: urllib3 raises it for whatever happens on a connection by way of a proxy.
    if any(isinstance(cause, _NEVER_SENT) for cause in transport.causes(error)):
        return False
    # What is neither library's own is the file of certificates that has gone.
    return isinstance(error, _LIBRARIES_OWN)
