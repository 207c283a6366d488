"""The part of the hook that shows "is typing…"."""

from __future__ import annotations

from contextlib import AbstractAsyncContextManager
from typing import TYPE_CHECKING

from airflow_provider_b24.hooks.messages import MessageCalls

if TYPE_CHECKING:
    from airflow_provider_b24.chat.board import SignalBoard
    from airflow_provider_b24.chat.typing import TypingIndicator
    from airflow_provider_b24.rest.protocol import Call


class TypingCalls(MessageCalls):
    """Sends typing signals, one by one or for as long as something works."""

    def typing(
        self,
        dialog_id: str | int,
        *,
        interval: float | None = None,
        status: str | None = None,
        as_bot: bool | None = None,
    ) -> TypingIndicator:
        """Keep "is typing…" lit for as long as a ``with`` (or ``async with``) block works.

        Never fails or delays the work: a signal that does not go through is told in the log, once.

        :param dialog_id: where; may be a reference such as ``deal:1663``.
        :param interval: seconds between signals. Default 12.
        :param status: what the connection's bot is shown to do (``PROCESSING``, ``CALCULATING`` …) instead of typing.
        :param as_bot: True for the connection's bot, False for the account. Default: the bot where there is one.
        :raises ConfigurationError: for a ``dialog_id``, ``interval`` or ``status`` that can not be.
        """
        from functools import partial

        from airflow_provider_b24.chat.dialogs import check_dialog_id, for_bot, resolve
        from airflow_provider_b24.chat.signals import INTERVAL, check_status, check_who_shows
        from airflow_provider_b24.chat.typing import SIGNAL_PATIENCE, TypingIndicator
        from airflow_provider_b24.rest.protocol import Priority

        checked = check_dialog_id(dialog_id)
        if status is not None:
            check_status(status)
        check_who_shows(status, as_bot)
        find = partial(resolve, patience=SIGNAL_PATIENCE, priority=Priority.TYPING)
        found: list[str] = []

        def named() -> str:
            return for_bot(checked) if self.speaker(as_bot) else checked

        def send() -> None:
            client = self.get_conn()
            found[:] = found or [client.run(partial(find, dialog_id=named()))]
            if not indicator.over:
                client.call(self.signal(found[0], status=status, as_bot=as_bot), patience=SIGNAL_PATIENCE)

        async def asend() -> None:
            client = await self.aget_conn()
            found[:] = found or [await client.run(partial(find, dialog_id=named()))]
            if not indicator.over:
                await client.call(self.signal(found[0], status=status, as_bot=as_bot), patience=SIGNAL_PATIENCE)

        indicator = TypingIndicator(
            send,
            asend,
            # Airflow answers a question for the connection to whoever waits; in dag.test() that need not be who asked.
            prepare=self.get_conn,
            dialog_id=checked,
            interval=INTERVAL if interval is None else interval,
            clock=self._clock,
        )
        return indicator

    def send_typing(
        self,
        dialog_id: str | int,
        *,
        status: str | None = None,
        duration: float | None = None,
        as_bot: bool | None = None,
    ) -> None:
        """Send one typing signal (``im.dialog.writing``, or as a bot ``imbot.v2.Chat.InputAction.notify``).

        :param dialog_id: where; may be a reference such as ``deal:1663``.
        :param status: what the connection's bot is shown to do.
        :param duration: seconds that a bot's indicator lasts, 1 to 600. Default 25.
        :param as_bot: True for the connection's bot, False for the account. Default: the bot where there is one.
        :raises Bitrix24Error: if the portal does not take it.
        """
        from dataclasses import replace

        from airflow_provider_b24.rest.protocol import Priority

        call = self.signal(self.dialog_id(dialog_id, as_bot=as_bot), status=status, duration=duration, as_bot=as_bot)
        self.get_conn().call(replace(call, priority=Priority.WORK))

    def signal(
        self,
        dialog_id: str,
        *,
        status: str | None = None,
        duration: float | None = None,
        as_bot: bool | None = None,
    ) -> Call:
        """One typing signal as a call, as the connection's bot or as the account.

        :param dialog_id: where, as an id.
        :param duration: seconds a bot's indicator lasts. Default 25.
        :param as_bot: True for the connection's bot, False for the account. Default: the bot where there is one.
        :raises ConfigurationError: for a status or ``as_bot`` without a bot in the connection.
        """
        from airflow_provider_b24.chat.signals import LASTS
        from airflow_provider_b24.chat.typing import signal
        from airflow_provider_b24.rest.errors import ConfigurationError

        bot = self.speaker(as_bot)
        if status is not None and bot is None:
            raise ConfigurationError(
                f"status is {status!r}, and the connection {self.bitrix24_conn_id!r} has no bot to show it",
                advice="Only a chat bot can show a status. Register one: airflow bitrix24 bot register "
                f"{self.bitrix24_conn_id} --name … Or leave status out.",
            )
        return signal(dialog_id, bot=bot, status=status, duration=duration or LASTS)

    async def signal_board(self) -> AbstractAsyncContextManager[SignalBoard]:
        """The typing signals of this event loop that go out together; for triggers."""
        from airflow_provider_b24.chat.board import shared_board

        settings = await self._asettings()
        return shared_board(
            (settings.credential, settings.tokens, settings.bot, settings.transport),
            lambda: self._new_async_client(settings),
        )
