"""The one place where time passes: everything that waits or looks at a clock is given one of these."""

from __future__ import annotations

import asyncio
import time
from typing import Protocol


class Clock(Protocol):
    """What the protocol needs of time. Tests pass their own and never sleep."""

    def monotonic(self) -> float:
        """Seconds that only grow; for measuring waits."""

    def time(self) -> float:
        """Seconds since the epoch; for comparing with what the portal says."""

    def sleep(self, seconds: float) -> None:
        """Block this thread."""

    async def asleep(self, seconds: float) -> None:
        """Suspend this coroutine."""


class SystemClock:
    """The machine's own clock."""

    def monotonic(self) -> float:
        return time.monotonic()

    def time(self) -> float:
        return time.time()

    def sleep(self, seconds: float) -> None:
        time.sleep(seconds)

    async def asleep(self, seconds: float) -> None:
        await asyncio.sleep(seconds)
