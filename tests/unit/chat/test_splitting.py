"""A long text in parts: every character is there once, and looks as it did."""

from __future__ import annotations

import os
import re
import time
from collections.abc import Iterator

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from airflow_provider_b24.chat.splitting import beginning, split
from airflow_provider_b24.chat.text import escape
from airflow_provider_b24.rest.errors import ConfigurationError

ZERO = "\u200b"
NAMES = "b|i|u|s|size|color|url|code|user|chat"
TAG = re.compile(rf"\[(/?)({NAMES})(=[^\[\]\n]*)?\]", re.IGNORECASE)


def looks(text: str) -> Iterator[tuple[str, frozenset[str]]]:
    """Each character that is seen, and what it is within: read apart from the code, tag by tag."""
    tags = list(TAG.finditer(text))
    spans: list[tuple[int, int, str]] = []
    hidden: set[int] = set()
    opened: dict[str, list[re.Match[str]]] = {}
    until = -1
    for tag in tags:
        name = tag[2].lower()
        if tag.start() < until:
            continue
        if not tag[1] and name == "code":
            end = re.compile(r"\[/code\]", re.IGNORECASE).search(text, tag.end())
            if end:
                until = end.start()
                spans.append((tag.end(), end.start(), "code"))
                hidden |= {*range(*tag.span()), *range(*end.span())}
        elif not tag[1]:
            opened.setdefault(name, []).append(tag)
        elif opened.get(name):
            opening = opened[name].pop()
            spans.append((opening.end(), tag.start(), f"{name}{opening[3] or ''}"))
            hidden |= {*range(*opening.span()), *range(*tag.span())}
    in_code = [span for span in spans if span[2] == "code"]
    rules = [
        rule
        for rule in re.finditer(r"^-{6}[ \t]*$", text, re.MULTILINE)
        if not any(start <= rule.start() < end for start, end, _ in in_code)
    ]
    for first, last in zip(rules[::2], rules[1::2], strict=False):
        spans.append((first.end(), last.start(), "quote"))
        hidden |= {*range(*first.span()), *range(*last.span())}
    for line in re.finditer(r"^>>.*$", text, re.MULTILINE):
        if not any(start <= line.start() < end for start, end, _ in spans if _ in ("code", "quote")):
            spans.append((line.start(), line.end(), ">>"))
            hidden |= {line.start(), line.start() + 1}
    for place, character in enumerate(text):
        if place not in hidden and not character.isspace() and character != ZERO:
            yield character, frozenset(name for start, end, name in spans if start <= place < end)


_words = st.sampled_from(
    [
        "word ",
        "слово ",
        "longer-than-most-words ",
        "\n",
        "\n\n",
        "x",
        "  ",
        "[0]",
        "a > b ",
        "e\u0301",
        "👩‍👩‍👧 ",
        "🇷🇺🇩🇪",
    ]
)


def _within(inner: st.SearchStrategy[str]) -> st.SearchStrategy[str]:
    tag = st.sampled_from(
        ["b", "I", "u", "s", "size=20", "color=#ff0000", "URL=https://example.com/?a=1&b=2", "user=12"]
    )
    wrapped = st.builds(lambda name, text: f"[{name}]{text}[/{name.partition('=')[0]}]", tag, inner)
    code = st.builds("[code]{}[/code]".format, st.sampled_from(["x = 1\n    y[0]\n", "[b]", "------\n>>x", "a " * 30]))
    return st.lists(wrapped | code | inner, max_size=6).map("".join)


_balanced = st.recursive(st.lists(_words, max_size=30).map("".join), _within, max_leaves=12)
_lines = st.lists(_words, max_size=20).map(lambda words: f"\n>>{''.join(words).replace(chr(10), ' ')}\n")
_quotes = st.lists(_words, max_size=20).map(lambda words: f"\n------\nA [1]\n{''.join(words)}\n------\n")
_texts = st.lists(_balanced | _lines | _quotes | _words, max_size=8).map("".join)
_loose = st.lists(
    st.sampled_from(["[b]", "[/b]", "[I]", "[/i]", "[code]", "[/code]", "[url=x]", "[/url]", "[", "]", "[/", "&#91;"])
    | st.sampled_from(["\n------\n", "\n>>", "\n/x ", escape("[b]/x"), "-----", "/cmd ", ">>", " "])
    | _words,
    max_size=60,
).map("".join)


@settings(deadline=None, derandomize="CI" in os.environ)
@given(_texts, st.integers(250, 400))
def test_every_character_is_there_once_and_looks_as_it_did(text: str, most: int) -> None:
    parts = split(text, most)
    assert all(0 < len(part) <= most for part in parts) or parts == [text]
    assert [look for part in parts for look in looks(part)] == list(looks(text))


@settings(deadline=None, derandomize="CI" in os.environ)
@given(_loose, st.integers(1, 120))
def test_tags_in_disorder_lose_nothing(text: str, most: int) -> None:
    parts = split(text, most)
    assert all(len(part) <= most for part in parts)
    assert all(part.strip() for part in parts) or parts == [text]

    def words(piece: str) -> str:
        return re.sub(rf"\s|{ZERO}|{TAG.pattern}|-{{6}}|>>", "", piece, flags=re.IGNORECASE)

    if most >= 20:  # below, a tag may be longer than a part
        assert words("".join(f"{part}\n" for part in parts)) == words(text)
    assert len(beginning(text, most)) <= most


