"""One request limit for all clients of a portal in this process."""

from __future__ import annotations

import threading

from airflow_provider_b24.rest.address import Address
from airflow_provider_b24.rest.pacing import LeakyBucket, Plan

_buckets: dict[tuple[Address, Plan], SharedBucket] = {}
_creating = threading.Lock()


class SharedBucket:
    """A :class:`~.pacing.LeakyBucket` that threads may share."""

    def __init__(self, plan: Plan) -> None:
        self._bucket = LeakyBucket(plan)
        self._lock = threading.Lock()

    def draw(self, now: float) -> float:
        """Reserve one request; seconds to wait before sending it."""
        with self._lock:
            return self._bucket.draw(now)

    def draw_signal(self, now: float) -> bool:
        """Reserve one request to be sent at once; False if it is to be skipped."""
        with self._lock:
            return self._bucket.draw_signal(now)

    def refused(self, now: float) -> None:
        """The portal refused a request."""
        with self._lock:
            self._bucket.refused(now)

    def accepted(self) -> None:
        """The portal took a request."""
        with self._lock:
            self._bucket.accepted()


def bucket_for(address: Address, plan: Plan) -> SharedBucket:
    """The bucket of a portal, for the vendor counts all programs behind one address together."""
    with _creating:
        return _buckets.setdefault((address, plan), SharedBucket(plan))
