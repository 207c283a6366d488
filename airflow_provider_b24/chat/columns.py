"""Columns of text in letters of one width."""

from __future__ import annotations

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


def aligned(rows: Sequence[Sequence[str]], right: Sequence[bool]) -> str:
    """Rows as lines, of which the first is the heading, with a rule under it; a cell may have several lines.

    :param right: for each column, whether it is flush right.
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
        if number == 0:
            shown.append(_BETWEEN.join("─" * most for most in widths))
    return "\n".join(shown)
