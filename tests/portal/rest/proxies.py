"""An HTTP proxy on loopback, for plain requests and for tunnels."""

from __future__ import annotations

import contextlib
import socket
import ssl
import threading
from typing import Any
from urllib.parse import urlsplit

_PATIENCE = 20.0


class Proxy:
    """Listens on 127.0.0.1 and connects to wherever it is asked to, always on this machine.

    :param answer: instead of connecting: these bytes, then the end of the connection (None: silence).
    :param tls: speak TLS with this context.
    :param drips: hand what the server sends on byte by byte, a hundred a second.
    :ivar asked: first line and ``Proxy-Authorization`` of every request.
    """

    def __init__(
        self,
        *,
        answer: bytes | None = b"",
        connects: bool = True,
        tls: ssl.SSLContext | None = None,
        drips: bool = False,
    ) -> None:
        self._tls = tls
        self._drips = drips
        self._over = threading.Event()
        self.asked: list[tuple[str, str | None]] = []
        self._answer = answer
        self._connects = connects
        self._sockets: list[socket.socket] = []
        self._threads: list[threading.Thread] = []
        self._server = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._server.getsockname()[1]
        self._start(self._accept)

    @property
    def url(self) -> str:
        return f"{'https' if self._tls else 'http'}://127.0.0.1:{self.port}"

    def __enter__(self) -> Proxy:
        return self

    def __exit__(self, *exc: object) -> None:
        self._over.set()
        for sock in (self._server, *self._sockets):
            with contextlib.suppress(OSError):
                sock.shutdown(socket.SHUT_RDWR)
        for thread in list(self._threads):
            thread.join(_PATIENCE)
        for sock in (self._server, *self._sockets):
            sock.close()

    def _start(self, target: Any, *args: Any) -> None:
        thread = threading.Thread(target=target, args=args, daemon=True)
        self._threads.append(thread)
        thread.start()

    def _accept(self) -> None:
        while True:
            try:
                client, _ = self._server.accept()
            except OSError:
                return
            client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            self._sockets.append(client)
            self._start(self._serve, client)

    def _serve(self, client: socket.socket) -> None:
        with contextlib.suppress(OSError, ValueError):
            if self._tls is not None:
                client = self._tls.wrap_socket(client, server_side=True)
                self._sockets.append(client)
            head = b""
            while b"\r\n\r\n" not in head:
                data = client.recv(65536)
                if not data:
                    return
                head += data
            lines = head.split(b"\r\n\r\n")[0].decode("latin-1").split("\r\n")
            headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines[1:])}
            self.asked.append((lines[0], headers.get("proxy-authorization")))
            if not self._connects:
                if self._answer is None:
                    client.recv(1)
                else:
                    client.sendall(self._answer)
                client.shutdown(socket.SHUT_RDWR)
                return
            verb, target, _ = lines[0].split(" ")
            port = int(target.rpartition(":")[2]) if verb == "CONNECT" else urlsplit(target).port
            try:
                server = socket.create_connection(("127.0.0.1", port or 0), _PATIENCE)
            except OSError:
                client.sendall(b"HTTP/1.1 502 Bad Gateway\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")
                client.shutdown(socket.SHUT_RDWR)
                return
            server.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            self._sockets.append(server)
            if verb == "CONNECT":
                client.sendall(b"HTTP/1.1 200 Connected\r\n\r\n")
            else:
                server.sendall(head)
            self._start(_pump, client, server)
            _pump(server, _Slow(client, self._over) if self._drips else client)


class _Slow:
    """The sending half of a socket, byte by byte."""

    def __init__(self, sock: socket.socket, over: threading.Event) -> None:
        self._sock = sock
        self._over = over

    def sendall(self, data: bytes) -> None:
        for at in range(len(data)):
            self._sock.sendall(data[at : at + 1])
            if self._over.wait(0.01):
                return

    def shutdown(self, how: int) -> None:
        self._sock.shutdown(how)


def _pump(source: socket.socket, target: socket.socket | _Slow) -> None:
    with contextlib.suppress(OSError):
        while data := source.recv(65536):
            target.sendall(data)
    with contextlib.suppress(OSError):
        target.shutdown(socket.SHUT_RDWR)
