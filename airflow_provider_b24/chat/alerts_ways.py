"""How an alert reaches people: as a message in a dialog, or as a notification."""

from __future__ import annotations

import html
import logging
from collections.abc import Generator, Sequence
from dataclasses import dataclass, field
from typing import Any

from airflow_provider_b24.chat.delivery import Memory
from airflow_provider_b24.chat.dialogs import resolve
from airflow_provider_b24.chat.editing import update
from airflow_provider_b24.chat.message import LONGEST_TEXT, post
from airflow_provider_b24.chat.notification import notify
from airflow_provider_b24.chat.splitting import beginning
from airflow_provider_b24.chat.typing import Bot
from airflow_provider_b24.rest.conversation import converse
from airflow_provider_b24.rest.errors import Bitrix24Error
from airflow_provider_b24.rest.peer import Peer
from airflow_provider_b24.rest.protocol import Call
from airflow_provider_b24.rest.steps import Step

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class ToDialog:
    """As a message in a dialog."""

    dialog_id: str
    bot: Bot | None = field(default=None, repr=False)

    keeps_entries = True

    def send(
        self, peer: Peer, text: str, *, memory: Memory, tag: str, reply_id: int | None = None
    ) -> Generator[Step, Any, int]:
        """Send it once; the id of the message.

        :param tag: what it is about; notifications go by it.
        :param reply_id: the message that it answers; without, where that can not be answered.
        """
        parameters: dict[str, Any] = {"message": beginning(text, LONGEST_TEXT), "url_preview": False}
        if reply_id:
            try:
                return (
                    yield from post(
                        peer, dialog_id=self.dialog_id, memory=memory, bot=self.bot, reply_id=reply_id, **parameters
                    )
                )
            except Bitrix24Error as error:
                if not error.permanent or error.effect_unknown:
                    raise
                log.info("Message %s can not be answered (%s); a message of its own is posted", reply_id, error)
        return (yield from post(peer, dialog_id=self.dialog_id, memory=memory, bot=self.bot, **parameters))

    def change(self, peer: Peer, message_id: int, text: str, *, tag: str) -> Generator[Step, Any, int]:
        """Have a message say something else; the id of the message that says it now.

        :raises NotEditableError: if it may not be changed any more.
        """
        shown = beginning(text, LONGEST_TEXT)
        yield from update(peer, message_id=message_id, message=shown, url_preview=False, bot=self.bot)
        return message_id

    def was_sent(self, peer: Peer, lines: Sequence[str]) -> Generator[Step, Any, bool]:
        """Whether a message with these lines is among the last ones. Not in one that can not be read."""
        dialog_id = yield from resolve(peer, self.dialog_id)
        try:
            reply = yield from converse(peer, Call("im.dialog.messages.get", {"DIALOG_ID": dialog_id, "LIMIT": 50}))
        except Bitrix24Error:
            return False
        messages = reply.result.get("messages") if isinstance(reply.result, dict) else None
        texts = [html.unescape(str(one.get("text"))) for one in messages or [] if isinstance(one, dict)]
        wanted = {html.unescape(line).strip() for line in lines}
        return any(wanted <= {line.strip() for line in text.splitlines()} for text in texts)


@dataclass(frozen=True)
class ToPerson:
    """As a notification, which replaces the earlier one about the same."""

    user_id: str

    keeps_entries = False

    def send(
        self, peer: Peer, text: str, *, memory: Memory, tag: str, reply_id: int | None = None
    ) -> Generator[Step, Any, int]:
        """Like :meth:`ToDialog.send`; sent again it replaces itself."""
        return (yield from notify(peer, user_id=self.user_id, message=beginning(text, LONGEST_TEXT), tag=tag))

    def change(self, peer: Peer, message_id: int, text: str, *, tag: str) -> Generator[Step, Any, int]:
        """Like :meth:`ToDialog.change`."""
        return (yield from notify(peer, user_id=self.user_id, message=beginning(text, LONGEST_TEXT), tag=tag))

    def was_sent(self, peer: Peer, lines: Sequence[str]) -> Generator[Step, Any, bool]:
        """Like :meth:`ToDialog.was_sent`; the tag does that."""
        return False
        yield
