"""One request limit for all who call a portal and share a ledger."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

from airflow_provider_b24.rest.address import Address
from airflow_provider_b24.rest.ledger import Ledger
from airflow_provider_b24.rest.pacing import LeakyBucket, Level, Plan, Turn
from airflow_provider_b24.rest.protocol import Priority

T = TypeVar("T")


class SharedBucket:
    """A portal's :class:`~.pacing.LeakyBucket` in a ledger.

    The vendor counts all programs behind one address together, whatever their credentials are: so the bucket is the
    portal's, and who calls it by another scheme or credential draws from the same.

    :param ledger: what is shared, and with whom.
    :param address: the portal.
    :param plan: how fast it may be called.
    :ivar blocking: whether a draw may take longer than a moment.
    """

    def __init__(self, ledger: Ledger, address: Address, plan: Plan) -> None:
        self.plan = plan
        self.blocking = ledger.blocking
        self._ledger = ledger
        self._key = f"bucket:{address.host}:{address.port or {'https': 443, 'http': 80}[address.scheme]}"

    def at(self, address: Address) -> SharedBucket:
        """The bucket of the portal where it lives now."""
        return SharedBucket(self._ledger, address, self.plan)

    def draw(
        self, priority: Priority = Priority.WORK, ticket: int | None = None, at_most: float = float("inf")
    ) -> Turn:
        """Ask for one request; see :meth:`.LeakyBucket.draw`."""
        return self._with(lambda bucket: bucket.draw(priority, ticket, at_most=at_most))

    def look(self) -> Level:
        """How full it is; that takes nothing from it."""

        def change(record: bytes | None, now: float) -> tuple[bytes | None, Level]:
            return record, LeakyBucket(self.plan, record, now).state

        return self._ledger.update(self._key, change)

    def refused(self) -> None:
        """The portal refused a request."""
        self._with(LeakyBucket.refused)

    def accepted(self) -> None:
        """The portal took a request that was drawn at a lowered pace."""
        self._with(LeakyBucket.accepted)

    def _with(self, what: Callable[[LeakyBucket], T]) -> T:
        def change(record: bytes | None, now: float) -> tuple[bytes, T]:
            bucket = LeakyBucket(self.plan, record, now)
            result = what(bucket)
            return bucket.pack(), result

        return self._ledger.update(self._key, change)
