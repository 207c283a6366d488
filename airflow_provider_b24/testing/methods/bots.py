"""``imbot.v2.*``: speaking as a chat bot."""

from __future__ import annotations

import re
from typing import Any

from airflow_provider_b24.testing.blocks import check_attach, check_keyboard
from airflow_provider_b24.testing.chats import Chat, MalformedDialog, UnknownChat, UnknownUser
from airflow_provider_b24.testing.company import Bot
from airflow_provider_b24.testing.errors import PortalError
from airflow_provider_b24.testing.methods.bot_accounts import bot_of
from airflow_provider_b24.testing.methods.messages import check_reply
from airflow_provider_b24.testing.records import Message
from airflow_provider_b24.testing.registry import Call, method
from airflow_provider_b24.testing.wire import is_empty, is_numeric, is_yes, items_of, to_int

STATUSES = frozenset(
    f"IMBOT_AGENT_ACTION_{word}"
    for word in (
        "THINKING", "SEARCHING", "GENERATING", "ANALYZING", "PROCESSING", "TRANSLATING", "CONNECTING",
        "CHECKING", "CALCULATING", "READING_DOCS", "COMPOSING",
    )
)  # fmt: skip
_REACTIONS = frozenset(
    (
        "like", "dislike", "faceWithTearsOfJoy", "redHeart", "neutralFace", "fire", "cry",
        "slightlySmilingFace", "winkingFace", "laugh", "kiss", "wonder", "slightlyFrowningFace",
        "loudlyCryingFace", "faceWithStuckOutTongue", "faceWithStuckOutTongueAndWinkingEye",
        "smilingFaceWithSunglasses", "confusedFace", "flushedFace", "thinkingFace", "angry",
        "smilingFaceWithHorns", "faceWithThermometer", "facepalm", "poo", "flexedBiceps", "clappingHands",
        "raisedHand", "smilingFaceWithHeartEyes", "smilingFaceWithHearts", "pleadingFace", "relievedFace",
        "foldedHands", "okHand", "signHorns", "loveYouGesture", "clownFace", "partyingFace", "questionMark",
        "exclamationMark", "lightBulb", "bomb", "sleepingSymbol", "crossMark", "whiteHeavyCheckMark", "eyes",
        "handshake", "hundredPoints",
    )
)  # fmt: skip
_UUID4 = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}")


def dialog_of(call: Call, bot: Bot) -> Chat:
    """The dialog in which it speaks.

    :raises PortalError: there is none that it is a member of.
    """
    company = call.company
    # Of a workgroup's "sg17" the pages on bots say nothing.
    if str(call.get("dialogId")).startswith("sg"):
        raise PortalError("ACCESS_DENIED", "Access denied", status=403)
    try:
        chat = company.chats.resolve(call.get("dialogId"), bot.id, company.users, company.now_text())
    except (MalformedDialog, UnknownChat, UnknownUser):
        raise PortalError("ACCESS_DENIED", "Access denied", status=403) from None
    if bot.id not in chat.members:
        raise PortalError("ACCESS_DENIED", "Access denied", status=403)
    return chat


@method("imbot.v2.Chat.InputAction.notify", "imbot")
def input_action_notify(call: Call) -> Any:
    """Show that the bot is at work.

    What the portal does with an unknown status or a duration beyond 1 to 600 s is not documented; both are
    refused here, so that they are noticed.
    """
    bot = bot_of(call)
    chat = dialog_of(call, bot)
    status, duration = call.get("statusMessageCode"), call.get("duration")
    if not is_empty(status) and status not in STATUSES:
        raise PortalError("ERROR_ARGUMENT", "statusMessageCode is unknown")
    if duration is not None and not (is_numeric(duration) and 1 <= int(duration) <= 600):
        raise PortalError("ERROR_ARGUMENT", "duration is not within 1 and 600")
    call.company.signal(chat, bot.id, status=status or None, duration=None if duration is None else int(duration))
    return {"result": True}


@method("imbot.v2.Chat.Message.send", "imbot")
def message_send(call: Call) -> Any:
    """Write a message as the bot.

    ``templateId`` becomes the message's ``uuid``; where it is a UUID (version 4, lower case) that a message
    already has, that message's id is returned and nothing is sent.
    """
    bot = bot_of(call)
    chat = dialog_of(call, bot)
    company = call.company
    given = call.get("fields")
    fields = given if isinstance(given, dict) else {}
    text = str(fields.get("message") or "").strip()
    attach, keyboard = check_attach(fields.get("attach")), check_keyboard(fields.get("keyboard"))
    forwards = _forwards(call, bot, fields.get("forwardIds"))
    if not text and attach is None and not forwards:
        raise PortalError("EMPTY_MESSAGE", "Message is empty")
    check_reply(call, chat, fields.get("replyId"), bot.id)
    params = dict(fields)
    params |= {name: value for name, value in (("ATTACH", attach), ("KEYBOARD", keyboard)) if value is not None}
    template = fields.get("templateId")
    uuid = template if isinstance(template, str) and _UUID4.fullmatch(template) else None
    author = 0 if is_yes(fields.get("system")) else bot.id
    earlier = company.chats.by_uuid(uuid) if uuid and author else None
    if earlier is not None:
        return {"id": earlier.id, "uuidMap": {}}
    message_id = None
    if text or attach is not None:
        message_id = company.post(chat, author, text, params=params, uuid=uuid if author else None).id
    sent = {key: company.post(chat, bot.id, words, uuid=key).id for key, words in forwards.items()}
    return {"id": message_id if message_id is not None else next(iter(sent.values())), "uuidMap": sent}


