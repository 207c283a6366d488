"""Values of a table as people read them, in Russian and in English."""

from __future__ import annotations

import datetime as dt
import json
import math
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from airflow_provider_b24.chat.text import plain
from airflow_provider_b24.rest.errors import ConfigurationError

NOTHING = "–"
# As wide as a digit and as a comma, in nearly every font.
_FIGURE_SPACE, _PUNCTUATION_SPACE, _FIGURE_DASH = "\u2007", "\u2008", "\u2012"


@dataclass(frozen=True)
class Language:
    """How a language writes values.

    :ivar group: between thousands.
    :ivar delimiter: between the cells of a CSV file, where spreadsheets of this language look for it.
    """

    group: str
    mark: str
    date: str
    yes: str
    no: str
    days: str
    empty: str
    delimiter: str


LANGUAGES = {
    "en": Language(",", ".", "%Y-%m-%d", "yes", "no", "d", "No rows", ","),
    "ru": Language("\u202f", ",", "%d.%m.%Y", "да", "нет", "д", "Нет строк", ";"),
}

# Numbers that name something are not counted in thousands.
_NAMES = re.compile(r"(?:^|[_\s])(?:id|№|inn|инн|кпп|огрн)$", re.IGNORECASE)
_CAMEL_ID = re.compile(r"[a-z]I[dD]$")
_GROUPED_FROM = 10_000
_MOST_PLACES = 10
_LARGEST = 1e15
_MOST_ZEROS = 40


def language_of(name: str) -> Language:
    """The language of this name (``en``, ``ru``; also ``ru-RU``).

    :raises ConfigurationError: for any other.
    """
    found = LANGUAGES.get(str(name).lower()[:2])
    if found is None:
        raise ConfigurationError(f"language is {name!r}", advice="Tables are written in 'en' or 'ru'.")
    return found


def known(value: Any) -> Any:
    """A value as one of Python's own types; what stands for a missing one (``NaN``, ``NaT``, ``NA``) as None."""
    if value is None or isinstance(value, (str, bool, int)):
        return value
    if hasattr(value, "dtype") and hasattr(value, "item") and getattr(value, "ndim", 0) == 0:
        value = value.item()
    if type(value).__name__ in ("NaTType", "NAType"):
        return None
    if (isinstance(value, float) and math.isnan(value)) or (isinstance(value, Decimal) and value.is_nan()):
        return None
    return value


def is_number(value: Any) -> bool:
    """Whether it is counted or measured."""
    return isinstance(value, (int, float, Decimal)) and not isinstance(value, bool)


def column(values: Iterable[Any], language: Language, name: str = "") -> list[str]:
    """The values of one column as text, all in one way; see :func:`~airflow_provider_b24.chat.tables.table`.

    :param values: as :func:`known` gives them.
    :param name: of the column.
    """
    values = list(values)
    numbers = [value for value in values if is_number(value) and math.isfinite(value)]
    places = _places(numbers)
    named = bool(_NAMES.search(name) or _CAMEL_ID.search(name))
    grouped = not named and any(abs(number) >= _GROUPED_FROM for number in numbers)
    moments = [value for value in values if isinstance(value, dt.datetime)]
    days_only = all(moment.time() == dt.time() and moment.tzinfo is None for moment in moments)
    shown: list[str] = []
    for value in values:
        if value is None:
            shown.append(NOTHING)
        elif isinstance(value, bool):
            shown.append(language.yes if value else language.no)
        elif is_number(value):
            shown.append(_number(value, places, language, language.group if grouped else ""))
        elif isinstance(value, dt.datetime):
            shown.append(value.strftime(language.date) if days_only else _moment(value, language))
        elif isinstance(value, dt.date):
            shown.append(value.strftime(language.date))
        elif isinstance(value, dt.timedelta):
            shown.append(_duration(value, language))
        else:
            shown.append(words(value))
    return shown


