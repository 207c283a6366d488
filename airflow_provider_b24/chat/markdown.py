"""Markdown as BBCode, which is all that portals show."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import TYPE_CHECKING

from airflow_provider_b24.chat.text import address_value, code, escape

if TYPE_CHECKING:
    from markdown_it.tree import SyntaxTreeNode

_SIZES = {"h1": 22, "h2": 20, "h3": 18, "h4": 16}
_MARKS = {"strong": "b", "em": "i", "s": "s"}
# Four spaces are shown as a tab (message-formatting.md), less is not shown at the beginning of a line.
_INDENT = "    "
_RULE = "─" * 20
_TASK = re.compile(r"\[([ xX])\]\s+")
_LINE_BREAK = re.compile(r"<br\s*/?>", re.IGNORECASE)
_WEB = re.compile(r"https?://[^/\s]", re.IGNORECASE)
# Deeper than Python's own stack goes is refused by it; nothing is left out before.
_NO_END = 1_000_000


class _Own(str):
    """A block that needs its lines for itself: no indentation before them, no other block's marks."""

    __slots__ = ()


class _Quote(_Own):
    """A block whose lines all begin with ``>>``."""

    __slots__ = ()


def to_bbcode(markdown: str) -> str:
    """What Markdown says, as BBCode: CommonMark with tables, struck-through text and lists of tasks.

    Headings are large and bold; lists have ``•``, numbers or ``☐`` and ``☑``; code blocks are ``[code]``. Tables are
    ``[code]``, too, in columns, for a message knows no tables; what is bold in them is not. ``[code]`` is a block, so
    code within a line keeps its backticks. Each line of the source is a line of the message, as in other chats. Quotes
    are lines with ``>>``; a quote within a quote shows its ``>``; code within a quote stands beneath it.

    Links lead to ``http`` and ``https``; of any other, text and address are shown. Images are shown from there, too;
    within a link, or from anywhere else, by their text. HTML is shown as it is written, but ``<br>`` ends the line.

    BBCode does not pass: ``[b]`` in Markdown is shown as ``[b]``, and ``[user=all]`` calls nobody. So Markdown may come
    from anywhere; to mention somebody, put the mention before or after it, or have the message looked through for
    ``@anna@example.com``, as :func:`~.people.with_mentions` does.

    Markdown that is nested deeper than Python can follow (hundreds of levels) is shown as it is written.
    """
    from markdown_it import MarkdownIt
    from markdown_it.tree import SyntaxTreeNode

    try:
        parser = MarkdownIt("commonmark", {"maxNesting": _NO_END}).enable(["table", "strikethrough"])
        return _joined(_blocks(SyntaxTreeNode(parser.parse(markdown)).children))
    except RecursionError:
        return escape(markdown)


def _joined(blocks: Sequence[str]) -> str:
    text = ""
    for before, block in zip(["", *blocks], blocks, strict=False):
        # [code] is a block by itself.
        near = any(isinstance(one, _Own) and not isinstance(one, _Quote) for one in (before, block))
        text += ("" if not text else "\n" if near else "\n\n") + block
    return text


def _blocks(nodes: Sequence[SyntaxTreeNode]) -> list[str]:
    blocks: list[str] = []
    for node in nodes:
        kind = node.type
        if kind in ("fence", "code_block"):
            content = node.content.rstrip("\n")
            blocks += [_Own(code(content))] if content else []
        elif kind == "blockquote":
            blocks += _quoted(_blocks(node.children))
        elif kind in ("bullet_list", "ordered_list"):
            blocks += _list(node)
        elif kind == "table":
            blocks.append(_Own(code(_table(node))))
        elif kind == "hr":
            blocks.append(_RULE)
        elif kind == "html_block":
            blocks.append(escape(_LINE_BREAK.sub("\n", node.content).strip("\n")))
        elif kind == "heading":
            size = _SIZES.get(node.tag)
            text = f"[b]{_inline(node)}[/b]"
            blocks.append(f"[size={size}]{text}[/size]" if size else text)
        else:
            blocks.append(_inline(node))
    return [block for block in blocks if block]


def _quoted(blocks: list[str]) -> list[str]:
    quoted: list[str] = []
    for block in blocks:
        if isinstance(block, _Quote):
            lines = [f">>> {line[2:]}" for line in block.split("\n")]
        elif isinstance(block, _Own):
            quoted.append(block)
            continue
        else:
            lines = [f">>{line}" for line in block.split("\n")]
        if quoted and isinstance(quoted[-1], _Quote):
            lines = [quoted.pop(), ">>", *lines]
        quoted.append(_Quote("\n".join(lines)))
    return quoted


