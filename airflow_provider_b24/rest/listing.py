"""Reading everything that a list method has: which page to ask for next, and whether a page may be believed. Pure.

Pages by offset lose rows when others are deleted meanwhile. So lists are read by key wherever the method
allows: sorted by id, each page asked for by "greater than the last id seen", without counting
(``start=-1``, huge-data.md). Where a method knows no such filter, pages are held against each other, and the list
is read again if it moves (:mod:`~.offsets`), or goes by a cursor of the portal's own (:mod:`~.cursors`).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal, Protocol

from airflow_provider_b24.rest.cursors import CursorReader, IdReader
from airflow_provider_b24.rest.errors import ConfigurationError
from airflow_provider_b24.rest.keyset import Keyset, parameter, rows_of
from airflow_provider_b24.rest.lists import ListMethod, list_method
from airflow_provider_b24.rest.offsets import OffsetReader, WindowReader
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


def reader_for(
    method: str, params: Mapping[str, Any], *, version: Literal[2, 3] = 2, after: int | str | None = None
) -> Reader:
    """The way to read a list method to its end.

    Rows come in the order of their ids, ascending, or descending if ``order`` says so; where a method knows no such
    order, in the portal's.

    :param params: the method's own parameters: filter, select, and what else it takes; none that asks for a page.
    :param after: begin behind this key.
    :raises ConfigurationError: for a parameter that reading everything leaves no room for; if one is missing without
        which the method lists nothing; and for methods that can not be read to their end, or not from a key on.
    """
    listed = list_method(method, version)
    _refuse_paging(method, params, listed)
    if listed is None and version == 3:
        raise ConfigurationError(
            "this REST 3.0 list can not be read to its end: its pages are not known",
            method=method,
            advice="Read it page by page, with hook.call and its own 'pagination' parameter.",
        )
    if listed is not None and listed.paging == "refused":
        raise ConfigurationError("this list can not be read to its end", method=method, advice=listed.advice)
    if listed is not None:
        listed.check_required(method, params)
        if listed.by_key:
            return KeysetReader(Keyset(method, params, listed, version=version, after=after))
        if listed.paging in ("tail", "before"):
            return IdReader(method, params, listed, version=version, after=after)
    if after is not None:
        raise ConfigurationError(
            f"after is {after!r}", method=method, advice="This list is not read by key, and can not be resumed."
        )
    if listed is not None and listed.paging == "cursor":
        return CursorReader(method, params, listed, version=version)
    if listed is not None and listed.paging == "offset":
        return WindowReader(method, params, listed, version=version)
    return OffsetReader(method, params, listed, version=version)


def _refuse_paging(method: str, params: Mapping[str, Any], listed: ListMethod | None) -> None:
    paths = {"start", "pagination"}
    if listed is not None:
        paths |= {"cursor" if path.startswith("cursor") else path for path in listed.position if path}
    for path in sorted(paths):
        given: Any = params
        for part in path.split("."):
            name = parameter(given, part) if isinstance(given, Mapping) else None
            given = given[name] if name is not None else None
        if given is not None:
            raise ConfigurationError(
                f"{path} is {given!r}", method=method, advice=f"All rows are read; leave {path} out."
            )


class KeysetReader:
    """Pages by "greater than the last id seen", one by one."""

    def __init__(self, keyset: Keyset) -> None:
        self.keyset = keyset
        self._last = keyset.start
        self._done = False

    @property
    def after(self) -> int | None:
        """The last id that was fed, or that it began behind."""
        return self.keyset.id_at(self._last)

    def next_calls(self) -> list[Call]:
        """The next page's call, or none when all has been read."""
        return [] if self._done else [self.keyset.call(self._last)]

    def feed(self, reply: Reply) -> list[Any]:
        """The rows of a page."""
        rows = rows_of(self.keyset.method, reply.result, self.keyset.known.rows)
        for position in self.keyset.positions(rows):
            if self._last is not None and position <= self._last:
                raise self.keyset.not_in_order(self._last, position)
            self._last = position
        # Only an empty page is the end: one that is merely short may have been thinned out by rights.
        self._done = not rows
        return rows
