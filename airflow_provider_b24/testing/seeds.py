"""The deals that come with a portal: each is made of its number, so that a million take no longer than a thousand."""

from __future__ import annotations

from collections.abc import Callable
from datetime import date, datetime, timedelta
from functools import lru_cache
from typing import Any

from airflow_provider_b24.testing.crm import ZONE, Crm, settled
from airflow_provider_b24.testing.tables import Columns, Row

_DEAL = 2
_STAGES = ("NEW", "PREPARATION", "PREPAYMENT_INVOICE", "EXECUTING", "FINAL_INVOICE", "WON", "LOSE")
_GOODS = ("Office chairs", "Server rack", "Annual support", "Consulting", "Laptops", "Licences", "Training")
_PEOPLE = (2, 3, 5)
_SPAN = timedelta(weeks=8).total_seconds()
_HOUR, _DAY = 3600, 86_400
_EPOCH = date(1970, 1, 1)
_OFFSET = int(ZONE.utcoffset(None).total_seconds())


def deals(crm: Crm, count: int, end: datetime) -> Columns:
    """Several stages, different amounts, created over the eight weeks before the end."""
    first = crm.tables[_DEAL].rows.last_id + 1
    last = int(end.timestamp())
    step = _SPAN / max(count, 1)

    def created(number: int) -> int:
        return int(last - step * (first + count - number))

    def moved(number: int) -> str:
        return _moment(min(last, created(number) + _HOUR * (1 + _chance(number, 1, 239))))

    def stage(number: int) -> str:
        return _STAGES[_chance(number, 2, len(_STAGES))]

    return {
        **{name: _always(value) for name, value in crm.defaults(_DEAL, 0, 1).items()},
        "id": lambda number: number,
        "title": lambda number: f"{_GOODS[_chance(number, 3, len(_GOODS))]} {number}",
        "stageId": stage,
        **{name: _following(name, stage) for name in settled("")},
        "typeId": _always("SALE"),
        "opportunity": lambda number: float(500 + 10 * _chance(number, 4, 19_950)),
        "assignedById": lambda number: _PEOPLE[_chance(number, 5, len(_PEOPLE))],
        "createdTime": lambda number: _moment(created(number)),
        "updatedTime": moved,
        "movedTime": moved,
        "begindate": lambda number: _midnight(created(number)),
        "closedate": lambda number: _midnight(created(number) + 14 * _DAY),
    }


def _always(value: Any) -> Callable[[int], Any]:
    return lambda _number: value


def _following(name: str, stage: Callable[[int], str]) -> Callable[[int], Any]:
    groups: dict[str, Row] = {one: settled(one) for one in _STAGES}
    return lambda number: groups[stage(number)][name]


def _chance(number: int, salt: int, sides: int) -> int:
    """A die that falls the same way for the same number."""
    mixed = (number * 0x9E3779B1 + salt * 0x85EBCA6B) & 0xFFFFFFFF
    mixed = ((mixed ^ (mixed >> 15)) * 0x2C1B3C6D) & 0xFFFFFFFF
    return (mixed ^ (mixed >> 13)) % sides


def _moment(seconds: int) -> str:
    day, rest = divmod(seconds + _OFFSET, _DAY)
    return f"{_date(day)}T{rest // _HOUR:02}:{rest // 60 % 60:02}:{rest % 60:02}+03:00"


def _midnight(seconds: int) -> str:
    return f"{_date((seconds + _OFFSET) // _DAY)}T03:00:00+03:00"


@lru_cache(maxsize=1000)
def _date(day: int) -> str:
    return (_EPOCH + timedelta(days=day)).isoformat()
