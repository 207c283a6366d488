"""How fast a portal may be called: the leaky bucket of requests.

Pure arithmetic over a clock that the caller reads; no waiting, no lock, no I/O. The vendor's rules
(limits.md): every HTTP request adds 1 to a counter, which falls by ``rate`` a second; above ``burst`` a
request is refused with ``QUERY_LIMIT_EXCEEDED``.
"""

from __future__ import annotations

import math
import struct
from dataclasses import dataclass
from typing import NamedTuple

from airflow_provider_b24.rest.errors import ConfigurationError
from airflow_provider_b24.rest.protocol import Priority

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
# What is due within this many seconds is reserved, or the next request, if that takes longer. It is little, so that
# work need not wait for much bulk, and little is lost with a process that is killed.
_RESERVED_AHEAD = 0.5
# Who has a ticket draws again after this many seconds at the latest, for the pace may have changed.
_LONGEST_WAIT, _SHORTEST_WAIT = 5.0, 0.001
# In requests.
_ROUNDING = 1e-6
# What was learned is forgotten when nobody has called the portal for so many seconds; by then the bucket of any plan
# that the vendor sells is empty.
_FORGOTTEN_AFTER = 900.0

# version; level, at, pace, tried from, spare from, quiet from; tickets issued and served for work, and for bulk
_RECORD = struct.Struct("<B6d4Q")
_VERSION = 1


@dataclass(frozen=True)
class Plan:
    """What a portal's plan allows.

    :ivar burst: requests that may come at once.
    :ivar rate: requests a second in the long run.
    :raises ConfigurationError: if that can not be.
    """

    burst: float
    rate: float

    def __post_init__(self) -> None:
        for name in ("burst", "rate"):
            value = getattr(self, name)
            if not (value >= 1 if name == "burst" else value > 0) or value == math.inf:
                raise ConfigurationError(
                    f"{name} is {value!r}",
                    advice="burst is at least 1 request, rate is above 0 requests a second; neither is infinite.",
                )


PLANS: dict[str, Plan | None] = {
    "standard": Plan(50, 2),
    "enterprise": Plan(250, 5),
    "unlimited": None,
}


class Turn(NamedTuple):
    """What a draw says.

    :ivar ready: whether a request is reserved; it is to be sent after the wait.
    :ivar wait: seconds until it is to be sent, or else until the next draw with the ticket.
    :ivar ticket: the place in the queue. None with a request that is ready, and where neither a request nor a place is
        to be had, which leaves nothing behind.
    :ivar whole: seconds until the request will be sent, as far as can be seen now.
    :ivar slow: whether the pace is lowered, so that success is worth telling.
    """

    ready: bool
    wait: float = 0.0
    ticket: int | None = None
    whole: float = 0.0
    slow: bool = False


class Level(NamedTuple):
    """How full a portal's request counter is.

    :ivar level: requests that count now.
    :ivar pace: the share of the plan's pace that is kept; below 1 after refusals.
    :ivar waiting: calls in the queue, as far as they have not given up.
    """

    level: float
    pace: float
    waiting: int


