"""A clock that is set by hand: nothing sleeps, and what was asked to wait is written down."""

from __future__ import annotations

import threading
from collections.abc import Callable


class FakeClock:
    """Time passes only by sleeping, and sleeping takes no time.

    :ivar waits: the seconds of every sleep.
    :param on_sleep: called at each sleep, for what happens in the world meanwhile.
    """

    def __init__(self, *, now: float = 1000.0, epoch: float = 1_790_000_000.0) -> None:
        self.now = now
        self.epoch = epoch
        self.waits: list[float] = []
        self.on_sleep: Callable[[], None] | None = None
        self._lock = threading.Lock()

    def monotonic(self) -> float:
        return self.now

    def time(self) -> float:
        return self.epoch + self.now

    def sleep(self, seconds: float) -> None:
        with self._lock:
            self.waits.append(seconds)
            self.now += seconds
        if self.on_sleep is not None:
            self.on_sleep()

    async def asleep(self, seconds: float) -> None:
        self.sleep(seconds)
