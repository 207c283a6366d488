"""How much of its execution time each method has used up, and when it may be called again.

The vendor's rule (limits.md): a portal adds up the execution time of each method for each webhook or application in
ten buckets of a minute. A reply tells the sum (``time.operating``) and when the oldest bucket falls out of it
(``time.operating_reset_at``). While the sum is above the limit, the method, and only that one, is refused with
``OPERATION_TIME_LIMIT``. The time of a ``batch`` is billed to the methods in it; should a portal bill it to ``batch``
as well, that is one more method.

From 80 % of the limit on, calls are spread over the time that is left until the next bucket falls away; above the
limit none is sent before. :class:`Account` is pure arithmetic. :class:`OperatingBudget` keeps the accounts where all
who use the credential see them, see there for what they learn in time.
"""

from __future__ import annotations

import json
import math
from dataclasses import dataclass
from hashlib import blake2b
from typing import TypeVar

from airflow_provider_b24.rest.credentials import Credential, Webhook
from airflow_provider_b24.rest.ledger import Change, Ledger

T = TypeVar("T")

# Seconds of execution time that a method may use in ten minutes: in the cloud, and on-premise where it is limited.
CLOUD_LIMIT = 480.0
ON_PREMISE_LIMIT = 420.0

_WINDOW = 600.0
_MINUTE = 60.0
# A reset is told in whole seconds, so it may come almost a second later.
_CUT_OFF = 1.0
# Above this share of the limit the pace of a method slows, and above the other one all processes are told.
_SLOW_FROM = 0.8
_SHARED_FROM = 0.5
# For so many seconds a figure below that share is trusted.
_FRESH = 10.0
# No pause of a slowed method is longer.
_LONGEST_GAP = 30.0
# What a call is taken to cost before two replies in a row have told, in seconds.
_LEAST_COST = 0.1
# Nothing that a portal says closes a method for longer.
_LONGEST_CLOSURE = 3600.0
_MOST_PARTS = 12
# No sum is larger, whatever a reply says: an hour for each minute.
_MOST_USED = 36_000.0
# Less than this is no wait.
_MOMENT = 0.001


