"""Rows with values of Python types instead of what JSON and PHP made of them."""

from __future__ import annotations

import datetime as dt
import logging
import re
from collections.abc import Callable, Mapping
from decimal import Decimal
from functools import lru_cache
from typing import Any, NamedTuple

import pendulum
from pendulum.tz import fixed_timezone
from pendulum.tz.timezone import FixedTimezone

from airflow_provider_b24.crm.fields import Field, Kind
from airflow_provider_b24.rest.errors import ConfigurationError

log = logging.getLogger(__name__)

Row = Mapping[str, Any]
Convert = Callable[[Any], Any]
Misfit = Callable[[Field, Row, Any], Any]


class Money(NamedTuple):
    """An amount of money in a currency, such as ``100|USD``; the currency is empty where the portal names none."""

    amount: Decimal
    currency: str


def typed_rows(
    fields: Mapping[str, Field], *, zone: str | dt.tzinfo | None = None, misfit: Misfit | None = None
) -> Callable[[Row], dict[str, Any]]:
    """What turns a row into one with Python types.

    * ``datetime`` becomes a ``pendulum.DateTime`` in the offset that the portal wrote it in.
    * ``date`` becomes a ``pendulum.Date``: the day that people see in the portal. It is written as midnight, either of
      the portal's own zone or, by the CRM, of UTC but in the portal's offset (``2024-08-30T02:00:00+02:00``, and west
      of Greenwich in the evening before); both give the same day.
    * ``integer``, and the ids that are given for people, entities and options of enumerations, become ``int``.
    * ``number`` becomes a ``Decimal``: amounts are numbers too, and a float loses cents of what older methods write as
      text. ``money`` becomes :class:`Money`.
    * ``boolean``: ``Y``, ``1``, ``true`` and ``N``, ``0``, ``false`` become ``bool``.
    * A field of several values becomes a list of them. Nothing, which PHP may write as ``""``, ``false``, ``[]`` or
      ``{}``, becomes an empty list there, and None elsewhere; an empty text stays one.
    * All that has parts (files, phones, addresses) stays as it is, but without what gives access to a file: see
      :func:`without_tokens`. So does what ``fields`` does not know.

    :param fields: by name, as :meth:`~.hooks.fields.FieldCalls.fields` returns them.
    :param zone: of the times that some older methods write without one (``12/31/2024 11:59:59 pm``), such as
        ``Europe/Berlin``. By default such a time does not fit, for the portal only tells what its offset is now.
    :param misfit: what to put in the place of a value that does not fit its field; called with the field, the row and
        the value. By default the value is left as it is, and the first of each field is told in the log: a load does
        not end because of one wrong date, and nothing is lost.
    :raises ConfigurationError: if there is no such zone.
    """
    of_kind = _converters(_named(zone) if isinstance(zone, str) else zone)
    converters = {name: _converter(field, of_kind) for name, field in fields.items()}
    put = misfit or _left_as_it_is()

    def typed(row: Row) -> dict[str, Any]:
        made: dict[str, Any] = {}
        for name, value in row.items():
            if value is None:
                made[name] = None
                continue
            try:
                made[name] = converters.get(name, without_tokens)(value)
            except (ValueError, TypeError, ArithmeticError):
                made[name] = put(fields[name], row, value)
        return made

    return typed


def _named(zone: str) -> dt.tzinfo:
    try:
        return pendulum.timezone(zone)
    except (ValueError, OSError):
        raise ConfigurationError(
            f"zone is {zone!r}, which is no time zone", advice='Give a name such as "Europe/Berlin".'
        ) from None


def _left_as_it_is() -> Misfit:
    told: set[str] = set()

    def leave(field: Field, row: Row, value: Any) -> Any:
        if field.name not in told:
            told.add(field.name)
            log.warning(
                "The field %s is of the type %s, and in row %s it holds a %s that is none; it is left as it is, like "
                "others of this field that may follow",
                field.name,
                field.type,
                row.get("id", row.get("ID", "without an id")),
                type(value).__name__,
            )
        return value

    return leave


