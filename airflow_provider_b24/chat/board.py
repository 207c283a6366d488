"""One event loop that keeps many dialogs of one portal lit: signals that are due together share a request.

A triggerer runs one coroutine per waiting task. If each sent its own signals, forty dialogs would use up
the whole two requests a second of a portal; in batches of 50, a thousand use less than that.
"""

from __future__ import annotations

import asyncio
import contextvars
from collections.abc import AsyncIterator, Callable, Coroutine, Hashable
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any
from weakref import WeakKeyDictionary

from airflow_provider_b24.chat.rota import Lamp, Rota, Turn
from airflow_provider_b24.chat.typing import ANSWER, SIGNAL_PATIENCE, Light, foreseen

if TYPE_CHECKING:
    from airflow_provider_b24.rest.aio import AsyncClient
    from airflow_provider_b24.rest.errors import Bitrix24Error
    from airflow_provider_b24.rest.protocol import Call


# No pause is shorter, in seconds.
_TICK = 0.001


class SignalBoard:
    """Keeps lamps lit: sends what is due, up to 50 signals in a request.

    :param client: sends the signals; closed with the board.
    """

    def __init__(self, client: AsyncClient) -> None:
        self._client = client
        self._clock = client.peer.clock
        self._rota = Rota()
        self._changed = asyncio.Event()
        self._keeper: asyncio.Task[None] | None = None
        self._sending: dict[asyncio.Task[None], Turn] = {}

    @asynccontextmanager
    async def lamp(self, key: Hashable, call: Call, light: Light) -> AsyncIterator[Lamp]:
        """Inside of the block a dialog is kept lit. Whatever happens to its signals is only told in the log.

        Leaving it waits for a signal that is on its way, so that none arrives after the message which puts the
        indicator out.

        :param key: what makes two signals the same; of those that are due together, one is sent.
        :param call: the signal.
        :param light: when it is due, by the client's clock.
        """
        lamp = Lamp(key, call, light, self._clock.monotonic(), self._changed.set)
        self._rota.add(lamp)
        self._changed.set()
        if self._keeper is None or self._keeper.done():
            self._keeper = _beside(self._keep_lit(), "bitrix24-signals")
        try:
            yield lamp
            lamp.switch(False)
            last = [task for task, turn in self._sending.items() if lamp in turn]
            if last:
                await asyncio.wait(last, timeout=ANSWER + 1)
        finally:
            self._rota.remove(lamp)

    async def aclose(self) -> None:
        """Send no more, and close the connections."""
        tasks = [*self._sending, *([self._keeper] if self._keeper is not None else [])]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await self._client.aclose()

    async def _keep_lit(self) -> None:
        while True:
            self._changed.clear()
            pause = self._rota.wait(self._clock.monotonic())
            if pause == 0:
                turn = self._rota.take(self._clock.monotonic())
                task = _beside(self._send(turn), "bitrix24-signals-request")
                self._sending[task] = turn
                task.add_done_callback(self._sending.pop)
            else:
                await self._pause(pause)

    async def _pause(self, seconds: float | None) -> None:
        """Wait, but not beyond a change."""
        waiting: list[asyncio.Future[Any]] = [asyncio.ensure_future(self._changed.wait())]
        if seconds is not None:
            waiting.append(asyncio.ensure_future(self._clock.asleep(max(_TICK, seconds))))
        try:
            await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for future in waiting:
                future.cancel()

    async def _send(self, turn: Turn) -> None:
        errors: dict[Any, Bitrix24Error] = {}
        try:
            if len(turn.calls) == 1:
                await self._client.call(turn.calls[0], patience=SIGNAL_PATIENCE)
            else:
                reply = await self._client.batch(turn.calls, patience=SIGNAL_PATIENCE)
                errors = reply.errors
        except Exception as error:
            self._rota.failed(turn, foreseen(error), self._clock.monotonic())
        else:
            self._rota.answered(turn, errors, self._clock.monotonic())
        self._changed.set()


def _beside(work: Coroutine[Any, Any, None], name: str) -> asyncio.Task[None]:
    """A task in a context of its own: what it logs belongs to nobody's task in particular."""

    def begin() -> asyncio.Task[None]:
        return asyncio.create_task(work, name=name)

    return contextvars.Context().run(begin)


_boards: WeakKeyDictionary[asyncio.AbstractEventLoop, dict[Hashable, tuple[SignalBoard, int]]] = WeakKeyDictionary()


@asynccontextmanager
async def shared_board(key: Hashable, make_client: Callable[[], AsyncClient]) -> AsyncIterator[SignalBoard]:
    """The board of this event loop for one portal and credential; made by the first user, closed by the last.

    :param key: what tells one credential from another.
    :param make_client: makes the client that sends the signals.
    """
    boards = _boards.setdefault(asyncio.get_running_loop(), {})
    board, users = boards.get(key) or (SignalBoard(make_client()), 0)
    boards[key] = (board, users + 1)
    try:
        yield board
    finally:
        users = boards[key][1] - 1
        boards[key] = (board, users)
        if not users:
            del boards[key]
            await board.aclose()
