"""Finding the elements that rows stand for, by a key of the rows' own. Pure.

A portal's filter compares texts without regard to case and accents. What it finds is taken for a row's element only
where the key is the very same. Where it may be the same, and is only written differently, nothing is guessed.
"""

from __future__ import annotations

import html
import math
import unicodedata
from collections.abc import Generator, Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from decimal import Decimal, InvalidOperation
from typing import Any

from airflow_provider_b24.crm.entities import Entity
from airflow_provider_b24.rest.batch import MOST_COMMANDS, for_one
from airflow_provider_b24.rest.errors import Bitrix24Error, ConfigurationError, RequestRefusedError
from airflow_provider_b24.rest.listing import Reader, reader_for
from airflow_provider_b24.rest.lists import list_method
from airflow_provider_b24.rest.outcomes import Chunk, Row, id_of
from airflow_provider_b24.rest.peer import Peer
from airflow_provider_b24.rest.protocol import Call, Priority, Reply
from airflow_provider_b24.rest.steps import Step
from airflow_provider_b24.rest.writing import carry_out

# A portal cuts a longer text off, and would not find it by what it was.
_LONGEST = 255


@dataclass(frozen=True)
class Identity:
    """What a row is recognised by.

    :ivar within: the values of the parameters that say among which elements.
    :ivar narrowed: the values of the fields that a filter needs.
    :ivar key: the values of the key's fields, as texts.
    """

    within: tuple[tuple[str, Hashable], ...]
    narrowed: tuple[tuple[str, Hashable], ...]
    key: tuple[str, ...]


@dataclass(frozen=True)
class Found:
    """What is there.

    :ivar elements: the elements of each identity that has any.
    :ivar errors: of the rows, by index, of which it could not be found out.
    """

    elements: dict[Hashable, list[Mapping[str, Any]]] = field(default_factory=dict, repr=False)
    errors: dict[int, Bitrix24Error] = field(default_factory=dict)


def key_value(value: Any) -> str | int | None:
    """A value of a key as it is sent and compared; None for one that can be no key.

    Whole numbers have no fraction, whatever type they come in: a table with a gap makes 5.0 of 5.
    """
    if isinstance(value, bool):
        return None
    if isinstance(value, (float, Decimal)):
        if not math.isfinite(value):
            return None
        return int(value) if value == int(value) else str(value)
    if isinstance(value, int):
        return int(value)
    if not isinstance(value, str):
        return None
    text = value.strip()
    # Beyond the first 65,536 characters of Unicode it depends on the portal's database what is stored.
    return text if text and len(text) <= _LONGEST and max(text) <= "\uffff" else None


def find(
    peer: Peer, chunk: Chunk, rows: Sequence[Row], entity: Entity, key: Sequence[str]
) -> Generator[Step, Any, Found]:
    """The elements that are there for these rows."""
    found = Found()
    search = _Search(entity, tuple(key), found)
    groups: dict[Hashable, list[Row]] = {}
    for row in rows:
        identity = _identity(row)
        groups.setdefault((identity.within, identity.narrowed), []).append(row)
    askings = list(groups.values()) if entity.several is not None else [[row] for row in rows]
    failed = yield from search.ask(peer, chunk, askings)
    # One value that the portal does not take for this field spoils the question for all of them.
    spoilt = [asked for asked, error in failed if isinstance(error, RequestRefusedError) and len(asked) > 1]
    if spoilt:
        failed = [(asked, error) for asked, error in failed if asked not in spoilt]
        failed += yield from search.ask(peer, chunk, [[row] for asked in spoilt for row in asked])
    for asked, error in failed:
        found.errors.update({row.index: for_one(error, row.call) for row in asked})
        if not isinstance(error, RequestRefusedError):
            chunk.failure = chunk.failure or error
    if len(found.errors) == MOST_COMMANDS:
        # It is not the rows.
        chunk.failure = chunk.failure or failed[0][1]
    return found


def _identity(row: Row) -> Identity:
    assert isinstance(row.identity, Identity)
    return row.identity


