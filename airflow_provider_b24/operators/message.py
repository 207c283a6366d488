"""Posting messages, and changing them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, ClassVar

from airflow_provider_b24.chat.dialogs import check_dialog_id
from airflow_provider_b24.chat.editing import bot_update_fields, check_reaction, update_params
from airflow_provider_b24.chat.message import check_message, check_message_id
from airflow_provider_b24.hooks.bitrix24 import Bitrix24Hook
from airflow_provider_b24.hooks.delivery import memory_of
from airflow_provider_b24.hooks.failure import no_vain_retries
from airflow_provider_b24.links.portal import ChatLink, DealLink, MessageLink, TaskLink, show_dialog
from airflow_provider_b24.operators.arguments import are_known, check_switches, check_unless_template, is_known
from airflow_provider_b24.operators.deferral import DefersAtLimit

if TYPE_CHECKING:
    from airflow.sdk import Context

    from airflow_provider_b24.chat.long_text import LongText
    from airflow_provider_b24.chat.message import Blocks


class MessageAddOperator(DefersAtLimit):
    """Post a message in a dialog, exactly once for each task instance, whatever dies in between.

    It is posted as the connection's bot where it has one (``imbot.v2.Chat.Message.send``), and otherwise as the account
    behind it (``im.message.add``). Where an answer is lost or a worker is killed, the dialog is read to see
    whether the message is there. Where the portal refuses it for good, and where the dialog does not tell
    (:class:`~.rest.errors.DeliveryUnknownError`), the task fails at once, without retries.

    :param dialog_id: ``chat2935``, ``sg17``, ``13``, or what it belongs to: ``deal:1663``, ``task:8293``,
        ``group:133``, ``user:anna@example.com``. Templated.
    :param message: the text, with BBCode, of any length. Templated.
    :param attach: blocks to attach: a list, or a mapping with ``BLOCKS``, whose texts may be templates; or a template
        that makes JSON of them, such as ``{{ ti.xcom_pull('blocks') | tojson }}``. Templated.
    :param keyboard: buttons: a list, or a mapping with ``BUTTONS``; likewise. Templated.
    :param menu: items of the context menu, likewise. Templated.
    :param system: show it as a system message, without an author. Default False.
    :param url_preview: turn links into previews. Default True.
    :param reply_id: the id of the message that this one answers, such as ``{{ ti.xcom_pull('report') }}``. The task
        fails at once if that message was deleted, or is in another dialog. Templated.
    :param long_text: what becomes of a text of more than 20,000 characters, where the portal would cut it. ``file``
        (the default): it goes as a file with its beginning as the message; where the message has more than its text,
        such as buttons or ``reply_id``, the file comes after it. ``split``: it goes as several messages, cut between
        paragraphs; the first has ``reply_id``, the last has ``attach``, ``keyboard`` and ``menu``. ``refuse``: the task
        fails. Each message and file is posted once.
    :param markdown: the text is Markdown; a file has it as it is written. Default False: it is BBCode.
    :param mentions: people whom the text names are mentioned: ``@anna@example.com``, ``@"Anna Petrova"``,
        ``@head:Sales`` … Default False. Who can not be found stays as he is written.
    :param as_bot: True to post as the connection's bot, which can not be with a ``menu``; False to post as the account.
        Default: as the bot where the connection has one, and there is no ``menu``.
    :param post_again_when_cleared: whether the task posts anew after it was cleared; otherwise it returns the id of
        what it posted before. Default True.
    :param bitrix24_conn_id: the Airflow connection. Default ``bitrix24_default``. Templated.
    :return: the id of the message, as XCom; of the first, where there are several.
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
        long_text: LongText = "file",
        markdown: bool = False,
        mentions: bool = False,
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
        self.long_text = long_text
        self.markdown = markdown
        self.mentions = mentions
        self.as_bot = as_bot
        self.post_again_when_cleared = post_again_when_cleared
        self.bitrix24_conn_id = bitrix24_conn_id
        check_switches(as_bot=as_bot, or_none=True)
        check_switches(system=system, url_preview=url_preview, markdown=markdown, mentions=mentions)
        check_switches(post_again_when_cleared=post_again_when_cleared)
        check_unless_template(check_dialog_id, dialog_id)
        # The same words as when the task runs. What is not known yet is checked then: something right stands for it.
        check_message(
            message if is_known(message) and are_known(attach) else "text",
            attach=attach if are_known(attach) else None,
            keyboard=keyboard if are_known(keyboard) else None,
            menu=menu if are_known(menu) else None,
            reply_id=reply_id if is_known(reply_id) else None,
            as_bot=bool(as_bot),
            long_text=long_text,
            markdown=markdown,
            mentions=mentions,
        )

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
                long_text=self.long_text,
                markdown=self.markdown,
                mentions=self.mentions,
                as_bot=self.as_bot,
            )
            as_bot = False if self.as_bot is None and self.menu else self.as_bot
            show_dialog(self, hook, self.dialog_id, message_id=message_id, as_bot=as_bot)
        self.log.info("Posted message %s in %s", message_id, self.dialog_id)
        return message_id


