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
from airflow_provider_b24.rest.lists import ListMethod, list_method
from airflow_provider_b24.rest.protocol import Call, Reply

PAGE = 50


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
        given = _parameter(params, name)
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
        return KeysetReader(method, params, known, version=version, after=after)
    if after is not None:
        raise ConfigurationError(
            f"after is {after!r}", method=method, advice="This list is read by offset and can not be resumed."
        )
    return OffsetReader(method, params)


class KeysetReader:
    """Pages by "greater than the last id seen"."""

    def __init__(
        self,
        method: str,
        params: Mapping[str, Any],
        keyset: ListMethod,
        *,
        version: int = 2,
        after: int | str | None = None,
    ) -> None:
        self._method = method
        self._keyset = keyset
        self._version = version
        self._params = dict(params)
        self._done = False
        self._descending = self._take_order()
        self._filter = self._take_filter()
        self._last = self._begins_behind(self._first_bound(), after)
        self._take_select()

    @property
    def after(self) -> int | None:
        """The last id that was fed, or that it began behind."""
        return self._last

    def next_calls(self) -> list[Call]:
        """The next page's call, or none when all has been read."""
        if self._done:
            return []
        keyset = self._keyset
        params = dict(self._params)
        direction = "DESC" if self._descending else "ASC"
        if isinstance(keyset.order, tuple):
            params[keyset.order[0]], params[keyset.order[1]] = keyset.filter_key, direction
        else:
            params[keyset.order] = {keyset.filter_key: direction}
        if self._version == 3:
            bound = [] if self._last is None else [[keyset.filter_key, self._sign, self._last]]
            params[keyset.filter] = [*self._filter, *bound]
            params["pagination"] = {"page": 1, "limit": PAGE}
            return [Call(self._method, params, version=3)]
        if self._last is None:
            params[keyset.filter] = self._filter
        else:
            params[keyset.filter] = {**self._filter, f"{self._sign}{keyset.filter_key}": self._last}
        if not params[keyset.filter]:
            del params[keyset.filter]
        params["start"] = -1
        return [Call(self._method, params)]

    def feed(self, reply: Reply) -> list[Any]:
        """The rows of a page."""
        rows = _rows(self._method, reply.result, self._keyset.rows)
        for row in rows:
            number = _id(row, self._keyset.key)
            if number is None:
                raise IncompleteReplyError(
                    f"a row has no usable {self._keyset.key!r}",
                    method=self._method,
                    advice="Add it to select.",
                )
            if self._last is not None and (number >= self._last if self._descending else number <= self._last):
                raise IncompleteReplyError(
                    f"the portal was asked for rows with {self._keyset.filter_key} {self._sign} {self._last} "
                    f"and sent {number}",
                    method=self._method,
                    advice="It does not filter or sort this list by id, so that rows could be lost or doubled.",
                )
            self._last = number
        # Only an empty page is the end: one that is merely short may have been thinned out by rights.
        self._done = not rows
        return rows

    @property
    def _sign(self) -> str:
        return "<" if self._descending else ">"

    def _take_order(self) -> bool:
        keyset = self._keyset
        if isinstance(keyset.order, tuple):
            column = self._params.pop(_parameter(self._params, keyset.order[0]) or "", keyset.filter_key)
            order = {column: self._params.pop(_parameter(self._params, keyset.order[1]) or "", "ASC")}
        else:
            order = self._params.pop(_parameter(self._params, keyset.order) or "", None) or {keyset.filter_key: "ASC"}
        if isinstance(order, Mapping) and len(order) == 1:
            ((column, direction),) = order.items()
            if str(column).lower() == keyset.filter_key.lower() and str(direction).upper() in ("ASC", "DESC"):
                return str(direction).upper() == "DESC"
        raise ConfigurationError(
            f"order is {order!r}",
            method=self._method,
            advice=f"A list that is read to its end is sorted by {keyset.filter_key}; sort the rows afterwards.",
        )

    def _take_filter(self) -> Any:
        found = self._params.pop(_parameter(self._params, self._keyset.filter) or "", None)
        if self._version == 3 and isinstance(found or [], list):
            return list(found or [])
        if self._version == 2 and isinstance(found or {}, Mapping):
            return dict(found or {})
        raise ConfigurationError(
            f"{self._keyset.filter} is a {type(found).__name__}",
            method=self._method,
            advice="It is a list of conditions." if self._version == 3 else "It is a mapping.",
        )

    def _first_bound(self) -> int | None:
        """A bound of the caller's own on the same side is where the reading begins."""
        if self._version == 3:
            return None
        name = _parameter(self._filter, f"{self._sign}{self._keyset.filter_key}")
        if name is None:
            return None
        bound = self._filter.pop(name)
        number = _id({"bound": bound}, "bound")
        if number is None:
            raise ConfigurationError(
                f"{self._keyset.filter} has {name!r}: {bound!r}",
                method=self._method,
                advice="An id is a number.",
            )
        return number

    def _begins_behind(self, bound: int | None, after: int | str | None) -> int | None:
        """The further of the caller's bound and of the key to resume behind."""
        if after is None:
            return bound
        key = _id({"after": after}, "after")
        if key is None:
            raise ConfigurationError(f"after is {after!r}", method=self._method, advice="It is an id, a number.")
        return key if bound is None else (min if self._descending else max)(bound, key)

    def _take_select(self) -> None:
        name = self._keyset.select and _parameter(self._params, self._keyset.select)
        if not name:
            if self._version == 3:
                raise ConfigurationError(
                    "select is missing",
                    method=self._method,
                    advice="Without it REST 3.0 returns ids only; name fields.",
                )
            return
        chosen = self._params[name]
        if not isinstance(chosen, (list, tuple)):
            raise ConfigurationError(
                f"{name} is {chosen!r}", method=self._method, advice="It is a list of field names."
            )
        if (
            chosen
            and "*" not in chosen
            and self._keyset.filter_key.lower() not in {str(item).lower() for item in chosen}
        ):
            self._params[name] = [self._keyset.filter_key, *chosen]


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
        rows = _rows(self._method, reply.result, None)
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


def _rows(method: str, result: Any, wrapper: str | None) -> list[Any]:
    """The rows in a result.

    :param wrapper: the field that holds them; empty for a bare list; None to recognise it.
    """
    if wrapper is None and isinstance(result, Mapping):
        lists = [value for value in result.values() if isinstance(value, list)]
        if len(lists) == 1:
            return lists[0]
    elif wrapper and isinstance(result, Mapping):
        inner = result.get(wrapper)
        if isinstance(inner, list):
            return inner
        if isinstance(inner, Mapping):
            return list(inner.values())
    elif isinstance(result, list) and (not wrapper or not result):
        return result
    raise IncompleteReplyError(
        f"the result is no list of rows but {type(result).__name__}",
        method=method,
        advice="Is this a list method? Call it with hook.call otherwise.",
    )


def _says_more(result: Any) -> bool:
    """Whether a result says in itself that it is not all."""
    return isinstance(result, Mapping) and any(result.get(name) for name in ("hasMore", "hasNextPage", "truncated"))


def _id(row: Any, key: str) -> int | None:
    value = row.get(key) if isinstance(row, Mapping) else None
    if isinstance(value, bool) or not isinstance(value, (int, str)):
        return None
    text = str(value)
    return int(text) if text.isascii() and text.isdecimal() and len(text) < 20 else None


def _parameter(params: Mapping[str, Any], name: str) -> str | None:
    """The caller's spelling of a parameter; classic methods take either case."""
    return next((key for key in params if isinstance(key, str) and key.lower() == name.lower()), None)
