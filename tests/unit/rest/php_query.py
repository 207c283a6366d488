"""How PHP reads a query string (parse_str), written from its manual, to check what is written for it."""

from __future__ import annotations

import re
from typing import Any
from urllib.parse import unquote_plus


def parse(query: str) -> dict[str, Any]:
    """Nested tables; every key and value is text, as far as JSON would show it."""
    table: dict[str, Any] = {}
    for pair in filter(None, query.split("&")):
        name, _, value = pair.partition("=")
        head, path = _path(unquote_plus(name))
        _put(table, [head, *path], unquote_plus(value))
    return table


def _path(name: str) -> tuple[str, list[str]]:
    head, bracket, rest = name.lstrip(" ").partition("[")
    head = re.sub(r"[ .]", "_", head)
    return head, re.findall(r"([^\]]*)\](?:\[|\Z)?", rest) if bracket else []


def _put(table: dict[str, Any], path: list[str], value: str) -> None:
    for key in path[:-1]:
        inner = table.setdefault(key or _next(table), {})
        table = inner if isinstance(inner, dict) else {}
    table[path[-1] or _next(table)] = value


def _next(table: dict[str, Any]) -> str:
    return str(max((int(key) + 1 for key in table if re.fullmatch(r"0|[1-9][0-9]*", key)), default=0))
