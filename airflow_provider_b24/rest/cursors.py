"""Reading a list whose next page is asked for by a cursor: an id, or what the answer says. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

from airflow_provider_b24.rest.errors import ConfigurationError, IncompleteReplyError
from airflow_provider_b24.rest.keyset import id_of, parameter, rows_of
from airflow_provider_b24.rest.lists import ListMethod
from airflow_provider_b24.rest.protocol import Call, Priority, Reply
from airflow_provider_b24.rest.rows import identity, says_more, with_id_selected, with_parameter


class IdReader:
    """Pages of rows beyond an id: ``*.tail`` goes up from it, the messages of a chat go down.

    Only an empty page is the end.
    """

    def __init__(
        self,
        method: str,
        params: Mapping[str, Any],
        listed: ListMethod,
        *,
        version: Literal[2, 3] = 2,
        after: int | str | None = None,
    ) -> None:
        self._method = method
        self._listed = listed
        self._version = version
        self._up = listed.paging == "tail"
        self._done = False
        self._after = id_of(after)
        if after is not None and self._after is None:
            raise ConfigurationError(f"after is {after!r}", method=method, advice="An id is a number.")
        if self._up:
            params = with_parameter(params, "cursor", {"field": listed.filter_key, "order": "ASC"})
            self._refuse_filter(params)
        self._params = with_id_selected(params, listed)

    @property
    def after(self) -> int | None:
        """The last id that was fed, or that it began behind."""
        return self._after

    def next_calls(self) -> list[Call]:
        """The next page's call, or none when all has been read."""
        if self._done:
            return []
        begin, size = self._listed.position
        params = with_parameter(self._params, size, self._listed.page)
        if self._after is not None or self._up:
            params = with_parameter(params, begin, self._after or 0)
        return [Call(self._method, params, version=self._version, priority=Priority.BULK)]

    def feed(self, reply: Reply) -> list[Any]:
        """The rows of a page, in the direction of the reading."""
        rows = rows_of(self._method, reply.result, self._listed.rows)
        numbered: list[tuple[int, Any]] = []
        for row in rows:
            number = id_of(row.get(self._listed.key) if isinstance(row, Mapping) else None)
            if number is None:
                raise IncompleteReplyError(
                    f"a row has no usable {self._listed.key!r}", method=self._method, advice="Add it to select."
                )
            if self._after is not None and (number <= self._after if self._up else number >= self._after):
                raise IncompleteReplyError(
                    f"the portal was asked for rows {'above' if self._up else 'below'} {self._after} and sent {number}",
                    method=self._method,
                    advice="It does not keep to the cursor, so that rows could be lost or doubled.",
                )
            numbered.append((number, row))
        numbered.sort(key=lambda one: one[0], reverse=not self._up)
        if len({number for number, _ in numbered}) != len(numbered):
            raise IncompleteReplyError("a page has a row twice", method=self._method, advice="Read it again.")
        if numbered:
            self._after = numbered[-1][0]
        self._done = not rows
        return [row for _, row in numbered]

    def _refuse_filter(self, params: Mapping[str, Any]) -> None:
        conditions = params.get(parameter(params, "filter") or "") or []
        names = {str(one[0]) for one in conditions if isinstance(one, (list, tuple)) and one}
        if not isinstance(conditions, (list, tuple)) or self._listed.filter_key in names:
            raise ConfigurationError(
                f"filter is {conditions!r}",
                method=self._method,
                advice="It is a list of conditions, none of them by the id, which the cursor goes along.",
            )


class CursorReader:
    """Pages by a cursor that the answer before had; the same again, or a page that has none and says there is more, is
    an error."""

    after = None

    def __init__(
        self, method: str, params: Mapping[str, Any], listed: ListMethod, *, version: Literal[2, 3] = 2
    ) -> None:
        self._method = method
        self._listed = listed
        self._version = version
        self._params = with_id_selected(params, listed)
        self._cursor: Any = None
        self._seen: set[int | str] = set()
        self._done = False

    def next_calls(self) -> list[Call]:
        """The next page's call, or none when all has been read."""
        if self._done:
            return []
        begin, size = self._listed.position
        params = with_parameter(self._params, size, self._listed.page)
        if self._cursor is not None:
            params = with_parameter(params, begin, self._cursor)
        return [Call(self._method, params, version=self._version, priority=Priority.BULK)]

    def feed(self, reply: Reply) -> list[Any]:
        """The rows of a page that were not given out yet."""
        rows = rows_of(self._method, reply.result, self._listed.rows)
        cursor = reply.result.get(self._listed.cursor) if isinstance(reply.result, Mapping) else None
        more = says_more(reply.result)
        over = not more if more is not None else not cursor
        if not over and (not cursor or cursor == self._cursor):
            raise IncompleteReplyError(
                f"there are more rows, and {self._listed.cursor} does not lead to them",
                method=self._method,
                advice="Read it again; if that does not help, page by page with hook.call.",
            )
        self._done, self._cursor = over, cursor
        fresh = []
        for row in rows:
            name = identity(row, self._listed.key)
            if name is None:
                raise IncompleteReplyError(
                    f"a row has no usable {self._listed.key!r}", method=self._method, advice="Add it to select."
                )
            if name not in self._seen:
                self._seen.add(name)
                fresh.append(row)
        return fresh
