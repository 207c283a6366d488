"""Text that is too long for one message, in parts of which each can stand alone."""

from __future__ import annotations

import re
import unicodedata
from bisect import bisect_right
from collections.abc import Iterator
from typing import NamedTuple

from airflow_provider_b24.rest.errors import ConfigurationError

# The portal cuts a longer text without a word (chat-bots-v2, entities.md).
_MOST = 20_000
# An address, or a person's name, stays together.
_WHOLE = {"img", "user", "chat", "context", "call", "put", "send"}
_PAIRS = {"b", "i", "u", "s", "size", "color", "url", "code"} | _WHOLE
_SINGLE = {"br", "icon", "timestamp", "disk"}
_LONGEST_WHOLE = 2000

_MARK = re.compile(
    r"\[(?P<end>/?)(?P<name>[a-z]+)(?P<value>[= ][^\[\]\r\n]*)?\]"
    r"|^(?P<rule>-{54}|-{6})[^\S\r\n]*$"
    r"|&(?:\#\w{1,8}|\w{1,32});"
    r"|\#BR\#",
    re.IGNORECASE | re.MULTILINE,
)
_CODE_END = re.compile(r"\[/code\]", re.IGNORECASE)
_PARAGRAPH = re.compile(r"\n[^\S\n]*\n")
_LINE_ENDS = re.compile(r"(?:[^\S\n]*\n)+")
_SPACE = re.compile(r"\s+")
# What would get a meaning at the beginning of a line that it does not have within one.
_LINE_BEGIN = re.compile(r">>|/|-{6}")

# Tags that are nested deeper are not carried over to the next part; nor are any where parts are tiny.
_DEEPEST = 32
_TINY = 40

_ZERO = "\u200b"
# How far one goes back for the beginning of a character that is written with several.
_NEAR = 64
_CUT = "…"


class _Pair(NamedTuple):
    """A tag and its end, or the rows of minus signs around a quote."""

    start: int
    inner: int
    inner_end: int
    end: int
    opening: str
    closing: str
    name: str


def split(text: str, most: int = _MOST) -> list[str]:
    """The text in parts, each of which can be posted alone; a text that fits is one part, as it is.

    It is cut between paragraphs; where that would leave a part less than a quarter full, between lines, else between
    words, else anywhere, but never within a tag, a mention, an entity, a character with its accents, or what
    :func:`~airflow_provider_b24.chat.text.escape` has put together. White space where it is cut is left out, and
    nothing else.

    Tags that are open there are closed, and opened again in the next part with their values (``[color=#ff0000]``,
    ``[url=…]``, ``[code]``); so are quotes, between rows of minus signs or in lines with ``>>``. Within ``[code]``
    nothing is a tag, and neither is anywhere a tag without an end. Where a line's rest would be read as a quote or a
    command (``>>``, ``/``), a character without width (U+200B) is put before it.

    :param text: with BBCode.
    :param most: the most characters of a part, with the tags that are put in. Default 20,000, where the portal cuts.
    :raises ConfigurationError: if ``most`` is below 1.
    """
    return [part for part, _ in _parts(text, most)]


def beginning(text: str, most: int) -> str:
    """As much of the beginning of a text as fits, with its tags closed, and ``…`` where something was left out.

    :param text: with BBCode.
    :param most: the most characters, with the mark and the tags that are put in.
    :raises ConfigurationError: if ``most`` is below 1.
    """
    if len(text.rstrip()) <= most:
        return text[:most]
    parts = _parts(text, max(1, most - len(_CUT) - 1))
    part, line_ended = next(parts, ("", False))
    return (f"{part}\n{_CUT}" if line_ended else part + _CUT)[:most]