def _forwards(call: Call, bot: Bot, given: Any) -> dict[str, str]:
    """Texts of the messages to forward, by the uuid that each gets."""
    texts = {}
    for key, message_id in items_of(given)[:100]:
        found = call.company.chats.message(to_int(message_id))
        if found is None or bot.id not in found[0].members:
            raise PortalError("ACCESS_DENIED", "Access denied", status=403)
        texts[key] = found[1].text
    return texts


def _message(call: Call) -> tuple[Chat, Message]:
    """The message that is named, in a chat of the bot's.

    :raises PortalError: ``ACCESS_DENIED``, also where there is none.
    """
    bot = bot_of(call)
    found = call.company.chats.message(to_int(call.get("messageId")))
    if found is None or bot.id not in found[0].members:
        raise PortalError("ACCESS_DENIED", "Access denied", status=403)
    return found


@method("imbot.v2.Chat.Message.update", "imbot")
def message_update(call: Call) -> Any:
    """Change a message of the bot.

    What an empty text does is not documented; here it deletes the message, as with ``im.message.update``.
    """
    chat, message = _message(call)
    if message.author_id != bot_of(call).id:
        raise PortalError("ACCESS_DENIED", "Access denied", status=403)
    given = call.get("fields")
    fields = given if isinstance(given, dict) else {}
    changes: dict[str, Any] = {}
    for name, check in (("attach", check_attach), ("keyboard", check_keyboard)):
        if fields.get(name) is not None:
            changes[name.upper()] = check(fields[name])
    message.params = {key: value for key, value in (message.params | changes).items() if value is not None}
    if fields.get("message") is not None:
        message.text = call.company.cut(str(fields["message"]).strip())
        message.deleted = not message.text
    message.edited = True
    call.company.changed(chat, message)
    return {"result": True}


@method("imbot.v2.Chat.Message.delete", "imbot")
def message_delete(call: Call) -> Any:
    """Delete a message of the bot, or any in a chat that the bot runs; ``complete`` leaves no trace."""
    chat, message = _message(call)
    if bot_of(call).id not in {message.author_id, chat.owner}:
        raise PortalError("ACCESS_DENIED", "Access denied", status=403)
    message.deleted = True
    message.text = ""
    call.company.changed(chat, message)
    if is_yes(call.get("complete")):
        chat.messages.remove(message)
    return {"result": True}


@method("imbot.v2.Chat.Message.Reaction.add", "imbot")
def reaction_add(call: Call) -> Any:
    """React to a message as the bot."""
    chat, message = _message(call)
    bots = message.reactions.setdefault(_reaction(call), [])
    if bot_of(call).id in bots:
        raise PortalError("REACTION_ALREADY_SET", "Reaction already set")
    bots.append(bot_of(call).id)
    call.company.changed(chat, message)
    return {"result": True}


@method("imbot.v2.Chat.Message.Reaction.delete", "imbot")
def reaction_delete(call: Call) -> Any:
    """Take the bot's reaction back; what is answered where there is none is not documented, here it is the same."""
    chat, message = _message(call)
    bots = message.reactions.get(_reaction(call), [])
    if bot_of(call).id in bots:
        bots.remove(bot_of(call).id)
    call.company.changed(chat, message)
    return {"result": True}


def _reaction(call: Call) -> str:
    if call.get("reaction") not in _REACTIONS:
        raise PortalError("REACTION_NOT_FOUND", "Reaction not found")
    return str(call.get("reaction"))


@method("imbot.v2.Chat.Message.read", "imbot")
def message_read(call: Call) -> Any:
    """Mark messages read for the bot, up to ``messageId`` or all."""
    bot = bot_of(call)
    chat = dialog_of(call, bot)
    last = chat.messages[-1].id if chat.messages else 0
    if call.get("messageId") is not None:
        last = to_int(call.get("messageId"))
        if chat.find(last) is None:
            raise PortalError("MESSAGE_NOT_FOUND", "Message not found")
    before = chat.read.get(bot.id, 0)
    chat.read[bot.id] = max(last, before)
    seen = [one.id for one in chat.messages if before < one.id <= last and one.author_id != bot.id and not one.deleted]
    return {
        "chatId": chat.id,
        "lastId": chat.read[bot.id],
        "counter": chat.unread(bot.id),
        "viewedMessages": seen,
    }
