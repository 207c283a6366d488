"""A server on loopback that does with each request exactly what a test has told it to do, down to the socket."""

from __future__ import annotations

import contextlib
import json
import socket
import ssl
import struct
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qs, urlsplit

# Long enough for a machine under load; nothing waits for it unless a test is broken.
_PATIENCE = 20.0


@dataclass(frozen=True)
class Seen:
    """A request as it arrived."""

    verb: str
    target: str
    headers: Mapping[str, str]
    body: bytes
    connection: int

    @property
    def path(self) -> str:
        return urlsplit(self.target).path

    @property
    def query(self) -> dict[str, str]:
        return {name: values[-1] for name, values in parse_qs(urlsplit(self.target).query).items()}

    @property
    def json(self) -> Any:
        return json.loads(self.body)


@dataclass(frozen=True)
class Answer:
    """A complete answer; ``length`` lies about its size, ``close`` ends the connection after it."""

    status: int = 200
    body: Any = None
    headers: Mapping[str, str] = field(default_factory=dict)
    length: int | None = None
    close: bool = False

    def encode(self) -> bytes:
        body = self.body if isinstance(self.body, bytes) else json.dumps(self.body).encode()
        headers = {"Content-Type": "application/json", **self.headers}
        if "Transfer-Encoding" not in headers:
            headers["Content-Length"] = str(len(body) if self.length is None else self.length)
        if self.close:
            headers["Connection"] = "close"
        lines = [f"HTTP/1.1 {self.status} Scripted", *(f"{name}: {value}" for name, value in headers.items())]
        return "\r\n".join([*lines, "", ""]).encode("utf-8") + body


@dataclass(frozen=True)
class Raw:
    """These bytes, whatever they are, then the end of the connection."""

    data: bytes


@dataclass(frozen=True)
class Reset:
    """The connection is reset (RST): ``early`` before any of the request was read, else after it."""

    early: bool = False


@dataclass(frozen=True)
class Silence:
    """Nothing at all, until the client goes away."""


@dataclass(frozen=True)
class Compute:
    """An answer that depends on the request."""

    answer: Callable[[Seen], Answer]


@dataclass(frozen=True)
class Pour:
    """Piece after piece, with a pause after each, until there is no more or the client goes away.

    :ivar early: begin before any of the request was read; the request stays unread.
    :ivar goes_on: take the next request on the same connection afterwards; else nothing follows.
    """

    pieces: Callable[[], Iterable[bytes]]
    pause: float = 0.0
    early: bool = False
    goes_on: bool = False


Action = Answer | Raw | Reset | Silence | Compute | Pour


def ok(result: Any = True, **more: Any) -> Answer:
    return Answer(200, {"result": result, **more})


def refusal(status: int, code: Any, description: str = "", **headers: str) -> Answer:
    return Answer(
        status,
        {"error": code, "error_description": description},
        {name.replace("_", "-"): value for name, value in headers.items()},
    )


def page(status: int, **headers: str) -> Answer:
    return Answer(
        status,
        b"<html><h1>Something</h1></html>",
        {"Content-Type": "text/html; charset=utf-8", **{k.replace("_", "-"): v for k, v in headers.items()}},
    )


