"""What is in the CRM: the fields of its tables, and how a list is filtered and sorted."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from datetime import datetime, timedelta, timezone, tzinfo
from typing import Any

from airflow_provider_b24.testing.tables import AnyRow, Row, Table, Test
from airflow_provider_b24.testing.wire import is_empty, items_of, to_int

ZONE = timezone(timedelta(hours=3))
"""The zone that times are stored in; a portal shows them in it unless it has one of its own."""
_CONDITION = re.compile(r"(!=%|!%=|>=|<=|!=|!@|!%|=%|%=|[=!<>@%])?(.+)", re.DOTALL)
_INTEGERS = frozenset({"integer", "user", "crm_entity", "crm_category", "enumeration", "employee"})
_DATES = frozenset({"datetime", "date"})

_COMMON = {
    "id": ("integer", "ID"),
    "title": ("string", "TITLE"),
    "createdTime": ("datetime", "DATE_CREATE"),
    "updatedTime": ("datetime", "DATE_MODIFY"),
    "createdBy": ("user", "CREATED_BY_ID"),
    "updatedBy": ("user", "MODIFY_BY_ID"),
    "assignedById": ("user", "ASSIGNED_BY_ID"),
    "opened": ("boolean", "OPENED"),
    "lastActivityTime": ("datetime", "LAST_ACTIVITY_TIME"),
    "lastActivityBy": ("user", "LAST_ACTIVITY_BY"),
    "sourceId": ("crm_status", "SOURCE_ID"),
    "sourceDescription": ("text", "SOURCE_DESCRIPTION"),
    "originatorId": ("string", "ORIGINATOR_ID"),
    "originId": ("string", "ORIGIN_ID"),
    "comments": ("text", "COMMENTS"),
    "utmSource": ("string", "UTM_SOURCE"),
    "utmMedium": ("string", "UTM_MEDIUM"),
}
_SALE = {
    "stageId": ("crm_status", "STAGE_ID"),
    "stageSemanticId": ("string", "STAGE_SEMANTIC_ID"),
    "categoryId": ("crm_category", "CATEGORY_ID"),
    "opportunity": ("double", "OPPORTUNITY"),
    "currencyId": ("crm_currency", "CURRENCY_ID"),
    "isManualOpportunity": ("boolean", "IS_MANUAL_OPPORTUNITY"),
    "companyId": ("crm_entity", "COMPANY_ID"),
    "contactId": ("crm_entity", "CONTACT_ID"),
    "movedTime": ("datetime", "MOVED_TIME"),
    "movedBy": ("user", "MOVED_BY_ID"),
}
_PERSON = {"name": ("string", "NAME"), "lastName": ("string", "LAST_NAME"), "post": ("string", "POST")}

FIELDS: dict[int, dict[str, tuple[str, str]]] = {
    1: _COMMON | _PERSON | {key: kind for key, kind in _SALE.items() if key != "categoryId"},
    2: _COMMON
    | _SALE
    | {
        "typeId": ("crm_status", "TYPE_ID"),
        "closed": ("boolean", "CLOSED"),
        "isNew": ("boolean", "IS_NEW"),
        "begindate": ("date", "BEGINDATE"),
        "closedate": ("date", "CLOSEDATE"),
        "probability": ("integer", "PROBABILITY"),
        "taxValue": ("double", "TAX_VALUE"),
        "leadId": ("crm_entity", "LEAD_ID"),
        "additionalInfo": ("string", "ADDITIONAL_INFO"),
    },
    3: _COMMON | _PERSON | {"companyId": ("crm_entity", "COMPANY_ID")},
    4: _COMMON | {"industry": ("crm_status", "INDUSTRY"), "revenue": ("double", "REVENUE")},
    1030: _COMMON | _SALE,
}
"""Fields by entityTypeId (1 lead, 2 deal, 3 contact, 4 company, 1030 a smart process): type and upper name."""

STAGES = {
    "NEW": "P", "PREPARATION": "P", "PREPAYMENT_INVOICE": "P", "EXECUTING": "P", "FINAL_INVOICE": "P",
    "WON": "S", "LOSE": "F", "APOLOGY": "F",
    "C1:NEW": "P", "C1:EXECUTING": "P", "C1:WON": "S", "C1:LOSE": "F",
}  # fmt: skip
"""Stages of deals, with their group: in work, won, lost."""

CURRENCIES = frozenset({"USD", "EUR", "RUB"})
READ_ONLY = frozenset({"id", "createdTime", "updatedTime", "createdBy", "updatedBy", "stageSemanticId"})


class BadField(Exception):  # noqa: N818 - each method answers it with its own code
    """The list cannot be made with this field: ``name``, ``reason``."""

    def __init__(self, name: str, reason: str) -> None:
        super().__init__(name, reason)
        self.name = name
        self.reason = reason


class Filter:
    """A compiled filter: tests for a row, and the bounds it puts on the id.

    :param fields: of the table.
    :param strict: refuse what the field cannot hold; otherwise take it as the database does (text as 0).
    :param zone: of times that are given without one.
    :raises BadField: an unknown field (only if strict), or a value that does not fit.
    """

    def __init__(self, given: Any, fields: dict[str, tuple[str, str]], *, strict: bool, zone: tzinfo = ZONE) -> None:
        self._fields = fields
        self._strict = strict
        self._zone = zone
        self.low: int | None = None
        self.high: int | None = None
        self.tests = [test for test in self._compile(given, top=True) if test is not None]

    @property
    def id_range(self) -> tuple[int | None, int | None]:
        """Exclusive bounds of the id."""
        return self.low, self.high

    def _compile(self, given: Any, *, top: bool) -> Iterator[Test | None]:
        pairs = [(key, value) for key, value in items_of(given) if key.lower() != "logic"]
        logic = next((str(value).upper() for key, value in items_of(given) if key.lower() == "logic"), "AND")
        tests = []
        for key, value in pairs:
            if key.isdigit() and isinstance(value, (dict, list)):
                inner = [test for test in self._compile(value, top=False) if test is not None]
                tests.append(_all_of(inner))
            elif not (top and logic == "AND" and self._bound(key, value)):
                test = self._condition(key, value)
                if test is not None:
                    tests.append(test)
        if logic == "OR" and tests:
            yield _any_of(tests)
        else:
            yield from tests

    def _bound(self, key: str, value: Any) -> bool:
        """Is it a bound of the id, which the sorted ids answer by bisection?"""
        if key not in {">id", "<id", ">=id", "<=id"} or isinstance(value, (list, dict)):
            return False
        number = self._value("id", value)
        if key[0] == ">":
            bound = number - (1 if "=" in key else 0)
            self.low = bound if self.low is None else max(self.low, bound)
        else:
            bound = number + (1 if "=" in key else 0)
            self.high = bound if self.high is None else min(self.high, bound)
        return True

    def _condition(self, key: str, value: Any) -> Test | None:
        match = _CONDITION.fullmatch(key)
        prefix, name = (match.group(1) or "=", match.group(2)) if match else ("=", key)
        if name not in self._fields:
            if self._strict:
                raise BadField(name, "is not allowed in filter")
            return None
        if prefix in {"%", "!%", "=%", "%=", "!=%", "!%="}:
            return _like(name, str(value), anywhere=prefix in {"%", "!%"}, negative=prefix[0] == "!")
        if prefix in {"=", "@", "!=", "!", "!@"}:
            wanted = [item for _, item in items_of(value)] if isinstance(value, (list, dict)) else [value]
            values = {self._comparable(name, item) for item in wanted}
            negative = prefix[0] == "!"
            if self._fields[name][1].startswith("UF_"):
                return lambda row: any(_folded(one) in values for one in _several(row.get(name))) is not negative
            return lambda row: (_folded(row.get(name)) in values) is not negative
        if isinstance(value, (list, dict)):
            raise BadField(name, "has invalid value")
        return _compare(name, prefix, self._value(name, value))

    def _comparable(self, name: str, value: Any) -> Any:
        if value is None or value == "" or value is False:
            return None
        return _folded(self._value(name, value))

    def _value(self, name: str, value: Any) -> Any:
        """The value as the column holds it."""
        kind, upper = self._fields[name]
        try:
            if kind == "boolean" and upper.startswith("UF_"):
                # Y and N are what rows have; a filter takes 1 and 0.
                return "N" if int(value) == 0 else "Y"
            if kind in _INTEGERS:
                return int(str(value).strip())
            if kind == "double":
                return float(value)
            if kind in _DATES:
                return stored_time(value, kind, self._zone)
        except (TypeError, ValueError):
            if self._strict:
                raise BadField(name, "has invalid value") from None
            return str(value) if kind in _DATES else to_int(value)
        return str(value)


def _several(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [value]


def _folded(value: Any) -> Any:
    if isinstance(value, str):
        return value.lower() or None
    return value


def _all_of(tests: list[Test]) -> Test:
    return lambda row: all(test(row) for test in tests)


def _any_of(tests: list[Test]) -> Test:
    return lambda row: any(test(row) for test in tests)


def _compare(name: str, prefix: str, bound: Any) -> Test:
    def test(row: AnyRow) -> bool:
        value = row.get(name)
        if value is None:
            return False
        if prefix == ">":
            return bool(value > bound)
        if prefix == ">=":
            return bool(value >= bound)
        if prefix == "<":
            return bool(value < bound)
        return bool(value <= bound)

    return test


def _like(name: str, pattern: str, *, anywhere: bool, negative: bool) -> Test:
    if anywhere:
        pattern = f"%{pattern}%"
    parts = [".*" if part == "%" else re.escape(part) for part in re.split(r"(%)", pattern)]
    expression = re.compile("".join(parts), re.IGNORECASE | re.DOTALL)
    return lambda row: bool(expression.fullmatch(str(row.get(name) or ""))) is not negative


def stored_time(value: Any, kind: str, zone: tzinfo) -> str:
    """A time, or a day (``kind`` is ``date``), as it is stored. A day is the midnight of UTC, whatever the zone.

    :param zone: of a time that is given without one.
    :raises ValueError: it is neither.
    """
    text = str(value).strip()
    if (dotted := _DOTTED.fullmatch(text)) is not None:
        text = f"{dotted[3]}-{dotted[2]}-{dotted[1]}{dotted[4] or ''}"
    moment = datetime.fromisoformat(text[:-1] + "+00:00" if text.endswith("Z") else text)
    if kind == "date":
        moment = datetime(moment.year, moment.month, moment.day, tzinfo=timezone.utc)
    elif moment.tzinfo is None:
        moment = moment.replace(tzinfo=zone)
    return moment.astimezone(ZONE).isoformat(timespec="seconds")


_DOTTED = re.compile(r"([0-9]{2})\.([0-9]{2})\.([0-9]{4})( [0-9:]{8})?")


def parse_order(given: Any, fields: dict[str, tuple[str, str]], *, strict: bool) -> list[tuple[str, bool]]:
    """Field and "descending?" of each key.

    :raises BadField: an unknown field or direction (only if strict).
    """
    order = []
    for name, direction in items_of(given):
        if name not in fields:
            if strict:
                raise BadField(name, "is not allowed in order")
            continue
        word = str(direction).upper()
        if strict and word not in {"ASC", "DESC"}:
            raise BadField(name, f"allowed sort directions are `ASC, DESC`. But got '{direction}'")
        order.append((name, word == "DESC"))
    return order


def settled(stage: str) -> Row:
    """The fields that follow from the stage."""
    group = STAGES.get(stage, "P")
    return {"stageSemanticId": group, "closed": "N" if group == "P" else "Y"}


class Crm:
    """All tables.

    :param now: the time as text.
    """

    def __init__(self, now: Callable[[], str]) -> None:
        self._now = now
        self.tables = {number: Table(fields) for number, fields in FIELDS.items()}

    def add(self, entity_type: int, fields: Row, author: int) -> Row:
        """Create an element: given fields over defaults."""
        table = self.tables[entity_type]
        row = self.defaults(entity_type, table.rows.last_id + 1, author)
        row |= {name: value for name, value in fields.items() if name in table.names and not is_empty(name)}
        self._settle(row)
        table.rows.add(row)
        return row

    def defaults(self, entity_type: int, row_id: int, author: int) -> Row:
        """What an element has of which only the author is known."""
        fields = self.tables[entity_type].fields
        now = self._now()
        row: Row = {
            "id": row_id,
            "title": f"#{row_id}",
            "createdTime": now,
            "updatedTime": now,
            "createdBy": author,
            "updatedBy": author,
            "assignedById": author,
            "opened": "Y",
        }
        if "stageId" in fields:
            row |= {"opportunity": 0.0, "currencyId": "USD", "isManualOpportunity": "N", "movedTime": now}
            row |= {"stageId": "NEW", "movedBy": author}
            if "categoryId" in fields:
                row["categoryId"] = 0
        return row

    def update(self, entity_type: int, row: Row, fields: Row, author: int) -> None:
        """Change an element."""
        if "stageId" in fields and fields["stageId"] != row.get("stageId"):
            row |= {"movedTime": self._now(), "movedBy": author}
        row |= fields
        row |= {"updatedTime": self._now(), "updatedBy": author}
        self._settle(row)

    @staticmethod
    def _settle(row: Row) -> None:
        """Fields that follow from others."""
        if "stageId" in row:
            row |= settled(row["stageId"])
