"""The pages of a list that is read by key: what asks for one, and whether its rows may be believed. Pure.

Sorted by id, each page is asked for by "greater than the last id seen", without counting (``start=-1``,
huge-data.md): rows that others add or delete meanwhile move no other row.

Where a row stands in the order of the list is told by its position: its id, or minus its id where the order is
descending. So positions grow, whichever way a list is read.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any
from urllib.parse import quote

from airflow_provider_b24.rest.batch import command, refers
from airflow_provider_b24.rest.errors import ConfigurationError, IncompleteReplyError
from airflow_provider_b24.rest.lists import ListMethod
from airflow_provider_b24.rest.protocol import Call, Priority

PAGE = 50
# No id has more digits.
_LONGEST_ID = 19


class Keyset:
    """How one reading asks for its pages.

    :param params: the caller's; his order, filter and select go along.
    :param after: begin behind this id.
    :ivar start: the position behind which it begins; None for the beginning of the list.
    :ivar filtered: whether there are conditions of the caller's.
    :ivar batch: whether its pages may be asked for in a batch.
    :raises ConfigurationError: for parameters that leave no room for reading by key.
    """

    def __init__(
        self,
        method: str,
        params: Mapping[str, Any],
        known: ListMethod,
        *,
        version: int = 2,
        after: int | str | None = None,
    ) -> None:
        self.method = method
        self.known = known
        self._version = version
        self._params = dict(params)
        self.batch = known.batch and not refers(params)
        self._descending = self._take_order()
        self._from, self._to = ("<", ">=") if self._descending else (">", "<=")
        self._filter = self._take_filter()
        bounds = [self._take_bound(self._from), self._resumed(after)]
        self.start = max((bound for bound in bounds if bound is not None), default=None)
        # The pieces that are read have an end of the same name.
        self._end = self._take_bound(self._to)
        self._take_select()
        self.filtered = bool(self._filter) or self._end is not None
        if version == 2:
            # What all commands begin with is encoded once.
            text = command(method, self._page(self._sorted(self._descending), self._filter))
            self._text = f"{text}&" if "?" in text else f"{text}?"
            self._names = [
                f"{quote(known.filter)}[{quote(sign)}{quote(known.filter_key)}]=" for sign in (self._from, self._to)
            ]

    def call(self, low: int | None, high: int | None = None) -> Call:
        """What asks for the first page behind a position.

        :param high: up to this position.
        """
        bounds = self._bounds(low, high)
        if self._version == 3:
            conditions = [*self._filter, *([self.known.filter_key, sign, value] for sign, value in bounds)]
            params = {**self._sorted(self._descending), self.known.filter: conditions}
            params["pagination"] = {"page": 1, "limit": self.known.page}
            return Call(self.method, params, version=3, priority=Priority.BULK)
        named = {f"{sign}{self.known.filter_key}": value for sign, value in bounds}
        return self._of(self._page(self._sorted(self._descending), {**self._filter, **named}))

    def look(self) -> Call:
        """What asks for the page at the other end of the list, in the other direction."""
        named = {f"{sign}{self.known.filter_key}": value for sign, value in self._bounds(self.start, None)}
        return self._of(self._page(self._sorted(not self._descending), {**self._filter, **named}))

    def looks(self, pages: int, reference: str) -> list[str]:
        """The same, and further pages before it, as commands of a batch.

        A reference that leads nowhere counts as 0 with many methods: there is nothing below that.

        :param reference: percent-encoded, what stands for the last id of the page of the command before.
        """
        call = self.look()
        text = command(call.method, call.params)
        bound = f"&{quote(self.known.filter)}[{quote(self._to[0])}{quote(self.known.filter_key)}]="
        return [text, *(f"{text}{bound}{reference.format(f'l{page}')}" for page in range(pages - 1))]

    def command(self, low: int | str | None, high: int | None) -> str:
        """What :meth:`call` gives, as a command of a batch.

        :param low: a position, or percent-encoded what stands for an id.
        """
        low = low if low is None or isinstance(low, str) else abs(low)
        end = self._until(high)
        text = self._text if low is None else f"{self._text}{self._names[0]}{low}"
        if end is None:
            return text
        return f"{text}{'' if low is None else '&'}{self._names[1]}{end}"

    def positions(self, rows: Sequence[Any]) -> list[int]:
        """Where these rows stand in the order.

        :raises IncompleteReplyError: for a row without a usable id.
        """
        numbers = _numbers(rows, self.known.key)
        if numbers is None:
            raise IncompleteReplyError(
                f"a row has no usable {self.known.key!r}", method=self.method, advice="Add it to select."
            )
        return [-number for number in numbers] if self._descending else numbers

    def not_in_order(self, low: int | None, position: int) -> IncompleteReplyError:
        """What is wrong with a portal that sent a row at this position, asked for those behind another one."""
        return IncompleteReplyError(
            f"the portal was asked for rows with {self.known.filter_key} {self._from} {self.id_at(low)} "
            f"and sent {self.id_at(position)}",
            method=self.method,
            advice="It does not filter or sort this list by id, so that rows could be lost or doubled.",
        )

    def id_at(self, position: int | None) -> int | None:
        """The id of a position."""
        return None if position is None else abs(position)

    def _of(self, params: dict[str, Any]) -> Call:
        return Call(self.method, params, priority=Priority.BULK)

    def _page(self, params: dict[str, Any], conditions: Mapping[str, Any]) -> dict[str, Any]:
        if conditions:
            params[self.known.filter] = conditions
        return {**params, self.known.position[0]: -1}

    def _sorted(self, descending: bool) -> dict[str, Any]:
        direction = "DESC" if descending else "ASC"
        if isinstance(self.known.order, tuple):
            by, way = self.known.order
            return {**self._params, by: self.known.filter_key, way: direction}
        return {**self._params, self.known.order: {self.known.filter_key: direction}}

    def _bounds(self, low: int | None, high: int | None) -> list[tuple[str, int]]:
        end = self._until(high)
        bounds = [] if low is None else [(self._from, abs(low))]
        return bounds if end is None else [*bounds, (self._to, end)]

    def _until(self, high: int | None) -> int | None:
        """The id up to which a page may reach."""
        ends = [end for end in (high, self._end) if end is not None]
        return abs(min(ends)) if ends else None

    def _take_order(self) -> bool:
        known = self.known
        if isinstance(known.order, tuple):
            column = self._params.pop(parameter(self._params, known.order[0]) or "", known.filter_key)
            order = {column: self._params.pop(parameter(self._params, known.order[1]) or "", "ASC")}
        else:
            order = self._params.pop(parameter(self._params, known.order) or "", None) or {known.filter_key: "ASC"}
        if isinstance(order, Mapping) and len(order) == 1:
            ((column, direction),) = order.items()
            if str(column).lower() == known.filter_key.lower() and str(direction).upper() in ("ASC", "DESC"):
                return str(direction).upper() == "DESC"
        raise ConfigurationError(
            f"order is {order!r}",
            method=self.method,
            advice=f"A list that is read to its end is sorted by {known.filter_key}; sort the rows afterwards.",
        )

    def _take_filter(self) -> Any:
        found = self._params.pop(parameter(self._params, self.known.filter) or "", None)
        if self._version == 3 and isinstance(found or [], list):
            return list(found or [])
        if self._version == 2 and isinstance(found or {}, Mapping):
            return {**all_of(found or {}), **self._take_conditions(found or {})}
        raise ConfigurationError(
            f"{self.known.filter} is a {type(found).__name__}",
            method=self.method,
            advice="It is a list of conditions." if self._version == 3 else "It is a mapping.",
        )

    def _take_conditions(self, found: Mapping[str, Any]) -> dict[str, Any]:
        """Conditions that stand beside the filter: a method that is given one might not look at them any more."""
        taken = (*self.known.parameters, self.known.select)
        beside = [name for name in self._params if self.known.parameters and str(name).lower() not in taken]
        for name in beside:
            if name in found:
                raise ConfigurationError(
                    f"{name} is given twice, in {self.known.filter} and beside it",
                    method=self.method,
                    advice=f"Put all conditions into {self.known.filter}.",
                )
        return {name: self._params.pop(name) for name in beside}

    def _take_bound(self, sign: str) -> int | None:
        """A bound of the caller's own, as a position: each reading has its own of the same name."""
        if self._version == 3:
            return None
        name = parameter(self._filter, f"{sign}{self.known.filter_key}")
        return None if name is None else self._position(self._filter.pop(name), f"{self.known.filter} has {name!r}:")

    def _resumed(self, after: int | str | None) -> int | None:
        return None if after is None else self._position(after, "after is")

    def _position(self, given: Any, what: str) -> int:
        number = id_of(given)
        if number is None:
            raise ConfigurationError(f"{what} {given!r}", method=self.method, advice="An id is a number.")
        return -number if self._descending else number

    def _take_select(self) -> None:
        name = self.known.select and parameter(self._params, self.known.select)
        if not name:
            return
        chosen = self._params[name]
        if not isinstance(chosen, (list, tuple)):
            raise ConfigurationError(f"{name} is {chosen!r}", method=self.method, advice="It is a list of field names.")
        if chosen and "*" not in chosen:
            there = {str(item).lower() for item in chosen}
            needed = [self.known.filter_key, *self.known.selected]
            self._params[name] = [*(one for one in needed if one.lower() not in there), *chosen]


