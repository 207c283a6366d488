"""PHP's view of a request: nested keys of forms and query strings, arrays that are lists, loose values."""

from __future__ import annotations

import json
import re
import secrets
from collections.abc import Callable, Iterable, Sequence
from typing import Any
from urllib.parse import unquote_plus

_BRACKETS = re.compile(r"\[([^\]]*)\]")
_LEADING_INT = re.compile(r"\s*([+-]?\d+)")


def pairs_of(text: str) -> list[tuple[str, str]]:
    """The decoded pairs of a query string or a urlencoded form."""
    pairs = []
    for part in text.split("&"):
        if part:
            key, _, value = part.partition("=")
            pairs.append((unquote_plus(key), unquote_plus(value)))
    return pairs


def nest(pairs: Iterable[tuple[str, str]]) -> dict[str, Any]:
    """``a[b][]=1`` to ``{"a": {"b": ["1"]}}``, as PHP's ``parse_str`` reads it."""
    root: dict[str, Any] = {}
    for key, value in pairs:
        name, bracket, rest = key.partition("[")
        # PHP makes variable names of the top level, which cannot hold a dot or a space.
        path = [name.replace(".", "_").replace(" ", "_")]
        if bracket:
            path += _BRACKETS.findall(bracket + rest)
        if not path[0]:
            continue
        _put(root, path, value)
    return {key: php_array(value) for key, value in root.items()}


def _put(node: dict[str, Any], path: list[str], value: str) -> None:
    for step in path[:-1]:
        child = node.get(_key(node, step))
        if not isinstance(child, dict):
            child = {}
            node[_key(node, step)] = child
        node = child
    node[_key(node, path[-1])] = value


def _key(node: dict[str, Any], step: str) -> str:
    if step:
        return step
    numbers = [int(key) for key in node if key.isdigit()]
    return str(max(numbers, default=-1) + 1)


def php_array(value: Any) -> Any:
    """A mapping whose keys are 0, 1, 2… in order is a list, all the way down."""
    if isinstance(value, list):
        return [php_array(item) for item in value]
    if not isinstance(value, dict):
        return value
    converted = {key: php_array(item) for key, item in value.items()}
    return list(converted.values()) if is_list_like(converted) else converted


def is_list_like(mapping: dict[str, Any]) -> bool:
    """Would PHP write this array as a JSON list? An empty one, too, is."""
    return all(str(key) == str(index) for index, key in enumerate(mapping))


def as_json_array(mapping: dict[str, Any]) -> Any:
    """One level of an array as PHP's ``json_encode`` writes it."""
    return list(mapping.values()) if is_list_like(mapping) else mapping


def items_of(value: Any) -> list[tuple[str, Any]]:
    """Keys and values of a PHP array, which arrived as a list or as a mapping."""
    if isinstance(value, dict):
        return [(str(key), item) for key, item in value.items()]
    if isinstance(value, list):
        return [(str(index), item) for index, item in enumerate(value)]
    return []


def is_empty(value: Any) -> bool:
    """PHP's ``empty``."""
    return value in (None, False, "", "0", 0, 0.0) or (isinstance(value, (list, dict)) and not value)


def to_int(value: Any) -> int:
    """PHP's ``intval``: the leading number, otherwise 0."""
    if isinstance(value, (bool, int, float)):
        return int(value)
    found = _LEADING_INT.match(value) if isinstance(value, str) else None
    return int(found.group(1)) if found else 0


def is_numeric(value: Any) -> bool:
    """A whole number, or a string that is one."""
    if isinstance(value, bool):
        return False
    return isinstance(value, int) or (isinstance(value, str) and value.strip().lstrip("+-").isdigit())


def is_yes(value: Any) -> bool:
    """A switch: ``true``, ``1``, ``"Y"``, ``"true"``."""
    return value is True or str(value).lower() in {"1", "y", "true"}


def is_truthy(value: Any) -> bool:
    """A PHP value in a condition."""
    return not is_empty(value)


def decode_json(body: bytes) -> Any:
    """The JSON value of a body, or ``None`` where it is not JSON."""
    try:
        return json.loads(body)
    except ValueError:
        return None


class WrittenRows(Sequence[Any]):
    """The rows of a page as JSON already, which an answer takes in as they are.

    :param texts: each row's.
    """

    def __init__(self, texts: list[str]) -> None:
        self._texts = texts

    def __getitem__(self, index: Any) -> Any:
        return json.loads(self._texts[index])

    def __len__(self) -> int:
        return len(self._texts)

    def __str__(self) -> str:
        return f"[{','.join(self._texts)}]"


# Stands for rows that are written already; nobody can know it and send it in a text.
_GAP = secrets.token_hex(16)


def encode_json(value: Any) -> bytes:
    """A body as the portal writes it."""
    rows: list[str] = []

    def gap(given: Any) -> str:
        if not isinstance(given, WrittenRows):
            raise TypeError(f"a {type(given).__name__} has no JSON")
        rows.append(str(given))
        return _GAP

    texts = _encoder(gap).encode(value).split(f'"{_GAP}"')
    return "".join(part for pair in zip(texts, [*rows, ""], strict=True) for part in pair).encode()


def _encoder(default: Callable[[Any], Any] | None) -> json.JSONEncoder:
    return json.JSONEncoder(ensure_ascii=False, separators=(",", ":"), default=default)


row_text = _encoder(None).encode
"""A row as JSON."""