def _parts(text: str, most: int) -> Iterator[tuple[str, bool]]:
    """The parts, and of each whether a line ends with it."""
    if most < 1:
        raise ConfigurationError(f"most is {most!r}", advice="A part has one character or more.")
    if len(text) <= most:
        yield text, True
        return
    structure = _Structure(text, most)
    budget = most // 2 - 4 if most >= _TINY else 0
    position, prefix, quoted, within_line = 0, "", False, False
    while position < len(text):
        limit = position + most - len(prefix)
        if limit >= len(text):
            if text[position:].strip():
                yield prefix + text[position:], True
            return
        cut, carried = _cut(structure, position, limit, budget)
        line = text.rfind("\n", position, cut) + 1
        if line or not within_line:
            begin = line or position
            quoted = text.startswith(">>", begin) and all(pair.name != "code" for pair in structure.around(begin))
        after = _after(text, cut)
        line_ended = text[cut - 1] == "\n" or "\n" in text[cut:after] or cut in structure.broken
        closing = "".join(pair.closing for pair in reversed(carried))
        piece = text[position:cut].rstrip()
        if piece:
            yield prefix + piece + closing, line_ended or closing.endswith("-")
        # What ends here is not opened again for nothing.
        while carried and carried[-1].end > after and not text[after : carried[-1].inner_end].strip():
            ended = carried.pop().end
            after = _after(text, ended)
            line_ended = line_ended or "\n" in text[ended:after]
        position, within_line = after, not line_ended
        prefix = _prefix(text, position, carried, quoted=quoted, within_line=within_line) if budget else ""


def _cut(structure: _Structure, position: int, limit: int, budget: int) -> tuple[int, list[_Pair]]:
    """Where a part that begins at ``position`` ends, and what is to be closed there, the outermost first."""
    high = limit
    while True:
        cut = structure.before_openings(position, structure.border(position, high))
        carried: list[_Pair] = []
        opening = closing = 0
        for pair in structure.around(cut):
            opening += len(pair.opening)
            closing += len(pair.closing)
            if max(opening, closing) > budget:
                break
            carried.append(pair)
        # A quote's end stands on a line of its own, so no tag can reach over it.
        carried.sort(key=lambda pair: pair.name != "quote")
        length = sum(len(pair.closing) for pair in carried)
        if cut + length <= limit:
            return cut, carried
        high = max(position + 1, min(cut - 1, limit - length))


def _after(text: str, cut: int) -> int:
    """Where the text goes on after white space; the indentation of a line is part of it."""
    found = _LINE_ENDS.match(text, cut)
    if found is None and text[cut - 1 : cut] != "\n":
        found = _SPACE.match(text, cut)
    return found.end() if found else cut


def _prefix(text: str, position: int, carried: list[_Pair], *, quoted: bool, within_line: bool) -> str:
    """What a part begins with, so that it goes on as it would have without the cut."""
    quotes = "".join(pair.opening for pair in carried if pair.name == "quote")
    tags = "".join(pair.opening for pair in carried if pair.name != "quote")
    if not within_line:
        return quotes + tags
    if quoted and not quotes:
        return f">>{tags}"
    return quotes + tags + (_ZERO if _LINE_BEGIN.match(text, position) else "")


