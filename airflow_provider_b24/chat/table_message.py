"""Posting tables: in a message where they fit, as a file where they do not."""

from __future__ import annotations

import os
import re
from collections.abc import Generator
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any, Literal

from airflow_provider_b24.chat import cells
from airflow_provider_b24.chat.files import check_file_text
from airflow_provider_b24.chat.message import LONGEST_TEXT, worded
from airflow_provider_b24.chat.table_files import check_table_name, write
from airflow_provider_b24.chat.text import code, escape
from airflow_provider_b24.rest.errors import ConfigurationError

if TYPE_CHECKING:
    from airflow_provider_b24.chat.delivery import Memory
    from airflow_provider_b24.chat.tables import Table
    from airflow_provider_b24.chat.typing import Bot
    from airflow_provider_b24.rest.peer import Peer
    from airflow_provider_b24.rest.steps import Step

SendAs = Literal["auto", "table", "file", "both"]
WAYS = ("auto", "table", "file", "both")
# A table that is longer or wider is read in a file, not in a chat: rows, and letters of one width.
MOST_ROWS = 50
WIDEST = 72
# Of what is a file as well, a message shows so many rows.
SHOWN_ROWS = 10

_COUNT = {"en": "Rows: {}", "ru": "Строк: {}"}
_NO_ROWS = {"en": "The query returned no rows.", "ru": "Запрос не вернул строк."}
_BOLD = re.compile(r"\[/?b\]")
_FIRST = {"en": "… the first {} of {} rows", "ru": "… первые {} строк из {}"}


def check_send_as(value: object) -> None:
    """Refuse what is no way to send a table.

    :raises ConfigurationError: saying which there are.
    """
    if value not in WAYS:
        raise ConfigurationError(f"send_as is {value!r}", advice=f"It can be {', '.join(map(repr, WAYS))}.")


def heading(
    peer: Peer,
    title: str | None,
    message: str | None = None,
    *,
    markdown: bool = False,
    mentions: bool = False,
) -> Generator[Step, Any, str]:
    """What stands over a table: its title in bold, and the message's text under it, as they are sent.

    :param markdown: both are Markdown.
    :param mentions: people whom they name as in ``@anna@example.com`` are mentioned.
    """
    check_file_text(message, final=False)
    if title and markdown:
        title = yield from worded(peer, str(title), markdown=True)
        # It is bold as a whole.
        title = _BOLD.sub("", title or "")
    elif title:
        title = escape(str(title), begins_line=False, may_mention=mentions)
    bold = f"[b]{title}[/b]" if title else ""
    message = yield from worded(peer, message, markdown=markdown)
    return (yield from worded(peer, _joined(bold, message or ""), mentions=mentions)) or ""


def in_message(table: Table, words: str = "", *, large: bool = False) -> tuple[str, list[dict[str, Any]] | None] | None:
    """The text of a message with a table, and its attachment; without one, the table is in the text.

    :param words: over it, see :func:`heading`.
    :param large: whether it may have more rows, and be wider, than people like to read in a chat.
    :return: None where the table does not fit.
    """
    if not len(table):
        return _joined(words, table.text()), None
    if len(table) > MOST_ROWS and not large:
        return None
    attach = table.attach(titled=False)
    if attach is not None:
        return words, attach
    if not large and table.width() > WIDEST:
        return None
    text = _joined(words, code(table.text()))
    return (text, None) if len(text) <= LONGEST_TEXT else None


def with_file(table: Table, words: str = "", *, count: int, shown: bool = False) -> str:
    """The text of a message with a file.

    :param table: all rows of the file, or the first.
    :param words: over it, see :func:`heading`.
    :param count: how many rows are in the file.
    :param shown: whether the first ten rows are in the text, too.
    """
    language = table.language.lower()[:2]
    number = cells.column([count], cells.language_of(language))[0]
    if shown and count:
        few = table.first(SHOWN_ROWS)
        rest = _FIRST[language].format(len(few), number) if count > len(few) else ""
        text = _joined(words, code(few.text()), rest)
        if len(text) <= LONGEST_TEXT:
            return text
    return _joined(words, _COUNT[language].format(number))


def nothing_in(table: Table, words: str = "") -> str:
    """The text of a message about a query that returned no rows."""
    return _joined(words, _NO_ROWS[table.language.lower()[:2]])


def _joined(*parts: str) -> str:
    return "\n".join(part for part in parts if part)


def too_much(rows: int, *, more: bool = False) -> ConfigurationError:
    """For a table that was to be in a message, and does not fit.

    :param more: whether there are more rows than these.
    """
    return ConfigurationError(
        f"the table has {rows:,} rows{' or more' if more else ''}, too much for a message",
        advice="Take fewer, or let a file be sent: send_as='auto'.",
    )


def post_table(
    peer: Peer,
    *,
    dialog_id: str | int,
    table: Table,
    message: str | None = None,
    markdown: bool = False,
    mentions: bool = False,
    send_as: SendAs = "auto",
    file_name: str = "table.csv",
    memory: Memory | None = None,
    bot: Bot | None = None,
) -> Generator[Step, Any, int]:
    """Post a table in one message, once, whatever becomes of the answer.

    :param dialog_id: where, as an id or a reference.
    :param message: a text under the table's title.
    :param markdown: title and text are Markdown.
    :param mentions: people whom they name as in ``@anna@example.com`` are mentioned.
    :param send_as: ``auto``: in the message where it has at most 50 rows and is narrow enough, otherwise as a file;
        ``table``, ``file``; or ``both``: a file, with the first ten rows as text.
    :param file_name: of the file; its ending is the format.
    :param memory: what is kept of it, for whoever tries again. Default: until this ends.
    :param bot: post as this bot.
    :return: the id of the message.
    :raises ConfigurationError: before anything is sent; also for ``table`` where it does not fit.
    :raises DeliveryUnknownError: if it may or may not have been posted.
    :raises Bitrix24Error: if the portal refuses.
    """
    from airflow_provider_b24.chat.delivery import Memory
    from airflow_provider_b24.chat.files import File, post_file
    from airflow_provider_b24.chat.long_text import posted_before
    from airflow_provider_b24.chat.message import post

    check_send_as(send_as)
    check_table_name(file_name)
    memory = memory or Memory()
    if mentions:
        # What was posted needs no people any more.
        posted = yield from posted_before(peer, memory)
        if posted is not None:
            return posted
    words = yield from heading(peer, table.title, message, markdown=markdown, mentions=mentions)
    found = in_message(table, words, large=send_as == "table") if send_as in ("auto", "table") else None
    if found is not None:
        text, attach = found
        return (yield from post(peer, dialog_id=dialog_id, message=text, attach=attach, memory=memory, bot=bot))
    if send_as == "table":
        raise too_much(len(table))
    text = with_file(table, words, count=len(table), shown=send_as == "both")
    with TemporaryDirectory(prefix="bitrix24_") as folder:
        path = os.path.join(folder, f"table{os.path.splitext(file_name)[1]}")
        write(path, table.columns, table.rows, table.language)
        file = File.of_path(path, file_name)
        return (yield from post_file(peer, dialog_id=dialog_id, file=file, message=text, memory=memory, bot=bot))
