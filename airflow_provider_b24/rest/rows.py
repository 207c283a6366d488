"""What tells the rows of a list from each other, and whether there are more of them. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from airflow_provider_b24.rest.keyset import id_of, parameter


def says_more(result: Any) -> bool | None:
    """Whether a result says in itself that it is not all, or that it is; None where it says nothing."""
    said = [result[name] for name in _MORE if name in result] if isinstance(result, Mapping) else []
    return any(said) if said else None


_MORE = ("hasMore", "hasNextPage", "truncated")


def identity(row: Any, key: str) -> int | str | None:
    """What tells a row from others: its id, or itself where it is but an id; None if there is nothing of the kind."""
    value = (row.get(key) if key else None) if isinstance(row, Mapping) else row
    number = id_of(value)
    return number if number is not None else value if isinstance(value, str) and value else None


def with_parameter(params: Mapping[str, Any], path: str, value: Any) -> dict[str, Any]:
    """Parameters with one more; a dot in its name leads into a mapping."""
    first, _, rest = path.partition(".")
    name = parameter(params, first) or first
    if not rest:
        return {**params, name: value}
    inner = params.get(name)
    return {**params, name: with_parameter(inner if isinstance(inner, Mapping) else {}, rest, value)}
