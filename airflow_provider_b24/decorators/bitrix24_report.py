"""``@task.bitrix24_report``: typing while a function runs, then its result as a message."""

from __future__ import annotations

import json
from collections.abc import Callable, Collection, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from airflow.providers.standard.operators.python import PythonOperator
from airflow.sdk.bases.decorator import DecoratedOperator, TaskDecorator, task_decorator_factory

from airflow_provider_b24.chat.dialogs import check_dialog_id
from airflow_provider_b24.chat.long_text import check_long_text
from airflow_provider_b24.chat.signals import check_interval, check_status, check_who_shows
from airflow_provider_b24.hooks.bitrix24 import Bitrix24Hook
from airflow_provider_b24.hooks.delivery import memory_of
from airflow_provider_b24.hooks.failure import no_vain_retries
from airflow_provider_b24.links.portal import DealLink, MessageLink, TaskLink, show_dialog
from airflow_provider_b24.operators.arguments import check_switches, check_unless_template, seconds
from airflow_provider_b24.operators.deferral import DefersAtLimit

if TYPE_CHECKING:
    import datetime as dt

    from airflow.sdk import Context

    from airflow_provider_b24.chat.delivery import Memory
    from airflow_provider_b24.chat.long_text import LongText

_WORDS = ("message", "markdown", "mentions")
_PARAMETERS = (*_WORDS, "attach", "keyboard", "menu", "system", "url_preview", "reply_id", "long_text")
# What a message with a file can have; a table becomes one where it is too large for a message.
_WITH_FILE = (*_WORDS, "name")


class Bitrix24ReportOperator(DecoratedOperator, PythonOperator, DefersAtLimit):
    """Runs a function with "is typing…" lit in a dialog, and posts what it returns.

    If the function fails, nothing is posted and the indicator goes out. The result is posted exactly once for each
    task instance: a retry first looks whether an earlier try has posted it, and then returns that message's id
    without running the function again.

    If the portal does not take messages for longer than a minute, because the execution time of the method is used
    up, the task gives its worker slot back and posts later, also without running the function again. A file is not kept
    for so long: then the task fails, and its retries apply.

    :param dialog_id: ``chat2935``, ``sg17``, ``13``, ``deal:1663`` … Templated.
    :param bitrix24_conn_id: the Airflow connection. Default ``bitrix24_default``. Templated.
    :param interval: time between two typing signals. Default 12 s.
    :param status: what the connection's bot is shown to do meanwhile.
    :param long_text: what becomes of a text of more than 20,000 characters: ``file`` (the default), ``split`` or
        ``refuse``; see :class:`~.operators.message.MessageAddOperator`.
    :param markdown: what the function returns is Markdown. Default False: it is BBCode.
    :param mentions: people whom the text names (``@anna@example.com`` …) are mentioned. Default False.
    :param as_bot: True to type and post as the connection's bot, False as the account behind it. Default: as the bot
        where the connection has one.
    :param post_again_when_cleared: whether the task posts anew after it was cleared; otherwise it returns the id of
        what it posted before. Default True.
    :return: the id of the message, as XCom.
    """

    custom_operator_name = "@task.bitrix24_report"
    template_fields: Sequence[str] = (*PythonOperator.template_fields, "dialog_id", "bitrix24_conn_id")
    operator_extra_links = (MessageLink(), TaskLink(), DealLink())
    ui_color = "#d6f3fb"

    def __init__(
        self,
        *,
        python_callable: Callable[..., Any],
        dialog_id: str | int,
        bitrix24_conn_id: str = Bitrix24Hook.default_conn_name,
        interval: dt.timedelta | float | None = None,
        status: str | None = None,
        long_text: LongText = "file",
        markdown: bool = False,
        mentions: bool = False,
        as_bot: bool | None = None,
        post_again_when_cleared: bool = True,
        op_args: Collection[Any] | None = None,
        op_kwargs: Mapping[str, Any] | None = None,
        **kwargs: Any,
    ) -> None:
        # Airflow infers from "-> dict" that the result is to be split; but the result is the id of the message.
        kwargs["multiple_outputs"] = False
        super().__init__(
            kwargs_to_upstream={"python_callable": python_callable, "op_args": op_args, "op_kwargs": op_kwargs},
            python_callable=python_callable,
            op_args=op_args,
            op_kwargs=op_kwargs,
            **kwargs,
        )
        self.dialog_id = dialog_id
        self.bitrix24_conn_id = bitrix24_conn_id
        check_switches(as_bot=as_bot, or_none=True)
        check_switches(markdown=markdown, mentions=mentions, post_again_when_cleared=post_again_when_cleared)
        check_unless_template(check_dialog_id, dialog_id)
        self.interval = None if interval is None else check_interval(seconds(interval, "interval"))
        self.status = None if status is None else check_status(status)
        check_long_text(long_text)
        self.long_text = long_text
        self.markdown = markdown
        self.mentions = mentions
        self.as_bot = as_bot
        check_who_shows(self.status, as_bot)
        self.post_again_when_cleared = post_again_when_cleared

    def execute(self, context: Context) -> int:
        """Run the function, then post; neither, if an earlier try has posted."""
        memory = memory_of(context, "report", post_again_when_cleared=self.post_again_when_cleared)
        with Bitrix24Hook(self.bitrix24_conn_id) as hook:
            with no_vain_retries():
                # A connection that can not work is better known before an hour of work than after it.
                hook.get_conn()
                posted = hook.recall(memory)
                if posted is not None:
                    self.log.info("Message %s was posted in %s by an earlier try", posted, self.dialog_id)
                    show_dialog(self, hook, self.dialog_id, message_id=posted, as_bot=self.as_bot)
                    return posted
                typing = hook.typing(self.dialog_id, interval=self.interval, status=self.status, as_bot=self.as_bot)
            # The function's own calls of the portal fail as the operators' do.
            with typing, no_vain_retries():
                result = super().execute(context)
            with no_vain_retries():
                report = {"markdown": self.markdown, "mentions": self.mentions, **_parameters(result)}
                if "file" in report:
                    return self._post_file(hook, memory, report)
            return self._post(hook, memory, {"long_text": self.long_text, **report})

    def resume(self, context: Context, event: Any = None, *, since: float, **progress: Any) -> int:
        """Post what the function has returned before the task was deferred."""
        self._deferred_since = since
        memory = memory_of(context, "report", post_again_when_cleared=self.post_again_when_cleared)
        with Bitrix24Hook(self.bitrix24_conn_id) as hook:
            return self._post(hook, memory, json.loads(progress["report"]))

    def _post(self, hook: Bitrix24Hook, memory: Memory, report: dict[str, Any]) -> int:
        from airflow_provider_b24.rest.protocol import as_json

        # If the task is deferred, Airflow keeps the report as the one text that would go to the portal.
        with no_vain_retries(), self.slot_given_back(report=as_json(report)):
            message_id = hook.post_once(memory, self.dialog_id, as_bot=self.as_bot, **report)
            show_dialog(self, hook, self.dialog_id, message_id=message_id, as_bot=self.as_bot)
        self.log.info("Posted message %s in %s", message_id, self.dialog_id)
        return message_id

    def _post_file(self, hook: Bitrix24Hook, memory: Memory, report: dict[str, Any]) -> int:
        posted = hook.post_file_once(memory, self.dialog_id, as_bot=self.as_bot, **report)
        show_dialog(self, hook, self.dialog_id, message_id=posted.message_id, as_bot=self.as_bot)
        self.log.info("Posted message %s with a file in %s", posted.message_id, self.dialog_id)
        return posted.message_id