def _list(node: SyntaxTreeNode) -> list[str]:
    found: list[str] = []
    number = int(node.attrs.get("start", 1))
    for item in node.children:
        mark = f"{number}. " if node.type == "ordered_list" else "• "
        number += 1
        mark = _task(item) or mark
        blocks = _blocks(item.children)
        if not blocks or isinstance(blocks[0], _Own):
            blocks.insert(0, "")
        for index, block in enumerate(blocks):
            if isinstance(block, _Own):
                found.append(block)
                continue
            lines = [_INDENT + line if line else line for line in block.split("\n")]
            if index == 0:
                lines[0] = mark + lines[0].removeprefix(_INDENT)
            if found and not isinstance(found[-1], _Own):
                lines.insert(0, found.pop())
            found.append("\n".join(lines))
    return found


def _task(item: SyntaxTreeNode) -> str:
    """The box before an item that is a task; it is taken from the text."""
    node = item
    while node.children and node.type != "text":
        node = node.children[0]
    found = _TASK.match(node.content) if node.type == "text" and item.children[0].type == "paragraph" else None
    if found is None or node.token is None:
        return ""
    node.token.content = node.content[found.end() :]
    return "☐ " if found[1] == " " else "☑ "


def _table(node: SyntaxTreeNode) -> str:
    from airflow_provider_b24.chat.columns import aligned

    rows = [row.children for part in node.children for row in part.children]
    right = ["right" in str(cell.attrs.get("style", "")) for cell in rows[0]]
    return aligned([[_plain(cell) for cell in row] for row in rows], right)


def _plain(node: SyntaxTreeNode) -> str:
    """The words of what may have marks."""
    if node.type == "html_inline" and _LINE_BREAK.fullmatch(node.content):
        return " "
    if node.type in ("softbreak", "hardbreak"):
        return " "
    if node.type == "link" and not node.markup:
        text, address = "".join(_plain(child) for child in node.children), str(node.attrs.get("href", ""))
        return text if text == address else f"{text} ({address})"
    return "".join(_plain(child) for child in node.children) if node.children else node.content


def _inline(node: SyntaxTreeNode) -> str:
    line = _Line()
    for child in node.children:
        _write(child, line)
    return line.ended()


class _Line:
    """Words and tags, of which only the words are escaped; words side by side are escaped as one."""

    def __init__(self) -> None:
        self._done = ""
        self._words = ""

    def words(self, text: str) -> None:
        self._words += text

    def tag(self, text: str) -> None:
        self._done = self.ended() + text
        self._words = ""

    def ended(self) -> str:
        before = self._done.rpartition("\n")[2]
        begins_line = not re.sub(r"\[[^\]]*\]", "", before).strip()
        return self._done + escape(self._words, begins_line=begins_line, may_mention=True)


def _write(node: SyntaxTreeNode, line: _Line, *, linked: bool = False) -> None:
    kind, content = node.type, node.content
    if kind in _MARKS:
        line.tag(f"[{_MARKS[kind]}]")
        for child in node.children:
            _write(child, line, linked=linked)
        line.tag(f"[/{_MARKS[kind]}]")
    elif kind == "link":
        _link(node, line, linked=linked)
    elif kind == "image":
        text, address = _plain(node), str(node.attrs.get("src", ""))
        if _WEB.match(address) and not linked:
            line.tag(f"[img size=medium]{address_value(address)} [/img]")
        else:
            line.words(text or address)
            line.words(f" ({address})" if text and not linked else "")
    elif kind in ("softbreak", "hardbreak"):
        line.words("\n")
    elif kind == "code_inline":
        line.words(f"`{content}`")
    elif kind == "html_inline":
        line.words("\n" if _LINE_BREAK.fullmatch(content) else content)
    elif node.children:
        for child in node.children:
            _write(child, line, linked=linked)
    else:
        line.words(content)


def _link(node: SyntaxTreeNode, line: _Line, *, linked: bool) -> None:
    address = str(node.attrs.get("href", ""))
    web = _WEB.match(address) and not linked
    if web:
        line.tag(f"[url={address_value(address)}]")
    for child in node.children:
        _write(child, line, linked=True)
    if web:
        line.tag("[/url]")
    elif address and not linked and node.markup != "autolink":
        line.words(f" ({address})")
