"""How much a portal is asked for at once: requests side by side, and pages in each. Pure.

A portal that is asked for more than it bears answers later, and then not at all. So what is asked for shrinks quickly
when answers are lost or slow, and grows back slowly. Where requests wait for the portal's request limit, more of them
would only wait as well, before those of others.
"""

from __future__ import annotations

import math

from airflow_provider_b24.rest.batch import MOST_COMMANDS

# The portal gives a request up after 60 s; one is kept well below that.
_SECONDS = 20.0
# So large an answer, in bytes, takes a few times as much memory.
_BYTES = 8_000_000
# An answer that takes so many times as long as the quickest is slow, but none within a second.
_SLOW = 4.0
_QUICK_ENOUGH = 1.0
_FEWER = 0.75
# While the request limit binds: one is under way while another waits for its turn.
_LANES_AT_LIMIT = 2.0


class Pace:
    """How much may be asked for now.

    :param parallel: requests at once at most.
    """

    def __init__(self, parallel: int) -> None:
        self._most = float(parallel)
        self._lanes = float(parallel)
        self._commands = float(MOST_COMMANDS)
        # The least seconds that a request of about so many commands took.
        self._best: dict[int, float] = {}
        # So many answers more are to requests from before the last change.
        self._stale = 0

    @property
    def lanes(self) -> int:
        """Requests at once."""
        return max(1, int(self._lanes))

    @property
    def commands(self) -> int:
        """Commands in a request."""
        return max(1, int(self._commands))

    def answered(self, commands: int, seconds: float, waited: float, size: int) -> None:
        """An answer has come.

        :param seconds: until it was here.
        :param waited: for limits before.
        :param size: its bytes.
        """
        kind = commands.bit_length()
        best = self._best[kind] = min(seconds, self._best.get(kind, math.inf))
        if waited > seconds:
            self._fewer(min(self._lanes, max(_LANES_AT_LIMIT, self._lanes - 1)))
        elif seconds > max(_SLOW * best, _QUICK_ENOUGH):
            self._fewer(self._lanes * _FEWER)
        else:
            self._stale = max(0, self._stale - 1)
            self._lanes = min(self._most, self._lanes + 1 / self._lanes)
        most = min(_SECONDS / max(seconds / commands, 1e-6), _BYTES / max(size / commands, 1.0))
        self._commands = max(1.0, min(MOST_COMMANDS, most, self._commands * 1.25 + 1))

    def lost(self) -> None:
        """An answer has not come, or the portal could not give it."""
        self._fewer(self._lanes / 2)
        self._commands = max(1.0, self._commands / 2)

    def _fewer(self, lanes: float) -> None:
        # Answers to requests that went out side by side are one sign, not many.
        if self._stale:
            self._stale -= 1
        else:
            self._lanes, self._stale = max(1.0, lanes), self.lanes
