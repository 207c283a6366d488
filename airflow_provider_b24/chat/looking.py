"""Looking for a message in its dialog."""

from __future__ import annotations

from collections.abc import Generator, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from airflow_provider_b24.chat.recognition import Likeness, Marks, file_ids, written_at
from airflow_provider_b24.rest.conversation import converse
from airflow_provider_b24.rest.errors import Bitrix24Error, OperatingLimitError
from airflow_provider_b24.rest.peer import Peer
from airflow_provider_b24.rest.protocol import Call, as_number
from airflow_provider_b24.rest.steps import Step

# How far the clocks of a worker and a portal may be apart, in seconds, where only time tells old from new.
_SKEW = 60.0
_PAGE = 50
_MOST_PAGES = 40


@dataclass
class Sight:
    """What a look into the dialog showed.

    :ivar id: of the message, or 0.
    :ivar files: the ids of the files in it.
    :ivar problem: why it can not be said that the message is not there.
    :ivar passing: whether another look may tell more.
    :ivar held_back: the method's execution time is used up, for a while that is known.
    """

    id: int = 0
    problem: str = ""
    passing: bool = False
    held_back: OperatingLimitError | None = None
    files: list[int] = field(default_factory=list)


def look(peer: Peer, dialog_id: str, marks: Marks, *, after: int | None, since: float) -> Generator[Step, Any, Sight]:
    """Look for a message in its dialog, from the end back to where the dialog ended before.

    :param marks: what it is recognised by.
    :param after: the id of the dialog's last message before it was sent; None if that is not known.
    :param since: when it was sent at the earliest (epoch seconds), for that case.
    """
    sight = Sight()
    bound: int | None = None
    link: int | None = None
    for _ in range(_MOST_PAGES):
        reply: Any = None
        try:
            reply = yield from converse(peer, page_of(dialog_id, _PAGE, bound))
        except Bitrix24Error as caught:
            held_back = caught if isinstance(caught, OperatingLimitError) else None
            problem = f"the dialog could not be read ({caught.description})"
            return Sight(0, problem, not caught.permanent, held_back)
        messages = messages_of(reply.result)
        if messages is None:
            return Sight(problem="the portal's answer has no messages in it", passing=True)
        page = sorted(messages, key=id_of)
        files = _cards(reply.result)
        named = {number for message in page for number in file_ids(message)}
        spare = [card for card in files if as_number(card.get("id")) not in named]
        if link is not None and all(id_of(message) != link for message in page):
            return Sight(problem="messages were deleted from the dialog while it was read", passing=True)
        for message in page:
            if (id_of(message) > after) if after is not None else _is_new(message, since - _SKEW):
                likeness = marks.like(message, files if file_ids(message) else spare)
                if likeness is Likeness.SAME:
                    return Sight(id_of(message), files=file_ids(message))
                if likeness is Likeness.UNSURE:
                    sight.problem = f"message {id_of(message)} may be it, but is not quite the same"
        reached = [id_of(message) for message in page]
        if len(page) < 2:
            return sight
        if (reached[0] <= after) if after is not None else not _is_new(page[0], since - _SKEW):
            return sight
        # Pages overlap by a message: one that is asked for by the id of a deleted message is empty, like the last.
        link, bound = reached[0], reached[1]
    return Sight(problem=f"more than {_MOST_PAGES * (_PAGE - 1)} messages were written in the dialog since")


def is_gone(peer: Peer, dialog_id: str, message_id: int) -> Generator[Step, Any, bool]:
    """Whether a message is in its dialog no more; False also where that can not be seen.

    :raises Bitrix24Error: if the dialog can not be read.
    """
    bound: int | None = None
    link: int | None = None
    for _ in range(_MOST_PAGES):
        reply: Any = yield from converse(peer, page_of(dialog_id, _PAGE, bound))
        messages = messages_of(reply.result)
        if messages is None:
            return False
        shown = {id_of(message): message for message in messages}
        if message_id in shown:
            params = shown[message_id].get("params")
            return isinstance(params, Mapping) and params.get("IS_DELETED") == "Y"
        if link is not None and link not in shown:
            # Messages were deleted while it was read.
            return False
        reached = sorted(shown)
        if len(reached) < 2 or reached[0] < message_id:
            return True
        link, bound = reached[0], reached[1]
    return False


def page_of(dialog_id: str, limit: int, before: int | None = None) -> Call:
    """The call that reads so many of a dialog's last messages.

    :param before: of those before this one.
    """
    params: dict[str, Any] = {"DIALOG_ID": dialog_id, "LIMIT": limit}
    if before is not None:
        params["LAST_ID"] = before
    return Call("im.dialog.messages.get", params)


def messages_of(result: Any) -> list[Mapping[str, Any]] | None:
    """The messages in its answer; None where there are none to be found."""
    found = result.get("messages") if isinstance(result, Mapping) else None
    return [message for message in found if isinstance(message, Mapping)] if isinstance(found, list) else None


def _cards(result: Any) -> list[Mapping[str, Any]]:
    """What the portal says of the files in these messages: a list, or a table by id."""
    found = result.get("files") if isinstance(result, Mapping) else None
    cards = found.values() if isinstance(found, Mapping) else found
    return [card for card in cards if isinstance(card, Mapping)] if isinstance(cards, Iterable) else []


def id_of(message: Mapping[str, Any]) -> int:
    """The id of a message."""
    return int(as_number(message.get("id")) or 0)


def _is_new(message: Mapping[str, Any], since: float) -> bool:
    written = written_at(message)
    return written is None or written >= since
