"""uvicorn in a thread of its own, on a socket that is already open."""

from __future__ import annotations

import asyncio
import socket
import struct
import threading
from typing import Any

import uvicorn
from uvicorn.protocols.http.auto import AutoHTTPProtocol

_START_SECONDS = 10.0
_STOP_SECONDS = 10.0
# How often uvicorn renews the date in its headers, and how long answers may go on that were begun before the end.
_TICK_SECONDS = 0.1
_ANSWER_SECONDS = 1.0


class _Silent(AutoHTTPProtocol):  # type: ignore[misc,valid-type]
    """Logs no requests, however loggers are set up meanwhile: what is logged belongs to those who call the portal."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.access_log = False


class _Uvicorn(uvicorn.Server):
    """Tells when it serves, knows its connections, and ends at once where uvicorn's own sleeps twice before."""

    def __init__(self, config: uvicorn.Config) -> None:
        super().__init__(config)
        self.ready = threading.Event()

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Start, and say so."""
        await super().startup(sockets=sockets)
        self._loop, self._leave = asyncio.get_running_loop(), asyncio.Event()
        self.ready.set()

    async def main_loop(self) -> None:
        """Serve until ``leave()``."""
        leaving = asyncio.create_task(self._leave.wait())
        ticks = 0
        while not leaving.done() and not await self.on_tick(ticks):
            ticks += 1
            await asyncio.wait([leaving], timeout=_TICK_SECONDS)
        leaving.cancel()

    def leave(self) -> None:
        """Serve no more; called from any thread."""
        if self.ready.is_set():
            self._loop.call_soon_threadsafe(self._leave.set)

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Stop without waiting for clients that hold their connections open."""
        for server in self.servers:
            server.close()
        for connection in list(self.server_state.connections):
            transport = getattr(connection, "transport", None)
            if transport is not None:
                transport.abort()
        tasks = list(self.server_state.tasks)
        if tasks:
            _, slow = await asyncio.wait(tasks, timeout=_ANSWER_SECONDS)
            for task in slow:
                task.cancel()

    def drop(self, client: Any) -> bool:
        """Reset the connection from this address; False where there is none."""
        for connection in list(self.server_state.connections):
            if getattr(connection, "client", None) == client:
                transport = connection.transport
                # Lingering for 0 s makes close() send RST in place of FIN.
                transport.get_extra_info("socket").setsockopt(
                    socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0)
                )
                transport.abort()
                return True
        return False


class Server:
    """An ASGI application on 127.0.0.1.

    :param app: the application.
    :param port: 0 for any free one.
    :raises OSError: the port is in use.
    """

    def __init__(self, app: Any, port: int) -> None:
        # Without the protocol asyncio does not switch Nagle off, and every answer takes 40 ms.
        self._socket = socket.socket(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP)
        try:
            self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            self._socket.bind(("127.0.0.1", port))
            self._socket.listen(128)
        except OSError:
            self._socket.close()
            raise
        self.port: int = self._socket.getsockname()[1]
        config = uvicorn.Config(
            app,
            loop="asyncio",
            ws="none",
            lifespan="off",
            log_config=None,
            log_level="warning",
            http=_Silent,
        )
        self._uvicorn = _Uvicorn(config)
        self._thread = threading.Thread(
            target=self._uvicorn.run, kwargs={"sockets": [self._socket]}, name="fake-bitrix24", daemon=True
        )

    def start(self) -> None:
        """Serve.

        :raises RuntimeError: it did not come up.
        """
        self._thread.start()
        if not self._uvicorn.ready.wait(_START_SECONDS):
            raise RuntimeError("the fake portal did not start")

    def stop(self) -> None:
        """Stop serving and wait for the thread."""
        self._uvicorn.leave()
        self._thread.join(_STOP_SECONDS)

    def drop(self, client: Any) -> bool:
        """Reset the connection from this address; False where there is none."""
        return self._uvicorn.drop(client)
