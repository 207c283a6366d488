"""Markdown as BBCode: what it says is shown, and nothing in it acts."""

from __future__ import annotations

import os
import re
import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from airflow_provider_b24.chat.markdown import to_bbcode

ZERO = "\u200b"


@pytest.mark.parametrize(
    ("markdown", "bbcode"),
    [
        ("a **b** *c* ~~d~~ __e__ _f_", "a [b]b[/b] [i]c[/i] [s]d[/s] [b]e[/b] [i]f[/i]"),
        ("***both***", "[i][b]both[/b][/i]"),
        ("# One\n\n## Two\n\n##### Five", "[size=22][b]One[/b][/size]\n\n[size=20][b]Two[/b][/size]\n\n[b]Five[/b]"),
        ("Title\n=====\ntext", "[size=22][b]Title[/b][/size]\n\ntext"),
        ("one\ntwo  \nthree\\\nfour\n\nfive", "one\ntwo\nthree\nfour\n\nfive"),
        ("[text](https://example.com/?a=1&b=2 'title')", "[url=https://example.com/?a=1&b=2]text[/url]"),
        ("[**bold**][1]\n\n[1]: http://example.com", "[url=http://example.com][b]bold[/b][/url]"),
        ("<https://example.com>", "[url=https://example.com]https://example.com[/url]"),
        ("https://example.com/a_b_c?d=1", "https://example.com/a_b_c?d=1"),
        ("![pic](https://example.com/p.png)", "[img size=medium]https://example.com/p.png [/img]"),
        ("![pic](p.png) ![](q.png)", "pic (p.png) q.png"),
        ("[![build](https://ci/b.svg)](https://ci/)", "[url=https://ci/]build[/url]"),
        ("[mail](mailto:a@example.com) <a@example.com>", "mail (mailto:a@example.com) a@example.com"),
        ("[page](/docs) [](https://a.b)", "page (/docs) [url=https://a.b][/url]"),
        ("a `code` b", "a `code` b"),
        ("```py\nrows[i]\n    x = [b]\n```\nafter", "[code]rows[i]\n    x = [b][/code]\nafter"),
        ("text\n\n    indented\n\ntext", "text\n[code]indented[/code]\ntext"),
        ("```\n```", ""),
        ("- a\n- b\n  more\n\n  again\n    - c\n", "• a\n• b\n    more\n    again\n    • c"),
        ("3. a\n4. b\n   1. c", "3. a\n4. b\n    1. c"),
        ("- [ ] open\n- [x] done\n- [link](https://a.b)", "☐ open\n☑ done\n• [url=https://a.b]link[/url]"),
        ("- a\n\n  ```\n  x\n  ```\n- b", "• a\n[code]x[/code]\n• b"),
        ("- > q", "• \n\n>>q"),
        ("> a\n> b\n>\n> c\n\nd", ">>a\n>>b\n>>\n>>c\n\nd"),
        ("> a\n>> b\n>>> c", ">>a\n>>\n>>> b\n>>> \n>>> > c"),
        ("> - a\n>   - b", ">>• a\n>>    • b"),
        ("> a\n> ```\n> x\n> ```\n> b", ">>a\n[code]x[/code]\n>>b"),
        ("a\n\n---\n\nb", "a\n\n────────────────────\n\nb"),
        ("<b>x</b> &copy; &lt;br&gt; a<br>b", "<b>x</b> © <br> a\nb"),
        ("<div>\nx\n</div>", "<div>\nx\n</div>"),
        ("| a | сумма |\n|---|--:|\n| **x** | 1 |\n| `y` | 20 |", None),
        ("", ""),
        ("\\*literal\\* 2 * 3 * 4 snake_case_name", "*literal* 2 * 3 * 4 snake_case_name"),
    ],
    ids=lambda value: re.sub(r"\W+", "-", value)[:24] if value else "-",
)
def test_what_markdown_says(markdown: str, bbcode: str | None) -> None:
    table = "[code]a  сумма\n─  ─────\nx      1\ny     20[/code]"
    assert to_bbcode(markdown) == (table if bbcode is None else bbcode)


TAGS = [
    *(
        "[b]x[/b]",
        "[size=20]x[/size]",
        "[color=#ff0000]x[/color]",
        "[url]https://example.com[/url]",
        "[user=all]x[/user]",
    ),
    *("[url=https://example.com]x[/url]", "[chat=456]x[/chat]", "[context=chat1/2]x[/context]", "[code]x[/code]"),
    *("[img size=medium]https://example.com/p.jpg [/img]", "[icon=https://example.com/i.png]", "[put=/x]x[/put]"),
    *(
        "[send=/x]x[/send]",
        "[call=1]x[/call]",
        "[timestamp=1 format=x]",
        "[disk=1]",
        "[br]",
        "&#91;b&#93;",
        "&amp;#91;b]",
    ),
    *("#BR#", "\\[b\\]x[/b]", "[B]x[/B]", "[ b ]", "[/b]", "a[", "&amp;nbsp;"),
]
PLACES = {
    "text": "a {} b",
    "start": "{}",
    "heading": "# {}",
    "item": "- {}",
    "quote": "> {}",
    "bold": "**{}**",
    "span": "`{}`",
    "cell": "| {} |\n|---|\n| {} |",
    "fence": "```\n{}\n```",
    "link": "[{}](https://example.com)",
    "alt": "[![{}](https://example.com)](https://example.com)",
    "html": "<div>\n{}\n</div>",
    "pointed": "<x>{}</x>",
}


