"""How fast a portal may be called: the leaky bucket of requests, and the time budget of each method.

Pure arithmetic over a clock that the caller reads; no waiting, no lock, no I/O. The vendor's rules
(limits.md): every HTTP request adds 1 to a counter, which falls by ``rate`` a second; above ``burst`` a
request is refused with ``QUERY_LIMIT_EXCEEDED``. Each method has, per credential, a budget of execution
time over ten minutes; above it calls are refused with ``OPERATION_TIME_LIMIT``.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from airflow_provider_b24.rest.errors import ConfigurationError

# A request on its way is counted by the portal when it arrives, not when it is sent; two that travel at
# different speeds arrive closer together than they were sent. One request less than the limit covers that.
_MARGIN = 1.0
# Work that needs every request there is must not put the typing indicator out: one request is kept for signals, and
# is used once in this many seconds at the most.
_SPARE = 1.0
_SIGNAL_EVERY = 5.0
# A refusal in spite of the arithmetic means that others draw on the same bucket: halve, then recover slowly.
_BACKED_OFF = 0.5
_RECOVERY = 1.05
_SLOWEST = 1 / 64


@dataclass(frozen=True)
class Plan:
    """What a portal's plan allows.

    :ivar burst: requests that may come at once.
    :ivar rate: requests a second in the long run.
    :raises ConfigurationError: if one of them is not above zero.
    """

    burst: float
    rate: float

    def __post_init__(self) -> None:
        for name in ("burst", "rate"):
            value = getattr(self, name)
            if not (value >= 1 if name == "burst" else value > 0):
                raise ConfigurationError(
                    f"{name} is {value!r}",
                    advice="burst is at least 1 request, rate is above 0 requests a second.",
                )


PLANS: dict[str, Plan | None] = {
    "standard": Plan(50, 2),
    "enterprise": Plan(250, 5),
    "unlimited": None,
}


class Bucket(Protocol):
    """What a conversation asks of the request limit; see :class:`LeakyBucket`."""

    def draw(self, now: float) -> float:
        """Reserve one request; seconds to wait before sending it."""

    def draw_signal(self, now: float) -> bool:
        """Reserve one request to be sent at once; False if it is to be skipped."""

    def refused(self, now: float) -> None:
        """The portal refused a request."""

    def accepted(self) -> None:
        """The portal took a request."""


class LeakyBucket:
    """The portal's request counter, as far as it is known here.

    A draw is a reservation: it counts at once and says how long to wait before sending, so that nothing is
    sent that is expected to be refused.
    """

    def __init__(self, plan: Plan) -> None:
        self.plan = plan
        self._level = 0.0
        self._at = float("-inf")
        self._pace = 1.0
        self._tried_from = float("-inf")
        self._spare_from = float("-inf")

    def draw(self, now: float) -> float:
        """Reserve one request.

        :param now: the clock's monotonic seconds.
        :return: seconds to wait before sending it.
        """
        self._leak(now)
        self._level += 1
        over = self._level - self._room
        return over / self._rate if over > 0 else 0.0

    def draw_signal(self, now: float) -> bool:
        """Reserve one request that is sent at once or not at all: a typing signal.

        While less than a quarter of the burst is left, one in 5 s goes out at the most, from what is kept for
        signals; the others are to be skipped.

        :param now: the clock's monotonic seconds.
        """
        self._leak(now)
        # One that finds the bucket empty keeps nobody waiting, however small the bucket is.
        if self._level + 1 > max(1.0, 0.75 * self._room):
            if now < self._spare_from or self._room + _SPARE > self.plan.burst:
                return False
            # Draws made before this one do not know of it; the spare is free again when the last of them is sent.
            backlog = max(0.0, self._level + 1 - self._room) / self._rate
            self._spare_from = now + max(_SIGNAL_EVERY, backlog)
        self._level += 1
        return True

    def refused(self, now: float) -> None:
        """The portal refused a request: somebody else draws too. The bucket is full, and the pace halves."""
        self._leak(now)
        self._level = max(self._level, self._room)
        # What is kept for signals was not kept: for now one would be refused as well.
        self._spare_from = max(self._spare_from, now + _SIGNAL_EVERY)
        # Refusals of requests that were drawn at one pace are one sign, not many: it is not halved again before the
        # first request drawn at the new pace is sent.
        if now >= self._tried_from:
            self._pace = max(_SLOWEST, self._pace * _BACKED_OFF)
            self._tried_from = now + (self._level + 1 - self._room) / self._rate

    def accepted(self) -> None:
        """The portal took a request: recover the pace a little."""
        if self._pace < 1:
            self._pace = min(1.0, self._pace * _RECOVERY)

    @property
    def _room(self) -> float:
        return max(1.0, self.plan.burst - _MARGIN - _SPARE)

    @property
    def _rate(self) -> float:
        return self.plan.rate * self._pace

    def _leak(self, now: float) -> None:
        if now > self._at:
            self._level = max(0.0, self._level - (now - self._at) * self._rate) if self._level else 0.0
            self._at = now


class OperatingBudget:
    """When each method may be called again, from the ``operating_reset_at`` of its last reply."""

    def __init__(self) -> None:
        self._reset_at: dict[str, float] = {}

    def note(self, method: str, reset_at: float | None) -> None:
        """Remember what a reply said."""
        if reset_at is not None:
            self._reset_at[method.lower()] = reset_at

    def wait_for(self, method: str, now: float) -> float:
        """Seconds until a method that was refused with ``OPERATION_TIME_LIMIT`` is worth another try.

        :param now: seconds since the epoch.
        :return: until the noted reset; a minute where none is known, since the budget is kept by minutes.
        """
        reset_at = self._reset_at.get(method.lower(), 0.0)
        return max(1.0, reset_at - now) if now < reset_at < now + 3600 else 60.0