class MessageUpdateOperator(DefersAtLimit):
    """Change a message that was posted: ``im.message.update``, or as a bot ``imbot.v2.Chat.Message.update``.

    What is not given stays as it is. Where the answer is lost it is sent again, for a message is not changed twice by
    the same change. Portals let a message be edited by its author only, and for a time that is set there; after that
    the task fails at once (:class:`~.rest.errors.NotEditableError`).

    :param message_id: the message, such as ``{{ ti.xcom_pull('report') }}``. Templated.
    :param message: its new text, with BBCode, at most 20,000 characters: a message that was posted can not become a
        file or several. Templated.
    :param attach: its new attachment; ``"N"`` or an empty one takes the old one away. Templated.
    :param keyboard: its new buttons; likewise. Templated.
    :param menu: the new items of its context menu, likewise; not as a bot. Templated.
    :param url_preview: whether links become previews. Default: as it is.
    :param is_edited: whether it is marked as edited where only the attachment changes; not as a bot. Default: it is.
    :param markdown: the text is Markdown. Default False: it is BBCode.
    :param mentions: people whom the text names are mentioned, as by :class:`MessageAddOperator`. Default False.
    :param delete_if_empty: delete the message where the new text is empty. By default that fails, for the portal
        deletes a message that gets an empty text.
    :param dialog_id: where it is; for ``delete_if_empty``, as with :class:`MessageDeleteOperator`, and for the link to
        the message. Templated.
    :param as_bot: edit as the connection's bot, or (False) as the account. Default: the bot where there is one, and no
        ``menu`` is given.
    :param bitrix24_conn_id: the Airflow connection. Default ``bitrix24_default``. Templated.
    :return: the id of the message, as XCom.
    :raises ConfigurationError: while the DAG is parsed, for an argument that can not be right.
    """

    template_fields: Sequence[str] = (
        "message_id",
        "message",
        "attach",
        "keyboard",
        "menu",
        "dialog_id",
        "bitrix24_conn_id",
    )
    operator_extra_links = (MessageLink(), TaskLink(), DealLink())
    template_fields_renderers: ClassVar[dict[str, str]] = {"attach": "json", "keyboard": "json", "menu": "json"}
    ui_color = "#d6f3fb"

    def __init__(
        self,
        *,
        message_id: int | str,
        message: str | None = None,
        attach: Blocks | str | None = None,
        keyboard: Blocks | str | None = None,
        menu: Blocks | str | None = None,
        url_preview: bool | None = None,
        is_edited: bool | None = None,
        markdown: bool = False,
        mentions: bool = False,
        delete_if_empty: bool = False,
        dialog_id: str | int | None = None,
        as_bot: bool | None = None,
        bitrix24_conn_id: str = Bitrix24Hook.default_conn_name,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.message_id = message_id
        self.message = message
        self.attach = attach
        self.keyboard = keyboard
        self.menu = menu
        self.url_preview = url_preview
        self.is_edited = is_edited
        self.markdown = markdown
        self.mentions = mentions
        self.delete_if_empty = delete_if_empty
        self.dialog_id = dialog_id
        self.as_bot = as_bot
        self.bitrix24_conn_id = bitrix24_conn_id
        if dialog_id is not None:
            check_unless_template(check_dialog_id, dialog_id)
        check_switches(as_bot=as_bot, url_preview=url_preview, is_edited=is_edited, or_none=True)
        check_switches(markdown=markdown, mentions=mentions, delete_if_empty=delete_if_empty)
        check = bot_update_fields if as_bot else update_params
        # What is not known yet is checked when the task runs; here something that can be right stands for it.
        check(
            message_id if is_known(message_id) else 1,
            message if is_known(message) and not (delete_if_empty or markdown or mentions) else "text",
            attach=attach if are_known(attach) else "N",
            keyboard=keyboard if are_known(keyboard) else "N",
            menu=menu if are_known(menu) or as_bot else "N",
            url_preview=url_preview,
            is_edited=is_edited,
        )

    def execute(self, context: Context) -> int:
        """Change it."""
        with self.slot_given_back(), no_vain_retries(), Bitrix24Hook(self.bitrix24_conn_id) as hook:
            hook.update_message(
                self.message_id,
                self.message,
                attach=self.attach,
                keyboard=self.keyboard,
                menu=self.menu,
                url_preview=self.url_preview,
                is_edited=self.is_edited,
                markdown=self.markdown,
                mentions=self.mentions,
                delete_if_empty=self.delete_if_empty,
                dialog_id=self.dialog_id,
                as_bot=self.as_bot,
            )
            as_bot = False if self.as_bot is None and self.menu else self.as_bot
            show_dialog(self, hook, self.dialog_id, message_id=self.message_id, as_bot=as_bot)
        self.log.info("Changed message %s", self.message_id)
        return check_message_id(self.message_id)


class MessageDeleteOperator(DefersAtLimit):
    """Delete a message: ``im.message.delete``, or as a bot ``imbot.v2.Chat.Message.delete``.

    The portal answers in the same words for a message that is gone and for one that may not be deleted. With
    ``dialog_id`` the dialog is read to tell them apart, so that a task that was killed, tried again or cleared
    succeeds where the message is gone. Without it, such a task fails.

    :param message_id: the message. Templated.
    :param dialog_id: the dialog that it is in: ``chat2935``, ``sg17``, ``13``, ``deal:1663`` … Templated.
    :param as_bot: delete as the connection's bot, or (False) as the account. Default: the bot where there is one.
    :param bitrix24_conn_id: the Airflow connection. Default ``bitrix24_default``. Templated.
    :raises ConfigurationError: while the DAG is parsed, for an argument that can not be right.
    """

    template_fields: Sequence[str] = ("message_id", "dialog_id", "bitrix24_conn_id")
    operator_extra_links = (ChatLink(), TaskLink(), DealLink())
    ui_color = "#d6f3fb"

    def __init__(
        self,
        *,
        message_id: int | str,
        dialog_id: str | int | None = None,
        as_bot: bool | None = None,
        bitrix24_conn_id: str = Bitrix24Hook.default_conn_name,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.message_id = message_id
        self.dialog_id = dialog_id
        self.as_bot = as_bot
        self.bitrix24_conn_id = bitrix24_conn_id
        check_switches(as_bot=as_bot, or_none=True)
        check_unless_template(check_message_id, message_id)
        if dialog_id is not None:
            check_unless_template(check_dialog_id, dialog_id)

    def execute(self, context: Context) -> None:
        """Delete it."""
        with self.slot_given_back(), no_vain_retries(), Bitrix24Hook(self.bitrix24_conn_id) as hook:
            hook.delete_message(self.message_id, dialog_id=self.dialog_id, as_bot=self.as_bot)
            show_dialog(self, hook, self.dialog_id, as_bot=self.as_bot)
        self.log.info("Message %s is deleted", self.message_id)


class MessageLikeOperator(DefersAtLimit):
    """Put a reaction to a message, or take it away: ``im.message.like``.

    As a bot ``imbot.v2.Chat.Message.Reaction.add`` and ``.delete``. That it was so already is a success: a task that is
    tried again leaves what the first try has done.

    :param message_id: the message. Templated.
    :param action: ``plus`` (the default) or ``minus``. The method's own default, ``auto``, switches over: a task that
        is tried again or cleared would undo what it did. It is never sent twice, and a bot has no such thing.
        Templated.
    :param reaction: as a bot: the code of the reaction (``redHeart``, ``whiteHeavyCheckMark`` …). Default ``like``,
        which is all that the account has. Templated.
    :param dialog_id: where it is; only for the link to the message. Templated.
    :param as_bot: react as the connection's bot, or (False) as the account. Default: the bot where there is one.
    :param bitrix24_conn_id: the Airflow connection. Default ``bitrix24_default``. Templated.
    :return: the id of the message, as XCom.
    :raises ConfigurationError: while the DAG is parsed, for an argument that can not be right.
    """

    template_fields: Sequence[str] = ("message_id", "action", "reaction", "dialog_id", "bitrix24_conn_id")
    operator_extra_links = (MessageLink(), TaskLink(), DealLink())
    ui_color = "#d6f3fb"

    def __init__(
        self,
        *,
        message_id: int | str,
        action: str = "plus",
        reaction: str = "like",
        dialog_id: str | int | None = None,
        as_bot: bool | None = None,
        bitrix24_conn_id: str = Bitrix24Hook.default_conn_name,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.message_id = message_id
        self.action = action
        self.reaction = reaction
        self.dialog_id = dialog_id
        self.as_bot = as_bot
        self.bitrix24_conn_id = bitrix24_conn_id
        check_switches(as_bot=as_bot, or_none=True)
        check_unless_template(check_message_id, message_id)
        if dialog_id is not None:
            check_unless_template(check_dialog_id, dialog_id)
        if is_known(action):
            check_reaction(action, reaction if is_known(reaction) else "like")

    def execute(self, context: Context) -> int:
        """React."""
        with self.slot_given_back(), no_vain_retries(), Bitrix24Hook(self.bitrix24_conn_id) as hook:
            hook.like_message(self.message_id, self.action, reaction=self.reaction, as_bot=self.as_bot)
            show_dialog(self, hook, self.dialog_id, message_id=self.message_id, as_bot=self.as_bot)
        self.log.info("Reaction %s to message %s: %s", self.reaction, self.message_id, self.action)
        return check_message_id(self.message_id)
