"""What can go wrong with a call, each in a way that lasts and in a way that passes: real sockets, a clock set by hand.

A further fault is a further entry of :data:`CASES`; the document gets its rows by ``python -m tests.portal.faults.table
--write``.
"""

from __future__ import annotations

import dataclasses
import socket
import ssl
import tempfile
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from types import TracebackType
from typing import Any
from unittest import mock

from airflow_provider_b24.rest.transport import Transport
from airflow_provider_b24.testing import FakePortal, Fault
from tests.portal.rest.certificates import Authority
from tests.portal.rest.drivers import QUICK
from tests.portal.rest.scripted import Action, Reset, Scripted, ok
from tests.unit.rest.clocks import FakeClock

WRITE, READ, SIGNAL = "im.message.add", "im.dialog.messages.get", "im.dialog.writing"
DIALOG = "chat2935"

# What is awaited in earnest: the answer that does not come.
_TIMEOUT = 0.02


class World:
    """What all cases share: one portal, which goes by the clock of the case, and an authority for certificates."""

    def __init__(self) -> None:
        self.clock = FakeClock()
        self.portal = FakePortal(clock=self.time)
        self._stack = ExitStack()
        self._contexts: dict[str, ssl.SSLContext] = {}

    def __enter__(self) -> World:
        self._stack.enter_context(self.portal)
        self._folder = Path(self._stack.enter_context(tempfile.TemporaryDirectory()))
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stack.close()

    def time(self) -> float:
        return self.clock.time()

    @cached_property
    def authority(self) -> Authority:
        return Authority(self._folder)

    def certified(self, host: str = "127.0.0.1") -> ssl.SSLContext:
        """For a server of this name."""
        if host not in self._contexts:
            self._contexts[host] = self.authority.context(host)
        return self._contexts[host]

    @property
    def trusting(self) -> Transport:
        """For a client of such a server."""
        return dataclasses.replace(QUICK, verify=str(self.authority.path))

    def carried_out(self) -> int:
        """How many messages and signals the portal took."""
        return len(self.portal.messages(DIALOG)) + len(self.portal.signals(DIALOG))


@dataclass(frozen=True)
class Ground:
    """Where a call meets the fault.

    :ivar url: the portal, as the caller knows it.
    :ivar carried_out: how often the call took effect so far.
    :ivar settings: of the connection.
    :ivar relief: ends a fault that does not end by itself; called when somebody waits.
    :ivar before: seconds ago at which the same method was called with success.
    """

    url: str
    carried_out: Callable[[], int]
    settings: Transport = QUICK
    relief: Callable[[], None] | None = None
    before: float | None = None


Meets = Callable[[World, "int | None"], AbstractContextManager[Ground]]
"""Makes the ground; the fault happens so often, or always (None)."""


@dataclass(frozen=True)
class Case:
    """One fault.

    :ivar group: the part of the document in which it stands.
    :ivar name: what it is called there.
    :ivar application: whether it befalls an application instead of a webhook.
    """

    group: str
    name: str
    meets: Meets
    application: bool = False


def portals(kind: str, *, settings: Transport = QUICK, before: float | None = None, **fault: Any) -> Meets:
    """What the portal, or what stands before it, does to a call."""

    @contextmanager
    def meets(world: World, times: int | None) -> Iterator[Ground]:
        for method in (WRITE, READ, SIGNAL):
            world.portal.faults.add(Fault(kind, method, times=times, skip=0 if before is None else 1, **fault))
        yield Ground(world.portal.url, world.carried_out, settings, before=before)

    return meets


def refuses(code: str, status: int) -> Meets:
    """The portal answers with this code."""
    return portals("error", code=code, status=status, description="in the portal's own words")


def silent(**fault: Any) -> Meets:
    return portals("timeout", settings=dataclasses.replace(QUICK, read_timeout=_TIMEOUT), seconds=1.0, **fault)


@contextmanager
def nobody_listens(world: World, times: int | None) -> Iterator[Ground]:
    with Scripted([ok(1)], forever=True, listening=False) as server:
        yield Ground(server.url, lambda: len(server.seen), relief=server.listen)


@contextmanager
def no_such_name(world: World, times: int | None) -> Iterator[Ground]:
    """The machine's own resolver is asked, but only once: it may take its time."""
    look_up, answer = socket.getaddrinfo, _unresolved()
    found: list[str] = []

    def resolve(host: Any, *rest: Any, **more: Any) -> Any:
        if host not in (_NOWHERE, _NOWHERE.encode()):
            return look_up(host, *rest, **more)
        if not found:
            raise answer
        return look_up(found[0], *rest, **more)

    with (
        Scripted([ok(1)], forever=True, tls=world.certified(_NOWHERE)) as server,
        mock.patch.object(socket, "getaddrinfo", resolve),
    ):
        url = f"https://{_NOWHERE}:{server.port}"
        yield Ground(url, lambda: len(server.seen), world.trusting, relief=lambda: found.append("127.0.0.1"))


_NOWHERE = "b24.invalid"
_unresolvable: list[socket.gaierror] = []


