"""The pieces in which a list is given out, and the reading of one whose pages come in their own order. Pure."""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any

from airflow_provider_b24.rest.batch import BatchReply, converse_batch, refers
from airflow_provider_b24.rest.conversation import converse
from airflow_provider_b24.rest.errors import Bitrix24Error
from airflow_provider_b24.rest.lanes import Lane, Work, check_parallel
from airflow_provider_b24.rest.listing import Reader
from airflow_provider_b24.rest.protocol import Call, Reply

# Pages in a batch: each may take a second or two, and a request is cut off after 60.
_MOST_PAGES = 25


@dataclass(frozen=True)
class Page:
    """A piece of a list, in the order of the list.

    :ivar rows: what the portal sent; never empty.
    :ivar after: the key to resume behind the last of them; None where the list can not be resumed.
    """

    rows: list[Any] = field(repr=False)
    after: int | str | None = None


class PagedReading(Work[Page]):
    """A list that a reader reads, whose pages come one by one, or many at once: then several to a request."""

    def __init__(self, reader: Reader, parallel: int) -> None:
        check_parallel(parallel)
        self.width = parallel
        self._reader = reader
        self._groups: deque[Sequence[Call]] = deque()
        self._lanes: deque[Lane] = deque()
        self._outcomes: dict[Lane, Any] = {}
        self._failure: Bitrix24Error | None = None
        self._over = False
        self._after: int | str | None = None

    def begin(self) -> Lane | None:
        """The call of the next page, or the calls of some."""
        if not (self._groups or self._lanes or self._over or self._failure):
            calls = self._reader.next_calls()
            self._over = not calls
            size = self._together(calls)
            self._groups.extend(calls[at : at + size] for at in range(0, len(calls), size))
        if not self._groups or self._failure:
            return None
        group = self._groups.popleft()
        alone = len(group) == 1
        lane = Lane(partial(converse, call=group[0]) if alone else partial(converse_batch, calls=group, halt=False))
        self._lanes.append(lane)
        return lane

    def end(self, lane: Lane, outcome: Any) -> None:
        """Keep an answer until those before it are here."""
        self._outcomes[lane] = outcome

    def ready(self) -> list[Page]:
        """The pages whose turn it is."""
        pages: list[Page] = []
        while self._failure is None and self._lanes and self._lanes[0] in self._outcomes:
            outcome = self._outcomes.pop(self._lanes.popleft())
            try:
                for answer in _answers(outcome):
                    if isinstance(answer, Bitrix24Error):
                        raise answer
                    rows = self._reader.feed(answer)
                    if rows:
                        self._after = self._reader.after
                        pages.append(Page(rows, self._after))
            except Bitrix24Error as error:
                self._failure = resumable(error, self._after)
        if self._failure is not None and not pages:
            raise self._failure
        return pages

    @property
    def over(self) -> bool:
        """Whether all has been given out."""
        return self._over

    def _together(self, calls: Sequence[Call]) -> int:
        """How many of these calls go into a request: as many as leave none of the lanes without."""
        alone = any(call.version == 3 or refers(call.params) for call in calls[:1])
        return 1 if alone else max(1, min(_MOST_PAGES, -(-len(calls) // self.width)))


def _answers(outcome: Any) -> list[Reply | Bitrix24Error]:
    """What each of a lane's calls has come to, in their order."""
    if not isinstance(outcome, BatchReply):
        return [outcome]
    ends: dict[int, Reply | Bitrix24Error] = {**outcome.replies, **outcome.errors}
    return [ends[index] for index in sorted(ends)]


def resumable(error: Bitrix24Error, after: int | str | None) -> Bitrix24Error:
    """The error that ends a reading, with the key of the last row that was given out."""
    if after is not None:
        error.after = after
        error.advice = f"{error.advice} Go on with after={after!r}: all rows up to that key were given out.".lstrip()
    return error