class LeakyBucket:
    """The portal's request counter, as far as it is known to those who share one record of it.

    A draw tells at once how long to wait. What is due soon is reserved: it counts at once, so that nothing is sent
    that is expected to be refused. Who comes later gets a ticket and draws again when told: in the order of the
    tickets, bulk after all work. So whoever is killed or gives up while it waits leaves no debt: at most the few
    requests that were reserved, and tickets that are passed over when nobody comes for them.

    Two who state different plans for one portal share the level, and each reads it by its own plan; where one states
    too much, refusals lower the pace for both.

    :param plan: what the one who draws now states of the portal.
    :param record: what was packed last; None for a bucket that is empty.
    :param now: the ledger's clock.
    """

    __slots__ = ("_at", "_level", "_now", "_pace", "_plan", "_queues", "_quiet_from", "_spare_from", "_tried_from")

    def __init__(self, plan: Plan, record: bytes | None, now: float) -> None:
        self._plan, self._now = plan, now
        if record is None or len(record) != _RECORD.size or record[0] != _VERSION:
            record = None
        else:
            numbers: list[float]
            _, *numbers, issued, served, bulk_issued, bulk_served = _RECORD.unpack(record)
            self._level, self._at, self._pace, self._tried_from, self._spare_from, self._quiet_from = numbers
            self._queues = {Priority.WORK: _Queue(issued, served), Priority.BULK: _Queue(bulk_issued, bulk_served)}
        if record is None or now - self._at > _FORGOTTEN_AFTER:
            self._level, self._at, self._pace = 0.0, now, 1.0
            self._tried_from = self._spare_from = float("-inf")
            self._quiet_from = now
            self._queues = {Priority.WORK: _Queue(), Priority.BULK: _Queue()}
        else:
            self._leak(now)

    def pack(self) -> bytes:
        """The record."""
        work, bulk = self._queues[Priority.WORK], self._queues[Priority.BULK]
        return _RECORD.pack(
            _VERSION,
            self._level,
            self._at,
            self._pace,
            self._tried_from,
            self._spare_from,
            self._quiet_from,
            work.issued,
            work.served,
            bulk.issued,
            bulk.served,
        )

    def draw(
        self, priority: Priority = Priority.WORK, ticket: int | None = None, *, at_most: float = float("inf")
    ) -> Turn:
        """Ask for one request.

        :param ticket: what the last draw for this request said.
        :param at_most: seconds that the request may still wait. Where that does not do, no request is reserved and no
            place in the queue is kept.
        """
        if priority is Priority.TYPING:
            return Turn(ready=self._draw_signal(), slow=self._pace < 1)
        queue = self._queues[priority]
        known = ticket is not None and ticket < queue.issued
        place = ticket if ticket is not None and known else queue.issued
        ahead = max(0, place - queue.served)
        if priority is Priority.BULK:
            ahead += self._queues[Priority.WORK].waiting
        over = self._over
        silent = over <= self._horizon and self._now - self._quiet_from >= self._silence(ahead)
        if over + ahead > self._horizon and silent:
            ahead = 0
            queue.served = max(queue.served, place)
            if priority is Priority.BULK:
                self._queues[Priority.WORK].serve_all()

        whole = max(0.0, over + ahead) / self._rate
        ready = over + ahead <= self._horizon + _ROUNDING
        if ready:
            wait, hope = max(0.0, over) / self._rate, 0.0
        else:
            until_turn = (over + ahead - self._horizon) / self._rate
            wait = max(_SHORTEST_WAIT, min(until_turn, self._silence(ahead), _LONGEST_WAIT))
            # A pace that is lowered now may recover meanwhile.
            hope = whole * self._pace
        if max(wait, hope) > at_most:
            if known:
                queue.serve()
            return Turn(ready=False, whole=whole)
        if not ready:
            queue.issued += not known
            return Turn(ready=False, wait=wait, ticket=place, whole=whole)
        if known:
            queue.serve()
        self._level += 1
        self._quiet_from = self._now
        return Turn(ready=True, wait=wait, whole=whole, slow=self._pace < 1)

    def refused(self) -> None:
        """The portal refused a request: somebody else draws too. The bucket is full, and the pace halves."""
        self._level = max(self._level, self._room)
        # What is kept for signals was not kept: for now one would be refused as well.
        self._spare_from = max(self._spare_from, self._now + _SIGNAL_EVERY)
        # Refusals of requests that were drawn at one pace are one sign, not many: it is not halved again before the
        # first request drawn at the new pace is sent.
        if self._now >= self._tried_from:
            self._pace = max(_SLOWEST, self._pace * _BACKED_OFF)
            self._tried_from = self._now + self._over / self._rate

    def accepted(self) -> None:
        """The portal took a request: recover the pace a little."""
        if self._pace < 1:
            self._pace = min(1.0, self._pace * _RECOVERY)

    def _draw_signal(self) -> bool:
        # While less than a quarter of the burst is left, one in 5 s goes out at the most, from what is kept for
        # signals. One that finds the bucket empty keeps nobody waiting, however small the bucket is.
        if self._level + 1 > max(1.0, 0.75 * self._room):
            if self._now < self._spare_from or self._room + _SPARE > self._plan.burst:
                return False
            # What was reserved before does not know of it; the spare is free again when that is sent.
            self._spare_from = self._now + max(_SIGNAL_EVERY, self._over / self._rate)
        self._level += 1
        return True

    def _silence(self, ahead: int) -> float:
        """For how many seconds a turn must have been free before those ahead count as gone."""
        return (2 + math.log2(1 + ahead)) / self._rate

    @property
    def state(self) -> Level:
        """How full it is."""
        return Level(self._level, self._pace, sum(queue.waiting for queue in self._queues.values()))

    @property
    def _room(self) -> float:
        return max(1.0, self._plan.burst - _MARGIN - _SPARE)

    @property
    def _rate(self) -> float:
        return self._plan.rate * self._pace

    @property
    def _over(self) -> float:
        """How far one more request would be above what may be sent at once."""
        return self._level + 1 - self._room

    @property
    def _horizon(self) -> float:
        """How many requests are reserved ahead of their time."""
        return max(1.0, self._rate * _RESERVED_AHEAD)

    def _leak(self, now: float) -> None:
        if now > self._at:
            excess = self._over - self._horizon
            if excess > 0:
                self._quiet_from = self._at + excess / self._rate
            self._level = max(0.0, self._level - (now - self._at) * self._rate)
            self._at = now


@dataclass
class _Queue:
    """Who waits, by the number of tickets that were issued, and of those that have been served or passed over."""

    issued: int = 0
    served: int = 0

    @property
    def waiting(self) -> int:
        return self.issued - self.served

    def serve(self) -> None:
        self.served = min(self.issued, self.served + 1)

    def serve_all(self) -> None:
        self.served = self.issued