class Scripted:
    """Listens on 127.0.0.1; each request gets the next action of the script.

    :param script: the actions in order; the last one is repeated if ``forever``, else what is not in the script is
        answered with status 599 (and counted in ``seen``).
    :param tls: speak TLS with this context.
    :ivar arrived: set once a request has arrived.
    :ivar poured: set once all pieces of a :class:`Pour` have gone out.
    :param listening: False to take the port but refuse connections until :meth:`listen`.
    """

    def __init__(
        self,
        script: Sequence[Action] = (),
        *,
        forever: bool = False,
        tls: ssl.SSLContext | None = None,
        listening: bool = True,
    ) -> None:
        self.script = list(script)
        self.forever = forever
        self.tls = tls
        self.seen: list[Seen] = []
        self.accepted = 0
        self.arrived = threading.Event()
        self.poured = threading.Event()
        self._lock = threading.Lock()
        self._sockets: list[socket.socket] = []
        self._threads: list[threading.Thread] = []
        self._over = threading.Event()
        self._server = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
        self._server.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        self._server.bind(("127.0.0.1", 0))
        self.port: int = self._server.getsockname()[1]
        if listening:
            self.listen()

    @property
    def url(self) -> str:
        return f"{'https' if self.tls else 'http'}://127.0.0.1:{self.port}"

    def listen(self) -> None:
        self._server.listen(64)
        self._start(self._accept)

    def __enter__(self) -> Scripted:
        return self

    def __exit__(self, *exc: object) -> None:
        self._over.set()
        # shutdown wakes the thread that stands in accept(); close alone does not
        with contextlib.suppress(OSError):
            self._server.shutdown(socket.SHUT_RDWR)
        self._server.close()
        with self._lock:
            sockets = list(self._sockets)
        for sock in sockets:
            with contextlib.suppress(OSError):
                sock.shutdown(socket.SHUT_RDWR)
        for thread in list(self._threads):
            thread.join(_PATIENCE)
        for sock in sockets:
            sock.close()

    def _start(self, target: Callable[..., None], *args: Any) -> None:
        thread = threading.Thread(target=target, args=args, daemon=True)
        self._threads.append(thread)
        thread.start()

    def _accept(self) -> None:
        while not self._over.is_set():
            try:
                sock, _ = self._server.accept()
            except OSError:
                return
            with self._lock:
                self.accepted += 1
                number = self.accepted
                self._sockets.append(sock)
            sock.settimeout(_PATIENCE)
            self._start(self._serve, sock, number)

    def _serve(self, sock: socket.socket, number: int) -> None:
        with contextlib.suppress(OSError, ValueError):  # what is no HTTP, or no TLS, ends the connection
            if isinstance(self._upcoming(), Reset) and self._upcoming().early:
                self._next()
                sock.recv(1, socket.MSG_PEEK)
                _reset(sock)
                return
            if self.tls is not None:
                sock = self.tls.wrap_socket(sock, server_side=True)
                with self._lock:
                    self._sockets.append(sock)
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            if isinstance(self._upcoming(), Pour) and self._upcoming().early:
                self._pour(self._next(), sock)
                return
            stream = sock.makefile("rb")
            while (seen := _read_request(stream, number)) is not None:
                with self._lock:
                    self.seen.append(seen)
                self.arrived.set()
                if not self._carry_out(self._next(), seen, sock):
                    break
            sock.shutdown(socket.SHUT_RDWR)
        sock.close()

    def _carry_out(self, action: Action, seen: Seen, sock: socket.socket) -> bool:
        """Do it; whether the connection goes on."""
        if isinstance(action, Compute):
            action = action.answer(seen)
        if isinstance(action, Answer):
            sock.sendall(action.encode())
            lies = action.length is not None and action.length > len(action.body)
            return not (action.close or lies)
        if isinstance(action, Raw):
            sock.sendall(action.data)
        elif isinstance(action, Pour):
            self._pour(action, sock)
            return action.goes_on
        elif isinstance(action, Reset):
            _reset(sock)
        else:
            sock.recv(1)
        return False

    def _pour(self, action: Any, sock: socket.socket) -> None:
        for piece in action.pieces():
            sock.sendall(piece)
            if self._over.wait(action.pause):
                return
        self.poured.set()
        if not action.goes_on:
            self._over.wait(_PATIENCE)

    def _upcoming(self) -> Any:
        with self._lock:
            return self.script[0] if self.script else None

    def _next(self) -> Action:
        with self._lock:
            if not self.script:
                return Answer(599, {"error": "NOT_IN_THE_SCRIPT"})
            return self.script[0] if self.forever and len(self.script) == 1 else self.script.pop(0)


def _reset(sock: socket.socket) -> None:
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    # close() would wait for the file that was made of the socket
    socket.close(sock.detach())


def _read_request(stream: Any, number: int) -> Seen | None:
    line = stream.readline()
    if not line:
        return None
    verb, target, _ = line.decode("ascii").split(" ", 2)
    headers = dict(_headers(stream))
    return Seen(verb, target, headers, stream.read(int(headers.get("content-length", "0"))), number)


def _headers(stream: Any) -> Iterator[tuple[str, str]]:
    while (line := stream.readline().decode("latin-1").strip()) != "":
        name, _, value = line.partition(":")
        yield name.strip().lower(), value.strip()