class _Structure:
    """Where a text has what must stay together, and what is open where; read once."""

    def __init__(self, text: str, most: int) -> None:
        self.text = text
        self._longest_whole = min(_LONGEST_WHOLE, most // 4)
        self.broken: set[int] = set()
        atoms, pairs = self._read()
        self._starts: list[int] = []
        self._ends: list[int] = []
        for start, end in sorted(atoms, key=lambda atom: (atom[0], -atom[1])):
            if not self._ends or start >= self._ends[-1]:
                self._starts.append(start)
                self._ends.append(end)
        self._breaks = sorted(self.broken)
        self._paragraphs = [found.start() for found in _PARAGRAPH.finditer(text)]
        self._borders, self._around = _levels(pairs)

    def around(self, position: int) -> tuple[_Pair, ...]:
        """What is open at a place, the outermost first."""
        index = bisect_right(self._borders, position)
        return self._around[index - 1] if index else ()

    def border(self, position: int, high: int) -> int:
        """The best place to cut after ``position``, at ``high`` at the latest."""
        text = self.text
        low = position + (high - position) // 4
        index = bisect_right(self._paragraphs, high)
        paragraph = self._paragraphs[index - 1] if index else -1
        index = bisect_right(self._breaks, high)
        line = max(text.rfind("\n", low, high + 1), self._breaks[index - 1] if index else -1)
        word = max(text.rfind(" ", low, high + 1), text.rfind("\t", low, high + 1))
        for place in (paragraph, line, word):
            outside = self._outside(place)
            if outside > max(low, position):
                return outside
        outside = self._outside(high)
        if outside <= position:
            return high
        for place in range(outside, max(position, outside - _NEAR), -1):
            if not _together(text, place) and self._outside(place) == place:
                return place
        return outside

    def before_openings(self, position: int, cut: int) -> int:
        """A tag that would be closed at once goes to the next part."""
        for pair in reversed(self.around(cut)):
            if pair.start <= position or self.text[pair.inner : cut].strip():
                break
            cut = pair.start
        return cut

    def _outside(self, place: int) -> int:
        """The place, or the beginning of what it is within."""
        index = bisect_right(self._starts, place) - 1
        if index >= 0 and self._starts[index] < place < self._ends[index]:
            return self._starts[index]
        return place

    def _read(self) -> tuple[list[tuple[int, int]], list[_Pair]]:
        text = self.text
        atoms: list[tuple[int, int]] = []
        pairs: list[_Pair] = []
        opened: dict[str, list[re.Match[str]]] = {}
        rule: re.Match[str] | None = None
        code_ends = [found.span() for found in _CODE_END.finditer(text)]
        next_code_end, code_until = 0, 0
        for mark in _MARK.finditer(text):
            name = (mark["name"] or "").lower()
            if mark.start() < code_until:
                if not name and not mark["rule"]:
                    atoms.append(mark.span())
                continue
            if name and name not in _PAIRS and name not in _SINGLE:
                continue
            atoms.append(mark.span())
            if mark["rule"]:
                if rule is not None:
                    pairs.append(_pair(text, "quote", rule.span(), mark.span()))
                rule = mark if rule is None else None
            elif name == "br" or mark[0].upper() == "#BR#":
                self.broken.add(mark.end())
            elif name == "code" and not mark["end"]:
                while next_code_end < len(code_ends) and code_ends[next_code_end][0] < mark.end():
                    next_code_end += 1
                if next_code_end < len(code_ends):
                    pairs.append(_pair(text, name, mark.span(), code_ends[next_code_end]))
                    code_until = code_ends[next_code_end][0]
            elif name in _PAIRS and not mark["end"]:
                opened.setdefault(name, []).append(mark)
            elif opened.get(name):
                opening = opened[name].pop()
                whole = name in _WHOLE or (name == "url" and not opening["value"])
                if whole and mark.end() - opening.start() <= self._longest_whole:
                    atoms.append((opening.start(), mark.end()))
                else:
                    pairs.append(_pair(text, name, opening.span(), mark.span()))
        return atoms, pairs


def _pair(text: str, name: str, opening: tuple[int, int], closing: tuple[int, int]) -> _Pair:
    begin, end = text[slice(*opening)], text[slice(*closing)]
    if name == "quote":
        begin, end = f"{begin.rstrip()}\n", f"\n{end.rstrip()}"
    return _Pair(*opening, *closing, begin, end, name)


def _levels(pairs: list[_Pair]) -> tuple[list[int], list[tuple[_Pair, ...]]]:
    """Places in order, and what is open from each of them on."""
    events = [(pair.start + 1, True, pair) for pair in pairs] + [(pair.end, False, pair) for pair in pairs]
    events.sort(key=lambda event: event[:2])
    borders: list[int] = []
    around: list[tuple[_Pair, ...]] = []
    now: tuple[_Pair, ...] = ()
    for place, opens, pair in events:
        if opens and len(now) < _DEEPEST:
            now = (*now, pair)
        elif not opens:
            now = tuple(other for other in now if other is not pair)
        borders.append(place)
        around.append(now)
    return borders, around


def _together(text: str, place: int) -> bool:
    """Whether what stands before and after a place is one character to who reads it."""
    before, after = text[place - 1], text[place : place + 1]
    if not after:
        return False
    if _ZERO in (before, after) or "\u200d" in (before, after) or before + after in ("\r\n", "--"):
        return True
    return (
        unicodedata.category(after).startswith("M")
        or "\U0001f3fb" <= after <= "\U0001f3ff"
        or "\U000e0020" <= after <= "\U000e007f"
        or ("\U0001f1e6" <= after <= "\U0001f1ff" and _flags_before(text, place) % 2 == 1)
    )


def _flags_before(text: str, place: int) -> int:
    count = 0
    while count < min(place, _NEAR) and "\U0001f1e6" <= text[place - 1 - count] <= "\U0001f1ff":
        count += 1
    return count
