"""Posting files."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import TYPE_CHECKING, Any

from airflow_provider_b24.chat.dialogs import check_dialog_id
from airflow_provider_b24.chat.files import check_file_name, check_file_text
from airflow_provider_b24.hooks.bitrix24 import Bitrix24Hook
from airflow_provider_b24.hooks.delivery import memory_of
from airflow_provider_b24.hooks.failure import no_vain_retries
from airflow_provider_b24.hooks.file_sources import check_source, several
from airflow_provider_b24.links.portal import DealLink, MessageLink, TaskLink, show_dialog
from airflow_provider_b24.operators.arguments import check_switches, check_unless_template, is_known
from airflow_provider_b24.operators.deferral import DefersAtLimit
from airflow_provider_b24.rest.errors import ConfigurationError

if TYPE_CHECKING:
    from airflow.sdk import Context


class FileUploadOperator(DefersAtLimit):
    """Post a file in a dialog, exactly once for each task instance, whatever dies in between.

    It is posted as the account behind the connection (``im.v2.File.upload``), or as its bot
    (``imbot.v2.File.upload``). It is read in pieces while it is sent, so that memory does not grow with it; a task that
    is tried again after its file was posted neither reads nor sends it.

    Several files in one message, and portals without ``im.v2``, take the older way (``im.disk.folder.get``,
    ``disk.folder.uploadFile``, ``im.disk.file.commit``), which needs the scope ``disk`` and can not be gone as a bot.

    :param dialog_id: ``chat2935``, ``sg17``, ``13``, or what it belongs to: ``deal:1663``, ``task:8293``,
        ``group:133``, ``user:anna@example.com``. Templated.
    :param file: a path; the URL of an object (``s3://my_conn@bucket/report.csv``) or an ``ObjectStoragePath``; a table
        of pandas, polars or pyarrow that another task returned; bytes, or a figure of matplotlib or plotly. (Those
        Airflow passes from task to task only with an XCom backend that can: post them with ``hook.send_file`` where
        they are made.) At most 100 MB. Templated.
    :param files: several of these, for one message, instead of ``file``: a list; or a template that makes JSON of it,
        such as ``{{ ti.xcom_pull('export') | tojson }}``. Templated.
    :param name: of the file in the dialog; its ending decides the format of a table (``.csv``, ``.xlsx``, ``.parquet``)
        or figure (``.png``, ``.svg``, ``.pdf``, ``.jpg``). Default: that of the path, ``table.csv`` or ``figure.png``.
        Templated.
    :param message: a text with it, with BBCode; at most 20,000 characters. Templated.
    :param markdown: the text is Markdown. Default False: it is BBCode.
    :param mentions: people whom the text names are mentioned: ``@anna@example.com``, ``@"Anna Petrova"``,
        ``@head:Sales`` … Default False. Who can not be found stays as he is written.
    :param as_bot: True for the connection's bot, False for the account. Default: the bot where there is one.
    :param post_again_when_cleared: whether the task posts anew after it was cleared; otherwise it returns the id of
        what it posted before. Default True.
    :param bitrix24_conn_id: the Airflow connection. Default ``bitrix24_default``. Templated.
    :return: the id of the message, as XCom; the id of the file on the portal's Drive is under the key ``file_id`` (of
        several, a list), where it is known.
    :raises ConfigurationError: while the DAG is parsed, for an argument that can not be right.
    """

    template_fields: Sequence[str] = ("dialog_id", "file", "files", "name", "message", "bitrix24_conn_id")
    operator_extra_links = (MessageLink(), TaskLink(), DealLink())
    ui_color = "#d6f3fb"

    def __init__(
        self,
        *,
        dialog_id: str | int,
        file: Any = None,
        files: Sequence[Any] | str | None = None,
        name: str | None = None,
        message: str | None = None,
        markdown: bool = False,
        mentions: bool = False,
        as_bot: bool | None = None,
        post_again_when_cleared: bool = True,
        bitrix24_conn_id: str = Bitrix24Hook.default_conn_name,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.dialog_id = dialog_id
        self.file = file
        self.files = files
        self.name = name
        self.message = message
        self.markdown = markdown
        self.mentions = mentions
        self.as_bot = as_bot
        self.post_again_when_cleared = post_again_when_cleared
        self.bitrix24_conn_id = bitrix24_conn_id
        check_switches(as_bot=as_bot, or_none=True)
        check_switches(markdown=markdown, mentions=mentions, post_again_when_cleared=post_again_when_cleared)
        check_unless_template(check_dialog_id, dialog_id)
        check_unless_template(partial(check_file_text, final=not (markdown or mentions)), message)
        if name is not None:
            check_unless_template(check_file_name, name)
        if (file is None) == (files is None):
            raise ConfigurationError(
                "file and files are both given" if files is not None else "there is neither file nor files",
                advice="Give file for one, files for several in one message.",
            )
        if files is not None and name is not None:
            raise ConfigurationError(
                "name is given with files", advice="Each of several has its own: File.of_path(path, name)."
            )
        if files is not None and is_known(files):
            for one in several(files):
                if is_known(one):
                    check_source(one, argument="files")
        if file is not None and is_known(file) and (name is None or is_known(name)):
            check_source(file, name)

    def execute(self, context: Context) -> int:
        """Post it, unless an earlier try has."""
        memory = memory_of(context, "file", post_again_when_cleared=self.post_again_when_cleared)
        with self.slot_given_back(), no_vain_retries(), Bitrix24Hook(self.bitrix24_conn_id) as hook:
            posted = hook.post_file_once(
                memory,
                self.dialog_id,
                self.file if self.files is None else several(self.files),
                name=self.name,
                message=self.message,
                markdown=self.markdown,
                mentions=self.mentions,
                as_bot=self.as_bot,
            )
            show_dialog(self, hook, self.dialog_id, message_id=posted.message_id, as_bot=self.as_bot)
        if posted.file_ids:
            ids = list(posted.file_ids)
            ti: Any = context.get("ti")
            # Outside of a task there is nobody to read it.
            if ti is not None:
                ti.xcom_push(key="file_id", value=ids[0] if self.files is None else ids)
        self.log.info("Posted message %s with a file in %s", posted.message_id, self.dialog_id)
        return posted.message_id
