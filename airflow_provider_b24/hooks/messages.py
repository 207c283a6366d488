"""The part of the hook that posts messages."""

from __future__ import annotations

from collections.abc import Callable, Generator
from typing import TYPE_CHECKING, Any

from airflow_provider_b24.hooks.calls import RestCalls
from airflow_provider_b24.hooks.twins import takes_the_same_as

if TYPE_CHECKING:
    from airflow_provider_b24.chat.delivery import Memory
    from airflow_provider_b24.chat.long_text import LongText
    from airflow_provider_b24.chat.message import Blocks
    from airflow_provider_b24.rest.peer import Peer
    from airflow_provider_b24.rest.steps import Step


class MessageCalls(RestCalls):
    """Posts messages, and finds the dialogs they go to."""

    def dialog_id(self, dialog_id: str | int, *, as_bot: bool | None = False) -> str:
        """The id of a dialog that may be named by what it belongs to (``deal:1663``).

        :param as_bot: who is to speak there, as in :meth:`speaker`: a bot does not know ``sg17``. Default: the account.
        :raises NotFoundError: if it has none.
        """
        from functools import partial

        from airflow_provider_b24.chat.dialogs import check_dialog_id, for_bot, is_reference, resolve

        checked = check_dialog_id(dialog_id)
        checked = for_bot(checked) if self.speaker(as_bot) else checked
        return self.get_conn().run(partial(resolve, dialog_id=checked)) if is_reference(checked) else checked

    async def adialog_id(self, dialog_id: str | int, *, as_bot: bool | None = False) -> str:
        """Like :meth:`dialog_id`."""
        from functools import partial

        from airflow_provider_b24.chat.dialogs import check_dialog_id, for_bot, is_reference, resolve

        checked = check_dialog_id(dialog_id)
        if as_bot is not False:
            await self.aread()
        checked = for_bot(checked) if self.speaker(as_bot) else checked
        if not is_reference(checked):
            return checked
        client = await self.aget_conn()
        return await client.run(partial(resolve, dialog_id=checked))

    def known_dialog_id(self, dialog_id: str | int) -> str | None:
        """Like :meth:`dialog_id`, without a call: None where the portal would have to be asked."""
        from airflow_provider_b24.chat.dialogs import check_dialog_id, is_reference
        from airflow_provider_b24.chat.known import known

        checked = check_dialog_id(dialog_id)
        return known(self.get_conn().peer).get(checked) if is_reference(checked) else checked

    def excerpt(self, source: str | BaseException, *, most: int = 3000) -> str:
        """What a log or an exception says, fit for a message: nothing in it is read as BBCode.

        Neither this connection's secrets are in it nor what Airflow masks in its logs. What is too long loses its
        beginning. See :mod:`~airflow_provider_b24.chat.text` for what is certain of that.

        :param source: a text; or an exception, which is shown with its traceback and its causes.
        :param most: the most characters of the excerpt. Default 3,000.
        """
        from airflow_provider_b24.chat.text import excerpt, plain
        from airflow_provider_b24.hooks.masking import masked

        return excerpt(masked(plain(source)), secrets=self._sync_settings().secrets, most=most)

    def send_message(
        self,
        dialog_id: str | int,
        message: str | None = None,
        *,
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
        once: str | None = None,
    ) -> int:
        """Post a message, as the bot (``imbot.v2.Chat.Message.send``) or as the account (``im.message.add``).

        Where the answer is lost, the dialog is read to see whether the message is there: that takes up to 90 s, and
        the message is sent again only if the first one can not come any more.

        Inside a task, give each message a name with ``once``: then it is posted once even if the task is killed and
        tried again. A cleared task posts anew.

        :param dialog_id: where: ``chat2935``, ``sg17``, ``13``, ``deal:1663``, ``user:anna@example.com`` …
        :param message: the text, with BBCode, of any length.
        :param attach: blocks to attach, as Python objects.
        :param keyboard: buttons under the message.
        :param menu: items for its context menu, which a bot's message can not have.
        :param system: show it without an author. Default False.
        :param url_preview: turn links into previews. Default True.
        :param reply_id: the id of the message that this one answers.
        :param long_text: what becomes of a text of more than 20,000 characters, where the portal would cut it.
            ``file`` (the default): it goes as a file, ``message.txt``, with its beginning as the message; where the
            message has more than its text, such as buttons or ``reply_id``, the file comes after it. ``split``: it goes
            as several messages, cut between paragraphs; the first has ``reply_id``, the last has ``attach``,
            ``keyboard`` and ``menu``. ``refuse``: it is an error. Either way each is posted once.
        :param markdown: the text is Markdown; a file has it as it is written.
        :param mentions: people whom the text names are mentioned: ``@anna@example.com``, ``@"Anna Petrova"``,
            ``@head:Sales`` …; see :func:`~.chat.people.with_mentions`. Who can not be found stays as he is written.
        :param as_bot: True to post as the connection's bot, False as the account behind it. Default: as the bot where
            the connection has one, and there is no ``menu``.
        :param once: the message's name within the task, such as ``"summary"``.
        :return: the id of the message; of the first, where there are several.
        :raises DeliveryUnknownError: if it may or may not have been posted.
        :raises Bitrix24Error: if it was not posted.
        """
        return self.get_conn().run(
            self._post(
                once,
                as_bot,
                dialog_id=dialog_id,
                message=message,
                attach=attach,
                keyboard=keyboard,
                menu=menu,
                system=system,
                url_preview=url_preview,
                reply_id=reply_id,
                long_text=long_text,
                markdown=markdown,
                mentions=mentions,
            )
        )

    @takes_the_same_as(send_message)
    async def asend_message(
        self,
        dialog_id: str | int,
        message: str | None = None,
        *,
        as_bot: bool | None = None,
        once: str | None = None,
        **parameters: Any,
    ) -> int:
        """Like :meth:`send_message`, with the same parameters."""
        client = await self.aget_conn()
        return await client.run(self._post(once, as_bot, dialog_id=dialog_id, message=message, **parameters))

    def post_once(self, memory: Memory, dialog_id: str | int, *, as_bot: bool | None = None, **parameters: Any) -> int:
        """Like :meth:`send_message`, with what is kept of the message given; for operators."""
        return self.get_conn().run(self._post(memory, as_bot, dialog_id=dialog_id, **parameters))

    def recall(self, memory: Memory) -> int | None:
        """The id of a message that an earlier try has posted, whole, or None; for operators.

        :raises DeliveryUnknownError: if it may or may not have been posted.
        """
        from functools import partial

        from airflow_provider_b24.chat.long_text import posted_before

        return self.get_conn().run(partial(posted_before, memory=memory))

    def _post(
        self, memory: Memory | str | None, as_bot: bool | None, **parameters: Any
    ) -> Callable[[Peer], Generator[Step, Any, int]]:
        from functools import partial

        from airflow_provider_b24.chat.message import post
        from airflow_provider_b24.hooks.delivery import memory_here

        # What a bot can not do is done by the account, unless it was asked for by name.
        bot = self.speaker(False if as_bot is None and parameters.get("menu") else as_bot)
        kept = memory_here(memory) if isinstance(memory, str) else memory
        return partial(post, memory=kept, bot=bot, **parameters)