@dataclass(frozen=True)
class _Search:
    """Looks for elements by a key."""

    entity: Entity
    key: tuple[str, ...]
    found: Found

    def ask(
        self, peer: Peer, chunk: Chunk, askings: list[list[Row]]
    ) -> Generator[Step, Any, list[tuple[list[Row], Bitrix24Error]]]:
        """Read all that is there for each of these groups; those of which it could not be read, with the error."""
        readers = {number: self._reader(asked) for number, asked in enumerate(askings)}
        elements: dict[int, list[Any]] = {number: [] for number in readers}
        failed: dict[int, Bitrix24Error] = {}
        while readers:
            pages = [(number, call) for number, reader in readers.items() for call in reader.next_calls()]
            calls = {place: replace(call, priority=Priority.BULK) for place, (_, call) in enumerate(pages)}
            answers = yield from carry_out(peer, calls, chunk)
            for place, (number, call) in enumerate(pages):
                if number in failed:
                    continue
                try:
                    page = readers[number].feed(_reply(answers[place], call))
                    self._check(page, askings[number])
                    elements[number] += page
                except Bitrix24Error as error:
                    failed[number] = error.with_traceback(None)
            asked_on = {number for number, _ in pages}
            readers = {
                number: reader for number, reader in readers.items() if number in asked_on and number not in failed
            }
        for number, asked in enumerate(askings):
            if number not in failed:
                self._match(elements[number], asked)
        return [(askings[number], error) for number, error in failed.items()]

    def _reader(self, asked: list[Row]) -> Reader:
        first = _identity(asked[0])
        condition: dict[str, Any] = dict(first.narrowed)
        for place, name in enumerate(self.key):
            values = sorted({_identity(row).key[place] for row in asked})
            if self.entity.several is None:
                condition[name] = values[0]
            elif len(values) == 1:
                condition[f"={name}"] = values[0]
            else:
                condition[f"{self.entity.several}{name}"] = values
        known = list_method(self.entity.list)
        assert known is not None
        several = {name for row in asked for name in self.entity.multifields_of(row.call.params)}
        # A list shows the "fm" of an element where it shows all.
        shown = ["*" if name == "fm" else name for name in sorted(several)]
        select = list(dict.fromkeys([known.filter_key, *self.entity.narrowed, *self.key, *shown]))
        params = {**dict(first.within), known.filter: condition, known.select or "select": select}
        return reader_for(self.entity.list, params)

    def _check(self, page: Sequence[Any], asked: list[Row]) -> None:
        """Refuse what was not asked for: a filter by a field that the portal does not know may find everything."""
        for place, name in enumerate(self.key):
            texts = [_text(element.get(self.entity.shown(name))) for element in page]
            if page and not any(texts):
                raise ConfigurationError(
                    f"the portal shows no usable field {name!r}",
                    method=self.entity.list,
                    advice="A key is a field with one value, of text or number: check its spelling and case.",
                )
            wanted = {_folded(_identity(row).key[place]) for row in asked}
            if page and not any(text is not None and _folded(text) in wanted for text in texts):
                raise ConfigurationError(
                    f"the portal does not filter by {name!r}",
                    method=self.entity.list,
                    advice="Elements can be found only by a field that their list filters by: check its spelling and "
                    "case, or choose another key.",
                )

    def _match(self, elements: Iterable[Any], asked: list[Row]) -> None:
        rows = {_identity(row).key: row for row in asked}
        alike = {tuple(map(_plain, texts)): row for texts, row in rows.items()}
        for element in elements:
            texts = tuple(_text(element.get(self.entity.shown(name))) or "" for name in self.key)
            row = rows.get(texts)
            if row is not None:
                self.found.elements.setdefault(row.identity, []).append(element)
                continue
            row = alike.get(tuple(map(_plain, texts)))
            if row is not None:
                self.found.errors[row.index] = RequestRefusedError(
                    f"the key of the element {element_id(element)} may be the same, written differently",
                    method=row.call.method,
                    advice="Give the row the key as the portal shows it; or the element that of the row.",
                )


def _reply(answer: Reply | Bitrix24Error, call: Call) -> Reply:
    if isinstance(answer, Bitrix24Error):
        raise for_one(answer, call)
    return answer


def element_id(element: Mapping[str, Any]) -> int:
    """The id of a listed element."""
    number = id_of(element)
    assert number is not None
    return number


def _text(value: Any) -> str | None:
    if isinstance(value, Mapping):
        # A property of a product names its value; that of a list's element has it under the value's own id.
        value = value["value"] if "value" in value else next(iter(value.values())) if len(value) == 1 else None
    made = key_value(value)
    return None if made is None else str(made)


def _plain(text: str) -> str:
    """A key without what a field of another type may make of it: 5.00 of 5, or an entity of HTML."""
    plain = html.unescape(text).strip()
    try:
        number = Decimal(plain)
    except InvalidOperation:
        return plain
    return str(number.normalize()) if number.is_finite() else plain


def _folded(text: str) -> str:
    """A key without what a portal's database does not tell apart."""
    letters = unicodedata.normalize("NFKD", _plain(text).casefold())
    return "".join(letter for letter in letters if not unicodedata.combining(letter))
