"""Text for messages: words that are not ours, such as those of a log, shown as they are. Light: DAG files import it."""

from __future__ import annotations

import re
import traceback
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

from airflow_provider_b24.rest.errors import ConfigurationError

if TYPE_CHECKING:
    from airflow_provider_b24.chat.tables import Columns, Table

# Has no width, is no white space that anything trims, and lets a line break.
_ZERO = "\u200b"

# A bracket that begins a tag, or ends the text, where it may come to stand before another's.
_TAG = re.compile(r"\[(?=\s*(?:[/*]|[^\W\d_]|\Z))")
# The portal turns these into what they stand for, brackets too; browsers take some without the semicolon.
_ENTITY = re.compile(r"&(?=#\w|\w+;|nbsp)")
_BREAK = re.compile(r"#(?=BR#)", re.IGNORECASE)
# Quotes and bots' commands are known by how a line begins.
_LINE = re.compile(r"(?:\A|(?<=[\r\n]))(?=[^\S\r\n]*(?:>>|/))")
_FURTHER_LINE = re.compile(r"(?<=[\r\n])(?=[^\S\r\n]*(?:>>|/))")
# What begins a mention, where they are looked for: not within a word or an address.
MENTION = r"""(?<![^\s(\[«"'„“>\],–—])@(?=[\w"])"""
_MENTION = re.compile(MENTION)
# Six minus signs begin and end a quote.
_RULE = re.compile(r"-----(?=-)")

# Within [code] what only changes the look means nothing, such as the index in `rows[i]`. What ends it does, and a
# portal may look for what acts wherever it stands.
_IN_CODE = re.compile(
    r"\[(?=\s*/?\s*(?:code|user|chat|context|send|put|call|disk|icon|img|url|timestamp|br)\b|\Z)", re.IGNORECASE
)

# Colours and other orders to a terminal, then whatever else can not be shown.
_ANSI = re.compile(r"\x1b(?:\[[0-?]*[ -/]*[@-~]|\][^\x07\x1b]*(?:\x07|\x1b\\)?|[@-Z\\-_])")
_CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069]")

_WEB = re.compile(r"https?://[^/\s]", re.IGNORECASE)

_CUT = "…"
# A cut goes back to the end of a line if there is one so near.
_NEAR = 200


def escape(text: str, *, begins_line: bool = True, may_mention: bool = False) -> str:
    """The text with everything defused that a message would not show as it stands.

    A message's text is BBCode, and the vendor describes no way to escape it. So a character without width (U+200B) is
    put where it takes apart what would have a meaning. It is not seen; what is escaped already stays as it is.

    As the vendor describes them, all of these are known by characters that stand side by side, so that it is sure to
    work: tags, with mentions (``[user=all]``), links, images and orders (``[send=…]``, ``[put=…]``, ``[call=…]``);
    ``[br]``; quotes, which are lines that begin with ``>>`` or stand between rows of minus signs. The same goes for
    what only the portal's published sources tell: entities such as ``&#91;``, which it turns into brackets on the way;
    ``#BR#``; and lines that begin with ``/``, by which bots are called. So it does for ``@anna@example.com``, of which
    this package itself makes a mention where it is told to.

    Not defused: addresses of web pages, which the portal makes links of. They lead where they say, and
    ``url_preview=False`` keeps it from opening them. Nor smileys such as ``:)``, nor four spaces, which are shown as a
    tab. Portals do not read Markdown so far; what it will take is not known.

    Who puts a text together escapes each part that is not his own.

    :param begins_line: whether a line of the message may begin with the text. Default True.
    :param may_mention: leave ``@anna@example.com`` as it is, for words whose author may mention people. Default False.
    """
    text = text if may_mention else _MENTION.sub("@" + _ZERO, text)
    return _defused(_TAG.sub("[" + _ZERO, text), _LINE if begins_line else _FURTHER_LINE)


def code(text: str) -> str:
    """The text in ``[code]``: in letters of one width, with its spaces, and as it stands.

    What does not end it, nor acts, is left as it is, so that it can be copied: ``rows[i]``. See :func:`escape`.
    """
    return f"[code]{_defused(_IN_CODE.sub('[' + _ZERO, text), _LINE)}[/code]"


