"""Fields that hold several phones, addresses or links: a value that is sent without an id is always added. Pure.

So an update that is repeated doubles them, unless those that are there already are left out.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

CLASSIC = ("PHONE", "EMAIL", "WEB", "IM", "LINK")
UNIVERSAL = ("fm",)


def multifields_in(fields: Any, names: Sequence[str]) -> list[str]:
    """Which of these fields are among the fields of an element."""
    return [name for name in names if name in fields] if isinstance(fields, Mapping) else []


def adds_values(fields: Any, names: Sequence[str]) -> bool:
    """Whether an update would add a value each time that it is sent."""
    if not isinstance(fields, Mapping):
        return False
    several = {name.lower() for name in names}
    return any(
        not _has_id(key, entry)
        for name, value in fields.items()
        if str(name).lower() in several
        for key, entry in _entries(value)
    )


def without_known(fields: Mapping[str, Any], element: Mapping[str, Any], names: Sequence[str]) -> dict[str, Any]:
    """The fields of an update, without the values that the element has already.

    :param names: the fields that hold several.
    """
    left = dict(fields)
    for name in multifields_in(fields, names):
        if not isinstance(fields[name], (Mapping, list, tuple)):
            # That is for the portal to judge.
            continue
        known = {_value(entry, name) for _, entry in _entries(element.get(name))}
        entries = [
            (key, entry)
            for key, entry in _entries(fields[name])
            if _has_id(key, entry) or _value(entry, name) not in known
        ]
        if not entries:
            del left[name]
        elif isinstance(fields[name], Mapping):
            left[name] = dict(entries)
        else:
            left[name] = [entry for _, entry in entries]
    return left


def _entries(value: Any) -> Iterator[tuple[Any, Any]]:
    if isinstance(value, Mapping):
        yield from value.items()
    elif isinstance(value, (list, tuple)):
        yield from ((None, entry) for entry in value)


def _has_id(key: Any, entry: Any) -> bool:
    """Whether an entry changes a value that is there: it has its id, or stands under it."""
    if str(key).isdecimal():
        return True
    return isinstance(entry, Mapping) and bool(entry.get("ID") or entry.get("id"))


def _value(entry: Any, name: str) -> tuple[str, str]:
    """Kind and text of a value."""
    if not isinstance(entry, Mapping):
        return name, str(entry).strip()
    plain = {str(key).replace("_", "").lower(): value for key, value in entry.items()}
    return str(plain.get("typeid") or name).upper(), str(plain.get("value") or "").strip()