def all_of(conditions: Mapping[str, Any]) -> dict[str, Any]:
    """A filter to which further conditions can be added: one whose conditions are alternatives stands for itself."""
    logic = parameter(conditions, "logic")
    if logic is not None and str(conditions[logic]).upper() == "OR":
        return {"0": dict(conditions)}
    return dict(conditions)


def rows_of(method: str, result: Any, wrapper: str | None) -> list[Any]:
    """The rows in a result.

    :param wrapper: the field that holds them; empty for a bare list; ``{}`` for a mapping of rows by their ids; None to
        recognise it.
    :raises IncompleteReplyError: if there are none.
    """
    if wrapper is None and isinstance(result, Mapping):
        lists = [value for value in result.values() if isinstance(value, list)]
        if len(lists) == 1:
            return lists[0]
    elif wrapper == "{}" and isinstance(result, Mapping):
        return list(result.values())
    elif wrapper == "" and isinstance(result, Mapping) and all(str(key).isdecimal() for key in result):
        # PHP writes a list so that has gaps.
        return list(result.values())
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


def id_of(value: Any) -> int | None:
    """An id that a portal sends as a number or as text; None for anything else."""
    if isinstance(value, bool) or not isinstance(value, (int, str)):
        return None
    text = str(value)
    return int(text) if text.isascii() and text.isdecimal() and len(text) <= _LONGEST_ID else None


def parameter(params: Mapping[str, Any], name: str) -> str | None:
    """The caller's spelling of a parameter; classic methods take either case."""
    return next((key for key in params if isinstance(key, str) and key.lower() == name.lower()), None)


def _numbers(rows: Sequence[Any], key: str) -> list[int] | None:
    try:
        values = [row[key] for row in rows]
    except (TypeError, KeyError, IndexError):
        return None
    # One look at all of them costs a tenth of looking at each.
    if set(map(type, values)) == {int} and min(values) >= 0 and max(values) < 10**_LONGEST_ID:
        return values
    if set(map(type, values)) == {str} and min(map(len, values)) > 0 and max(map(len, values)) <= _LONGEST_ID:
        text = "".join(values)
        return list(map(int, values)) if text.isascii() and text.isdecimal() else None
    numbers = [id_of(value) for value in values]
    return None if None in numbers else numbers  # type: ignore[return-value]