def bold(text: object) -> str:
    """Words that are not ours, bold."""
    return f"[b]{escape(str(text), begins_line=False)}[/b]"


def link(url: str, text: object | None = None) -> str:
    """A link; its words are escaped.

    :param url: absolute, with ``http`` or ``https``.
    :param text: what is shown. Default: the address.
    :raises ConfigurationError: for any other address, which the portal would not open.
    """
    if not _WEB.match(url):
        raise ConfigurationError(f"url is {url!r}", advice="A link begins with http:// or https://.")
    return f"[url={address_value(url)}]{escape(str(url if text is None else text), begins_line=False)}[/url]"


def mention(user_id: int | str, name: str) -> str:
    """A mention, which notifies the person; or everybody in the chat, for ``all``.

    :param user_id: the id of the user, or ``all``.
    :param name: what is shown.
    :raises ConfigurationError: if this can not be a user.
    """
    who = str(user_id).strip().lower()
    if who != "all" and not (who.isascii() and who.isdecimal()):
        raise ConfigurationError(f"user_id is {user_id!r}", advice="Give the number of a user, or 'all'.")
    return f"[user={who}]{escape(name, begins_line=False)}[/user]"


def address_value(address: str) -> str:
    """An address as the value of a tag: nothing in it ends the tag, or is an entity."""
    for sign in ' "<>[]\r\n\t':
        address = address.replace(sign, f"%{ord(sign):02X}")
    address = re.sub(r"(&#?\w+);", r"\1%3B", address)
    return re.sub(r"#(BR)#", r"%23\1%23", address, flags=re.IGNORECASE)


def table(rows: Any, *, columns: Columns | None = None, title: str | None = None, language: str = "en") -> Table:
    """A table of rows, of a dataframe or of a query's result; see :func:`airflow_provider_b24.chat.tables.table`."""
    from airflow_provider_b24.chat.tables import table

    return table(rows, columns=columns, title=title, language=language)


def _defused(text: str, line: re.Pattern[str]) -> str:
    text = _ENTITY.sub("&" + _ZERO, text)
    text = _BREAK.sub("#" + _ZERO, text)
    text = _RULE.sub("-----" + _ZERO, text)
    return line.sub(_ZERO, text)


def plain(source: str | BaseException) -> str:
    """What a log or an exception says, in characters that can be shown and sent.

    Colours and other orders to a terminal are left out.

    :param source: a text; or an exception, which is shown with its traceback and its causes.
    """
    text = source if isinstance(source, str) else "".join(traceback.format_exception(source))
    # Half of a surrogate pair, as in the name of a file, is no character that could be sent.
    text = text.encode(errors="backslashreplace").decode()
    return _CONTROL.sub("", _ANSI.sub("", text.replace("\r\n", "\n").replace("\r", "\n"))).strip("\n")


def excerpt(source: str | BaseException, *, secrets: Iterable[str] = (), most: int = 3000) -> str:
    """What a log or an exception says, fit for a message: escaped, and without secrets.

    What is too long loses its beginning, because a traceback says at its end what went wrong; ``…`` stands for what was
    there.

    :param source: a text; or an exception, which is shown with its traceback and its causes.
    :param secrets: what must not be shown, in any form. What is secret in URLs is never shown.
    :param most: the most characters of the excerpt. Default 3,000; the portal cuts messages at 20,000.
    """
    from airflow_provider_b24.rest.credentials import redact

    # A secret that is coloured in its middle would not be recognised, nor one that is escaped, nor half of one.
    text = escape(redact(plain(source), secrets))
    if len(text) <= most:
        return text
    begin = len(text) - max(0, most - len(_CUT) - 1)
    line_end = text.find("\n", begin - 1, begin + _NEAR)
    # On a line of its own, the mark shows that nothing is missing from the line below.
    return f"{_CUT}{text[begin:]}" if line_end < 0 else f"{_CUT}\n{text[line_end + 1 :]}"