def _converter(field: Field, of_kind: Mapping[Kind, Convert]) -> Convert:
    one = of_kind[field.value_kind]
    if field.by_id:
        return _many(one) if field.multiple else _sole(one)
    return _many(one) if field.multiple else one


def _many(one: Convert) -> Convert:
    def many(value: Any) -> list[Any]:
        if isinstance(value, Mapping):
            # A list that PHP numbers otherwise than from 0 comes as an object.
            value = list(value.values()) if all(str(key).isdecimal() for key in value) else [value]
        elif not isinstance(value, list):
            value = [] if value == "" or value is False else [value]
        return [None if item is None else one(item) for item in value]

    return many


def _sole(one: Convert) -> Convert:
    def sole(value: Any) -> Any:
        if isinstance(value, Mapping) and len(value) == 1:
            (value,) = value.values()
        return None if value is None else one(value)

    return sole


def _is_nothing(value: Any) -> bool:
    """What PHP writes for nothing. Not 0, which is a number."""
    return value is None or value is False or value in ("", [], {})


def _string(value: Any) -> Any:
    if isinstance(value, str):
        return value
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        if _is_nothing(value):
            return None
        raise TypeError
    return str(value)


def _integer(value: Any) -> int | None:
    if type(value) is int:
        return value
    if isinstance(value, str) and _INTEGER.fullmatch(value):
        return int(value)
    if isinstance(value, float) and value.is_integer():
        return int(value)
    if _is_nothing(value):
        return None
    raise ValueError


_INTEGER = re.compile(r"[+-]?[0-9]{1,18}", re.ASCII)


def _number(value: Any) -> Decimal | None:
    if isinstance(value, (str, float)) and value != "":
        # The shortest text of a float is the one that the portal wrote.
        number = Decimal(value.strip() if isinstance(value, str) else repr(value))
        if not number.is_finite():
            raise ValueError
        return number
    if type(value) is int:
        return Decimal(value)
    if _is_nothing(value):
        return None
    raise ValueError


_BOOLEANS = {"Y": True, "N": False, "1": True, "0": False, "true": True, "false": False, "y": True, "n": False}


def _boolean(value: Any) -> bool | None:
    if isinstance(value, bool):
        return value
    if isinstance(value, (str, int)):
        found = _BOOLEANS.get(str(value))
        if found is not None:
            return found
    if _is_nothing(value):
        return None
    raise ValueError


@lru_cache(maxsize=64)
def _zone(offset: str) -> FixedTimezone:
    """The zone of ``+03:00`` or ``Z``.

    :raises ValueError: it is neither.
    """
    if offset == "Z":
        return fixed_timezone(0)
    match = _OFFSET.fullmatch(offset)
    if match is None:
        raise ValueError
    seconds = int(match[2]) * 3600 + int(match[3]) * 60
    return fixed_timezone(-seconds if match[1] == "-" else seconds)


_OFFSET = re.compile(r"([+-])([0-9]{2}):?([0-9]{2})", re.ASCII)
_SIGNS = frozenset("+-Z")
_FRACTION = re.compile(r"\.([0-9]{1,9})", re.ASCII)
_ISO = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}(?:[T ][0-9:]{8})?", re.ASCII)
# As older methods write them, in the formats of a portal's language: the day first, and the American one.
_DOTTED = re.compile(r"([0-9]{2})\.([0-9]{2})\.([0-9]{4})(?: ([0-9:]{8}))?", re.ASCII)
_AMERICAN = re.compile(r"([0-9]{2})/([0-9]{2})/([0-9]{4}) ([0-9]{2}):([0-9:]{5}) ([ap])m", re.ASCII)


