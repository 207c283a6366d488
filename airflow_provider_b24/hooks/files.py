"""The part of the hook that posts files."""

from __future__ import annotations

from collections.abc import Callable, Generator, Sequence
from typing import TYPE_CHECKING, Any

from airflow_provider_b24.hooks.messages import MessageCalls
from airflow_provider_b24.hooks.twins import takes_the_same_as

if TYPE_CHECKING:
    from airflow_provider_b24.chat.delivery import Memory
    from airflow_provider_b24.chat.files import File, PostedFiles
    from airflow_provider_b24.rest.peer import Peer
    from airflow_provider_b24.rest.steps import Step


class FileCalls(MessageCalls):
    """Posts files of any kind: what a task has made, as a message of the dialog."""

    def send_file(
        self,
        dialog_id: str | int,
        file: Any,
        *,
        name: str | None = None,
        message: str | None = None,
        markdown: bool = False,
        mentions: bool = False,
        as_bot: bool | None = None,
        once: str | None = None,
    ) -> int:
        """Post a file with ``im.v2.File.upload``, or as a bot with ``imbot.v2.File.upload``.

        It is read in pieces as it is sent, 100 MB at the most. Where the answer is lost, the dialog is read to see
        whether the file is there. A list of several goes into one message, which takes the scope ``disk``.

        :param dialog_id: where: ``chat2935``, ``sg17``, ``13``, ``deal:1663`` …
        :param file: a path, an ``ObjectStoragePath`` or its URL, bytes, a table (pandas, polars, pyarrow), a figure
            (matplotlib, plotly), a :class:`~.chat.files.File`; or a list of these.
        :param name: of the file; its ending decides the format of a table (``.csv``, ``.xlsx``, ``.parquet``). Default:
            that of the path, ``table.csv`` or ``figure.png``. Bytes need one.
        :param message: a text with it, with BBCode; at most 20,000 characters.
        :param markdown: the text is Markdown.
        :param mentions: people whom the text names are mentioned, as by :meth:`send_message`.
        :param as_bot: True for the connection's bot, False for the account. Default: the bot where there is one.
        :param once: the message's name within the task, such as ``"summary"``: then it is posted once even if the task
            is killed and tried again.
        :return: the id of the message.
        :raises ConfigurationError: for something that is no file, or can not become one here.
        :raises FileError: if it can not be read, is empty or too large.
        :raises DeliveryUnknownError: if it may or may not have been posted.
        :raises Bitrix24Error: if it was not posted.
        """
        words = {"message": message, "markdown": markdown, "mentions": mentions}
        return self.get_conn().run(self._post_files(once, dialog_id, file, name, as_bot, **words)).message_id

    @takes_the_same_as(send_file)
    async def asend_file(
        self,
        dialog_id: str | int,
        file: Any,
        *,
        name: str | None = None,
        as_bot: bool | None = None,
        once: str | None = None,
        **words: Any,
    ) -> int:
        """Like :meth:`send_file`; the file is read, and a table written, in a thread."""
        client = await self.aget_conn()
        return (await client.run(self._post_files(once, dialog_id, file, name, as_bot, **words))).message_id

    def post_file_once(
        self,
        memory: Memory,
        dialog_id: str | int,
        file: Any,
        *,
        name: str | None = None,
        as_bot: bool | None = None,
        **words: Any,
    ) -> PostedFiles:
        """Like :meth:`send_file`, with what is kept of the message given; for operators."""
        return self.get_conn().run(self._post_files(memory, dialog_id, file, name, as_bot, **words))

    def _post_files(
        self,
        memory: Memory | str | None,
        dialog_id: str | int,
        file: Any,
        name: str | None,
        as_bot: bool | None,
        **words: Any,
    ) -> Callable[[Peer], Generator[Step, Any, PostedFiles]]:
        from functools import partial

        from airflow_provider_b24.chat.files import post_files
        from airflow_provider_b24.hooks.delivery import memory_here
        from airflow_provider_b24.hooks.file_sources import check_source, file_of

        sources = list(file) if isinstance(file, (list, tuple)) else [file]
        for source in sources:
            check_source(source, name)
        if name is not None and len(sources) > 1:
            from airflow_provider_b24.rest.errors import ConfigurationError

            raise ConfigurationError(
                f"name is {name!r}, and there are {len(sources)} files",
                advice="Give each a name of its own: File.of_path(path, name), File.of_bytes(name, content).",
            )

        def made() -> Sequence[File]:
            return [file_of(source, name) for source in sources]

        kept = memory_here(memory) if isinstance(memory, str) else memory
        return partial(post_files, dialog_id=dialog_id, files=made, memory=kept, bot=self.speaker(as_bot), **words)
