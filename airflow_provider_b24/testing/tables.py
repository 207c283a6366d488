"""A table of the CRM, of up to millions of rows: those that came with the portal are made when somebody looks."""

from __future__ import annotations

from array import array
from bisect import bisect_left, bisect_right, insort
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any

from airflow_provider_b24.testing.wire import WrittenRows, row_text

PAGE = 50
Row = dict[str, Any]
AnyRow = Mapping[str, Any]
Test = Callable[[AnyRow], bool]
Columns = Mapping[str, Callable[[int], Any]]
"""The values of rows by their ids, field by field."""

# In rows; what was written of rows that nobody changed is kept up to here.
_MOST_TEXTS = 200_000


class _SeededRow(Mapping[str, Any]):
    """A row as it came with the portal: each value is made when it is asked for."""

    __slots__ = ("_columns", "_id")

    def __init__(self, columns: Columns, row_id: int) -> None:
        self._columns = columns
        self._id = row_id

    def __getitem__(self, name: str) -> Any:
        return self._columns[name](self._id)

    def __iter__(self) -> Iterator[str]:
        return iter(self._columns)

    def __len__(self) -> int:
        return len(self._columns)


class Rows(Mapping[int, Row]):
    """Rows by id, in the order of their ids.

    A seeded row takes memory once it has been asked for by its id: it is kept from then on, for it may be changed.
    """

    def __init__(self) -> None:
        self.ids = array("q")
        self.last_id = 0
        self._kept: dict[int, Row] = {}
        self._seeds: list[tuple[int, Columns]] = []

    def __getitem__(self, row_id: int) -> Row:
        row = self._kept.get(row_id)
        if row is None:
            if row_id not in self:
                raise KeyError(row_id)
            row = self._kept[row_id] = dict(self.seeded(row_id))
        return row

    def __contains__(self, row_id: object) -> bool:
        if row_id in self._kept:
            return True
        place = bisect_left(self.ids, row_id) if isinstance(row_id, int) else len(self.ids)
        return place < len(self.ids) and self.ids[place] == row_id

    def __iter__(self) -> Iterator[int]:
        return iter(self.ids.tolist())

    def __len__(self) -> int:
        return len(self.ids)

    def kept(self, row_id: int) -> Row | None:
        """The row, if it was changed or might have been."""
        return self._kept.get(row_id)

    def seeded(self, row_id: int) -> AnyRow:
        """The row as it came with the portal."""
        return _SeededRow(next(columns for first, columns in reversed(self._seeds) if first <= row_id), row_id)

    def look(self, row_id: int) -> AnyRow:
        """The row, not to be changed."""
        return self._kept.get(row_id) or self.seeded(row_id)

    def seed(self, count: int, columns: Columns) -> None:
        """Add rows behind the last one."""
        first = self.last_id + 1
        self._seeds.append((first, columns))
        self.last_id += count
        self.ids.extend(range(first, first + count))

    def add(self, row: Row) -> None:
        """Add a row under its ``id``."""
        if not self.ids or row["id"] > self.ids[-1]:
            self.ids.append(row["id"])
        else:
            insort(self.ids, row["id"])
        self.last_id = max(self.last_id, row["id"])
        self._kept[row["id"]] = row

    def remove(self, row_id: int) -> None:
        """Delete a row; no later one gets its id."""
        self._kept.pop(row_id, None)
        self.ids.pop(bisect_left(self.ids, row_id))


class Table:
    """The elements of one type, in order of their ids."""

    def __init__(self, fields: dict[str, tuple[str, str]]) -> None:
        self.fields = fields
        self.user_fields: dict[str, Any] = {}
        self.rows = Rows()
        self._texts: dict[Any, dict[int, str]] = {}

    @property
    def names(self) -> set[str]:
        """The names of the fields, and the original ones of user fields."""
        return {*self.fields, *(made.name for made in self.user_fields.values())}

    @property
    def ids(self) -> array[int]:
        """The ids, sorted."""
        return self.rows.ids

    def search(
        self, tests: list[Test], id_range: tuple[int | None, int | None], order: list[tuple[str, bool]], start: int
    ) -> tuple[list[int], int | None]:
        """The ids of a page, and the number of all rows found (``None`` where ``start`` forbids counting).

        By id, and without counting, only as many rows are looked at as it takes to fill the page.
        """
        low, high = id_range
        first = 0 if low is None else bisect_right(self.ids, low)
        last = max(first, len(self.ids) if high is None else bisect_left(self.ids, high))
        by_id = not order or order[0][0] == "id"
        descending = by_id and bool(order) and order[0][1]
        places = range(last - 1, first - 1, -1) if descending else range(first, last)
        skipped = max(0, start)
        total = None if start < 0 else len(places)
        if by_id and not tests:
            return [self.ids[place] for place in places[skipped : skipped + PAGE]], total
        matching = self._matching((self.ids[place] for place in places), tests)
        if by_id and start < 0:
            return [row_id for row_id, _ in zip(matching, range(PAGE), strict=False)], None
        found = list(matching)
        if not by_id:
            for name, down in reversed(order):
                found.sort(key=lambda row_id: _sort_key(self.rows.look(row_id).get(name)), reverse=down)
        return found[skipped : skipped + PAGE], None if total is None else len(found)

    def _matching(self, ids: Iterable[int], tests: list[Test]) -> Iterator[int]:
        for row_id in ids:
            row = self.rows.look(row_id)
            if all(test(row) for test in tests):
                yield row_id

    def written(self, ids: list[int], form: tuple[Any, ...], shown: Callable[[AnyRow], Row]) -> WrittenRows:
        """Rows of an answer.

        :param form: what ``shown`` goes by: rows that nobody changed are written once for each.
        :param shown: a row as the method answers it.
        """
        if form not in self._texts:
            self._texts.clear()
        texts = self._texts.setdefault(form, {})
        if len(texts) > _MOST_TEXTS:
            texts.clear()
        page = []
        for row_id in ids:
            kept = self.rows.kept(row_id)
            if kept is not None:
                page.append(row_text(shown(kept)))
                continue
            text = texts.get(row_id)
            if text is None:
                text = texts[row_id] = row_text(shown(self.rows.seeded(row_id)))
            page.append(text)
        return WrittenRows(page)


def _sort_key(value: Any) -> tuple[int, Any]:
    return (0, 0) if value is None else (1, value)
