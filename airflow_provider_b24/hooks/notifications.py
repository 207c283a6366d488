"""The part of the hook that notifies people."""

from __future__ import annotations

from functools import partial
from typing import Any

from airflow_provider_b24.hooks.calls import RestCalls


class NotificationCalls(RestCalls):
    """Sends notifications."""

    def notify(self, user_id: int | str, message: str, **parameters: Any) -> int:
        """Notify a person with ``im.notify``: in the notification centre, without a chat.

        :param user_id: ``13`` or ``user:anna@example.com``.
        :param message: the text, with BBCode.
        :param parameters: ``type`` (``USER``, the default: from the account behind the connection; ``SYSTEM``: from
            nobody), ``message_out`` (for e-mail), ``tag`` (replaces the earlier notification with the same tag),
            ``sub_tag`` and ``attach``.
        :return: the id of the notification.
        :raises OutcomeUnknownError: if it may or may not have been sent; with a tag it was sent again by then.
        :raises Bitrix24Error: if it was not sent.
        """
        from airflow_provider_b24.chat.notification import notify

        return self.get_conn().run(partial(notify, user_id=user_id, message=message, **parameters))

    async def anotify(self, user_id: int | str, message: str, **parameters: Any) -> int:
        """Like :meth:`notify`."""
        from airflow_provider_b24.chat.notification import notify

        client = await self.aget_conn()
        return await client.run(partial(notify, user_id=user_id, message=message, **parameters))
