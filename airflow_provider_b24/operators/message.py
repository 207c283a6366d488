"""Posting messages."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, ClassVar

from airflow_provider_b24.chat.dialogs import check_dialog_id
from airflow_provider_b24.chat.message import check_message_id, message_params
from airflow_provider_b24.hooks.bitrix24 import Bitrix24Hook
from airflow_provider_b24.hooks.delivery import memory_of
from airflow_provider_b24.hooks.failure import no_vain_retries
from airflow_provider_b24.links.portal import DealLink, MessageLink, TaskLink, show_dialog
from airflow_provider_b24.operators.arguments import check_unless_template, is_known
from airflow_provider_b24.operators.deferral import DefersAtLimit

if TYPE_CHECKING:
    from airflow.sdk import Context

    from airflow_provider_b24.chat.message import Blocks


class MessageAddOperator(DefersAtLimit):
    """Post a message in a dialog, exactly once for each task instance, whatever dies in between.

    It is posted as the connection's bot where it has one (``imbot.v2.Chat.Message.send``), and otherwise as the account
    behind it (``im.message.add``). Where an answer is lost or a worker is killed, the dialog is read to see
    whether the message is there. Where the portal refuses it for good, and where the dialog does not tell
    (:class:`~.rest.errors.DeliveryUnknownError`), the task fails at once, without retries.

    :param dialog_id: ``chat2935``, ``sg17``, ``13``, or what it belongs to: ``deal:1663``, ``task:8293``,
        ``group:133``, ``user:anna@example.com``. Templated.
    :param message: the text, with BBCode, at most 20,000 characters. Templated.
    :param attach: blocks to attach, as Python objects: a list, or a mapping with ``BLOCKS``. Templated.
    :param keyboard: buttons, as Python objects: a list, or a mapping with ``BUTTONS``. Templated.
    :param menu: items of the context menu, likewise. Templated.
    :param system: show it as a system message, without an author. Default False.
    :param url_preview: turn links into previews. Default True.
    :param reply_id: the id of the message that this one answers. Templated.
    :param as_bot: True to post as the connection's bot, which can not be with a ``menu``; False to post as the account.
        Default: as the bot where the connection has one, and there is no ``menu``.
    :param post_again_when_cleared: whether the task posts anew after it was cleared; otherwise it returns the id of
        what it posted before. Default True.
    :param bitrix24_conn_id: the Airflow connection. Default ``bitrix24_default``. Templated.
    :return: the id of the message, as XCom.
    :raises ConfigurationError: while the DAG is parsed, for an argument that can not be right.
    """

    template_fields: Sequence[str] = (
        "dialog_id",
        "message",
        "attach",
        "keyboard",
        "menu",
        "reply_id",
        "bitrix24_conn_id",
    )
    template_fields_renderers: ClassVar[dict[str, str]] = {"attach": "json", "keyboard": "json", "menu": "json"}
    operator_extra_links = (MessageLink(), TaskLink(), DealLink())
    ui_color = "#d6f3fb"

    def __init__(
        self,
        *,
        dialog_id: str | int,
        message: str | None = None,
        attach: Blocks | None = None,
        keyboard: Blocks | None = None,
        menu: Blocks | None = None,
        system: bool = False,
        url_preview: bool = True,
        reply_id: int | str | None = None,
        as_bot: bool | None = None,
        post_again_when_cleared: bool = True,
        bitrix24_conn_id: str = Bitrix24Hook.default_conn_name,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.dialog_id = dialog_id
        self.message = message
        self.attach = attach
        self.keyboard = keyboard
        self.menu = menu
        self.system = system
        self.url_preview = url_preview
        self.reply_id = reply_id
        self.as_bot = as_bot
        self.post_again_when_cleared = post_again_when_cleared
        self.bitrix24_conn_id = bitrix24_conn_id
        check_unless_template(check_dialog_id, dialog_id)
        if reply_id is not None:
            check_unless_template(check_message_id, reply_id, "reply_id")
        if is_known(message) and is_known(attach):
            # The same words as when the task runs.
            message_params("1", message, attach=attach)

    def execute(self, context: Context) -> int:
        """Post it, unless an earlier try has."""
        memory = memory_of(context, "message", post_again_when_cleared=self.post_again_when_cleared)
        with self.slot_given_back(), no_vain_retries(), Bitrix24Hook(self.bitrix24_conn_id) as hook:
            message_id = hook.post_once(
                memory,
                self.dialog_id,
                message=self.message,
                attach=self.attach,
                keyboard=self.keyboard,
                menu=self.menu,
                system=self.system,
                url_preview=self.url_preview,
                reply_id=self.reply_id,
                as_bot=self.as_bot,
            )
            as_bot = False if self.as_bot is None and self.menu else self.as_bot
            show_dialog(self, hook, self.dialog_id, message_id=message_id, as_bot=as_bot)
        self.log.info("Posted message %s in %s", message_id, self.dialog_id)
        return message_id