def words(value: Any) -> str:
    """Anything else as text, without what can not be shown."""
    if isinstance(value, (bytes, bytearray, memoryview)):
        content = bytes(value)
        return f"0x{content[:16].hex()}{'…' if len(content) > 16 else ''}"
    if isinstance(value, (Mapping, Sequence)) and not isinstance(value, str):
        value = json.dumps(value, ensure_ascii=False, default=str)
    return plain(str(value))


def padded(shown: Sequence[str]) -> list[str]:
    """Numbers of a column flush right in letters of many widths, by spaces that are as wide as digits.

    The character without width before it keeps it from being trimmed.
    """
    most = max(map(len, shown), default=0)
    longest = max(shown, key=len, default="")
    pads: list[str] = []
    for text in shown:
        missing = longest[: most - len(text)]
        pad = "".join(
            sign if sign == "\u202f" else _PUNCTUATION_SPACE if sign in ",." else _FIGURE_SPACE for sign in missing
        )
        # A minus that is as wide as a digit.
        number = f"{_FIGURE_DASH}{text[1:]}" if text.startswith("-") else text
        pads.append(f"\u200b{pad}{number}" if pad else number)
    return pads


def _places(numbers: Sequence[Any]) -> int:
    """How many digits after the mark the numbers of a column have."""
    decimals = [number for number in numbers if isinstance(number, Decimal) and not _is_extreme(number)]
    places = max((_scale(number) for number in decimals), default=0)
    floats = [abs(number) for number in numbers if isinstance(number, float)]
    if floats and any(not number.is_integer() for number in floats):
        most = max(floats)
        digits = 2 if most >= 1 else min(_MOST_PLACES, 2 - math.floor(math.log10(most)))
        while digits > 1 and all(round(number, digits - 1) == number for number in floats):
            digits -= 1
        places = max(places, digits)
    return places


def _scale(number: Decimal) -> int:
    exponent = number.as_tuple().exponent
    return max(0, -exponent) if isinstance(exponent, int) else 0


def _is_extreme(number: Decimal) -> bool:
    """Whether it has more zeros than anybody reads."""
    return (bool(number) and abs(number.adjusted()) > _MOST_ZEROS) or _scale(number) > _MOST_ZEROS


def exact(number: Decimal) -> str:
    """A decimal number to its last digit."""
    return str(number) if _is_extreme(number) else format(number, "f")


def _number(number: Any, places: int, language: Language, group: str) -> str:
    if not math.isfinite(number):
        return "∞" if number > 0 else "-∞"
    if isinstance(number, Decimal) and _is_extreme(number):
        return str(number).replace(".", language.mark)
    if isinstance(number, float) and abs(number) >= _LARGEST:
        return f"{number:.6g}".replace(".", language.mark)
    # Whole numbers have no fraction, unless others of the column have.
    text = (
        f"{number:,.{places}f}" if not isinstance(number, int) else f"{number:,}" + (f".{'0' * places}" * bool(places))
    )
    if text.strip("-0.,") == "" and text.startswith("-"):
        text = text[1:]
    return text.translate({ord(","): group, ord("."): language.mark})


def _moment(moment: dt.datetime, language: Language) -> str:
    time = "%H:%M:%S" if moment.second else "%H:%M"
    zone = ""
    if moment.tzinfo is not None:
        offset = moment.strftime("%z")
        zone = " UTC" if offset in ("+0000", "-0000") else f" {offset[:3]}:{offset[3:5]}"
    return moment.strftime(f"{language.date} {time}") + zone


def _duration(duration: dt.timedelta, language: Language) -> str:
    sign = "-" if duration < dt.timedelta() else ""
    seconds = round(abs(duration.total_seconds()))
    days, seconds = divmod(seconds, 86400)
    clock = f"{seconds // 3600:02}:{seconds // 60 % 60:02}:{seconds % 60:02}"
    return f"{sign}{days} {language.days} {clock}" if days else f"{sign}{clock}"