class Account:
    """The execution time of one method, as far as it is known; times are seconds of any clock that only grows.

    :ivar closed_until: the portal has refused the method, and can not take it again earlier.
    :ivar free_at: when the next call of a slowed method is due.
    :ivar cost: seconds that a call took of late.
    """

    def __init__(self) -> None:
        # When a part falls away, and how many seconds of execution it holds; the next to fall away first.
        self._parts: list[list[float]] = []
        self._last: tuple[float, float] = (0.0, 0.0)
        self.closed_until = 0.0
        self.free_at = 0.0
        self.cost = _LEAST_COST

    @classmethod
    def load(cls, record: bytes | None, now: float) -> Account:
        """The account that :meth:`dump` wrote down; an empty one for what can not be read."""
        account = cls()
        try:
            fields = json.loads(record or b"{}")
            account._parts = sorted(
                [float(at), float(seconds)]
                for at, seconds in fields.get("parts", [])
                if now < at <= now + 2 * _WINDOW and 0 < seconds < math.inf
            )
            account._last = (float(fields["last"][0]), float(fields["last"][1])) if "last" in fields else (0.0, 0.0)
            account.cost = max(_LEAST_COST, float(fields.get("cost", 0)))
            # A clock that was set back must not close a method for ever.
            closed, free = (float(fields.get(name, 0)) for name in ("closed_until", "free_at"))
            account.closed_until = closed if closed <= now + _LONGEST_CLOSURE else 0.0
            account.free_at = free if free <= now + _LONGEST_GAP else 0.0
        except (ValueError, TypeError, AttributeError, IndexError, KeyError):
            return cls()
        return account

    def dump(self) -> bytes:
        """The account as text."""
        fields = {
            "parts": self._parts,
            "last": self._last,
            "cost": self.cost,
            "closed_until": self.closed_until,
            "free_at": self.free_at,
        }
        return json.dumps(fields, separators=(",", ":")).encode()

    def used(self, now: float) -> float:
        """Seconds of execution in the last ten minutes."""
        self._parts = [part for part in self._parts if part[0] > now]
        return math.fsum(seconds for _, seconds in self._parts)

    def note(self, now: float, operating: float, resets_in: float | None, calls: int = 1) -> None:
        """Take in what a reply said.

        :param operating: the sum that it told.
        :param resets_in: seconds until the oldest bucket of it falls away, if that is known.
        :param calls: how many calls it speaks of.
        """
        operating = min(operating, _MOST_USED)
        more = operating - self.used(now)
        if resets_in is None:
            if self._parts:
                self._parts[-1][1] += max(0.0, more)
            elif operating > 0:
                # The time is kept by minutes: in one, something may have fallen away.
                self._parts = [[now + _MINUTE, operating]]
        else:
            self._settle(now, now + resets_in + _CUT_OFF, more)
            before, reset = self._last
            if operating > before > 0 and abs(now + resets_in - reset) < 2 * _CUT_OFF:
                # Nothing has fallen away between the two replies.
                self.cost = max(_LEAST_COST, min(_MINUTE, (operating - before) / calls))
            self._last = (operating, now + resets_in)
        self._shrink(-more)

    def wait(self, now: float, limit: float) -> float:
        """Seconds until a call may be sent; 0 if it may be now."""
        at = max(self.closed_until, self.free_at if self.used(now) > _SLOW_FROM * limit else now)
        left = self.used(now)
        for reset, seconds in self._parts:
            if left <= limit:
                break
            at, left = max(at, reset), left - seconds
        return at - now if at - now > _MOMENT else 0.0

    def take(self, now: float, limit: float, calls: int = 1) -> bool:
        """Calls are sent now. If the method is slowed, the next ones are due when their share of time has passed.

        :return: whether the method is slowed.
        """
        left = limit - self.used(now)
        slowed = left < (1 - _SLOW_FROM) * limit
        if slowed:
            until = self._parts[0][0] - now if self._parts else _MINUTE
            # Not closer than they take, so that each is known before the next is sent.
            gap = self.cost * calls * max(1.0, until / left) if left > 0 else _LONGEST_GAP
            self.free_at = now + min(_LONGEST_GAP, gap)
        return slowed

    def refused(self, now: float, retry_after: float | None) -> float:
        """The portal has refused the method; seconds until it is worth another try.

        :param retry_after: what the portal said of that itself.
        """
        self.used(now)
        # Before the oldest bucket falls away nothing does; where that is not known, something may within a minute.
        wait = retry_after or (self._parts[0][0] - now if self._parts else _MINUTE)
        self.closed_until = max(self.closed_until, now + min(wait, _LONGEST_CLOSURE))
        return max(wait, self.closed_until - now)

    def _settle(self, now: float, reset: float, more: float) -> None:
        """The oldest part falls away then, and there is so much more than was known."""
        more = max(0.0, more)
        if not self._parts or reset < self._parts[0][0] - 2 * _CUT_OFF:
            # There is something older than what is known.
            self._parts.insert(0, [reset, more])
        else:
            early = [part for part in self._parts if part[0] <= reset]
            oldest = [reset, math.fsum(seconds for _, seconds in early or self._parts[:1])]
            self._parts = [oldest, *self._parts[max(1, len(early)) :]]
            if self._parts[-1][0] > now + _WINDOW - _MINUTE + _CUT_OFF:
                self._parts[-1][1] += more
            else:
                self._parts.append([now + _WINDOW + _CUT_OFF, more])
        if len(self._parts) > _MOST_PARTS:
            first = self._parts.pop(0)
            self._parts[0] = [first[0], first[1] + self._parts[0][1]]

    def _shrink(self, less: float) -> None:
        """There is so much less than was known: the oldest has fallen away."""
        while less > 0 and self._parts:
            taken = min(less, self._parts[0][1])
            self._parts[0][1] -= taken
            less -= taken
            if self._parts[0][1] > 0:
                return
            del self._parts[0]


@dataclass(frozen=True)
class Allowance:
    """Whether a call may be sent.

    :ivar wait: seconds until then; 0 if it may be now.
    :ivar used: seconds of execution that the method has used, as far as it is known.
    :ivar refused: whether it waits because the portal has refused the method.
    """

    wait: float
    used: float = 0.0
    refused: bool = False


