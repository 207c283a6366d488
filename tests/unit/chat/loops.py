"""An event loop in which waiting takes no time."""

from __future__ import annotations

import asyncio
import selectors
from collections.abc import Coroutine
from typing import Any, TypeVar

T = TypeVar("T")


class _Leaping(selectors.SelectSelector):
    """Where nothing is to be done but wait for the clock, the clock goes forward instead."""

    now = 0.0

    def select(self, timeout: float | None = None) -> Any:
        events = super().select(0 if timeout else timeout)
        if not events and timeout:
            self.now += timeout
        return events


class LoopClock:
    """The clock of the running event loop."""

    def monotonic(self) -> float:
        return asyncio.get_running_loop().time()

    def time(self) -> float:
        return 1_790_000_000.0 + self.monotonic()

    def sleep(self, seconds: float) -> None:
        raise AssertionError("an event loop must not be blocked")

    async def asleep(self, seconds: float) -> None:
        await asyncio.sleep(seconds)


def run_at_once(main: Coroutine[Any, Any, T]) -> T:
    """Like ``asyncio.run``, with time that leaps. Nothing may be waited for but time."""
    selector = _Leaping()
    loop = asyncio.SelectorEventLoop(selector)
    loop.time = lambda: selector.now  # type: ignore[method-assign]
    try:
        return loop.run_until_complete(asyncio.wait_for(main, 1e6))
    finally:
        loop.close()
