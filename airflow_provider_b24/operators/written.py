"""What is known of each row that a task writes, over all its tries: nothing is sent twice that must not be.

Rows are known by their numbers in the input, from 0. Before a row is sent, it is kept that it may have been; when its
outcome is known and safe, that it is settled. So after a crash three kinds of rows can be told apart: those that are
settled, those that were never sent, and those of which nobody knows. Pure: where it is kept is the caller's affair.
"""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Mapping
from typing import Any, Literal

from airflow_provider_b24.rest.errors import ConfigurationError

# So many rows are noted at once before they are sent: as many as go into one batch.
_BLOCK = 50
# Of so many rows with an unknown outcome the numbers are kept, as ranges, for the message in the end.
_MOST_RANGES = 50

Turn = Literal["send", "skip", "lost"]


class InputChangedError(ConfigurationError):
    """The input is not what an earlier try has read: its rows can not be told apart any more."""

    default_advice = (
        "Rows are known by their places: the input has to have the same rows in the same order in every try. Order the "
        "query by something that does not change, and bound it to what was there when the run began; or give key=…, so "
        "that nothing is added twice whatever the order is."
    )


class Written:
    """The rows of one writing.

    :ivar rows: how many rows were read so far.
    :ivar counts: of rows by what has become of them.
    :ivar unknown: numbers of rows that may or may not have been carried out, as ranges; the first ones.
    :ivar extra: what the caller keeps beside it.
    :ivar doubtful: numbers of rows that an earlier try may have sent, and that are sent again, for it is harmless.
    :param kept: what an earlier try has kept; empty for a new writing.
    :param repeatable: whether it is harmless to send a row again.
    :param save: keeps the state, before it returns.
    """

    def __init__(self, kept: Mapping[str, Any], *, repeatable: bool, save: Callable[[dict[str, Any]], None]) -> None:
        self.rows = 0
        self.counts: Counter[str] = Counter(kept.get("counts", {}))
        self.unknown: list[list[int]] = [list(one) for one in kept.get("unknown", [])]
        self.extra: dict[str, Any] = dict(kept.get("extra", {}))
        self.next = int(kept.get("next", 0))
        self._again: dict[int, str] = {int(number): seen for number, seen in kept.get("again", {}).items()}
        self._lost = {number for first, last in kept.get("sent", []) for number in range(first, last + 1)}
        self.doubtful: frozenset[int] = frozenset(self._lost if repeatable else ())
        if repeatable:
            self._again |= dict.fromkeys(self._lost, "")
            self._lost = set()
        self._repeatable = repeatable
        self._save = save
        self._under_way: dict[int, str] = {}
        # Rows with an outcome that is not safe yet, for it stands in no file.
        self._unsafe: dict[int, tuple[str, str]] = {}
        self._seen = hashlib.sha256()
        self._known: tuple[int, str] = tuple(kept.get("seen", (0, "")))

    def turn(self, record: object) -> tuple[int, Turn]:
        """The number of the next row of the input, and what is to be done with it.

        ``send``: it may be sent, which is kept by now; its outcome is owed to :meth:`became`. ``skip``: it is settled.
        ``lost``: an earlier try was stopped while it was under way; its outcome is ``unknown``.

        :raises InputChangedError: if it is another row than an earlier try has read here.
        """
        number = self.rows
        digest = hashlib.sha256(repr(record).encode(errors="surrogatepass")).hexdigest()[:8]
        self._seen.update(digest.encode())
        self.rows += 1
        if self.rows == self._known[0] and self._seen.hexdigest()[:16] != self._known[1]:
            raise InputChangedError(f"the first {self.rows:,} rows of the input are others than in an earlier try")
        if number in self._under_way:
            self._under_way[number] = digest
            return number, "send"
        if number in self._lost:
            self._under_way[number] = digest
            return number, "lost"
        if number in self._again:
            if self._again[number] not in ("", digest):
                raise InputChangedError(f"row {number + 1:,} of the input is another than in an earlier try")
            self._under_way |= self._again
            self._again.clear()
        elif number < self.next:
            return number, "skip"
        else:
            self._under_way |= dict.fromkeys(range(number, number + _BLOCK), "")
            self.next = number + _BLOCK
        self._under_way[number] = digest
        self.save()
        return number, "send"

    def became(self, number: int, what: str, *, safe: bool = True) -> None:
        """A row has come to this.

        :param what: ``again`` for a row that is to be sent again; otherwise what it counts as.
        :param safe: whether nothing is left to be kept of it; otherwise it is so after :meth:`secured`.
        """
        digest = self._under_way.pop(number)
        self._lost.discard(number)
        if what == "again":
            self._again[number] = digest
        elif safe:
            self._count(number, what)
        else:
            self._unsafe[number] = (what, digest)

    def secured(self) -> None:
        """Whatever had to be kept of the rows so far is safe now."""
        for number, (what, _) in self._unsafe.items():
            self._count(number, what)
        self._unsafe.clear()

    def count(self, what: str) -> int:
        """How many rows have come to this, safe or not."""
        return self.counts[what] + sum(1 for other, _ in self._unsafe.values() if other == what)

    @property
    def left(self) -> int:
        """How many rows are to be sent again."""
        return len(self._again)

    def whole(self) -> None:
        """The input is at its end.

        :raises InputChangedError: if an earlier try has read more of it.
        """
        if self.rows < self._known[0]:
            raise InputChangedError(f"the input has {self.rows:,} rows, and an earlier try has read {self._known[0]:,}")
        for beyond in (self._again, self._under_way):
            for number in [number for number in beyond if number >= self.rows]:
                del beyond[number]
        self._lost = {number for number in self._lost if number < self.rows}
        self.next = min(self.next, self.rows)

    def stop(self, maybe_sent: Collection[int]) -> None:
        """Nothing more is sent by this try.

        :param maybe_sent: the rows that were, or may have been, and have no outcome.
        """
        for number in [number for number in self._under_way if number not in maybe_sent and number not in self._lost]:
            digest = self._under_way.pop(number)
            if number < self.rows or digest:
                self._again[number] = digest
            else:
                self.next = min(self.next, number)
        self.save()

    def save(self) -> None:
        """Keep the state as it is."""
        rejected = {number: seen for number, (what, seen) in self._unsafe.items() if what != "unknown"}
        unknown = [number for number, (what, _) in self._unsafe.items() if what == "unknown"]
        known = (self.rows, self._seen.hexdigest()[:16]) if self.rows > self._known[0] else self._known
        self._save(
            {
                "next": self.next,
                "seen": list(known),
                # Who was rejected was not carried out, and may be sent again.
                "again": {str(number): seen for number, seen in sorted((self._again | rejected).items())},
                "sent": _ranges([*self._under_way, *self._lost, *unknown]),
                "counts": dict(self.counts),
                "unknown": self.unknown,
                "extra": self.extra,
            }
        )

    def _count(self, number: int, what: str) -> None:
        self.counts[what] += 1
        if what == "unknown" and len(self.unknown) < _MOST_RANGES:
            self.unknown = _ranges([*(one for first, last in self.unknown for one in range(first, last + 1)), number])


def _ranges(numbers: Iterable[int]) -> list[list[int]]:
    """Numbers as pairs of the first and the last of those that follow each other."""
    found: list[list[int]] = []
    for number in sorted(set(numbers)):
        if found and number == found[-1][1] + 1:
            found[-1][1] = number
        else:
            found.append([number, number])
    return found


def spelled(ranges: Iterable[Iterable[int]]) -> str:
    """Rows for people, who count from 1: ``7, 101-150``."""
    return ", ".join(f"{first + 1}" if first == last else f"{first + 1}-{last + 1}" for first, last in ranges)
