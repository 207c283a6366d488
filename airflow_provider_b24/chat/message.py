"""Posting a message with ``im.message.add``; its parameters are checked before anything is sent."""

from __future__ import annotations

from collections.abc import Generator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from airflow_provider_b24.chat.dialogs import check_dialog_id, resolve
from airflow_provider_b24.rest.errors import ConfigurationError, OutcomeUnknownError

if TYPE_CHECKING:
    from airflow_provider_b24.rest.peer import Peer
    from airflow_provider_b24.rest.steps import Step

# The portal cuts a longer text without a word (chat-bots-v2, entities.md).
LONGEST_TEXT = 20_000

Blocks = Mapping[str, Any] | Sequence[Any]


def message_params(
    dialog_id: str,
    message: str | None = None,
    *,
    attach: Blocks | None = None,
    keyboard: Blocks | None = None,
    menu: Blocks | None = None,
    system: bool = False,
    url_preview: bool = True,
    reply_id: int | str | None = None,
) -> dict[str, Any]:
    """What ``im.message.add`` takes.

    :param dialog_id: where to post, as an id.
    :param message: the text, with BBCode; at most 20,000 characters, for the portal cuts the rest off silently.
    :param attach: blocks, or a mapping with ``BLOCKS``.
    :param keyboard: buttons, or a mapping with ``BUTTONS``.
    :param menu: items of the context menu, or a mapping with ``ITEMS``.
    :param system: show it as a system message, without an author.
    :param url_preview: turn links into previews. Default True.
    :param reply_id: the message that this one answers.
    :raises ConfigurationError: if there is neither text nor attachment, or the text is too long.
    """
    text = _text(message)
    if not text.strip() and not attach:
        raise ConfigurationError(
            "message is empty, and there is no attach", method="im.message.add", advice="Give one of the two."
        )
    if len(text) > LONGEST_TEXT:
        raise ConfigurationError(
            f"message has {len(text):,} characters, and the portal would cut it at {LONGEST_TEXT:,} without a word",
            method="im.message.add",
            advice="Post a shorter text, or several messages.",
        )
    params: dict[str, Any] = {"DIALOG_ID": dialog_id}
    if text:
        params["MESSAGE"] = text
    for name, value in (("ATTACH", attach), ("KEYBOARD", keyboard), ("MENU", menu)):
        if value:
            params[name] = _blocks(name, value)
    if system:
        params["SYSTEM"] = "Y"
    if not url_preview:
        params["URL_PREVIEW"] = "N"
    if reply_id is not None:
        params["REPLY_ID"] = check_message_id(reply_id, "reply_id")
    return params


def post(peer: Peer, *, dialog_id: str | int, **parameters: Any) -> Generator[Step, Any, int]:
    """Post a message with ``im.message.add``; sent once, whatever becomes of the answer.

    :param dialog_id: where, as an id or a reference.
    :param parameters: those of :func:`message_params`.
    :return: the id of the message.
    :raises ConfigurationError: before anything is sent.
    :raises NotFoundError: if the reference leads nowhere.
    :raises OutcomeUnknownError: if it may or may not have been posted.
    :raises Bitrix24Error: if the portal refuses.
    """
    from airflow_provider_b24.rest.conversation import converse
    from airflow_provider_b24.rest.protocol import Call, as_number

    checked = check_dialog_id(dialog_id)
    message_params(checked, **parameters)
    found = yield from resolve(peer, checked)
    reply = yield from converse(peer, Call("im.message.add", message_params(found, **parameters)))
    posted = as_number(reply.result)
    if not posted:
        unclear = OutcomeUnknownError(
            f"the portal answered with a {type(reply.result).__name__} instead of the id of a message",
            method="im.message.add",
            advice="The message may have been posted; it was not sent again. Look in the chat before repeating it.",
        )
        unclear.permanent = True
        raise unclear
    return int(posted)


def check_message_id(value: object, argument: str = "message_id") -> int:
    """A message's id as a number.

    :raises ConfigurationError: if it can not be one.
    """
    if isinstance(value, (int, str)) and not isinstance(value, bool):
        text = str(value).strip()
        if text.isascii() and text.isdecimal() and len(text) < 20 and int(text) > 0:
            return int(text)
    raise ConfigurationError(f"{argument} is {value!r}", advice="The id of a message is a number, such as 90841.")


def _text(message: object) -> str:
    if message is None:
        return ""
    if not isinstance(message, str):
        raise ConfigurationError(
            f"message is a {type(message).__name__}", method="im.message.add", advice="Give a text."
        )
    return message


def _blocks(name: str, value: object) -> object:
    # A template renders to text; the portal takes a JSON text as well as an object.
    if isinstance(value, (Mapping, str)) or (isinstance(value, Sequence) and not isinstance(value, (bytes, bytearray))):
        return value
    raise ConfigurationError(
        f"{name.lower()} is a {type(value).__name__}",
        method="im.message.add",
        advice="Give a list of blocks, or a mapping.",
    )
