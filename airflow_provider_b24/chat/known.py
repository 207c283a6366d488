"""What a portal has told of its chats and people, kept for a while."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Any
from weakref import WeakKeyDictionary

if TYPE_CHECKING:
    from airflow_provider_b24.rest.peer import Peer

# People change their department, deals the one who is responsible.
LASTS = 600.0
MOST = 1000


class Known:
    """Answers by question, each for ten minutes, of which the oldest are forgotten first.

    Threads may share it.

    :param peer: whose clock counts.
    """

    def __init__(self, peer: Peer) -> None:
        # Not the peer itself, which this must not keep alive.
        self._now = peer.clock.monotonic
        self._lock = threading.Lock()
        self._told: dict[str, tuple[float, Any]] = {}

    def get(self, question: str) -> Any:
        """The answer, or None."""
        told = self._told.get(question)
        return told[1] if told is not None and self._now() - told[0] < LASTS else None

    def put(self, question: str, answer: Any) -> None:
        """Keep an answer."""
        with self._lock:
            self._told.pop(question, None)
            self._told[question] = (self._now(), answer)
            if len(self._told) > MOST:
                del self._told[next(iter(self._told))]


_OF_PEERS: WeakKeyDictionary[Peer, Known] = WeakKeyDictionary()
_LOCK = threading.Lock()


def known(peer: Peer) -> Known:
    """What is known of this portal with this credential."""
    with _LOCK:
        return _OF_PEERS.setdefault(peer, Known(peer))
