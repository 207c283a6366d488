"""A query's result into a chat."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from itertools import chain, islice
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any, ClassVar, Literal

from airflow_provider_b24.chat.cells import language_of
from airflow_provider_b24.chat.dialogs import check_dialog_id
from airflow_provider_b24.chat.files import check_file_text
from airflow_provider_b24.chat.table_files import check_table_name
from airflow_provider_b24.hooks.bitrix24 import Bitrix24Hook
from airflow_provider_b24.hooks.delivery import memory_of
from airflow_provider_b24.hooks.failure import no_vain_retries
from airflow_provider_b24.links.portal import DealLink, MessageLink, TaskLink, show_dialog
from airflow_provider_b24.operators.arguments import check_unless_template, is_known
from airflow_provider_b24.operators.deferral import DefersAtLimit
from airflow_provider_b24.rest.errors import ConfigurationError

if TYPE_CHECKING:
    from airflow.sdk import Context

    from airflow_provider_b24.chat.tables import Table

# A table that is longer or wider is read in a file, not in a chat: rows, and letters of one width.
MOST_ROWS = 50
WIDEST = 72
# Of what is a file as well, a message shows so many rows.
SHOWN_ROWS = 10
_FETCHED = 1000

_WAYS = ("auto", "table", "file", "both")
_EMPTY = ("send", "skip", "fail")
_WORDS = {
    "en": ("The query returned no rows.", "Rows: {}", "… the first {} of {} rows"),
    "ru": ("Запрос не вернул строк.", "Строк: {}", "… первые {} строк из {}"),
}


@dataclass
class _Result:
    """What a query returned.

    :ivar rows: all of them, or the first.
    :ivar path: of the file with all, where one was written.
    """

    columns: list[str]
    rows: list[tuple[Any, ...]]
    count: int
    path: str | None = None


class SqlToDialogOperator(DefersAtLimit):
    """Post the result of a query in a dialog: as a table, as a file, or as both in one message.

    It is posted exactly once for each task instance; a task that is tried again after that does not run the query
    again. Rows are fetched a thousand at a time and written to the file as they come, so that memory does not grow with
    the result, as far as the database's driver lets.

    Any database will do whose Airflow provider has a ``DbApiHook``. Values are written as ``language`` does it (see
    :func:`~airflow_provider_b24.chat.tables.table`), and nothing in them is read as BBCode.

    :param sql: the query, or the name of a ``.sql`` file; or several statements, of which the last that returns rows
        counts. Templated.
    :param conn_id: the Airflow connection of the database. Templated.
    :param dialog_id: ``chat2935``, ``sg17``, ``13``, or what it belongs to: ``deal:1663``, ``task:8293``,
        ``group:133``, ``user:anna@example.com``. Templated.
    :param parameters: of the query. Templated.
    :param hook_params: for the database's hook. Templated.
    :param database: another than the connection's. Templated.
    :param title: stands in bold over the message. Templated.
    :param message: a text under the title, with BBCode. Templated.
    :param send_as: ``table``; ``file``; ``both``, which is a file with the first ten rows as text; or ``auto``
        (default): a table where it has at most 50 rows and is narrow enough for a chat, otherwise a file.
    :param file_name: of the file; its ending is the format: ``.csv`` (opens in Excel), ``.xlsx`` (needs ``openpyxl``)
        or ``.parquet`` (needs ``pyarrow``, and memory for all of it). Default ``result.csv``. Templated.
    :param empty: where no rows are returned: ``send`` a message that says so (default), ``skip`` the task, or
        ``fail``, so that its retries apply.
    :param language: ``en`` (default) or ``ru``.
    :param typing: show "is typing…" while the query runs. Default True.
    :param as_bot: True for the connection's bot, False for the account. Default: the bot where there is one.
    :param post_again_when_cleared: whether the task posts anew after it was cleared; otherwise it returns the id of
        what it posted before. Default True.
    :param bitrix24_conn_id: the Airflow connection of the portal. Default ``bitrix24_default``. Templated.
    :return: the id of the message, as XCom.
    :raises ConfigurationError: while the DAG is parsed, for an argument that can not be right.
    """

    template_fields: Sequence[str] = (
        *("sql", "conn_id", "dialog_id", "parameters", "hook_params", "database"),
        *("title", "message", "file_name", "bitrix24_conn_id"),
    )
    template_ext: Sequence[str] = (".sql",)
    template_fields_renderers: ClassVar[dict[str, str]] = {"sql": "sql", "parameters": "json", "hook_params": "json"}
    operator_extra_links = (MessageLink(), TaskLink(), DealLink())
    ui_color = "#d6f3fb"

    def __init__(
        self,
        *,
        sql: str | Sequence[str],
        conn_id: str,
        dialog_id: str | int,
        parameters: Mapping[str, Any] | Sequence[Any] | None = None,
        hook_params: dict[str, Any] | None = None,
        database: str | None = None,
        title: str | None = None,
        message: str | None = None,
        send_as: Literal["auto", "table", "file", "both"] = "auto",
        file_name: str = "result.csv",
        empty: Literal["send", "skip", "fail"] = "send",
        language: str = "en",
        typing: bool = True,
        as_bot: bool | None = None,
        post_again_when_cleared: bool = True,
        bitrix24_conn_id: str = Bitrix24Hook.default_conn_name,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.sql = sql
        self.conn_id = conn_id
        self.dialog_id = dialog_id
        self.parameters = parameters
        self.hook_params = hook_params
        self.database = database
        self.title = title
        self.message = message
        self.send_as = send_as
        self.file_name = file_name
        self.empty = empty
        self.language = language
        self.typing = typing
        self.as_bot = as_bot
        self.post_again_when_cleared = post_again_when_cleared
        self.bitrix24_conn_id = bitrix24_conn_id
        check_unless_template(check_dialog_id, dialog_id)
        check_unless_template(check_table_name, file_name)
        check_unless_template(check_file_text, message)
        language_of(language)
        for name, value, allowed in (("send_as", send_as, _WAYS), ("empty", empty, _EMPTY)):
            if value not in allowed:
                raise ConfigurationError(f"{name} is {value!r}", advice=f"It can be {', '.join(map(repr, allowed))}.")
        if is_known(sql) and (not sql or (isinstance(sql, str) and not sql.strip())):
            raise ConfigurationError("sql is empty", advice="Give a query, or the name of a .sql file.")

    def execute(self, context: Context) -> int:
        """Run the query and post what it returns; neither, if an earlier try has posted."""
        memory = memory_of(context, "message", post_again_when_cleared=self.post_again_when_cleared)
        with (
            Bitrix24Hook(self.bitrix24_conn_id) as hook,
            TemporaryDirectory(prefix="bitrix24_") as folder,
            self.slot_given_back(),
            no_vain_retries(),
        ):
            # What can not work is better known before the query than after it.
            check_table_name(self.file_name)
            hook.get_conn()
            message_id = hook.recall(memory)
            if message_id is None:
                with hook.typing(self.dialog_id, as_bot=self.as_bot) if self.typing else nullcontext():
                    result = self._queried(folder)
                if not result.count:
                    self._end_if_empty()
                if result.path is not None:
                    from airflow_provider_b24.chat.files import File

                    file = File.of_path(result.path, self.file_name)
                    message_id = hook.post_file_once(
                        memory, self.dialog_id, file, message=self._text_with_file(result), as_bot=self.as_bot
                    ).message_id
                else:
                    message, attach = self._message(result)
                    message_id = hook.post_once(
                        memory, self.dialog_id, message=message, attach=attach, as_bot=self.as_bot
                    )
                self.log.info("Posted message %s with %s rows in %s", message_id, result.count, self.dialog_id)
            show_dialog(self, hook, self.dialog_id, message_id=message_id, as_bot=self.as_bot)
        return message_id

    def _queried(self, folder: str) -> _Result:
        """Run the query; where the result becomes a file, it is in this folder then."""
        found: list[_Result] = []

        def take(cursor: Any) -> list[Any]:
            result = self._taken(cursor, folder)
            if result is not None:
                found[:] = [result]
            # What is returned, some hooks make tuples of.
            return []

        self._database().run(self.sql, parameters=self.parameters, handler=take)
        if not found:
            raise ConfigurationError("sql returns nothing that could be posted", advice="Give a query: SELECT …")
        return found[0]

    def _database(self) -> Any:
        from airflow.sdk import BaseHook

        hook: Any = BaseHook.get_connection(self.conn_id).get_hook(hook_params=self.hook_params)
        if not callable(getattr(hook, "run", None)) or not callable(getattr(hook, "get_records", None)):
            raise ConfigurationError(
                f"conn_id is {self.conn_id!r}, and {type(hook).__name__} runs no SQL",
                advice="It takes a connection whose hook is a DbApiHook.",
            )
        if self.database:
            setattr(hook, "database" if hook.conn_type == "postgres" else "schema", self.database)
        return hook

    def _taken(self, cursor: Any, folder: str) -> _Result | None:
        """What a cursor has, read while the database is connected; None after a statement that returns no rows."""
        if getattr(cursor, "description", None) is None:
            return None
        columns = [str(column[0]) for column in cursor.description]
        rows = _fetched(cursor)
        most = _FETCHED if self.send_as == "table" else MOST_ROWS
        first = list(islice(rows, most + 1))
        result = _Result(columns, first, len(first))
        whole = len(first) <= most
        if not first or (whole and self.send_as == "auto" and self._fits(result)):
            return result
        if self.send_as == "table":
            if whole and self._fits(result, wide=True):
                return result
            raise ConfigurationError(
                f"the result has {len(first):,} rows{'' if whole else ' or more'}, too much for a message",
                advice="Let the query return less, or a file be sent: send_as='auto'.",
            )
        from airflow_provider_b24.chat.table_files import write

        result.count = 0
        result.path = os.path.join(folder, f"result{os.path.splitext(self.file_name)[1]}")

        def counted() -> Iterator[tuple[Any, ...]]:
            for row in chain(first, rows):
                result.count += 1
                yield row

        write(result.path, columns, counted(), self.language)
        return result

    def _fits(self, result: _Result, *, wide: bool = False) -> bool:
        """Whether the rows can be a message.

        :param wide: however wide they are.
        """
        from airflow_provider_b24.chat.columns import width
        from airflow_provider_b24.chat.message import LONGEST_TEXT

        message, attach = self._message(result)
        if attach is not None:
            return True
        lines = self._table(result.rows, result.columns).text().split("\n")
        return len(message) <= LONGEST_TEXT and (wide or max(map(width, lines)) <= WIDEST)

    def _table(self, rows: list[tuple[Any, ...]], columns: list[str]) -> Table:
        from airflow_provider_b24.chat.tables import table

        return table(rows, columns=columns, language=self.language)

    def _message(self, result: _Result) -> tuple[str, list[dict[str, Any]] | None]:
        """The text of a message with the table, and its attachment; without one, the table is in the text."""
        from airflow_provider_b24.chat.text import code

        if not result.rows:
            return self._text(self._word(0)), None
        table = self._table(result.rows, result.columns)
        attach = table.attach()
        return self._text("" if attach else code(table.text())), attach

    def _text_with_file(self, result: _Result) -> str:
        from airflow_provider_b24.chat.message import LONGEST_TEXT
        from airflow_provider_b24.chat.text import code

        count = self._number(result.count)
        if self.send_as == "both":
            few = result.rows[:SHOWN_ROWS]
            rest = self._word(2).format(len(few), count) if result.count > len(few) else ""
            text = self._text(code(self._table(few, result.columns).text()), rest)
            if len(text) <= LONGEST_TEXT:
                return text
        return self._text(self._word(1).format(count))

    def _text(self, *parts: str) -> str:
        from airflow_provider_b24.chat.text import bold

        title = bold(self.title) if self.title else ""
        return "\n".join(part for part in (title, self.message or "", *parts) if part)

    def _word(self, index: int) -> str:
        return _WORDS[self.language.lower()[:2]][index]

    def _number(self, count: int) -> str:
        from airflow_provider_b24.chat.cells import column

        return column([count], language_of(self.language))[0]

    def _end_if_empty(self) -> None:
        if self.empty == "send":
            return
        from airflow.sdk.exceptions import AirflowException, AirflowSkipException

        if self.empty == "skip":
            raise AirflowSkipException("The query returned no rows")
        raise AirflowException("The query returned no rows")


def _fetched(cursor: Any) -> Iterator[tuple[Any, ...]]:
    while rows := cursor.fetchmany(_FETCHED):
        for row in rows:
            yield tuple(row.values() if isinstance(row, Mapping) else row)
