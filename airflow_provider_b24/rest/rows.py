"""What tells the rows of a list from each other, and whether there are more of them. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from airflow_provider_b24.rest.keyset import id_of, parameter
from airflow_provider_b24.rest.lists import ListMethod


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


def with_id_selected(params: Mapping[str, Any], listed: ListMethod) -> dict[str, Any]:
    """Parameters whose select, if there is one, names the id, and what else the method needs."""
    name = listed.select and parameter(params, listed.select)
    chosen = params[name] if name else None
    if not name or not isinstance(chosen, (list, tuple)) or not chosen or "*" in chosen:
        return dict(params)
    there = {str(one).lower() for one in chosen}
    key = listed.filter_key if listed.filter_key.lower() == listed.key.lower() else listed.key
    needed = [one for one in (key, *listed.selected) if one and one.lower() not in there]
    return {**params, name: [*needed, *chosen]}
