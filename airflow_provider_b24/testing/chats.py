"""Dialogs of the portal: who is in them, what was written, who is writing."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass, field

from airflow_provider_b24.testing.records import Message, TypingSignal

_DIALOG = re.compile(r"(chat|sg)?([1-9]\d*)")


class MalformedDialog(Exception):  # noqa: N818 - each method answers it with its own code
    """Not ``chat12``, ``sg5`` or ``13``."""


class UnknownChat(Exception):  # noqa: N818
    """No chat of that number."""


class UnknownUser(Exception):  # noqa: N818
    """No user of that number."""


@dataclass
class Chat:
    """A dialog: a group chat, a workgroup's chat or the private talk of two users."""

    id: int
    title: str
    members: set[int]
    owner: int
    private: bool = False
    group_id: int | None = None
    entity_type: str = ""
    entity_id: str = ""
    created: str = ""
    messages: list[Message] = field(default_factory=list)
    signals: list[TypingSignal] = field(default_factory=list)
    read: dict[int, int] = field(default_factory=dict)
    # Signals and messages in the order in which they came: (time, author, seconds or None for a message).
    history: list[tuple[float, int, float | None]] = field(default_factory=list)

    def dialog_id(self, viewer: int) -> str:
        """The id under which a user knows the dialog."""
        if self.group_id is not None:
            return f"sg{self.group_id}"
        if not self.private:
            return f"chat{self.id}"
        if viewer not in self.members:
            return ":".join(map(str, sorted(self.members)))
        return str(next((member for member in self.members if member != viewer), viewer))

    def unread(self, user_id: int) -> int:
        """How many messages of others a user has not read."""
        last = self.read.get(user_id, 0)
        return sum(
            1 for message in self.messages if message.id > last and not message.deleted and message.author_id != user_id
        )

    def find(self, message_id: int) -> Message | None:
        """The message of that id, deleted ones included."""
        return next((message for message in self.messages if message.id == message_id), None)

    def lit_share(self, start: float, end: float) -> float:
        """The share of ``[start, end]`` (epoch seconds) in which a client shows that somebody writes."""
        if end <= start:
            raise ValueError(f"the end ({end}) must come after the start ({start})")
        lit = 0.0
        reached = start
        for begin, stop in sorted(self._spans()):
            shown = min(stop, end) - max(begin, reached)
            if shown > 0:
                lit += shown
                reached = min(stop, end)
        return lit / (end - start)

    def lit(self, now: float) -> list[tuple[TypingSignal, float]]:
        """Who is shown as writing, by which signal, and until when."""
        shown: dict[int, tuple[TypingSignal, float]] = {}
        signals = iter(self.signals)
        for time, author, duration in self.history:
            if duration is None:
                shown.pop(author, None)
            else:
                shown[author] = (next(signals), time + duration)
        return [(signal, end) for signal, end in shown.values() if end > now]

    def _spans(self) -> Iterable[tuple[float, float]]:
        """When the indicator is on: from each signal until it expires, is renewed, or its author's message."""
        open_spans: dict[int, tuple[float, float]] = {}
        for time, author, duration in self.history:
            if author in open_spans:
                begin, stop = open_spans.pop(author)
                yield begin, min(stop, time)
            if duration is not None:
                open_spans[author] = (time, time + duration)
        yield from open_spans.values()


class ChatRegister:
    """All dialogs of the portal."""

    def __init__(self) -> None:
        self.by_id: dict[int, Chat] = {}
        self._groups: dict[int, int] = {}
        self._private: dict[frozenset[int], int] = {}
        self._last_chat = 2950
        self._last_message = 84800

    def add(self, chat: Chat) -> Chat:
        """Put a chat on the register."""
        self.by_id[chat.id] = chat
        self._last_chat = max(self._last_chat, chat.id)
        if chat.group_id is not None:
            self._groups[chat.group_id] = chat.id
        if chat.private:
            self._private[frozenset(chat.members)] = chat.id
        return chat

    def next_chat_id(self) -> int:
        """A number not given yet."""
        self._last_chat += 1
        return self._last_chat

    def next_message_id(self) -> int:
        """Message ids of a portal grow, with gaps."""
        self._last_message += 2
        return self._last_message

    def private(self, one: int, other: int, created: str = "") -> Chat:
        """The private talk of two users, opened where there is none."""
        pair = frozenset({one, other})
        if pair not in self._private:
            title = "-".join(map(str, sorted(pair)))
            self.add(Chat(self.next_chat_id(), title, set(pair), one, private=True, created=created))
        return self.by_id[self._private[pair]]

    def resolve(self, dialog_id: object, viewer: int, users: Iterable[int], created: str = "") -> Chat:
        """The chat that a user means by a dialog id.

        :raises MalformedDialog: the id has none of the three forms.
        :raises UnknownChat: there is no such chat or workgroup.
        :raises UnknownUser: there is no such user.
        """
        text = str(dialog_id) if isinstance(dialog_id, (str, int)) else ""
        found = _DIALOG.fullmatch(text)
        if not found:
            raise MalformedDialog(text)
        kind, number = found.group(1), int(found.group(2))
        if kind is None:
            if number not in users:
                raise UnknownUser(text)
            return self.private(viewer, number, created)
        chat_id = self._groups.get(number, 0) if kind == "sg" else number
        if chat_id not in self.by_id:
            raise UnknownChat(text)
        return self.by_id[chat_id]

    def of_entity(self, entity_type: str, entity_id: str) -> Chat | None:
        """The chat that belongs to a CRM element, a task, a workgroup…"""
        return next(
            (chat for chat in self.by_id.values() if (chat.entity_type, chat.entity_id) == (entity_type, entity_id)),
            None,
        )

    def message(self, message_id: int) -> tuple[Chat, Message] | None:
        """A message that was not deleted, and its chat."""
        for chat in self.by_id.values():
            message = chat.find(message_id)
            if message is not None and not message.deleted:
                return chat, message
        return None

    def by_uuid(self, uuid: str) -> Message | None:
        """The message that was sent with this uuid."""
        for chat in self.by_id.values():
            for message in chat.messages:
                if message.uuid == uuid:
                    return message
        return None
