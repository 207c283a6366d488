"""``imbot.v2.*``: speaking as a chat bot."""

from __future__ import annotations

import re
from typing import Any

from airflow_provider_b24.testing.blocks import check_attach, check_keyboard
from airflow_provider_b24.testing.chats import Chat, MalformedDialog, UnknownChat, UnknownUser
from airflow_provider_b24.testing.company import Bot, Company, User
from airflow_provider_b24.testing.errors import PortalError
from airflow_provider_b24.testing.methods.dialogs import user_card
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
_TYPES = frozenset({"bot", "network", "openline", "supervisor", "personal"})


def _app(call: Call, token: Any) -> str:
    """Who owns the bots of this caller: the application, or for a webhook the token it names."""
    return f"token:{token}" if call.caller.by_webhook else call.caller.app


def _bot(call: Call) -> Bot:
    token = call.get("botToken")
    if call.caller.by_webhook and is_empty(token):
        raise PortalError("BOT_TOKEN_NOT_SPECIFIED", "Bot token is not specified")
    if to_int(call.get("botId")) <= 0:
        raise PortalError("BOT_ID_REQUIRED", "Bot ID is required")
    bot = call.company.bots.get(to_int(call.get("botId")))
    if bot is None:
        raise PortalError("BOT_NOT_FOUND", "Bot not found")
    if bot.owner_app != _app(call, token):
        raise PortalError("BOT_OWNERSHIP_ERROR", "Bot is registered by another application", status=403)
    return bot


def _dialog(call: Call, bot: Bot) -> Chat:
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
    bot = _bot(call)
    chat = _dialog(call, bot)
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
    bot = _bot(call)
    chat = _dialog(call, bot)
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
    bot = _bot(call)
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
    if message.author_id != _bot(call).id:
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
    if _bot(call).id not in {message.author_id, chat.owner}:
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
    if _bot(call).id in bots:
        raise PortalError("REACTION_ALREADY_SET", "Reaction already set")
    bots.append(_bot(call).id)
    call.company.changed(chat, message)
    return {"result": True}


@method("imbot.v2.Chat.Message.Reaction.delete", "imbot")
def reaction_delete(call: Call) -> Any:
    """Take the bot's reaction back; what is answered where there is none is not documented, here it is the same."""
    chat, message = _message(call)
    bots = message.reactions.get(_reaction(call), [])
    if _bot(call).id in bots:
        bots.remove(_bot(call).id)
    call.company.changed(chat, message)
    return {"result": True}


def _reaction(call: Call) -> str:
    if call.get("reaction") not in _REACTIONS:
        raise PortalError("REACTION_NOT_FOUND", "Reaction not found")
    return str(call.get("reaction"))


@method("imbot.v2.Chat.Message.read", "imbot")
def message_read(call: Call) -> Any:
    """Mark messages read for the bot, up to ``messageId`` or all."""
    bot = _bot(call)
    chat = _dialog(call, bot)
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


@method("imbot.v2.Bot.register", "imbot")
def bot_register(call: Call) -> Any:
    """Register a bot; one of the same code and owner is returned as it is."""
    given = call.get("fields")
    fields = given if isinstance(given, dict) else {}
    # Two pages of the documentation put the token in two places.
    token = fields.get("botToken") or call.get("botToken")
    if call.caller.by_webhook and is_empty(token):
        raise PortalError("BOT_TOKEN_NOT_SPECIFIED", "Bot token is not specified")
    if token and len(str(token)) > 40:
        raise PortalError("BOT_TOKEN_INVALID_LENGTH", "Bot token is longer than 40 characters")
    code = fields.get("code")
    if is_empty(code):
        raise PortalError("BOT_CODE_REQUIRED", "Bot code is required")
    properties = fields.get("properties")
    if not isinstance(properties, dict) or is_empty(properties.get("name")):
        raise PortalError("BOT_PROPERTIES_REQUIRED", "Bot properties are required")
    if fields.get("type", "bot") not in _TYPES:
        raise PortalError("BOT_INVALID_TYPE", "Invalid bot type")
    mode = fields.get("eventMode", "fetch")
    if mode not in {"fetch", "webhook"}:
        raise PortalError("BOT_INVALID_EVENT_MODE", "Invalid event mode")
    if mode == "webhook" and is_empty(fields.get("webhookUrl")):
        raise PortalError("BOT_WEBHOOK_URL_REQUIRED", "Webhook URL is required")
    company, app = call.company, _app(call, token)
    bot = next((one for one in company.bots.values() if one.code == str(code)), None)
    if bot is not None and bot.owner_app != app:
        raise PortalError("BOT_CODE_ALREADY_TAKEN", "Bot code is already taken")
    if bot is None:
        user = User(
            company.next_user_id(),
            str(properties["name"]),
            str(properties.get("lastName") or ""),
            "",
            str(properties.get("workPosition") or ""),
            gender=str(properties.get("gender") or ""),
            bot=True,
        )
        company.add_user(user)
        bot = Bot(user.id, str(code), str(token or ""), app, str(fields.get("type", "bot")), mode)
        company.bots[bot.id] = bot
    return {"bot": _bot_card(company, bot), "users": [_user_card(company, bot)]}


def _bot_card(company: Company, bot: Bot) -> dict[str, Any]:
    chats = [chat for chat in company.chats.by_id.values() if bot.id in chat.members]
    return {
        "id": bot.id,
        "code": bot.code,
        "type": bot.type,
        "isHidden": False,
        "isSupportOpenline": False,
        "isReactionsEnabled": True,
        "backgroundId": None,
        "language": "en",
        "moduleId": "rest",
        "eventMode": bot.event_mode,
        "countMessage": sum(one.author_id == bot.id for chat in chats for one in chat.messages),
        "countCommand": 0,
        "countChat": len(chats),
        "countUser": 0,
    }


def _user_card(company: Company, bot: Bot) -> dict[str, Any]:
    """The same card as in ``im.*``, in camel case."""
    card = {}
    for name, value in user_card(company, company.users[bot.id]).items():
        first, *rest = name.split("_")
        card[first + "".join(word.capitalize() for word in rest)] = value
    return card
