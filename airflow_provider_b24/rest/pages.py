"""The pieces in which a list is given out, and the reading of one whose pages come in their own order. Pure."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field
from functools import partial
from typing import Any

from airflow_provider_b24.rest.conversation import converse
from airflow_provider_b24.rest.errors import Bitrix24Error
from airflow_provider_b24.rest.lanes import Lane, Work
from airflow_provider_b24.rest.listing import Reader
from airflow_provider_b24.rest.protocol import Call


@dataclass(frozen=True)
class Page:
    """A piece of a list, in the order of the list.

    :ivar rows: what the portal sent; never empty.
    :ivar after: the key to resume behind the last of them; None where the list can not be resumed.
    """

    rows: list[Any] = field(repr=False)
    after: int | str | None = None


class PagedReading(Work[Page]):
    """A list that a reader reads, whose pages come one by one or a few at once."""

    def __init__(self, reader: Reader, parallel: int) -> None:
        self.width = parallel
        self._reader = reader
        self._calls: deque[Call] = deque()
        self._lanes: deque[Lane] = deque()
        self._outcomes: dict[Lane, Any] = {}
        self._over = False
        self._after: int | str | None = None

    def begin(self) -> Lane | None:
        """The next page's call."""
        if not self._calls and not self._lanes and not self._over:
            self._calls.extend(self._reader.next_calls())
            self._over = not self._calls
        if not self._calls:
            return None
        lane = Lane(partial(converse, call=self._calls.popleft()))
        self._lanes.append(lane)
        return lane

    def end(self, lane: Lane, outcome: Any) -> None:
        """Keep an answer until those before it are here."""
        self._outcomes[lane] = outcome

    def ready(self) -> list[Page]:
        """The pages whose turn it is."""
        pages: list[Page] = []
        while self._lanes and self._lanes[0] in self._outcomes:
            outcome = self._outcomes[self._lanes[0]]
            try:
                if isinstance(outcome, Bitrix24Error):
                    raise outcome
                rows = self._reader.feed(outcome)
            except Bitrix24Error as error:
                if pages:
                    return pages
                raise resumable(error, self._after) from None
            del self._outcomes[self._lanes.popleft()]
            if rows:
                self._after = self._reader.after
                pages.append(Page(rows, self._after))
        return pages

    @property
    def over(self) -> bool:
        """Whether all has been given out."""
        return self._over


def resumable(error: Bitrix24Error, after: int | str | None) -> Bitrix24Error:
    """The error that ends a reading, with the key of the last row that was given out."""
    if after is not None:
        error.after = after
        error.advice = f"{error.advice} Go on with after={after!r}: all rows up to that key were given out.".lstrip()
    return error