@settings(deadline=None, derandomize="CI" in os.environ)
@given(_loose, st.integers(40, 120))
def test_what_is_escaped_has_no_meaning_in_any_part(text: str, most: int) -> None:
    for part in split(escape(text), most):
        # a bracket at the very end is put off by escape(), since more may follow; here nothing does
        assert escape(f"{part}.") == f"{part}."


def test_paragraphs_before_lines_before_words() -> None:
    assert split("one two\nthree\n\nfour five", 20) == ["one two\nthree", "four five"]
    assert split("one two\nthree four", 15) == ["one two", "three four"]
    assert split("one two three", 9) == ["one two", "three"]
    assert split("one[br]two three", 14) == ["one[br]", "two three"]
    assert split("abcdefgh", 3) == ["abc", "def", "gh"]
    # a part is not left nearly empty for the sake of a paragraph
    assert split("a\n\nbbbb bbbb bbbb bbbb", 18) == ["a\n\nbbbb bbbb bbbb", "bbbb"]


@pytest.mark.parametrize(
    ("text", "parts"),
    [
        ("[B]" + "word " * 12 + "[/B]", ["[B]" + "word " * 9 + "word[/B]", "[B]word word [/B]"]),
        (
            "x " * 10 + "[color=#ff0000]" + "red " * 12 + "[/color] y",
            [
                "x " * 10 + "[color=#ff0000]" + "red " * 3 + "red[/color]",
                "[color=#ff0000]" + "red " * 8 + "[/color] y",
            ],
        ),
        ("[code]" + "a = [b]1\n" * 8 + "[/code]", ["[code]" + "a = [b]1\n" * 4 + "a = [b]1[/code]", None]),
        ("------\nAnna [x]\n" + "w\n" * 30 + "------", ["------\nAnna [x]\n" + "w\n" * 19 + "------", None]),
        (">>" + "word " * 14, [">>" + "word " * 10 + "word", ">>word word word "]),
        ("[code]x\n>>y[/code]" + "word " * 12, ["[code]x\n>>y[/code]" + "word " * 7 + "word", "word word word word "]),
        ("word " * 11 + "/start now", ["word " * 10 + "word", f"{ZERO}/start now"]),
        ("word " * 11 + "[user=12]Anna Schmidt[/user]", ["word " * 10 + "word", "[user=12]Anna Schmidt[/user]"]),
        ("word " * 11 + "[b]bold[/b]", ["word " * 10 + "word", "[b]bold[/b]"]),
        ("[b]" + "x" * 50 + " " * 6 + "[/b] end", ["[b]" + "x" * 50 + "[/b]", "end"]),
        ("[b]" + "word " * 13, ["[b]" + "word " * 10 + "word", "word word "]),
        ("x" * 59 + "e\u0301" + "y" * 9, ["x" * 59, "e\u0301" + "y" * 9]),
        ("x" * 58 + "&nbsp;" + "y" * 9, ["x" * 58, "&nbsp;" + "y" * 9]),
        ("x" * 59 + escape("[b]") + "y" * 9, ["x" * 59, escape("[b]") + "y" * 9]),
    ],
    ids=[
        "bold",
        "colour",
        "code",
        "block",
        "line",
        "no line",
        "command",
        "mention",
        "whole",
        "end",
        "loose",
        "accent",
        "nbsp",
        "esc",
    ],
)
def test_what_is_open_is_closed_and_opened_again(text: str, parts: list[str | None]) -> None:
    found = split(text, 60)
    assert len(found) == len(parts)
    assert [one for one, expected in zip(found, parts, strict=True) if expected not in (None, one)] == []


def test_what_should_stay_together_and_is_too_long_is_cut_between_its_tags() -> None:
    text = "[user=12][b]" + "word " * 5 + "[/b][i]" + "word " * 20 + "[/i][/user]"
    assert [*split(text, 60)][:2] == [
        "[user=12][b]word word word word word [/b][i]word[/i][/user]",
        "[user=12][i]word word word word word word word[/i][/user]",
    ]


def test_a_text_that_fits_stays_as_it_is() -> None:
    assert split(" [b]x \n", 7) == [" [b]x \n"]
    assert split("") == [""]
    assert beginning(" [b]x \n", 7) == " [b]x \n"
    assert beginning("words \n\n", 5) == "words"


def test_the_beginning_tells_that_something_is_missing() -> None:
    assert beginning("[b]" + "word " * 20 + "[/b]", 50) == "[b]" + "word " * 7 + "word[/b]…"
    assert beginning("one line\nand more of it", 18) == "one line\n…"
    assert beginning("------\nA [1]\n" + "word " * 20 + "\n------", 50).endswith("\n------\n…")


def test_parts_have_characters() -> None:
    with pytest.raises(ConfigurationError, match="most is 0"):
        split("text", 0)


@pytest.mark.parametrize(
    "text",
    [
        *("слово " * 100_000, "[b]x[/b] " * 8000, "[b]" * 20_000, "[url=" * 20_000, "[code]" * 20_000, "-" * 200_000),
        *("[b]" * 10_000 + "[/b]" * 10_000, "------\n" * 10_000, " " * 200_000 + "x", "\U0001f1e6" * 100_000),
    ],
    ids=["words", "pairs", "open", "begun", "code", "minus", "nested", "rules", "spaces", "flags"],
)
def test_time_grows_with_the_text_and_not_faster(text: str) -> None:
    began = time.perf_counter()
    parts = split(text)
    # ten times what it takes on a slow machine; what grows with the square takes minutes
    assert time.perf_counter() - began < 10
    assert all(len(part) <= 20_000 for part in parts)