def _parameters(result: object) -> dict[str, Any]:
    """What is posted, from what the function returned: a message's parameters, or a file's."""
    from airflow_provider_b24.chat.tables import Table
    from airflow_provider_b24.rest.errors import ConfigurationError

    if isinstance(result, str):
        return {"message": result}
    if isinstance(result, Table):
        return _of_table({"table": result})
    if not isinstance(result, Mapping):
        return _of_file({"file": result}, f"the function returned {type(result).__name__}")
    kind = next((name for name in ("file", "table") if name in result), None)
    allowed = _PARAMETERS if kind is None else (kind, *_WITH_FILE)
    unknown = sorted(str(name) for name in result if name not in allowed)
    if unknown:
        raise ConfigurationError(
            f"the function returned a mapping with {', '.join(unknown)}{f' and {kind}' if kind else ''}",
            advice=f"It may have {', '.join(allowed)}{'' if kind else '; or file, or table'}.",
        )
    given = dict(result)
    if kind == "file":
        return _of_file(given, f"the function returned a mapping whose file is {type(given['file']).__name__}")
    return _of_table(given) if kind else given


def _of_file(given: dict[str, Any], problem: str) -> dict[str, Any]:
    from airflow_provider_b24.hooks.file_sources import check_source
    from airflow_provider_b24.rest.errors import ConfigurationError

    try:
        check_source(given["file"], given.get("name"))
    except ConfigurationError as refused:
        reason = refused
    else:
        return given
    raise ConfigurationError(
        f"{problem}: {reason.description}",
        advice="A report returns its text; a mapping with 'message' and other parameters of im.message.add; a table "
        "(chat.text.table); a path, a dataframe or a figure; or a mapping with one of these as 'file', and 'message'.",
    )


def _of_table(given: dict[str, Any]) -> dict[str, Any]:
    """A table in the message, or as a file where it is too large for one."""
    from airflow_provider_b24.chat.files import File
    from airflow_provider_b24.chat.tables import Table, table
    from airflow_provider_b24.chat.text import escape

    rows, name = given.pop("table"), given.pop("name", None)
    made = rows if isinstance(rows, Table) else table(rows)
    attach = made.attach()
    if attach is not None:
        return {**given, "attach": attach}
    if not given.get("message") and made.title:
        given |= {"message": f"[b]{escape(made.title)}[/b]", "markdown": False, "mentions": False}
    return {**given, "file": File.of_bytes(name or "table.csv", made.csv())}


def bitrix24_report_task(python_callable: Callable[..., Any] | None = None, **kwargs: Any) -> TaskDecorator:
    """Make a function a task that shows "is typing…" while it runs, and posts what it returns.

    The function, which may be ``async``, returns one of these:

    - the text;
    - a mapping with ``message`` and other parameters of ``im.message.add`` (``attach``, ``keyboard``, ``menu``,
      ``system``, ``url_preview``, ``reply_id``), and ``markdown``, ``mentions`` and ``long_text`` where they are not
      the task's;
    - a table (:func:`~.chat.text.table`), which is posted in the message, or as a file of CSV where it is too large;
    - a path, an ``ObjectStoragePath``, a dataframe or a figure, which is posted as a file;
    - a mapping with ``table`` or ``file``, the text with it as ``message``, and the file's ``name``.

    :param python_callable: the function.
    :param kwargs: see :class:`Bitrix24ReportOperator`, and what every task takes.
    """
    return task_decorator_factory(
        python_callable=python_callable, decorated_operator_class=Bitrix24ReportOperator, **kwargs
    )
