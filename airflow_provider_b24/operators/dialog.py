"""What one does with a dialog as a whole: typing in it, marking it as read."""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from airflow_provider_b24.chat.dialogs import check_dialog_id
from airflow_provider_b24.chat.message import check_message_id
from airflow_provider_b24.chat.signals import LONGEST
from airflow_provider_b24.hooks.bitrix24 import Bitrix24Hook
from airflow_provider_b24.hooks.failure import no_vain_retries
from airflow_provider_b24.links.portal import ChatLink, DealLink, MessageLink, TaskLink, show, show_dialog, shown
from airflow_provider_b24.operators.arguments import check_switches, check_unless_template, seconds, task_ids
from airflow_provider_b24.operators.deferral import DefersAtLimit

if TYPE_CHECKING:
    from airflow.sdk import Context

    from airflow_provider_b24.triggers.siblings import Siblings


class DialogWritingOperator(DefersAtLimit):
    """Show "is typing…" in a dialog: once, for a while, or for as long as other tasks of the run work.

    Sends ``imbot.v2.Chat.InputAction.notify`` where the connection has a bot, and otherwise ``im.dialog.writing``. A
    client shows the indicator for 25 s after a signal, or until the author posts. Without ``keep_for`` and
    ``while_running`` one signal is sent. With one of them the task defers: the triggerer keeps the indicator lit, and
    no worker slot is held.

    A bot's signal can last for up to ten minutes, so with ``keep_for`` one is enough for that long. Nothing puts it out
    before but perhaps a message of the bot, even where the task is stopped.

    With ``while_running`` it is lit while one of the tasks is running or deferred, not while they wait for a
    slot or a retry, and the task ends when all of them have, however they ended. It stands beside them in
    the graph: where one depends on the other, the task fails before anything waits. In ``dag.test()``, which
    runs tasks one by one, one signal is sent.

    The first signal that the task itself sends fails it where the portal refuses it for good (no member of
    the chat, no such dialog); later ones never do.

    :param dialog_id: ``chat2935``, ``sg17``, ``13``, or what it belongs to: ``deal:1663``, ``task:8293``,
        ``group:133``, ``user:anna@example.com``. Templated.
    :param bitrix24_conn_id: the Airflow connection. Default ``bitrix24_default``. Templated.
    :param keep_for: how long to keep it lit, as a timedelta or seconds.
    :param while_running: tasks of the same DAG, by id or as objects; mapped tasks are followed in all parts.
    :param interval: time between two signals, 2 to 24 seconds. Default 12, so that one lost leaves no gap.
    :param status: what a chat bot is shown to do: ``PROCESSING``, ``CALCULATING``, ``ANALYZING`` …; needs a
        ``bot_id`` in the connection. Templated; an empty text is none.
    :param as_bot: True to type as the connection's bot, False as the account behind it. Default: as the bot where the
        connection has one.
    :param poll_interval: time between two looks at the watched tasks. Default 2 s.
    :raises ConfigurationError: while the DAG is parsed, for an argument that can not be right.
    """

    template_fields: Sequence[str] = ("dialog_id", "status", "bitrix24_conn_id")
    operator_extra_links = (ChatLink(), TaskLink(), DealLink())
    ui_color = "#d6f3fb"

    def __init__(
        self,
        *,
        dialog_id: str | int,
        bitrix24_conn_id: str = Bitrix24Hook.default_conn_name,
        keep_for: dt.timedelta | float | None = None,
        while_running: Any = None,
        interval: dt.timedelta | float | None = None,
        status: str | None = None,
        as_bot: bool | None = None,
        poll_interval: dt.timedelta | float = 2.0,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        from airflow_provider_b24.chat.signals import INTERVAL, check_interval, check_status, check_who_shows
        from airflow_provider_b24.rest.errors import ConfigurationError

        self.dialog_id = dialog_id
        self.bitrix24_conn_id = bitrix24_conn_id
        check_switches(as_bot=as_bot, or_none=True)
        check_unless_template(check_dialog_id, dialog_id)
        if keep_for is not None and while_running is not None:
            raise ConfigurationError(
                "keep_for and while_running are both given", advice="Either for a time, or while tasks work."
            )
        self.keep_for = None if keep_for is None else seconds(keep_for, "keep_for")
        self.while_running = None if while_running is None else task_ids(while_running, own=self.task_id)
        self.interval = check_interval(INTERVAL if interval is None else seconds(interval, "interval"))
        self.status = status
        self.as_bot = as_bot
        if status is not None:
            check_unless_template(check_status, status)
        check_who_shows(status, as_bot)
        self.poll_interval = max(1.0, seconds(poll_interval, "poll_interval"))

    def execute(self, context: Context) -> None:
        """Send the first signal, and defer if there are to be more."""
        if self.while_running is not None:
            self._check_graph()
        siblings = None
        status = self._shown_status()
        with self.slot_given_back(), no_vain_retries(), Bitrix24Hook(self.bitrix24_conn_id) as hook:
            dialog_id = hook.dialog_id(self.dialog_id, as_bot=self.as_bot)
            if self.while_running is not None:
                siblings = self._look(context)
            if siblings is None or siblings.working:
                began = _now()
                hook.send_typing(dialog_id, status=status, duration=self.keep_for, as_bot=self.as_bot)
                self.log.info("Typing in %s", dialog_id)
            show_dialog(self, hook, self.dialog_id, as_bot=self.as_bot)
            bot = hook.speaker(self.as_bot)
        if self.keep_for is not None and bot is None:
            self._defer(dialog_id, until=_after(_now(), self.keep_for))
        elif self.keep_for is not None:
            # The portal has been told how long from then.
            lit_until = _after(began, min(self.keep_for, LONGEST))
            self._defer(dialog_id, until=_after(began, self.keep_for), lit_until=lit_until)
        elif siblings is not None and siblings.finished:
            self.log.info("The watched tasks have finished already")
        elif siblings is not None:
            ti = context["ti"]
            self._defer(dialog_id, task_ids=self.while_running, dag_id=ti.dag_id, run_id=ti.run_id)

    def execute_complete(
        self, context: Context, event: dict[str, Any], addresses: dict[str, str] | None = None
    ) -> None:
        """The typing is over.

        :param addresses: what the links lead to.
        """
        show(self, addresses or {})
        self.log.info("Typing is over: %s further signals were sent", event.get("signals"))

    def _shown_status(self) -> str | None:
        """The status as the vendor writes it, once it is rendered."""
        from airflow_provider_b24.chat.signals import check_status

        with no_vain_retries():
            return check_status(self.status) if self.status else None

    def _look(self, context: Context) -> Siblings | None:
        from airflow_provider_b24.triggers.siblings import can_look_from_trigger, look

        if not can_look_from_trigger():
            self.log.warning(
                "Tasks run one by one here (dag.test), so none can be watched while it works: "
                "one typing signal is sent instead."
            )
            return None
        ti = context["ti"]
        assert self.while_running is not None
        return look(ti.dag_id, ti.run_id, self.while_running)

    def _check_graph(self) -> None:
        """Refuse to watch tasks that wait for this one, or for which it has waited, or that are not there."""
        from airflow.sdk.exceptions import AirflowFailException

        watched = set(self.while_running or ())
        known = set(self.dag.task_dict)
        unknown = sorted(watched - known)
        if unknown:
            close = sorted(task for task in known if any(task.endswith(f".{name}") for name in unknown))
            raise AirflowFailException(
                f"while_running of {self.task_id!r} names {', '.join(map(repr, unknown))}, which the DAG has not. "
                + (f"Inside a task group the id is {' or '.join(map(repr, close))}." if close else "")
            )
        for relation, upstream in (("depends on", True), ("is needed by", False)):
            both = sorted(watched & set(self.get_flat_relative_ids(upstream=upstream)))
            if both:
                raise AirflowFailException(
                    f"{self.task_id!r} {relation} {', '.join(map(repr, both))}, which it is to watch (while_running): "
                    "the two would wait for each other. Put it beside the watched tasks, with no arrow between them."
                )

    def _defer(self, dialog_id: str, **ending: Any) -> None:
        from airflow_provider_b24.triggers.dialog import DialogWritingTrigger

        self.defer(
            trigger=DialogWritingTrigger(
                bitrix24_conn_id=self.bitrix24_conn_id,
                dialog_id=dialog_id,
                interval=self.interval,
                status=self._shown_status(),
                as_bot=self.as_bot,
                poll_interval=self.poll_interval,
                **ending,
            ),
            method_name="execute_complete",
            kwargs={"addresses": shown(self)},
        )


class DialogReadOperator(DefersAtLimit):
    """Mark messages of a dialog as read: for the connection's bot where it has one, else for its account.

    Sends ``imbot.v2.Chat.Message.read`` or ``im.dialog.read``.

    :param dialog_id: where; see :class:`DialogWritingOperator`. Templated.
    :param message_id: up to which message, inclusive; default: all. Templated.
    :param as_bot: True for the connection's bot, False for the account. Default: the bot where there is one.
    :param bitrix24_conn_id: the Airflow connection. Templated.
    :return: what the portal says of the dialog: ``chatId``, ``lastId``, ``counter`` and, of an account, ``dialogId``.
    """

    template_fields: Sequence[str] = ("dialog_id", "message_id", "bitrix24_conn_id")
    operator_extra_links = (ChatLink(), TaskLink(), DealLink())
    ui_color = "#d6f3fb"

    def __init__(
        self,
        *,
        dialog_id: str | int,
        message_id: int | str | None = None,
        as_bot: bool | None = None,
        bitrix24_conn_id: str = Bitrix24Hook.default_conn_name,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.dialog_id = dialog_id
        self.message_id = message_id
        self.as_bot = as_bot
        self.bitrix24_conn_id = bitrix24_conn_id
        check_switches(as_bot=as_bot, or_none=True)
        check_unless_template(check_dialog_id, dialog_id)
        if message_id is not None:
            check_unless_template(check_message_id, message_id)

    def execute(self, context: Context) -> Any:
        """Mark as read."""
        from airflow_provider_b24.rest.errors import AccessDeniedError

        with self.slot_given_back(), no_vain_retries(), Bitrix24Hook(self.bitrix24_conn_id) as hook:
            dialog_id = hook.dialog_id(self.dialog_id, as_bot=self.as_bot)
            show_dialog(self, hook, self.dialog_id, as_bot=self.as_bot)
            until = None if self.message_id in (None, "") else check_message_id(self.message_id)
            bot = hook.speaker(self.as_bot)
            if bot is not None:
                given = {**bot.params, "dialogId": dialog_id, **({} if until is None else {"messageId": until})}
                return hook.call("imbot.v2.Chat.Message.read", given)
            params: dict[str, Any] = {"DIALOG_ID": dialog_id, **({} if until is None else {"MESSAGE_ID": until})}
            result = hook.call("im.dialog.read", params)
            if result is False:
                raise AccessDeniedError(
                    f"the account has no access to the dialog {params['DIALOG_ID']}",
                    method="im.dialog.read",
                    advice="Add it to the chat, or use another dialog id.",
                )
        return result


class DialogUnreadOperator(DefersAtLimit):
    """Mark messages of a dialog as unread, from one message on (``im.dialog.unread``).

    For the account behind the connection: a bot can not do that.

    :param dialog_id: where; see :class:`DialogWritingOperator`. Templated.
    :param message_id: the first message that is to be unread. Templated.
    :param bitrix24_conn_id: the Airflow connection. Templated.
    """

    template_fields: Sequence[str] = ("dialog_id", "message_id", "bitrix24_conn_id")
    operator_extra_links = (MessageLink(), TaskLink(), DealLink())
    ui_color = "#d6f3fb"

    def __init__(
        self,
        *,
        dialog_id: str | int,
        message_id: int | str,
        bitrix24_conn_id: str = Bitrix24Hook.default_conn_name,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.dialog_id = dialog_id
        self.message_id = message_id
        self.bitrix24_conn_id = bitrix24_conn_id
        check_unless_template(check_dialog_id, dialog_id)
        check_unless_template(check_message_id, message_id)

    def execute(self, context: Context) -> Any:
        """Mark as unread."""
        from airflow_provider_b24.rest.errors import NotFoundError

        with self.slot_given_back(), no_vain_retries(), Bitrix24Hook(self.bitrix24_conn_id) as hook:
            params = {"DIALOG_ID": hook.dialog_id(self.dialog_id), "MESSAGE_ID": check_message_id(self.message_id)}
            result = hook.call("im.dialog.unread", params)
            if result is False:
                raise NotFoundError(
                    f"nothing was marked in the dialog {params['DIALOG_ID']}",
                    method="im.dialog.unread",
                    advice=f"Is the message {params['MESSAGE_ID']} in it, and has the account access to it?",
                )
            show_dialog(self, hook, self.dialog_id, message_id=params["MESSAGE_ID"])
        return result


def _now() -> dt.datetime:
    return dt.datetime.now(dt.timezone.utc)


def _after(moment: dt.datetime, duration: float) -> str:
    return (moment + dt.timedelta(seconds=duration)).isoformat()