def acting(bbcode: str) -> list[str]:
    """What in a text of ours is not ours."""
    bbcode = re.sub(
        r"\[url=https://example\.com\]|\[/url\]|\[/?(?:b|code)\]|\[img size=medium\]|\[/img\]|\[/?size(?:=22)?\]",
        "",
        bbcode,
    )
    found = re.findall(r"\[\s*/?\s*[a-z]", bbcode, flags=re.IGNORECASE)
    return found + re.findall(r"&#?\w+;|&nbsp|#BR#", bbcode, flags=re.IGNORECASE)


@pytest.mark.parametrize("tag", TAGS, ids=range(len(TAGS)))
@pytest.mark.parametrize("place", PLACES, ids=PLACES)
def test_bbcode_in_markdown_is_shown(place: str, tag: str) -> None:
    source = PLACES[place].format(tag, tag)
    shown = to_bbcode(source)
    if place in ("fence", "cell"):
        inner = shown.removeprefix("[code]").removesuffix("[/code]")
        assert not re.search(
            r"\[\s*/?(code|user|chat|context|send|put|call|disk|icon|img|url|timestamp|br)\b|&#?\w+;|#BR#", inner
        )
        return
    tags = len(re.findall(r"\[/?(?:b|code|size|url)\b", shown))
    ours = {"heading": 4, "bold": 2, "link": 2, "alt": 2}.get(place, 0)
    assert acting(shown) == []
    assert tags == ours or (tags == 0 and place in ("bold", "link", "alt"))


@pytest.mark.parametrize(
    ("markdown", "bbcode"),
    [
        ("[x](javascript:alert(1))", f"[{ZERO}x](javascript:alert(1))"),
        ("[x](data:text/html,x)", f"[{ZERO}x](data:text/html,x)"),
        ("[x](ftp://a.b/c)", "x (ftp://a.b/c)"),
        ("<javascript:alert(1)>", "<javascript:alert(1)>"),
        ("[x](<https://a.b/]c d>)", "[url=https://a.b/%5Dc%20d]x[/url]"),
        ("[x](https://a.b/?[send=/x]y)", "[url=https://a.b/?%5Bsend=/x%5Dy]x[/url]"),
        ("[x](https://a.b/?&amp;#93;)", "[url=https://a.b/?&#93%3B]x[/url]"),
        ("a\n/start", f"a\n{ZERO}/start"),
        ("**/start**", f"[b]{ZERO}/start[/b]"),
        ("a **b**/c", "a [b]b[/b]/c"),
        ("\\>>x", f"{ZERO}>>x"),
        ("a -\\-\\-\\-\\-\\-", f"a -----{ZERO}-"),
        ("&**#91;**b]", "&**#91;**b]"),
        ("![&](x)#91;", "& (x)#91;"),
        ("[![&](x)](https://a.b)#91;", "[url=https://a.b]&[/url]#91;"),
        ("`&`<b>#91;", "`&`<b>#91;"),
    ],
    ids=range(16),
)
def test_nothing_gets_out(markdown: str, bbcode: str) -> None:
    assert to_bbcode(markdown) == bbcode


_pieces = st.lists(
    st.sampled_from(
        [*TAGS, *"*_`~[]()<>#-|!\\&;:> \n", "\n\n", "    ", "- ", "1. ", "```\n", "](http://a.b)", "word", "<br>"]
    )
    | st.text(max_size=4),
    max_size=30,
).map("".join)


@settings(deadline=None, derandomize="CI" in os.environ)
@given(_pieces)
def test_any_markdown(markdown: str) -> None:
    bbcode = to_bbcode(markdown)
    assert not re.search(r"\[\s*/?(user|chat|context|send|put|call|disk|icon|timestamp|br)\b", bbcode, re.IGNORECASE)
    assert not re.search(r"&#?\w+;|#BR#", bbcode, re.IGNORECASE)
    assert len(re.findall(r"\[code\]", bbcode)) == len(re.findall(r"\[/code\]", bbcode))
    assert not re.search(r"(?m)^\s*/|-{6}", re.sub(r"^(?:>> ?)+", "", bbcode, flags=re.MULTILINE))


def test_nothing_is_left_out_however_deep() -> None:
    assert "deep" in to_bbcode("> " * 60 + "deep")
    assert "deep" in to_bbcode("> " * 5000 + "deep")
    assert "deep" in to_bbcode("- " * 3000 + "deep")


def test_much_markdown_is_quick() -> None:
    began = time.perf_counter()
    to_bbcode("## T\n\nword **b** `c` [x](http://a.b)\n\n| a | b |\n|--|--|\n| 1 | 2 |\n\n" * 500)
    for hostile in ("[" * 20_000, "*a " * 5000, "`" * 20_000 + "a", "[a](b" * 4000, "![" * 10_000, "<" * 20_000):
        to_bbcode(hostile)
    assert time.perf_counter() - began < 10
