"""Words that are not ours, in a message: nothing in them has a meaning, and they can be read as they were."""

from __future__ import annotations

import html
import os
import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from airflow_provider_b24.chat.text import code, escape, excerpt, plain

ZERO = "\u200b"

# message-formatting.md, tag by tag
TAGS = [
    *("[b]x[/b]", "[i]x[/i]", "[u]x[/u]", "[s]x[/s]", "[size=20]x[/size]", "[color=#ff0000]x[/color]"),
    *("[url]https://example.com[/url]", "[url=https://example.com]x[/url]", "[user=123]x[/user]", "[user=all]x[/user]"),
    *("[chat=456]x[/chat]", "[chat=imol|789]x[/chat]", "[context=chat123/456]x[/context]", "[code]x[/code]"),
    *("[img size=medium]https://example.com/pic.jpg [/img]", "[icon=https://example.com/i.png size=20 title=smile]"),
    *("[put=/help]x[/put]", "[send=/start]x[/send]", "[call=+79991234567]x[/call]", "[call]+79991234567[/call]"),
    *("[timestamp=1645844720 format=SHORT_TIME_FORMAT]", "[disk=123]", "[br]", ">>x", "------\nx\n------"),
    *(
        "-" * 54 + "\nx [01.01.2026]\nx\n" + "-" * 54,
        "&#91;b&#93;x&#91;/b&#93;",
        "&lt;br&gt;",
        "#BR#",
        "/start x",
        "[*]",
    ),
]


def meanings(text: str) -> list[str]:
    """What in a text a portal may read as more than text; wider than any that is known, and written apart."""
    text = re.sub(r"#br#|\[br\]", "\n", html.unescape(text), flags=re.IGNORECASE).strip()
    found = re.findall(r"\[\s*/?\s*(?:[^\W\d_]|\*)", text)
    found += re.findall(r"-{6}", text)
    found += [line for line in re.split(r"[\r\n]", text) if line.lstrip().startswith((">>", "/"))]
    return found


@pytest.mark.parametrize("tag", [*TAGS, *(tag.upper() for tag in TAGS)])
def test_every_tag_is_taken_apart(tag: str) -> None:
    assert meanings(tag) or "BR" in tag.upper()
    for text in (tag, f"a{tag}b", f" \n {tag}", f"x[{tag}", escape(tag), f"{tag}\r{tag}\n{tag}"):
        assert meanings(escape(text)) == []
        assert escape(text).replace(ZERO, "") == text.replace(ZERO, "")


_pieces = st.lists(st.sampled_from([*TAGS, *"[]/&;#->=*\n\r \t", "[", "&#", "br", ZERO, "й"]) | st.text(max_size=5))


@settings(deadline=None, derandomize="CI" in os.environ)
@given(_pieces.map("".join), _pieces.map("".join))
def test_any_text(one: str, other: str) -> None:
    shown = escape(one)
    assert meanings(shown) == []
    assert escape(shown) == shown
    # readable, and the same once what has no width is gone
    assert shown.replace(ZERO, "") == one.replace(ZERO, "")
    # side by side with other parts of a text it makes no tag either
    for text in (shown + escape(other), shown + "b]x[/b]", shown + "]"):
        assert not re.search(r"\[\s*/?\s*(?:[^\W\d_]|\*)", text.removesuffix("[/b]"))


@pytest.mark.parametrize(
    "text",
    [
        *(
            "rows[0]",
            '{"a": [1, "x"], "b": [[]]}',
            "[2026-01-01 12:00:00,123] {task.py:5}",
            "a - b -- c --- d",
            "R&D, a & b",
        ),
        *("https://example.com/?a=1&b=2#c", "x >> y", "1 > 0", "a/b/c", "#5", "50% off", "", "Ж\n\nЖ"),
    ],
)
def test_what_means_nothing_stays_as_it_is_to_the_byte(text: str) -> None:
    assert escape(text) == text


def test_within_a_line_only_further_lines_begin() -> None:
    assert escape("/x\n/y", begins_line=False) == f"/x\n{ZERO}/y"
    assert escape("[b]", begins_line=False) == f"[{ZERO}b]"


@pytest.mark.parametrize("tag", [*TAGS, *(tag.upper() for tag in TAGS)])
def test_code_is_shown_whole(tag: str) -> None:
    inner = code(f"x = {tag}").removeprefix("[code]").removesuffix("[/code]")
    # what changes only the look has no meaning there
    assert [one for one in meanings(inner) if not re.fullmatch(r"\[/?(?:[biusc]|\*)", one, re.IGNORECASE)] == []
    assert inner.replace(ZERO, "") == f"x = {tag}"


def test_code_can_be_copied() -> None:
    python = "for i in rows:\n    print(a[i], b[s], c['x'], [b for b in a])  # R&D\n"
    assert code(python) == f"[code]{python}[/code]"


# excerpts


def test_an_exception_is_shown_with_its_causes() -> None:
    def fail() -> None:
        try:
            raise KeyError("[b]s3cr3tw0rd[/b]")
        except KeyError as error:
            raise ValueError("[user=all] at https://acme.bitrix24.com/rest/7/c0dec0de/profile") from error

    with pytest.raises(ValueError, match="user=all") as caught:
        fail()
    shown = excerpt(caught.value, secrets=["s3cr3tw0rd"])
    assert meanings(shown) == []
    assert shown.startswith("Traceback (most recent call last):\n")
    assert "s3cr3tw0rd" not in shown
    assert f"KeyError: '[{ZERO}b]***[{ZERO}/b]'" in shown
    assert shown.endswith(f"ValueError: [{ZERO}user=all] at https://acme.bitrix24.com/rest/7/***/profile")
    assert "fail()" in shown


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("\x1b[31mERROR\x1b[0m done\x1b]0;title\x07.", "ERROR done."),
        ("50%\r100%\r\nready\n\n", "50%\n100%\nready"),
        ("a\x00b\x07c\td", "abc\td"),
        ("file \udcff.csv", "file \\udcff.csv"),
        ("gpj.exe\u202etxt", "gpj.exetxt"),
        ("postgresql://airflow:w0rd@db/x", "postgresql://airflow:***@db/x"),
        ("token s3c\x1b[1mr3tw0rd, czNjcjN0dzByZA==", "token ***, ***"),
        ("", ""),
    ],
)
def test_what_can_not_be_shown_is_left_out(text: str, shown: str) -> None:
    assert excerpt(text, secrets=["s3cr3tw0rd"]) == shown


def test_the_end_is_kept() -> None:
    text = "\n".join(f"line {number:03}" for number in range(100))
    shown = excerpt(text, most=60)
    assert shown.startswith("…\nline 0")
    assert shown.endswith("\nline 098\nline 099")
    assert len(shown) <= 60
    assert excerpt(text, most=len(text)) == text


def test_a_line_without_end_is_cut_within() -> None:
    shown = excerpt("[b]" * 5000, most=100)
    assert shown.startswith("…")
    assert len(shown) <= 100
    assert meanings(shown) == []


@settings(deadline=None, derandomize="CI" in os.environ)
@given(_pieces.map("".join), st.integers(5, 80))
def test_any_excerpt(text: str, most: int) -> None:
    shown = excerpt(f"{text}s3cr3tw0rd{text}", secrets=["s3cr3tw0rd"], most=most)
    assert len(shown) <= most
    assert meanings(shown) == []
    assert "s3cr3tw0rd" not in shown.replace(ZERO, "")
    shown.encode()
    assert plain(plain(text)) == plain(text)
