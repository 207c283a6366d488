"""Columns of text in letters of one width."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Sequence
from itertools import zip_longest

_BETWEEN = "  "


def width(text: str) -> int:
    """How many letters of one width a text takes: two for a Chinese one or a picture, none for an accent."""
    if text.isascii():
        return len(text)
    return sum(map(_width_of, text))


def _width_of(character: str) -> int:
    if unicodedata.category(character) in ("Mn", "Me", "Cf"):
        return 0
    return 2 if unicodedata.east_asian_width(character) in "WF" else 1


def wrapped(text: str, most: int) -> str:
    """The text with its longer lines continued, between words where they fit."""
    return "\n".join(piece for line in text.splitlines() for piece in _pieces(line, most))


def _pieces(line: str, most: int) -> list[str]:
    if width(line) <= most:
        return [line]
    pieces = [""]
    for word in re.findall(r"\S+|\s+", line):
        rest = word
        if pieces[-1] and width(pieces[-1]) + width(rest) > most:
            pieces.append("")
            rest = rest.lstrip()
        while width(rest) > most:
            end = min(most, len(rest))
            while end > 1 and width(rest[:end]) > most:
                end -= 1
            pieces[-1:] = [rest[:end], ""]
            rest = rest[end:]
        pieces[-1] += rest
    return [piece.rstrip() for piece in pieces]


def aligned(rows: Sequence[Sequence[str]], right: Sequence[bool], *, heading: bool = True) -> str:
    """Rows as lines; a cell may have several lines.

    :param right: for each column, whether it is flush right.
    :param heading: whether the first row is one, which has a rule under it. Default True.
    """
    lines = [[cell.splitlines() or [""] for cell in row] for row in rows]
    widths = [max((width(line) for row in lines for line in row[column]), default=0) for column in range(len(right))]
    shown: list[str] = []
    for number, row in enumerate(lines):
        for parts in zip_longest(*row, fillvalue=""):
            shown.append(
                _BETWEEN.join(
                    " " * (most - width(part)) + part if flush else part + " " * (most - width(part))
                    for part, most, flush in zip(parts, widths, right, strict=True)
                ).rstrip()
            )
        if number == 0 and heading:
            shown.append(_BETWEEN.join("─" * most for most in widths))
    return "\n".join(shown)
