"""Reading everything that a list method has: which page to ask for next, and whether a page may be believed. Pure.

Pages by offset lose rows when others are deleted meanwhile. So lists are read by key wherever the method
allows: sorted by id, each page asked for by "greater than the last id seen", without counting
(``start=-1``, huge-data.md). Where a method knows no such filter, pages are counted against ``total`` and
the reading ends in an error if that moves, never in a shorter list.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Protocol

from airflow_provider_b24.rest.errors import ConfigurationError, IncompleteReplyError
from airflow_provider_b24.rest.keyset import Keyset, parameter, rows_of
from airflow_provider_b24.rest.lists import list_method
from airflow_provider_b24.rest.protocol import Call, Reply


class Reader(Protocol):
    """Says what to ask for next, and takes the answers in.

    :ivar after: the key to resume behind the rows that were fed; None where that is not possible.
    """

    @property
    def after(self) -> int | str | None: ...

    def next_calls(self) -> list[Call]:
        """The calls to be carried out next, in any order or all at once; none when all has been read."""

    def feed(self, reply: Reply) -> list[Any]:
        """The rows of a page, which are given out. The replies come in the order of their calls.

        :raises IncompleteReplyError: if it can not be the page that was asked for.
        """


def reader_for(method: str, params: Mapping[str, Any], *, version: int = 2, after: int | str | None = None) -> Reader:
    """The way to read a list method to its end.

    Rows come in the order of their ids, ascending, or descending if ``order`` says so.

    :param params: the method's own parameters: filter, select, and what else it takes; no ``start`` or
        ``pagination``.
    :param after: begin behind this key.
    :raises ConfigurationError: for a parameter that reading everything leaves no room for, and for REST 3.0
        lists other than ``tasks.task.list``.
    """
    for name in ("start", "pagination"):
        given = parameter(params, name)
        if given is not None:
            raise ConfigurationError(
                f"{name} is {params[given]!r}", method=method, advice=f"All rows are read; leave {name} out."
            )
    known = list_method(method, version)
    if version == 3 and known is None:
        raise ConfigurationError(
            "this REST 3.0 list can not be read to its end yet",
            method=method,
            advice="Read it page by page with its own 'pagination' parameter.",
        )
    if known is not None and known.by_key:
        return KeysetReader(Keyset(method, params, known, version=version, after=after))
    if after is not None:
        raise ConfigurationError(
            f"after is {after!r}", method=method, advice="This list is read by offset and can not be resumed."
        )
    return OffsetReader(method, params)


class KeysetReader:
    """Pages by "greater than the last id seen", one by one."""

    def __init__(self, keyset: Keyset) -> None:
        self._keyset = keyset
        self._last = keyset.start
        self._done = False

    @property
    def after(self) -> int | None:
        """The last id that was fed, or that it began behind."""
        return self._keyset.id_at(self._last)

    def next_calls(self) -> list[Call]:
        """The next page's call, or none when all has been read."""
        return [] if self._done else [self._keyset.call(self._last)]

    def feed(self, reply: Reply) -> list[Any]:
        """The rows of a page."""
        rows = rows_of(self._keyset.method, reply.result, self._keyset.known.rows)
        for position in self._keyset.positions(rows):
            if self._last is not None and position <= self._last:
                raise self._keyset.not_in_order(self._last, position)
            self._last = position
        # Only an empty page is the end: one that is merely short may have been thinned out by rights.
        self._done = not rows
        return rows


class OffsetReader:
    """Pages by ``start``, for methods without a filter by id; counted against ``total``."""

    after = None

    def __init__(self, method: str, params: Mapping[str, Any]) -> None:
        self._method = method
        self._params = dict(params)
        self._start: int | None = 0
        self._read = 0
        self._total: int | None = None

    def next_calls(self) -> list[Call]:
        """The next page's call, or none when all has been read."""
        if self._start is None:
            return []
        return [Call(self._method, {**self._params, "start": self._start} if self._start else self._params)]

    def feed(self, reply: Reply) -> list[Any]:
        """The rows of a page."""
        rows = rows_of(self._method, reply.result, None)
        if reply.next is None and _says_more(reply.result):
            raise IncompleteReplyError(
                "there are more rows, and the answer has no 'next' to ask for them with",
                method=self._method,
                advice="This method has pages of its own kind: read it page by page with hook.call.",
            )
        self._read += len(rows)
        if self._total is None:
            self._total = reply.total
        moved = reply.total is not None and reply.total != self._total
        stuck = reply.next is not None and (not rows or reply.next <= (self._start or 0))
        short = reply.next is None and self._total is not None and self._read != self._total
        if moved or stuck or short:
            raise IncompleteReplyError(
                f"the list changed while it was read: {self._read} of {self._total} rows by now, "
                f"{reply.total} in all according to the last page",
                method=self._method,
                advice="This method can only be read by offset, which loses rows when the list changes: read it again.",
            )
        self._start = reply.next
        return rows


def _says_more(result: Any) -> bool:
    """Whether a result says in itself that it is not all."""
    return isinstance(result, Mapping) and any(result.get(name) for name in ("hasMore", "hasNextPage", "truncated"))
