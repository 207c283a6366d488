"""A query's result into a chat."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from functools import partial
from itertools import chain, islice
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any, ClassVar, Literal

from airflow_provider_b24.chat.cells import language_of
from airflow_provider_b24.chat.dialogs import check_dialog_id
from airflow_provider_b24.chat.files import check_file_text
from airflow_provider_b24.chat.table_files import check_table_name, write
from airflow_provider_b24.chat.table_message import SendAs, check_send_as
from airflow_provider_b24.hooks.bitrix24 import Bitrix24Hook
from airflow_provider_b24.hooks.database import check_conn_id, database_hook, fetched
from airflow_provider_b24.hooks.delivery import memory_of
from airflow_provider_b24.hooks.failure import no_vain_retries
from airflow_provider_b24.links.portal import DealLink, MessageLink, TaskLink, show_dialog
from airflow_provider_b24.operators.arguments import check_switches, check_unless_template, is_known
from airflow_provider_b24.operators.deferral import DefersAtLimit
from airflow_provider_b24.rest.errors import ConfigurationError

if TYPE_CHECKING:
    from airflow.sdk import Context

_FETCHED = 1000

_EMPTY = ("send", "skip", "fail")


@dataclass
class _Result:
    """What is posted of a query's result.

    :ivar count: how many rows there are.
    :ivar path: of the file with all of them, where one was written.
    """

    text: str
    attach: list[dict[str, Any]] | None = None
    count: int = 0
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
    :param markdown: title and text are Markdown. Default False: the title is plain, the text is BBCode.
    :param mentions: people whom title and text name are mentioned: ``@anna@example.com``, ``@head:Sales`` … Default
        False. Who can not be found stays as he is written.
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
        markdown: bool = False,
        mentions: bool = False,
        send_as: SendAs = "auto",
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
        self.markdown = markdown
        self.mentions = mentions
        self.send_as = send_as
        self.file_name = file_name
        self.empty = empty
        self.language = language
        self.typing = typing
        self.as_bot = as_bot
        self.post_again_when_cleared = post_again_when_cleared
        self.bitrix24_conn_id = bitrix24_conn_id
        check_switches(as_bot=as_bot, or_none=True)
        check_switches(markdown=markdown, mentions=mentions, typing=typing)
        check_switches(post_again_when_cleared=post_again_when_cleared)
        check_unless_template(check_conn_id, conn_id)
        check_unless_template(check_dialog_id, dialog_id)
        check_unless_template(check_table_name, file_name)
        check_unless_template(partial(check_file_text, final=not (markdown or mentions)), message)
        language_of(language)
        check_send_as(send_as)
        if empty not in _EMPTY:
            raise ConfigurationError(f"empty is {empty!r}", advice=f"It can be {', '.join(map(repr, _EMPTY))}.")
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
            from airflow_provider_b24.chat.table_message import heading

            # What can not work is better known before the query than after it.
            check_table_name(self.file_name)
            check_conn_id(self.conn_id)
            hook.get_conn()
            message_id = hook.recall(memory)
            if message_id is None:
                with hook.typing(self.dialog_id, as_bot=self.as_bot) if self.typing else nullcontext():
                    words = hook.get_conn().run(
                        partial(
                            heading,
                            title=self.title,
                            message=self.message,
                            markdown=self.markdown,
                            mentions=self.mentions,
                        )
                    )
                    result = self._queried(folder, words)
                if not result.count:
                    self._end_if_empty()
                if result.path is not None:
                    from airflow_provider_b24.chat.files import File

                    file = File.of_path(result.path, self.file_name)
                    message_id = hook.post_file_once(
                        memory, self.dialog_id, file, message=result.text, as_bot=self.as_bot
                    ).message_id
                else:
                    message_id = hook.post_once(
                        memory, self.dialog_id, message=result.text, attach=result.attach, as_bot=self.as_bot
                    )
                self.log.info("Posted message %s with %s rows in %s", message_id, result.count, self.dialog_id)
            show_dialog(self, hook, self.dialog_id, message_id=message_id, as_bot=self.as_bot)
        return message_id

    def _queried(self, folder: str, words: str = "") -> _Result:
        """Run the query; where the result becomes a file, it is in this folder then.

        :param words: over the table.
        """
        found: list[_Result] = []

        def take(cursor: Any) -> list[Any]:
            result = self._taken(cursor, folder, words)
            if result is not None:
                found[:] = [result]
            # What is returned, some hooks make tuples of.
            return []

        database = database_hook(self.conn_id, self.hook_params, self.database)
        database.run(self.sql, parameters=self.parameters, handler=take)
        if not found:
            raise ConfigurationError("sql returns nothing that could be posted", advice="Give a query: SELECT …")
        return found[0]

    def _taken(self, cursor: Any, folder: str, words: str) -> _Result | None:
        """What a cursor has, read while the database is connected; None after a statement that returns no rows."""
        from airflow_provider_b24.chat.table_message import MOST_ROWS, in_message, nothing_in, too_much, with_file
        from airflow_provider_b24.chat.tables import table

        if getattr(cursor, "description", None) is None:
            return None
        columns = [str(column[0]) for column in cursor.description]
        rows = fetched(cursor, _FETCHED)
        most = _FETCHED if self.send_as == "table" else MOST_ROWS
        first = list(islice(rows, most + 1))
        head = table(first, columns=columns, language=self.language)
        if not first:
            return _Result(nothing_in(head, words))
        if self.send_as in ("auto", "table") and len(first) <= most:
            found = in_message(head, words, large=self.send_as == "table")
            if found is not None:
                return _Result(*found, count=len(first))
        if self.send_as == "table":
            raise too_much(len(first), more=len(first) > most)
        path = os.path.join(folder, f"result{os.path.splitext(self.file_name)[1]}")
        count = 0

        def counted() -> Iterator[tuple[Any, ...]]:
            nonlocal count
            for count, row in enumerate(chain(first, rows), 1):  # noqa: B007
                yield row

        write(path, columns, counted(), self.language)
        text = with_file(head, words, count=count, shown=self.send_as == "both")
        return _Result(text, count=count, path=path)

    def _end_if_empty(self) -> None:
        if self.empty == "send":
            return
        from airflow.sdk.exceptions import AirflowException, AirflowSkipException

        if self.empty == "skip":
            raise AirflowSkipException("The query returned no rows")
        raise AirflowException("The query returned no rows")
