"""Reading a list whose pages are asked for by their place: by offset or number. Pure.

What is removed meanwhile moves the rows behind it to the front, past the place that is read next. So pages are held
against each other, and a list that is seen to have moved is read again from the start; rows that were given out
already are left out.

*   Where the portal takes any offset, a page begins with the last row of the page before: if that is there, nothing
    has moved past the reading.
*   By ``start``, pages can not overlap. The last page is read before those between, and at the end it and the first
    one are asked for once more. Where the list is sorted by id, so that what is added comes last, both are then as
    they were only if no row before them was removed. Where it is not sorted, a removal and an addition between the
    same two requests may balance: this is the weaker way.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any, Literal

from airflow_provider_b24.rest.errors import IncompleteReplyError
from airflow_provider_b24.rest.keyset import parameter, rows_of
from airflow_provider_b24.rest.lists import ListMethod
from airflow_provider_b24.rest.protocol import Call, Priority, Reply
from airflow_provider_b24.rest.rows import identity, says_more, with_id_selected, with_parameter

# Of a method that is not in the table, the first page says where rows and ids are.
UNKNOWN = ListMethod(filter="", order="", select=None, paging="start")

READINGS = 4
AT_ONCE = 100


class _Rereading:
    """A list that may have to be read more than once.

    The ids of all rows are kept until the end, some 100 bytes for each.
    """

    after = None

    def __init__(
        self, method: str, params: Mapping[str, Any], listed: ListMethod, *, version: Literal[2, 3] = 2
    ) -> None:
        self._method = method
        self._listed = listed
        self._version = version
        self._params = with_id_selected(params, listed)
        self._sorted = self._sort()
        # In which reading each row was seen last; a row of an earlier one has been given out.
        self._seen: dict[int | str, int] = {}
        self._given_without_id = False
        self._reading = 1
        self._moved = False

    def _sort(self) -> bool:
        """Sort by id, unless the caller wants another order; whether rows that are added come last, then."""
        listed = self._listed
        if not listed.order:
            return False
        if isinstance(listed.order, tuple):
            # Of department.get, the same names in capital letters are conditions.
            if any(name in self._params for name in listed.order):
                return False
            self._params.update({listed.order[0]: listed.filter_key, listed.order[1]: "ASC"})
        elif parameter(self._params, listed.order):
            return False
        else:
            self._params[listed.order] = {listed.filter_key: "ASC"}
        return True

    def _names(self, rows: Sequence[Any]) -> list[int | str]:
        names = (identity(row, self._listed.key) for row in rows)
        return [repr(row) if name is None else name for row, name in zip(rows, names, strict=True)]

    def _fresh(self, rows: Sequence[Any]) -> list[Any]:
        """Those that were not given out yet; none, where one has come before in this reading: the list has moved."""
        names = [identity(row, self._listed.key) for row in rows]
        known = [name for name in names if name is not None]
        if len(set(known)) != len(known) or any(self._seen.get(name) == self._reading for name in known):
            self._move()
            return []
        self._given_without_id |= len(known) != len(names)
        fresh = [row for row, name in zip(rows, names, strict=True) if name is None or name not in self._seen]
        self._seen.update(dict.fromkeys(known, self._reading))
        return fresh

    def _move(self) -> None:
        """Read again from the start, if that may help."""
        self._moved = True
        if self._given_without_id or self._reading >= READINGS:
            raise IncompleteReplyError(
                "the list changed while it was read, or its pages do not fit together",
                method=self._method,
                advice=f"It can only be read by offset, and was read {self._reading} times: read it again when less is "
                "going on, or in parts, by a filter.",
            )
        self._reading += 1


class OffsetReader(_Rereading):
    """Pages by ``start`` or by number, or all rows in one answer.

    :param listed: how the method is read; None if that is to be recognised by its first page.
    """

    def __init__(
        self, method: str, params: Mapping[str, Any], listed: ListMethod | None = None, *, version: Literal[2, 3] = 2
    ) -> None:
        super().__init__(method, params, listed or UNKNOWN, version=version)
        self._wrapper = listed.rows if listed is not None else None
        self._asked: deque[int] = deque()
        self._begin()

    def _begin(self) -> None:
        self._moved = False
        self._total: int | None = None
        self._step = self._listed.page
        self._plan: deque[int] = deque([0])
        # What a page held when it was read first, of the pages that will be asked for again.
        self._kept: dict[int, list[int | str]] = {}
        self._held: list[Any] = []
        self._checking = False

    def next_calls(self) -> list[Call]:
        """The calls of the next pages; as many as are known to be there, 100 at most."""
        if self._moved:
            self._begin()
        # The first page alone, and then the last: they tell what those between are held against.
        width = AT_ONCE if self._checking or len(self._kept) > 1 else 1
        while self._plan and len(self._asked) < width:
            self._asked.append(self._plan.popleft())
        return [self._call(at) for at in self._asked]

    def feed(self, reply: Reply) -> list[Any]:
        """The rows of a page that were not given out yet."""
        at = self._asked.popleft()
        if self._moved:
            return []
        rows = rows_of(self._method, reply.result, self._wrapper)
        if at == 0 and not self._checking:
            self._learn(rows, reply)
        if not self._fits(at, rows, reply):
            self._move()
            return []
        if self._checking:
            return []
        if self._listed.paging == "whole" and reply.next is None:
            # The same once more: the method knows no places, and had all in one answer.
            if at and self._names(rows) == self._kept.get(0):
                return []
            if at == 0 and not self._may_go_on(rows, reply):
                return rows
        return self._go_on(at, rows, reply)

    def _call(self, at: int) -> Call:
        begin, size = self._listed.position
        params: Mapping[str, Any] = self._params
        if self._listed.paging == "page":
            params = with_parameter(params, begin, at // self._step + 1)
        elif at:
            params = with_parameter(params, begin or "start", at)
        if size:
            params = with_parameter(params, size, self._listed.page)
        return Call(self._method, params, version=self._version, priority=Priority.BULK)

    def _learn(self, rows: list[Any], reply: Reply) -> None:
        """See by the first page how the list is to be read, and whether it can be."""
        more = says_more(reply.result)
        if more and reply.next is None:
            raise IncompleteReplyError(
                "there are more rows, and the answer has no 'next' to ask for them with",
                method=self._method,
                advice="One answer holds no more: ask for less, by a filter or a narrower question."
                if self._listed.paging == "whole"
                else "This method has pages of its own kind: read it page by page with hook.call.",
            )
        if self._wrapper is None:
            self._recognise(rows, reply)
        if reply.next is not None and reply.next > 0:
            self._step = reply.next
        full = len(rows) >= self._listed.page and self._listed.position[1] and more is None
        if self._listed.paging == "whole" and full:
            raise IncompleteReplyError(
                f"there are {len(rows)} rows, as many as one answer holds, and there may be more",
                method=self._method,
                advice="Only its first page can be asked for: narrow the question.",
            )

    def _recognise(self, rows: list[Any], reply: Reply) -> None:
        if reply.total is None and reply.next is None and rows:
            raise IncompleteReplyError(
                "nothing in the answer says whether this is all: it has neither 'total' nor 'next'",
                method=self._method,
                advice="The method is not among those whose pages are known: call it with hook.call, page by page, "
                "as its documentation says.",
            )
        keys = [key for key in ("ID", "id") if all(isinstance(row, Mapping) and key in row for row in rows)]
        self._listed = replace(self._listed, key=keys[0] if keys else "")

    def _fits(self, at: int, rows: list[Any], reply: Reply) -> bool:
        """Whether a page fits what is known of the list."""
        names = self._names(rows)
        if not all(isinstance(name, int) for name in names) or names != sorted(names, key=lambda name: (0, name)):
            self._sorted = False
        if reply.next is not None and (not rows or reply.next != at + self._step):
            return False
        if self._checking:
            before = self._kept[at]
            return names[: len(before) if self._sorted else None] == before and self._counts(at, rows, reply)
        return self._counts(at, rows, reply)

    def _counts(self, at: int, rows: list[Any], reply: Reply) -> bool:
        """Whether there are as many rows as the total says, and the total is what it was, or has grown harmlessly."""
        if reply.total is None:
            return self._total is None
        step = self._step if at or reply.next is not None else max(self._step, len(rows))
        if len(rows) != min(step, reply.total - at) or (reply.next is None) != (at + step >= reply.total):
            return False
        return self._total is None or reply.total == self._total or (self._sorted and reply.total > self._total)

    def _go_on(self, at: int, rows: list[Any], reply: Reply) -> list[Any]:
        """Plan what comes next; what can be given out now."""
        if at == 0:
            self._total = reply.total
        if self._total is None:
            return self._go_on_uncounted(at, rows, reply)
        last = (self._total - 1) // self._step * self._step if at or reply.next is not None else 0
        if at in (0, last):
            self._kept[at] = self._names(rows)
        fresh = []
        if at == last > 0:
            self._held = rows
            self._plan.extend(range(self._step, last, self._step))
        else:
            fresh = self._fresh(rows)
            if at == 0 and last > 0:
                self._plan.append(last)
        if at and not self._moved and not self._plan and not self._asked:
            # Nothing is read after the last page of two: only the first may have changed meanwhile.
            self._plan.extend([0, last] if last > self._step else [0])
            self._checking = True
            fresh += self._fresh(self._held)
        return fresh

    def _go_on_uncounted(self, at: int, rows: list[Any], reply: Reply) -> list[Any]:
        """One page after the other. That there is no more shows in an empty one, where the answer does not say so."""
        fresh = self._fresh(rows)
        if rows:
            self._kept[at] = self._names(rows)
        by_number = self._listed.paging == "page" and rows
        if reply.next is not None or by_number or self._may_go_on(rows, reply):
            self._plan.append(at + self._step)
        elif len(self._kept) > 1:
            self._checking = True
            self._plan.extend(self._kept)
        return fresh

    def _may_go_on(self, rows: list[Any], reply: Reply) -> bool:
        """Whether there may be more behind an answer that counts nothing: just as many rows as a page has."""
        counted = reply.total is not None or reply.next is not None or says_more(reply.result) is not None
        by_start = self._version == 2 and self._listed.paging in ("start", "whole") and not self._listed.position[1]
        return by_start and not counted and len(rows) == self._step


class WindowReader(_Rereading):
    """Pages by offset and limit, each of which begins with the last row of the page before."""

    def __init__(
        self, method: str, params: Mapping[str, Any], listed: ListMethod, *, version: Literal[2, 3] = 2
    ) -> None:
        super().__init__(method, params, listed, version=version)
        self._done = False
        self._at = 0
        self._overlap: list[int | str] = []

    def next_calls(self) -> list[Call]:
        """The next page's call, or none when all has been read."""
        if self._done:
            return []
        if self._moved:
            self._moved, self._at, self._overlap = False, 0, []
        begin, size = self._listed.position
        params = with_parameter(with_parameter(self._params, begin, self._at), size, self._listed.page)
        return [Call(self._method, params, version=self._version, priority=Priority.BULK)]

    def feed(self, reply: Reply) -> list[Any]:
        """The rows of a page that were not given out yet."""
        rows = rows_of(self._method, reply.result, self._listed.rows)
        names = self._names(rows)
        if names[: len(self._overlap)] != self._overlap:
            self._move()
            return []
        beyond = rows[len(self._overlap) :]
        fresh = self._fresh(beyond)
        if self._moved:
            return fresh
        self._done = not beyond or says_more(reply.result) is False
        self._overlap = names[-1:]
        self._at += len(rows) - 1
        return fresh
