"""``imbot.v2.Bot.*``: registering chat bots. Who registered one owns it: an application, or whoever knows its token."""

from __future__ import annotations

import base64
import binascii
from typing import Any

from airflow_provider_b24.testing.company import Bot, Company, User
from airflow_provider_b24.testing.errors import PortalError
from airflow_provider_b24.testing.methods.dialogs import user_card
from airflow_provider_b24.testing.registry import Call, method
from airflow_provider_b24.testing.wire import is_empty, is_yes, to_int

LONGEST_TOKEN = 40
_TYPES = frozenset({"bot", "network", "openline", "supervisor", "personal"})
_BACKGROUNDS = frozenset({"azure", "mint", "steel", "slate", "teal", "cornflower", "sky", "peach", "frost"})
_IMAGES = (b"\x89PNG\r\n\x1a\n", b"\xff\xd8\xff", b"GIF8", b"RIFF")
_MOST_PIXELS = 5000
_MOST_BOTS = 100


def _owner(call: Call, token: Any) -> str:
    """Who owns the bots of this caller: the application, or for a webhook the token it names."""
    return f"token:{token}" if call.caller.by_webhook else call.caller.app


def _token(call: Call) -> Any:
    token = call.get("botToken")
    if call.caller.by_webhook and is_empty(token):
        raise PortalError("BOT_TOKEN_NOT_SPECIFIED", "Bot token is not specified")
    return token


def bot_of(call: Call) -> Bot:
    """The caller's bot that a call names.

    :raises PortalError: ``BOT_TOKEN_NOT_SPECIFIED``, ``BOT_ID_REQUIRED``, ``BOT_NOT_FOUND``, ``BOT_OWNERSHIP_ERROR``.
    """
    token = _token(call)
    if to_int(call.get("botId")) <= 0:
        raise PortalError("BOT_ID_REQUIRED", "Bot ID is required")
    bot = call.company.bots.get(to_int(call.get("botId")))
    if bot is None:
        raise PortalError("BOT_NOT_FOUND", "Bot not found")
    if bot.owner_app != _owner(call, token):
        raise PortalError("BOT_OWNERSHIP_ERROR", "Bot is registered by another application", status=403)
    return bot


@method("imbot.v2.Bot.register", "imbot")
def bot_register(call: Call) -> Any:
    """Register a bot; one of the same code and owner is returned as it is."""
    fields = _fields(call)
    # Two pages of the documentation put the token in two places.
    token = fields.get("botToken") or call.get("botToken")
    if call.caller.by_webhook and is_empty(token):
        raise PortalError("BOT_TOKEN_NOT_SPECIFIED", "Bot token is not specified")
    if token and len(str(token)) > LONGEST_TOKEN:
        raise PortalError("BOT_TOKEN_INVALID_LENGTH", "Bot token is longer than 40 characters")
    code = fields.get("code")
    if is_empty(code):
        raise PortalError("BOT_CODE_REQUIRED", "Bot code is required")
    properties = fields.get("properties")
    if not isinstance(properties, dict) or is_empty(properties.get("name")):
        raise PortalError("BOT_PROPERTIES_REQUIRED", "Bot properties are required")
    if fields.get("type", "bot") not in _TYPES:
        raise PortalError("BOT_INVALID_TYPE", "Invalid bot type")
    mode = _mode(fields, "fetch")
    _check_avatar(properties.get("avatar"))
    company, owner = call.company, _owner(call, token)
    bot = next((one for one in company.bots.values() if one.code == str(code)), None)
    if bot is not None and bot.owner_app != owner:
        raise PortalError("BOT_CODE_ALREADY_TAKEN", "Bot code is already taken")
    if bot is None:
        if sum(one.owner_app == owner for one in company.bots.values()) >= _MOST_BOTS:
            raise PortalError("BOT_LIMIT_EXCEEDED", "Bot limit exceeded")
        user = company.add_user(User(company.next_user_id(), "", "", "", bot=True))
        bot = Bot(user.id, str(code), str(token or ""), owner, str(fields.get("type", "bot")), mode)
        company.bots[bot.id] = bot
        _change(company, bot, fields)
    return {"bot": _bot_card(company, bot), "users": [_user_card(company, bot)]}


@method("imbot.v2.Bot.get", "imbot")
def bot_get(call: Call) -> Any:
    """A bot by its id or code; to others than its owner in short."""
    owner = _owner(call, _token(call))
    number, code = to_int(call.get("botId")), call.get("code")
    if number <= 0 and is_empty(code):
        raise PortalError("PARAMS_REQUIRED", "Required parameters are missing")
    bots = call.company.bots.values()
    bot = next((one for one in bots if (one.id == number if number > 0 else one.code == str(code))), None)
    if bot is None:
        raise PortalError("BOT_NOT_FOUND", "Bot not found")
    card = _bot_card(call.company, bot) if bot.owner_app == owner else _short_card(bot)
    return {"bot": card, "users": [_user_card(call.company, bot)]}


