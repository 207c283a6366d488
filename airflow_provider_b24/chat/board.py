"""One event loop that keeps many dialogs of one portal lit: signals that are due together share a request.

A triggerer runs one coroutine per waiting task. If each sent its own signals, forty dialogs would use up
the whole two requests a second of a portal; in batches of 50, a thousand use less than that.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Hashable, Iterable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING
from weakref import WeakKeyDictionary

from airflow_provider_b24.chat.typing import SIGNAL_PATIENCE, foreseen
from airflow_provider_b24.rest.batch import MOST_COMMANDS
from airflow_provider_b24.rest.errors import LowBucketError
from airflow_provider_b24.rest.protocol import Call

if TYPE_CHECKING:
    from airflow_provider_b24.rest.aio import AsyncClient
    from airflow_provider_b24.rest.errors import Bitrix24Error

# A signal waits this long for company when none was sent just before, so that coroutines which start
# together go out together; and while others go out, the next request leaves this long after the last.
_GATHER = 0.1
_SPACING = 0.6


@dataclass
class _Signal:
    call: Call
    outcome: asyncio.Future[None]
    waiters: int = 0


class SignalBoard:
    """Takes signals, and sends those that wait at the same time in one request.

    :param client: sends them; closed with the board.
    """

    def __init__(self, client: AsyncClient) -> None:
        self._client = client
        self._waiting: dict[Hashable, _Signal] = {}
        self._flusher: asyncio.Task[None] | None = None
        self._flushed = float("-inf")

    async def signal(self, key: Hashable, call: Call) -> None:
        """Send one signal, in company if there is any.

        :param key: what makes two signals the same; of those that wait together, one is sent.
        :raises Bitrix24Error: if the portal did not take it.
        """
        signal = self._waiting.get(key)
        if signal is None:
            signal = self._waiting[key] = _Signal(call, asyncio.get_running_loop().create_future())
        if self._flusher is None or self._flusher.done():
            self._flusher = asyncio.create_task(self._flush(), name="bitrix24-signals")
        signal.waiters += 1
        try:
            # Whoever stops waiting must not take the signal away from others who wait for the same one.
            await asyncio.shield(signal.outcome)
        finally:
            signal.waiters -= 1
            if not signal.waiters and self._waiting.get(key) is signal:
                del self._waiting[key]

    async def aclose(self) -> None:
        """Drop what waits, and close the connections."""
        if self._flusher is not None:
            self._flusher.cancel()
            await asyncio.gather(self._flusher, return_exceptions=True)
        _settle(self._waiting.values(), _dropped())
        self._waiting.clear()
        await self._client.aclose()

    async def _flush(self) -> None:
        clock = self._client.peer.clock
        while self._waiting:
            await clock.asleep(max(_GATHER, self._flushed + _SPACING - clock.monotonic()))
            self._flushed = clock.monotonic()
            taken = list(self._waiting.values())
            self._waiting.clear()
            await asyncio.gather(
                *(self._send(taken[at : at + MOST_COMMANDS]) for at in range(0, len(taken), MOST_COMMANDS))
            )

    async def _send(self, signals: list[_Signal]) -> None:
        try:
            if len(signals) == 1:
                await self._client.call(signals[0].call, patience=SIGNAL_PATIENCE)
                errors = {}
            else:
                reply = await self._client.batch([signal.call for signal in signals], patience=SIGNAL_PATIENCE)
                errors = reply.errors
        except Exception as error:
            _settle(signals, foreseen(error))
        except BaseException:
            _settle(signals, _dropped())
            raise
        else:
            for index, signal in enumerate(signals):
                _settle([signal], errors.get(index))


def _settle(signals: Iterable[_Signal], error: Bitrix24Error | None) -> None:
    for signal in signals:
        if error is None:
            signal.outcome.set_result(None)
        else:
            signal.outcome.set_exception(error)
            # Read here, so that nothing is said of an error which nobody waits for any more.
            signal.outcome.exception()


def _dropped() -> Bitrix24Error:
    # Not a cancellation: that would end those who wait, and they have not been cancelled.
    return LowBucketError("dropped, because no more typing signals are sent")


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
