"""The two limits of the portal: the leaky bucket and the operating budget."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, field

_MINUTE = 60.0
_KEPT = 600.0


class LeakyBucket:
    """Counts HTTP requests by source address.

    :param size: the level above which a request is refused.
    :param rate: how much the level falls per second.
    :param clock: seconds.
    """

    def __init__(self, size: float, rate: float, clock: Callable[[], float]) -> None:
        self.size = size
        self.rate = rate
        self.count_refused = False
        """Do refused requests fill the bucket, too? The documentation does not say."""
        self._clock = clock
        self._levels: dict[str, tuple[float, float]] = {}

    def level(self, source: str = "127.0.0.1") -> float:
        """The level now."""
        level, at = self._levels.get(source, (0.0, 0.0))
        return max(0.0, level - (self._clock() - at) * self.rate)

    def admit(self, source: str) -> bool:
        """Count a request; False where it is to be refused."""
        level = self.level(source)
        admitted = level + 1 <= self.size
        if admitted or self.count_refused:
            self._levels[source] = (level + 1, self._clock())
        return admitted

    def clear(self) -> None:
        """Empty it."""
        self._levels.clear()


@dataclass
class _Spent:
    # (start of the bucket, seconds spent in it), oldest first
    minutes: list[list[float]] = field(default_factory=list)


class OperatingBudget:
    """Execution time per caller and method, in one-minute buckets that are kept for ten minutes.

    :param limit: seconds above which the next call is refused; ``None`` for no limit.
    :param clock: seconds.
    """

    def __init__(self, limit: float | None, clock: Callable[[], float]) -> None:
        self.limit = limit
        self.told_in_batches = False
        """Do the times of a batch's commands tell it, too? The documentation's sample does not, but the vendor's SDK
        reads it there."""
        self._clock = clock
        self._spent: dict[tuple[str, str], _Spent] = {}

    def _minutes(self, caller: str, method: str) -> list[list[float]]:
        spent = self._spent.setdefault((caller, method), _Spent())
        now = self._clock()
        spent.minutes = [minute for minute in spent.minutes if now < minute[0] + _KEPT]
        return spent.minutes

    def operating(self, caller: str, method: str) -> float:
        """Seconds spent so far."""
        return math.fsum(minute[1] for minute in self._minutes(caller, method))

    def reset_at(self, caller: str, method: str) -> int:
        """When the oldest bucket falls away (epoch seconds)."""
        minutes = self._minutes(caller, method)
        return int((minutes[0][0] if minutes else self._clock()) + _KEPT)

    def exceeded(self, caller: str, method: str) -> bool:
        """Is the next call to be refused?"""
        return self.limit is not None and self.operating(caller, method) > self.limit

    def spend(self, caller: str, method: str, seconds: float) -> None:
        """Add the time of a call that was executed."""
        minutes = self._minutes(caller, method)
        now = self._clock()
        if minutes and now < minutes[-1][0] + _MINUTE:
            minutes[-1][1] += seconds
        else:
            minutes.append([now, seconds])

    def clear(self) -> None:
        """Forget all that was spent."""
        self._spent.clear()
