"""The part of the hook that notifies people."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

from airflow_provider_b24.hooks.calls import RestCalls
from airflow_provider_b24.hooks.twins import takes_the_same_as

if TYPE_CHECKING:
    from airflow_provider_b24.chat.message import Blocks


class NotificationCalls(RestCalls):
    """Sends notifications."""

    def notify(
        self,
        user_id: int | str,
        message: str,
        *,
        type: str = "USER",
        message_out: str | None = None,
        tag: str | None = None,
        sub_tag: str | None = None,
        attach: Blocks | None = None,
        markdown: bool = False,
        mentions: bool = False,
    ) -> int:
        """Notify a person with ``im.notify``: in the notification centre, without a chat.

        :param user_id: ``13`` or ``user:anna@example.com``.
        :param message: the text, with BBCode; at most 20,000 characters.
        :param type: ``USER``, the default: from the account behind the connection; ``SYSTEM``: from nobody.
        :param message_out: the text for e-mail and the like. Default: the same.
        :param tag: replaces the earlier notification that has the same tag.
        :param sub_tag: a second tag, which replaces nothing.
        :param attach: blocks to attach, as Python objects.
        :param markdown: the text is Markdown; ``message_out`` goes as it is.
        :param mentions: people whom the text names are mentioned, as by :meth:`~.messages.MessageCalls.send_message`.
        :return: the id of the notification.
        :raises OutcomeUnknownError: if it may or may not have been sent; with a tag it was sent again by then.
        :raises Bitrix24Error: if it was not sent.
        """
        from airflow_provider_b24.chat.notification import notify

        return self.get_conn().run(
            partial(
                notify,
                user_id=user_id,
                message=message,
                type=type,
                message_out=message_out,
                tag=tag,
                sub_tag=sub_tag,
                attach=attach,
                markdown=markdown,
                mentions=mentions,
            )
        )

    @takes_the_same_as(notify)
    async def anotify(self, user_id: int | str, message: str, **parameters: Any) -> int:
        """Like :meth:`notify`, with the same parameters."""
        from airflow_provider_b24.chat.notification import notify

        client = await self.aget_conn()
        return await client.run(partial(notify, user_id=user_id, message=message, **parameters))