@method("imbot.v2.Bot.list", "imbot")
def bot_list(call: Call) -> Any:
    """The caller's bots."""
    owner = _owner(call, _token(call))
    given = call.get("filter")
    kind = given.get("type") if isinstance(given, dict) else None
    limit, offset = to_int(call.get("limit")) or 50, to_int(call.get("offset"))
    own = [one for one in call.company.bots.values() if one.owner_app == owner and kind in (None, one.type)]
    page = own[offset : offset + limit]
    return {
        "bots": [_bot_card(call.company, bot) for bot in page],
        "users": [_user_card(call.company, bot) for bot in page],
        "hasNextPage": offset + limit < len(own),
    }


@method("imbot.v2.Bot.update", "imbot")
def bot_update(call: Call) -> Any:
    """Change a bot, or its token: the old one is good for nothing at once."""
    bot, fields, company = bot_of(call), _fields(call), call.company
    mode = _mode(fields, bot.event_mode)
    properties = fields.get("properties")
    _check_avatar(properties.get("avatar") if isinstance(properties, dict) else None)
    token = str(fields.get("botToken") or "").strip()
    if token:
        # The code for one that is too long is not documented; this is that of registering.
        if len(token) > LONGEST_TOKEN:
            raise PortalError("BOT_TOKEN_INVALID_LENGTH", "Bot token is longer than 40 characters")
        if any(one.token == token and one is not bot for one in company.bots.values()):
            raise PortalError("BOT_TOKEN_ROTATION_FAILED", "Bot token rotation failed")
        bot.token = token
        bot.owner_app = _owner(call, token)
    bot.event_mode = mode
    _change(company, bot, fields)
    return {"bot": _bot_card(company, bot), "users": [_user_card(company, bot)]}


@method("imbot.v2.Bot.unregister", "imbot")
def bot_unregister(call: Call) -> Any:
    """Remove a bot. What becomes of its place in chats is not documented; here it has none any more."""
    bot, company = bot_of(call), call.company
    del company.bots[bot.id]
    company.users[bot.id].active = False
    for chat in company.chats.by_id.values():
        if not chat.private:
            chat.members.discard(bot.id)
    return {"result": True}


def _fields(call: Call) -> dict[str, Any]:
    given = call.get("fields")
    return given if isinstance(given, dict) else {}


def _mode(fields: dict[str, Any], otherwise: str) -> str:
    mode = str(fields.get("eventMode", otherwise))
    if mode not in {"fetch", "webhook"}:
        raise PortalError("BOT_INVALID_EVENT_MODE", "Invalid event mode")
    if mode == "webhook" and otherwise != "webhook" and is_empty(fields.get("webhookUrl")):
        raise PortalError("BOT_WEBHOOK_URL_REQUIRED", "Webhook URL is required")
    return mode


def _check_avatar(given: Any) -> None:
    if is_empty(given):
        return
    try:
        content = base64.b64decode(str(given), validate=True)
    except (binascii.Error, ValueError):
        content = b""
    if not content.startswith(_IMAGES):
        raise PortalError("BOT_AVATAR_INCORRECT_TYPE", "Avatar must be an image")
    if content.startswith(_IMAGES[0]) and max(_png_size(content)) > _MOST_PIXELS:
        raise PortalError("BOT_AVATAR_INCORRECT_SIZE", "Avatar exceeds maximum size")


def _png_size(content: bytes) -> tuple[int, int]:
    return int.from_bytes(content[16:20], "big"), int.from_bytes(content[20:24], "big")


def _change(company: Company, bot: Bot, fields: dict[str, Any]) -> None:
    given = fields.get("properties")
    properties = given if isinstance(given, dict) else {}
    user = company.users[bot.id]
    names = {"name": "name", "lastName": "last_name", "workPosition": "position", "gender": "gender"}
    for name, attribute in names.items():
        if properties.get(name) is not None:
            setattr(user, attribute, str(properties[name]))
    if not is_empty(properties.get("avatar")):
        bot.avatar = base64.b64decode(properties["avatar"])
    for name in ("isHidden", "isReactionsEnabled", "isSupportOpenline"):
        if name in fields:
            bot.traits[name] = is_yes(fields[name]) or fields[name] is True
    if "backgroundId" in fields:
        bot.traits["backgroundId"] = fields["backgroundId"] if fields["backgroundId"] in _BACKGROUNDS else None


def _short_card(bot: Bot) -> dict[str, Any]:
    traits = {"isHidden": False, "isSupportOpenline": False, "isReactionsEnabled": True, "backgroundId": None}
    return {"id": bot.id, "code": bot.code, "type": bot.type, **traits, **bot.traits, "language": "en"}


def _bot_card(company: Company, bot: Bot) -> dict[str, Any]:
    chats = [chat for chat in company.chats.by_id.values() if bot.id in chat.members]
    return {
        **_short_card(bot),
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