class OperatingBudget:
    """The execution time of all methods for one credential.

    Every reply tells the sum of what all have used, whoever they are. It goes to the ledger only from half of the
    limit on, and the ledger is asked before a call only where no reply and no look of the last 10 s says that the
    method is below that. So a process knows what others have learned 10 s ago, and from half of the limit on what
    they have learned a moment ago; below it, calls cost nothing.

    :param ledger: where the accounts are kept.
    :param name: of the portal and the credential, in the ledger; no secret.
    :param limit: seconds in ten minutes.
    """

    def __init__(self, ledger: Ledger, name: str, limit: float = CLOUD_LIMIT) -> None:
        self.limit = limit
        self.blocking = ledger.blocking
        self._ledger = ledger
        self._name = name
        self._calm_until: dict[str, float] = {}
        # Replies of calm methods: when they came, and what they said.
        self._heard: dict[str, tuple[float, float, float | None]] = {}

    def is_calm(self, method: str, now: float) -> bool:
        """Whether it is known that the method is far from its limit.

        :param now: the clock's monotonic seconds.
        """
        return now < self._calm_until.get(method.lower(), -math.inf)

    def allowance(self, method: str, now: float, *, calls: int = 1, take: bool = True) -> Allowance:
        """When the method may be called.

        :param now: the clock's monotonic seconds.
        :param calls: so many at once.
        :param take: it is called now if it may be; otherwise this only looks.
        """

        def change(record: bytes | None, at: float) -> tuple[bytes | None, Allowance]:
            account = Account.load(record, at)
            allowance = Allowance(account.wait(at, self.limit), account.used(at), account.closed_until > at)
            if not take or allowance.wait or not account.take(at, self.limit, calls):
                return record, allowance
            return account.dump(), allowance

        allowance = self._update(method, change)
        if not allowance.wait and allowance.used < _SHARED_FROM * self.limit:
            self._calm_until[method.lower()] = now + _FRESH
        return allowance

    def stays_calm(self, method: str, now: float, operating: float, resets_in: float | None) -> bool:
        """Whether what a reply said needs not be known to others; otherwise it is to be noted.

        :param now: the clock's monotonic seconds.
        """
        calm = self.is_calm(method, now) and operating < _SHARED_FROM * self.limit
        if calm:
            self._calm_until[method.lower()] = now + _FRESH
            self._heard[method.lower()] = (now, operating, resets_in)
        return calm

    def note(self, method: str, operating: float, resets_in: float | None, calls: int = 1) -> None:
        """Take in what a reply said; see :meth:`Account.note`."""

        def change(record: bytes | None, at: float) -> tuple[bytes | None, None]:
            account = Account.load(record, at)
            account.note(at, operating, resets_in, calls)
            return account.dump(), None

        self._calm_until.pop(method.lower(), None)
        self._update(method, change)

    def refused(self, method: str, now: float, retry_after: float | None = None) -> float:
        """The portal has refused the method; seconds until it is worth another try.

        :param now: the clock's monotonic seconds.
        :param retry_after: what the portal said of that itself.
        """
        heard_at, operating, left = self._heard.get(method.lower(), (now, 0.0, None))

        def change(record: bytes | None, at: float) -> tuple[bytes | None, float]:
            account = Account.load(record, at)
            if left is not None and left > now - heard_at and not account.used(at):
                account.note(at, operating, left - (now - heard_at))
            wait = account.refused(at, retry_after)
            return account.dump(), wait

        self._calm_until.pop(method.lower(), None)
        return self._update(method, change)

    def _update(self, method: str, change: Change[T]) -> T:
        return self._ledger.update(f"operating.{self._name}.{method.lower()}", change)


def name_of(credential: Credential) -> str:
    """What tells a portal and a credential from others, and nothing of the secret."""
    if isinstance(credential, Webhook):
        whose, key = f"{credential.address}/{credential.user_id}", credential.code
    else:
        whose, key = f"{credential.address}/{credential.client_id}", ""
    return blake2b(whose.encode(), key=key.encode()[:64], digest_size=8).hexdigest()


def resets_in(reset_at: float | None, finished_at: float | None, now: float) -> float | None:
    """Seconds until the oldest bucket falls away; None where what the portal says of it can not be.

    :param reset_at: what a reply says.
    :param finished_at: the portal's own time when it finished the reply, for its clock may be wrong.
    :param now: ours, where it does not tell.
    """
    if reset_at is None:
        return None
    left = reset_at - (now if finished_at is None else finished_at)
    return left if 0 < left <= _WINDOW + _MINUTE else None
