"""The part of the hook that changes messages: their text, their deletion, reactions."""

from __future__ import annotations

from collections.abc import Callable, Generator
from typing import TYPE_CHECKING, Any, Literal

from airflow_provider_b24.hooks.messages import MessageCalls
from airflow_provider_b24.hooks.twins import takes_the_same_as

if TYPE_CHECKING:
    from airflow_provider_b24.chat.message import Blocks
    from airflow_provider_b24.rest.peer import Peer
    from airflow_provider_b24.rest.steps import Step

    Edit = Callable[[Peer], Generator[Step, Any, None]]


class EditingCalls(MessageCalls):
    """Changes and deletes messages, and reacts to them. What loses its answer is sent again: it does no harm."""

    def update_message(
        self,
        message_id: int | str,
        message: str | None = None,
        *,
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
    ) -> None:
        """Change a message with ``im.message.update``, or as a bot with ``imbot.v2.Chat.Message.update``.

        What is not given stays as it is. A portal lets a message be edited for a time that is set there, and by its
        author only.

        :param message_id: the message.
        :param message: its new text, with BBCode; at most 20,000 characters.
        :param attach: its new attachment; ``"N"`` or an empty one takes the old one away.
        :param keyboard: its new buttons; likewise.
        :param menu: the new items of its context menu, likewise; not as a bot.
        :param url_preview: whether links become previews. Default: as it is.
        :param is_edited: whether it is marked as edited where only the attachment changes; not as a bot.
        :param markdown: the text is Markdown.
        :param mentions: people whom the text names are mentioned: ``@anna@example.com``, ``@"Anna Petrova"``,
            ``@head:Sales`` …; see :func:`~.chat.people.with_mentions`. Who can not be found stays as he is written.
        :param delete_if_empty: delete the message where the new text is empty. By default that is refused, for an
            empty text would delete it on the portal without a question.
        :param dialog_id: where it is; for ``delete_if_empty``, see :meth:`delete_message`.
        :param as_bot: edit as the connection's bot, or (False) as the account. Default: the bot where there is one, and
            no ``menu`` is given.
        :raises NotEditableError: if it may not be changed, or not any more.
        :raises Bitrix24Error: if it was not changed.
        """
        self.get_conn().run(
            self._edit(
                "update",
                as_bot,
                message_id=message_id,
                message=message,
                attach=attach,
                keyboard=keyboard,
                menu=menu,
                url_preview=url_preview,
                is_edited=is_edited,
                markdown=markdown,
                mentions=mentions,
                delete_if_empty=delete_if_empty,
                dialog_id=dialog_id,
            )
        )

    @takes_the_same_as(update_message)
    async def aupdate_message(
        self, message_id: int | str, message: str | None = None, *, as_bot: bool | None = None, **parameters: Any
    ) -> None:
        """Like :meth:`update_message`, with the same parameters."""
        client = await self.aget_conn()
        await client.run(self._edit("update", as_bot, message_id=message_id, message=message, **parameters))

    def delete_message(
        self, message_id: int | str, *, dialog_id: str | int | None = None, as_bot: bool | None = None
    ) -> None:
        """Delete a message with ``im.message.delete``, or as a bot with ``imbot.v2.Chat.Message.delete``.

        :param message_id: the message.
        :param dialog_id: where it is. With it a message that is gone already counts as deleted; without, the portal
            does not tell it from one that may not be deleted.
        :param as_bot: delete as the connection's bot, or (False) as the account. Default: the bot where there is one.
        :raises NotEditableError: if it may not be deleted, or not any more.
        :raises Bitrix24Error: if it was not deleted, or may not have been.
        """
        self.get_conn().run(self._edit("delete", as_bot, message_id=message_id, dialog_id=dialog_id))

    async def adelete_message(
        self, message_id: int | str, *, dialog_id: str | int | None = None, as_bot: bool | None = None
    ) -> None:
        """Like :meth:`delete_message`."""
        client = await self.aget_conn()
        await client.run(self._edit("delete", as_bot, message_id=message_id, dialog_id=dialog_id))

    def like_message(
        self, message_id: int | str, action: str = "plus", *, reaction: str = "like", as_bot: bool | None = None
    ) -> None:
        """Put a reaction to a message, or take it away, with ``im.message.like``.

        As a bot with ``imbot.v2.Chat.Message.Reaction.add`` and ``.delete``. That it was so already is no error.

        :param message_id: the message.
        :param action: ``plus`` (the default), ``minus`` or ``auto``, which switches over; not as a bot, and not sent
            again where the answer is lost.
        :param reaction: the code of the reaction; another than ``like`` as a bot only.
        :param as_bot: react as the connection's bot, or (False) as the account. Default: the bot where there is one.
        :raises Bitrix24Error: if it was not done, or may not have been.
        """
        self.get_conn().run(self._edit("like", as_bot, message_id=message_id, action=action, reaction=reaction))

    async def alike_message(
        self, message_id: int | str, action: str = "plus", *, reaction: str = "like", as_bot: bool | None = None
    ) -> None:
        """Like :meth:`like_message`."""
        client = await self.aget_conn()
        await client.run(self._edit("like", as_bot, message_id=message_id, action=action, reaction=reaction))

    def _edit(self, what: Literal["update", "delete", "like"], as_bot: bool | None, **parameters: Any) -> Edit:
        from functools import partial

        from airflow_provider_b24.chat import editing

        # A message with a menu is the account's.
        bot = self.speaker(False if as_bot is None and parameters.get("menu") is not None else as_bot)
        return partial(getattr(editing, what), bot=bot, **parameters)
