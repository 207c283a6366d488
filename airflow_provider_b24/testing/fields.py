"""Fields of the CRM: how methods describe them, and the user fields that a company makes for itself."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, tzinfo
from typing import Any

from airflow_provider_b24.testing.crm import READ_ONLY, ZONE, stored_time
from airflow_provider_b24.testing.tables import Row, Table
from airflow_provider_b24.testing.wire import items_of, to_int

_INTEGERS = frozenset({"integer", "employee", "enumeration"})
_TIMES = frozenset({"date", "datetime"})
_MONEY = re.compile(r"(-?[0-9]+(?:\.[0-9]+)?)\|([A-Z]{3})")
_NUMBERS = re.compile(r"UF_CRM_([0-9]+)_([0-9_]+)")
_LETTERS = re.compile(r"UF_CRM_(?:([0-9]+)_)?([A-Z_]+)")
_REQUIRED = frozenset({"opened"})
_STATUS_TYPES = {"stageId": "DEAL_STAGE", "typeId": "DEAL_TYPE", "sourceId": "SOURCE", "industry": "INDUSTRY"}


@dataclass(frozen=True)
class UserField:
    """A field that the company has made.

    :ivar name: the original one, such as ``UF_CRM_SCORE``.
    :ivar items: of an enumeration: titles by id.
    """

    name: str
    type: str
    title: str = ""
    multiple: bool = False
    required: bool = False
    items: Mapping[int, str] = field(default_factory=dict)


def add_user_field(table: Table, made: UserField) -> str:
    """Let a table have one more field; returns its name in rows of ``crm.item.*``."""
    name = camel_name(made.name)
    if name in table.fields:
        name = made.name
    table.fields = {**table.fields, name: (made.type, made.name)}
    table.user_fields[name] = made
    return name


def camel_name(upper: str) -> str:
    """A user field's name as ``crm.item.*`` writes it (api-reference/crm/universal/index.md)."""
    if (match := _NUMBERS.fullmatch(upper)) is not None:
        return f"ufCrm{match[1]}_{match[2]}"
    if (match := _LETTERS.fullmatch(upper)) is not None:
        return f"ufCrm{match[1] or ''}" + "".join(word.capitalize() for word in match[2].split("_"))
    # Names from which there would be no way back keep what follows the prefix.
    return "ufCrm_" + upper.removeprefix("UF_CRM_")


def visible(table: Table, *, original: bool) -> dict[str, tuple[str, str]]:
    """The fields by the names that a call uses.

    :param original: user fields by their original names (``useOriginalUfNames``).
    """
    if not original or not table.user_fields:
        return table.fields
    return {one[1] if name in table.user_fields else name: one for name, one in table.fields.items()}


def under_both_names(table: Table, row: Row) -> Row:
    """A row as it is stored: the values of user fields stand in it under each of their names."""
    both = dict(row)
    for name, made in table.user_fields.items():
        for one, other in ((name, made.name), (made.name, name)):
            if one in row:
                both[other] = row[one]
    return both


def user_value(made: UserField, value: Any, zone: tzinfo) -> Any:
    """A value of a user field as it is stored.

    :raises ValueError: it can not be one.
    """
    if not made.multiple:
        return _one_value(made, value, zone)
    values = [item for _, item in items_of(value)] if isinstance(value, (list, dict)) else [value]
    return [one for one in (_one_value(made, item, zone) for item in values) if one is not None]


def _one_value(made: UserField, value: Any, zone: tzinfo) -> Any:
    if made.type == "boolean":
        return "Y" if value is True or str(value) in {"1", "Y"} else "N"
    if value is None or value == "":
        return None
    if isinstance(value, (list, dict)):
        raise ValueError(value)
    if made.type in _INTEGERS:
        number = int(str(value))
        if made.type == "enumeration" and number not in made.items:
            raise ValueError(value)
        return number
    if made.type == "double":
        return float(value)
    if made.type in _TIMES:
        return stored_time(value, made.type, zone)
    if made.type == "money" and not _MONEY.fullmatch(str(value)):
        raise ValueError(value)
    if made.type == "file":
        return to_int(value)
    return str(value)


def shown_row(row: Mapping[str, Any], fields: Mapping[str, tuple[str, str]], table: Table, zone: tzinfo) -> Row:
    """A row as ``crm.item.*`` shows it."""
    if zone is ZONE and not table.user_fields:
        return {name: row.get(name) for name in fields}
    made = {one.name: one for one in table.user_fields.values()}
    return {name: _shown(row.get(name), kind, made.get(upper), zone) for name, (kind, upper) in fields.items()}


def _shown(value: Any, kind: str, made: UserField | None, zone: tzinfo) -> Any:
    if isinstance(value, list):
        return [_shown(item, kind, None, zone) for item in value]
    if value is None:
        if made is None:
            return None
        return [] if made.multiple else "N" if kind == "boolean" else None
    if kind in _TIMES:
        return datetime.fromisoformat(value).astimezone(zone).isoformat(timespec="seconds")
    if kind == "file":
        token = f"auth=0f1e2d3c4b5a69788796a5b4c3d2e1f0&token=crm%7C{value}"
        page = f"/bitrix/components/bitrix/crm.deal.show/show_file.php?fileId={value}"
        return {"id": value, "url": page, "urlMachine": f"/rest/crm.controller.item.getFile.json?{token}"}
    return value


def described(table: Table, name: str) -> dict[str, Any]:
    """A field as ``crm.item.fields`` describes it (crm_rest_field_description)."""
    kind, upper = table.fields[name]
    made = table.user_fields.get(name)
    title = upper.replace("_", " ").capitalize() if made is None else made.title or made.name
    about: dict[str, Any] = {
        "type": kind,
        "isRequired": name in _REQUIRED if made is None else made.required,
        "isReadOnly": name in READ_ONLY,
        "isImmutable": False,
        "isMultiple": made is not None and made.multiple,
        "isDynamic": made is not None,
    }
    if name in _STATUS_TYPES:
        about["statusType"] = _STATUS_TYPES[name]
    if made is not None and made.items:
        about["items"] = [{"ID": str(key), "VALUE": value} for key, value in made.items.items()]
    about["title"] = title
    if made is not None:
        about |= {"listLabel": title, "formLabel": title, "filterLabel": title, "settings": {}}
    return about | {"upperName": upper}


_CLASSIC = {"boolean": "char", "text": "string"}


def described_classic(table: Table, name: str) -> dict[str, Any]:
    """The same as ``crm.deal.fields`` and its like do: with other words for some types, and without the name."""
    about = described(table, name)
    del about["upperName"]
    if name not in table.user_fields:
        about["type"] = _CLASSIC.get(about["type"], about["type"])
    return about
