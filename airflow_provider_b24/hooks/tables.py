"""The part of the hook that posts tables."""

from __future__ import annotations

from collections.abc import Callable, Generator
from typing import TYPE_CHECKING, Any

from airflow_provider_b24.hooks.files import FileCalls
from airflow_provider_b24.hooks.twins import takes_the_same_as

if TYPE_CHECKING:
    from airflow_provider_b24.chat.table_message import SendAs
    from airflow_provider_b24.chat.tables import Columns
    from airflow_provider_b24.rest.peer import Peer
    from airflow_provider_b24.rest.steps import Step


class TableCalls(FileCalls):
    """Posts data as tables."""

    def send_table(
        self,
        dialog_id: str | int,
        rows: Any,
        *,
        columns: Columns | None = None,
        title: str | None = None,
        message: str | None = None,
        markdown: bool = False,
        mentions: bool = False,
        language: str = "en",
        send_as: SendAs = "auto",
        file_name: str = "table.csv",
        as_bot: bool | None = None,
        once: str | None = None,
    ) -> int:
        """Post data as a table in a message, or as a file where it is too much for one.

        :param dialog_id: where: ``chat2935``, ``sg17``, ``13``, ``deal:1663`` …
        :param rows: mappings, tuples, a dataframe, a cursor …: what :func:`~.chat.tables.table` takes, or its table.
        :param columns: their names, or which of them.
        :param title: stands in bold over the message.
        :param message: a text under the title, with BBCode.
        :param markdown: title and text are Markdown.
        :param mentions: people whom title and text name are mentioned, as by :meth:`send_message`.
        :param language: how values are written: ``en`` (default) or ``ru``.
        :param send_as: ``auto`` (default): in the message where it has at most 50 rows and is narrow enough, otherwise
            as a file; ``table``, ``file``; or ``both``: a file, with the first ten rows as text.
        :param file_name: of the file; its ending is the format: ``.csv``, ``.xlsx``, ``.parquet``.
        :param as_bot: True for the connection's bot, False for the account. Default: the bot where there is one.
        :param once: the message's name within the task, such as ``"summary"``: then it is posted once even if the task
            is killed and tried again.
        :return: the id of the message.
        :raises ConfigurationError: for what is no table; for ``table``, where it does not fit.
        :raises DeliveryUnknownError: if it may or may not have been posted.
        :raises Bitrix24Error: if it was not posted.
        """
        post = self._post_table(
            dialog_id,
            rows,
            once,
            as_bot,
            columns=columns,
            title=title,
            language=language,
            message=message,
            markdown=markdown,
            mentions=mentions,
            send_as=send_as,
            file_name=file_name,
        )
        return self.get_conn().run(post)

    @takes_the_same_as(send_table)
    async def asend_table(
        self, dialog_id: str | int, rows: Any, *, as_bot: bool | None = None, once: str | None = None, **parameters: Any
    ) -> int:
        """Like :meth:`send_table`, with the same parameters."""
        client = await self.aget_conn()
        return await client.run(self._post_table(dialog_id, rows, once, as_bot, **parameters))

    def _post_table(
        self,
        dialog_id: str | int,
        rows: Any,
        once: str | None,
        as_bot: bool | None,
        *,
        columns: Columns | None = None,
        title: str | None = None,
        language: str = "en",
        **parameters: Any,
    ) -> Callable[[Peer], Generator[Step, Any, int]]:
        from functools import partial

        from airflow_provider_b24.chat.table_message import post_table
        from airflow_provider_b24.chat.tables import Table, table
        from airflow_provider_b24.hooks.delivery import memory_here

        made = rows if isinstance(rows, Table) else table(rows, columns=columns, title=title, language=language)
        kept = memory_here(once) if once is not None else None
        return partial(post_table, dialog_id=dialog_id, table=made, memory=kept, bot=self.speaker(as_bot), **parameters)
