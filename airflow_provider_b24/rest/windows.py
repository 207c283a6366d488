"""How the ids of a list are cut into pieces that fit into a request each. Pure arithmetic.

How many rows there are between two ids nobody tells. But near each other ids have been given out at a like rate, and
like shares of them were deleted: so a piece's rows are foretold from those of the pieces before it.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from airflow_provider_b24.rest.keyset import PAGE

# A piece whose rows may be fewer than its ids reaches so many rows into the next one: a row beyond its end proves that
# all up to there were seen. By chance none is there once in e**10, or e**3 where a request is one page.
_OVERLAP, _SMALL_OVERLAP = 10.0, 3.0
_SMALL = 5
# A piece is at most so many times as wide as one that turned out emptier than that.
_MOST_GROWTH = 8.0
# What is known of the pieces before counts half with each further one.
_FADES = 0.5


@dataclass(frozen=True)
class Density:
    """How many rows there were among so many ids."""

    rows: float
    ids: float

    @property
    def value(self) -> float:
        """Rows for each id, from 0 to 1."""
        return min(1.0, self.rows / self.ids)

    def with_next(self, rows: int, ids: int, planned: Density) -> Density:
        """What is known now that a further piece has been read.

        :param planned: what was foretold of that piece.
        """
        if rows / ids * _MOST_GROWTH < planned.value:
            return Density(rows, rows * _MOST_GROWTH / planned.value)
        if 0.5 * self.value < rows / ids < 2 * self.value:
            return Density(rows + self.rows * _FADES, ids + self.ids * _FADES)
        return Density(rows, ids)

    def spread(self, expected: float) -> float:
        """By how many rows a piece is off the expected number: its own chance, and that of what it is foretold from."""
        return math.sqrt(expected * (1 - self.value) * (1 + expected / max(1.0, self.rows)))

    def overlap(self, pages: int) -> int:
        """How many ids a piece of so many pages reaches into the next."""
        if self.value >= 1:
            return 0
        return math.ceil((_OVERLAP if pages > _SMALL else _SMALL_OVERLAP) / self.value)

    def width(self, pages: int) -> int:
        """How many ids fit into so many pages, most of the time."""
        room = float(PAGE * pages)
        if self.value >= 1:
            return int(room)
        overlap = self.overlap(pages) * self.value
        return max(1, int(max(room / 2, room - overlap - self.spread(room)) / self.value))

    def pages(self, ids: int, overlap: int) -> int:
        """How many pages so many ids take, most of the time."""
        expected = ids * self.value
        return max(1, math.ceil((expected + overlap * self.value + self.spread(expected)) / PAGE))