def _unresolved() -> socket.gaierror:
    if not _unresolvable:
        try:
            socket.getaddrinfo(_NOWHERE, 443)
        except socket.gaierror as error:
            _unresolvable.append(error.with_traceback(None))
    return _unresolvable[0]


@contextmanager
def broken_handshake(world: World, times: int | None) -> Iterator[Ground]:
    script: list[Action] = [Reset(early=True), *([ok(1)] if times else [])]
    with Scripted(script, forever=True, tls=world.certified()) as server:
        yield Ground(server.url, lambda: len(server.seen), world.trusting)


@contextmanager
def untrusted(world: World, times: int | None) -> Iterator[Ground]:
    with Scripted([ok(1)], forever=True, tls=world.certified()) as server:
        yield Ground(server.url, lambda: len(server.seen), dataclasses.replace(QUICK, verify=True))


@contextmanager
def moved(world: World, times: int | None) -> Iterator[Ground]:
    """The old address leads to the new one, for good."""
    old = world.portal.url
    world.portal.rename("localhost")
    try:
        yield Ground(old, world.carried_out)
    finally:
        world.portal.rename("127.0.0.1")


@contextmanager
def led_away(world: World, times: int | None) -> Iterator[Ground]:
    """To the same path at an address of somebody else's."""
    access = world.portal.access
    for method in (WRITE, READ, SIGNAL):
        location = f"https://elsewhere.example/rest/{access.user_id}/{access.webhook_code}/{method}"
        world.portal.faults.add(Fault("redirect", method, times=times, location=location))
    yield Ground(world.portal.url, world.carried_out)


def renewal(token_fault: str, **fault: Any) -> Meets:
    """The access token is over, and so it goes with its renewal."""

    @contextmanager
    def meets(world: World, times: int | None) -> Iterator[Ground]:
        world.portal.expire_tokens()
        world.portal.faults.add(Fault(token_fault, "oauth.token", times=times, **fault))
        yield Ground(world.portal.url, world.carried_out)

    return meets


@contextmanager
def expired(world: World, times: int | None) -> Iterator[Ground]:
    world.portal.expire_tokens()
    yield Ground(world.portal.url, world.carried_out)


CASES = [
    Case("not-reached", "connection refused", nobody_listens),
    Case("not-reached", "host name not resolved", no_such_name),
    Case("not-reached", "TLS handshake breaks off", broken_handshake),
    Case("not-reached", "TLS certificate not trusted", untrusted),
    Case("unknown", "reset, before the effect", portals("reset")),
    Case("unknown", "reset, after the effect", portals("reset_after")),
    Case("unknown", "time-out, before the effect", silent()),
    Case("unknown", "time-out, after the effect", silent(after_effect=True)),
    Case("unknown", "500 JSON `INTERNAL_SERVER_ERROR`", portals("json_500")),
    Case("unknown", "502 HTML", portals("html_502")),
    Case("unknown", "503 HTML", portals("html_503")),
    Case("unknown", "504 HTML, after the effect", portals("html_504", after_effect=True)),
    Case("unknown", "200 HTML", portals("html_200")),
    Case("unknown", "200 truncated JSON, after the effect", portals("truncated_json", after_effect=True)),
    Case("unknown", "an unknown code, 500", refuses("SOMETHING_NEW", 500)),
    Case("moved", "302, same owner", moved),
    Case("moved", "302, another owner", led_away),
    Case("limits", "`QUERY_LIMIT_EXCEEDED`, 503", portals("query_limit")),
    Case("limits", "`QUERY_LIMIT_EXCEEDED`, 429", portals("query_limit", status=429)),
    Case("limits", "`OPERATION_TIME_LIMIT`, reset unknown", portals("operation_time_limit")),
    Case("limits", "`OPERATION_TIME_LIMIT`, reset in 40 s", portals("operation_time_limit", before=560.0)),
    Case("limits", "`OPERATION_TIME_LIMIT`, reset in 5 min", portals("operation_time_limit", before=300.0)),
    Case("tokens", "`expired_token`, renewed", expired, application=True),
    Case("tokens", "`expired_token`, again after renewal", portals("expired_token"), application=True),
    Case("tokens", "renewal refused: `invalid_grant`", renewal("error", code="invalid_grant"), application=True),
    Case("tokens", "renewal answered with 500 JSON", renewal("json_500"), application=True),
    Case("tokens", "renewal answered with 502 HTML", renewal("html_502"), application=True),
    Case("tokens", "`expired_token` for a webhook", portals("expired_token")),
    Case("refused", "`NO_AUTH_FOUND`, 401", refuses("NO_AUTH_FOUND", 401)),
    Case("refused", "`insufficient_scope`, 403", refuses("insufficient_scope", 403)),
    Case("refused", "`ACCESS_ERROR`, 403", refuses("ACCESS_ERROR", 403)),
    Case("refused", "`OVERLOAD_LIMIT`, 503", portals("overload_limit")),
    Case("refused", "`PORTAL_DELETED`, 500", refuses("PORTAL_DELETED", 500)),
    Case("refused", "an unknown code, 400", refuses("SOMETHING_NEW", 400)),
    Case("refused", "an empty code, 400", refuses("", 400)),
]
