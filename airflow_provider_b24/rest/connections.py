"""The connections of the synchronous client: they keep to a deadline, and tell whether a request has left.

``http.client`` knows a time-out for each single read and write only, so that a portal which sends a byte a second could
hold a call for ever. The socket's time-out is therefore set anew, to what is left, before each of them.
"""

from __future__ import annotations

import contextlib
import io
import math
import socket
import ssl
import threading
import time
from collections.abc import Mapping
from http.client import HTTPException, HTTPResponse, parse_headers
from typing import Any

import urllib3
from requests.adapters import HTTPAdapter

from airflow_provider_b24.rest.transport import TooMuchError

# A request goes out in pieces of this many bytes: TLS starts its time-out anew for each.
_PIECE = 1 << 16


class _Bounds(threading.local):
    """What the exchange that goes on in this thread may still take, of time and of bytes.

    :ivar until: the moment when it has to be over, by ``time.monotonic``.
    :ivar room: how many more bytes are read.
    :ivar stall: seconds that each piece of a request may take.
    """

    until = math.inf
    room = math.inf
    stall = math.inf

    def left(self) -> float:
        """Seconds until the deadline.

        :raises TimeoutError: if it has passed.
        """
        left = self.until - time.monotonic()
        if left <= 0:
            raise TimeoutError("the deadline has passed")
        return left


# Connections are made and read deep inside of libraries that hand nothing of the kind on; but in the calling thread.
bounds = _Bounds()


class _Bytes(io.RawIOBase):
    """What comes in from a socket, within the bounds."""

    def __init__(self, sock: socket.socket) -> None:
        self._sock = sock
        # Counts as a user of the socket, which is closed only after the last one.
        self._user = sock.makefile("rb", buffering=0)
        self._patience = sock.gettimeout() or math.inf
        self._over = False

    def makefile(self, mode: str) -> io.BufferedReader:
        """What ``http.client`` reads an answer from; it takes this for the socket."""
        return io.BufferedReader(self)

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        if self._over:
            return 0
        left = bounds.left()
        if left < self._patience:
            self._sock.settimeout(left)
        count = self._sock.recv_into(buffer)
        bounds.room -= count
        if bounds.room < 0:
            raise TooMuchError
        return count

    def surplus(self, buffered: io.BufferedReader) -> bool:
        """Whether more has come in than the answer that was read; nothing is read any more."""
        self._over = True
        pending = getattr(self._sock, "pending", None)
        return bool(buffered.peek(1)) or (pending is not None and pending() > 0)

    def close(self) -> None:
        if not self.closed:
            super().close()
            self._user.close()


class _Outer:
    """The TLS connection to a proxy, for the one to the portal that goes through it.

    urllib3 reads from it until a record of the inner one is whole, however many pieces that takes.
    """

    def __init__(self, sock: ssl.SSLSocket) -> None:
        object.__setattr__(self, "_sock", sock)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._sock, name)

    def __setattr__(self, name: str, value: Any) -> None:
        # It counts its users there.
        setattr(self._sock, name, value)

    def recv(self, size: int) -> bytes:
        left = bounds.left()
        if left < (self._sock.gettimeout() or math.inf):
            self._sock.settimeout(left)
        data: bytes = self._sock.recv(size)
        return data


class _Answer(HTTPResponse):
    """An answer that is read through :class:`_Bytes`."""

    def __init__(self, sock: socket.socket, *args: Any, **options: Any) -> None:
        self._sock = sock
        self._bytes = _Bytes(sock)
        super().__init__(self._bytes, *args, **options)  # type: ignore[arg-type]

    def _read_status(self) -> tuple[str, int, str]:
        while True:
            version, status, reason = super()._read_status()  # type: ignore[misc]
            # 101 is an answer; the others announce one, of which http.client passes over 100 only.
            if not 101 < status < 200:
                return version, status, reason
            parse_headers(self.fp)

    def _close_conn(self) -> None:
        # What follows an answer unasked must not become the answer to the next call: a connection that has ended is
        # not used again.
        if self._bytes.surplus(self.fp):
            with contextlib.suppress(OSError):
                self._sock.shutdown(socket.SHUT_RDWR)
        super()._close_conn()  # type: ignore[misc]


class _OnTime:
    """A connection that sends and receives within the bounds, and whose errors tell whether it was made.

    By themselves they do not tell, TLS, tunnels and all, and a write whose handshake failed would count as perhaps
    carried out.
    """

    response_class = _Answer
    sock: Any

    def connect(self) -> None:
        try:
            super().connect()  # type: ignore[misc]
        except urllib3.exceptions.ConnectTimeoutError:
            raise
        except (OSError, HTTPException, urllib3.exceptions.HTTPError) as error:
            # The one exception that says that no request has left.
            raise urllib3.exceptions.NewConnectionError(self, "not connected") from error  # type: ignore[arg-type]

    def _connect_tls_proxy(self, *args: Any, **options: Any) -> Any:
        return _Outer(super()._connect_tls_proxy(*args, **options))  # type: ignore[misc]

    def send(self, data: Any) -> None:
        if self.sock is None:
            # It connects first.
            super().send(data)  # type: ignore[misc]
            return
        # That is for connecting, with what a proxy answers, or left from the exchange before this one.
        patience = self.sock.gettimeout()
        view = memoryview(data)
        for at in range(0, len(view), _PIECE):
            self.sock.settimeout(min(bounds.left(), bounds.stall))
            super().send(view[at : at + _PIECE])  # type: ignore[misc]
        self.sock.settimeout(patience)


class Adapter(HTTPAdapter):
    """An adapter whose connections are all of this kind, by whichever way they lead."""

    def init_poolmanager(self, *args: Any, **options: Any) -> None:
        super().init_poolmanager(*args, **options)
        self.poolmanager.pool_classes_by_scheme = _on_time(self.poolmanager.pool_classes_by_scheme)

    def proxy_manager_for(self, proxy: str, **options: Any) -> Any:
        if proxy not in self.proxy_manager:
            manager = super().proxy_manager_for(proxy, **options)
            manager.pool_classes_by_scheme = _on_time(manager.pool_classes_by_scheme)
        return self.proxy_manager[proxy]


def _on_time(pools: Mapping[str, Any]) -> dict[str, Any]:
    """The same kinds of pools, with connections that are on time."""
    return {
        scheme: type(
            pool.__name__,
            (pool,),
            {"ConnectionCls": type(pool.ConnectionCls.__name__, (_OnTime, pool.ConnectionCls), {})},
        )
        for scheme, pool in pools.items()
    }