def _local(text: str) -> dt.datetime:
    """A time without a zone. A day that is written with slashes alone can be read in two ways: it is none.

    :raises ValueError: it is none.
    """
    if (match := _DOTTED.fullmatch(text)) is not None:
        text = f"{match[3]}-{match[2]}-{match[1]}T{match[4] or '00:00:00'}"
    elif (match := _AMERICAN.fullmatch(text)) is not None:
        hour = int(match[4]) % 12 + (12 if match[6] == "p" else 0)
        text = f"{match[3]}-{match[1]}-{match[2]}T{hour:02}:{match[5]}"
    elif _ISO.fullmatch(text) is None:
        raise ValueError
    return dt.datetime.fromisoformat(text)


def _datetimes(zone: dt.tzinfo | None) -> Convert:
    def convert(value: Any) -> pendulum.DateTime | None:
        if not isinstance(value, str) or value == "":
            if _is_nothing(value):
                return None
            raise TypeError
        zoned: dt.tzinfo
        offset, micro = value[19:], 0
        if offset[:1] == "." and (match := _FRACTION.match(offset)) is not None:
            offset, micro = offset[match.end() :], int(match[1][:6].ljust(6, "0"))
        if offset[:1] in _SIGNS:
            at, zoned = dt.datetime.fromisoformat(value[:19]), _zone(offset)
        elif zone is not None:
            at, zoned = _local(value), zone
        else:
            raise ValueError
        return pendulum.DateTime(at.year, at.month, at.day, at.hour, at.minute, at.second, micro, zoned)

    return convert


def _date(value: Any) -> pendulum.Date | None:
    if isinstance(value, str) and value != "":
        return day_of(value)
    if _is_nothing(value):
        return None
    raise TypeError


# The same days come again and again.
@lru_cache(maxsize=4096)
def day_of(text: str) -> pendulum.Date:
    """The day that people see in the portal; see :func:`typed_rows`.

    :raises ValueError: it is none.
    """
    zone = text[19:]
    at = _local(text[:19] if zone[:1] in _SIGNS else text)
    if at.time() != dt.time():
        # The CRM adds the offset of now to the midnight, and writes it in the offset of then: with other clocks in
        # summer than in winter, that is an hour off.
        late = at - _zone(zone).utcoffset(None) + dt.timedelta(hours=1)
        if late.time() > dt.time(2):
            raise ValueError
        at = late
    return pendulum.Date(at.year, at.month, at.day)


def _money(value: Any) -> Money | None:
    if isinstance(value, str) and value != "":
        amount, _, currency = value.partition("|")
        number = _number(amount)
        return None if number is None else Money(number, currency)
    if _is_nothing(value):
        return None
    number = _number(value)
    return None if number is None else Money(number, "")


def without_tokens(value: Any) -> Any:
    """The value without what gives access to files: in addresses within lists and objects, the parameters ``auth``,
    ``token`` and their like lose their values, and a webhook's code goes out of the path.

    Such an address (``urlMachine``, ``downloadUrl``, ``DOWNLOAD_URL`` …) opens nothing any more; it is asked for
    afresh by the id beside it. A text that stands alone is somebody's own, and stays as it is.
    """
    if isinstance(value, Mapping):
        return {key: _cleaned(inner) for key, inner in value.items()}
    if isinstance(value, list):
        return [_cleaned(inner) for inner in value]
    return value


def _cleaned(value: Any) -> Any:
    if isinstance(value, str):
        return _CODE.sub(r"\1***", _TOKEN.sub(r"\1***", value)) if "/" in value else value
    return without_tokens(value)


_TOKEN = re.compile(
    r"((?:[?&]|&amp;)(?:auth|token|access_token|sign|signature|signedAttachId|auth(?:\[|%5B)\w+(?:\]|%5D))=)[^&\s]+",
    re.IGNORECASE,
)
_CODE = re.compile(r"(/rest/(?:api/)?[0-9]+/)[^/?\s]+")


def _converters(zone: dt.tzinfo | None) -> dict[Kind, Convert]:
    return {
        "string": _string,
        "integer": _integer,
        "number": _number,
        "boolean": _boolean,
        "date": _date,
        "datetime": _datetimes(zone),
        "money": _money,
        "json": without_tokens,
    }
