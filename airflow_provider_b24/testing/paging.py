"""Pages of lists: by ``start`` in version 2, by triples and ``pagination`` in version 3."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from airflow_provider_b24.testing.crm import BadField, Filter, parse_order
from airflow_provider_b24.testing.errors import PortalError
from airflow_provider_b24.testing.registry import Page
from airflow_provider_b24.testing.tables import PAGE
from airflow_provider_b24.testing.wire import is_numeric, items_of, to_int

V3 = "BITRIX_REST_V3_EXCEPTION_"
INVALID_REQUEST = V3 + "VALIDATION_REQUESTVALIDATIONEXCEPTION"

# Name of a field: its type.
Types = Mapping[str, str]
Row = dict[str, Any]
Shown = Callable[[Sequence[Row]], Any]


def found(rows: Sequence[Row], types: Types, condition: Any, order: Any, default: tuple[str, bool] | None) -> list[Row]:
    """Rows that pass a filter, sorted; unknown fields of either are left out.

    :param default: the order where none is given: field, and whether it descends.
    """
    fields = {name: (kind, name) for name, kind in types.items()}
    try:
        passing = Filter(condition, fields, strict=False)
        keys = parse_order(order, fields, strict=False)
    except BadField as error:
        raise PortalError("INVALID_ARG_VALUE", f"Invalid filter: field '{error.name}' {error.reason}") from None
    low, high = passing.id_range
    found = [
        row
        for row in rows
        if all(test(row) for test in passing.tests)
        and (low is None or row["id"] > low)
        and (high is None or row["id"] < high)
    ]
    for name, descending in reversed(keys or ([default] if default else [])):
        found.sort(key=lambda row: (row.get(name) is not None, row.get(name) or 0), reverse=descending)
    return found


def page(rows: Sequence[Row], start: Any, shown: Shown, size: int = PAGE) -> Page:
    """The page from ``start`` on; -1 forbids counting: then ``total`` is 0 and there is no ``next``.

    A start between two pages is that of the page it lies in.
    """
    number = to_int(start)
    if number < 0:
        return Page(shown(rows[:size]), total=0)
    begin = number // size * size
    following = begin + size if begin + size < len(rows) else None
    return Page(shown(rows[begin : begin + size]), total=len(rows), next=following)


def chosen(rows: Sequence[Row], names: Any) -> list[Row]:
    """The fields that a select names; all of them without one."""
    wanted = [str(name) for _, name in items_of(names)]
    if not wanted or "*" in wanted:
        return [dict(row) for row in rows]
    return [{name: row[name] for name in wanted if name in row} for row in rows]


def window(given: Any, most: int | None) -> tuple[int, int]:
    """Offset and limit of a ``pagination``; a limit above the most there is counts as that."""
    if given is None:
        return 0, 50
    if not isinstance(given, dict) or not all(is_numeric(value) for value in given.values()):
        raise PortalError(V3 + "INVALIDPAGINATIONEXCEPTION", f"Cannot read the pagination `{json.dumps(given)}`")
    limit = int(given.get("limit", 50))
    if limit < 1:
        raise PortalError(V3 + "INVALIDPAGINATIONEXCEPTION", f"Cannot read the pagination `{json.dumps(given)}`")
    limit = limit if most is None else min(limit, most)
    return (int(given["page"]) - 1) * limit if "page" in given else int(given.get("offset", 0)), limit


def passes(condition: Any, row: Row) -> bool:
    """Whether a row passes a list of triples, all of which must hold."""
    if condition is None:
        return True
    if not isinstance(condition, list) or not all(isinstance(one, list) and len(one) in {2, 3} for one in condition):
        raise PortalError(V3 + "INVALIDFILTEREXCEPTION", f"Cannot read the filter `{json.dumps(condition)}`")
    return all(_triple(one, row) for one in condition)


def _triple(triple: list[Any], row: Row) -> bool:
    name, value = triple[0], triple[-1]
    operator = triple[1] if len(triple) == 3 else ("in" if isinstance(value, list) else "=")
    if name not in row:
        raise PortalError(V3 + "UNKNOWNDTOPROPERTYEXCEPTION", f"Unknown field `{name}`")
    mine = row[name]
    results: dict[Any, Callable[[], bool]] = {
        "=": lambda: bool(mine == value),
        "!=": lambda: bool(mine != value),
        ">": lambda: bool(mine > value),
        ">=": lambda: bool(mine >= value),
        "<": lambda: bool(mine < value),
        "<=": lambda: bool(mine <= value),
        "in": lambda: mine in value,
        "between": lambda: bool(value[0] <= mine <= value[-1]),
    }
    if operator not in results:
        raise PortalError(V3 + "UNKNOWNFILTEROPERATOREXCEPTION", f"Unknown operator `{operator}`")
    return results[operator]()


def sorted_by(rows: Sequence[Row], order: Any, default: tuple[str, str]) -> list[Row]:
    """Rows in the order of ``{field: ASC | DESC}``."""
    given = order if order is not None else dict([default])
    if not isinstance(given, dict) or not all(str(one).upper() in {"ASC", "DESC"} for one in given.values()):
        raise PortalError(V3 + "INVALIDORDEREXCEPTION", f"Cannot read the order `{json.dumps(order)}`")
    out = list(rows)
    for name, direction in reversed(list(given.items())):
        out.sort(key=lambda row: row[name], reverse=str(direction).upper() == "DESC")
    return out
