"""Chat bots of a portal: registered, looked up, changed and removed (``imbot.v2.Bot.*``).

Whoever calls through a webhook owns a bot by its token: a text that was made up when the bot was registered. The portal
never tells it again, so it has to be kept before the bot is registered.
"""

from __future__ import annotations

import secrets
from collections.abc import Generator, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from airflow_provider_b24.chat.typing import Bot
from airflow_provider_b24.rest.conversation import converse
from airflow_provider_b24.rest.errors import AccessDeniedError, Bitrix24Error, UnexpectedReplyError
from airflow_provider_b24.rest.protocol import Call, as_number

if TYPE_CHECKING:
    from airflow_provider_b24.rest.peer import Patience, Peer
    from airflow_provider_b24.rest.steps import Step

_PAGE = 50


@dataclass(frozen=True)
class Profile:
    """What a bot is to be like.

    :ivar code: what tells it from the owner's other bots.
    :ivar properties: its ``name``, ``lastName``, ``workPosition``, ``color``, ``avatar`` (base64), as far as they are
        given.
    :ivar type: ``bot``, or one that sees all messages of its chats (``personal``, ``supervisor``).
    """

    code: str
    properties: Mapping[str, str] = field(repr=False)
    type: str = "bot"


@dataclass(frozen=True)
class Card:
    """A bot as the portal shows it to its owner.

    :ivar own: whether who asks is its owner.
    :ivar chats: how many chats it is in; None if the portal does not say.
    """

    id: int
    code: str
    name: str = ""
    type: str = "bot"
    own: bool = True
    chats: int | None = None
    messages: int | None = None


def new_token() -> str:
    """A token for a bot that is to be registered; the portal takes up to 40 characters."""
    return secrets.token_hex(16)


def register(peer: Peer, *, profile: Profile, token: str | None) -> Generator[Step, Any, Card]:
    """Register a bot, or change the one that its owner has registered with that code before.

    May be done again as often as one likes. That the bot is its owner's is made sure of in the end.

    :param token: the bot's token; None for an application, which needs none.
    :raises Bitrix24Error: if the portal refuses; the bot may be there then, and the next time it is found.
    """
    card = yield from find(peer, code=profile.code, token=token)
    if card is not None and card.own:
        yield from update(peer, bot=Bot(card.id, token), properties=profile.properties)
    else:
        # One of somebody else's has this code: that is for the portal to refuse.
        card = yield from _new(peer, profile, token)
    found = yield from find(peer, bot_id=card.id, token=token)
    if found is None or not found.own:
        raise AccessDeniedError(
            f"the bot {card.id} was registered and does not answer to its token",
            method="imbot.v2.Bot.get",
            advice="Run the command again; if that does not help, choose another code.",
        )
    return found


def _new(peer: Peer, profile: Profile, token: str | None) -> Generator[Step, Any, Card]:
    fields: dict[str, Any] = {
        "code": profile.code,
        "properties": dict(profile.properties),
        "type": profile.type,
        "eventMode": "fetch",
    }
    params: dict[str, Any] = {"fields": {**fields, **({"botToken": token} if token else {})}}
    try:
        reply = yield from converse(peer, Call("imbot.v2.Bot.register", params))
    except Bitrix24Error as error:
        # One page of the documentation puts the token there, another one here.
        if not token or (error.code or "").upper() != "BOT_TOKEN_NOT_SPECIFIED":
            raise
        reply = yield from converse(peer, Call("imbot.v2.Bot.register", {"botToken": token, **params}))
    return _card(reply.result, "imbot.v2.Bot.register")


def find(
    peer: Peer,
    *,
    bot_id: int | None = None,
    code: str | None = None,
    token: str | None,
    patience: Patience | None = None,
) -> Generator[Step, Any, Card | None]:
    """A bot by its id or code (``imbot.v2.Bot.get``); None if there is none.

    :param patience: how long to go on trying, instead of the peer's own.
    """
    which: dict[str, Any] = {"code": code} if bot_id is None else {"botId": bot_id}
    try:
        reply = yield from converse(peer, Call("imbot.v2.Bot.get", {**which, **_proof(token)}), patience=patience)
    except Bitrix24Error as error:
        if (error.code or "").upper() == "BOT_NOT_FOUND":
            return None
        raise
    return _card(reply.result, "imbot.v2.Bot.get")


def update(peer: Peer, *, bot: Bot, properties: Mapping[str, str]) -> Generator[Step, Any, None]:
    """Change a bot's name, avatar and the like (``imbot.v2.Bot.update``)."""
    if properties:
        params = {**bot.params, "fields": {"properties": dict(properties)}}
        yield from converse(peer, Call("imbot.v2.Bot.update", params))


def unregister(peer: Peer, *, bot: Bot) -> Generator[Step, Any, bool]:
    """Remove a bot (``imbot.v2.Bot.unregister``).

    :return: whether it was there.
    """
    try:
        yield from converse(peer, Call("imbot.v2.Bot.unregister", bot.params))
    except Bitrix24Error as error:
        if (error.code or "").upper() == "BOT_NOT_FOUND":
            return False
        raise
    return True


def every(peer: Peer, *, token: str | None) -> Generator[Step, Any, list[Card]]:
    """All bots of an application, or those of a token (``imbot.v2.Bot.list``)."""
    cards: list[Card] = []
    while True:
        params = {"limit": _PAGE, "offset": len(cards), **_proof(token)}
        reply = yield from converse(peer, Call("imbot.v2.Bot.list", params))
        result = reply.result if isinstance(reply.result, Mapping) else {}
        bots = result.get("bots")
        rows = bots if isinstance(bots, list) else []
        cards += [_card({"bot": row, "users": result.get("users")}, "imbot.v2.Bot.list") for row in rows]
        if not rows or result.get("hasNextPage") is not True:
            return cards


def _proof(token: str | None) -> dict[str, str]:
    return {"botToken": token} if token else {}


def _card(result: object, method: str) -> Card:
    given = result if isinstance(result, Mapping) else {}
    bot = given.get("bot")
    number = as_number(bot.get("id")) if isinstance(bot, Mapping) else None
    if not number or not isinstance(bot, Mapping):
        raise UnexpectedReplyError("the portal shows no bot", method=method)
    users = given.get("users")
    names = {
        as_number(user.get("id")): str(user.get("name") or "")
        for user in (users if isinstance(users, list) else [])
        if isinstance(user, Mapping)
    }
    counts = [as_number(bot.get(name)) for name in ("countChat", "countMessage")]
    chats, messages = (None if count is None else int(count) for count in counts)
    # What only the owner is shown.
    own = "eventMode" in bot or "moduleId" in bot
    code, kind = str(bot.get("code") or ""), str(bot.get("type") or "")
    return Card(int(number), code, names.get(number, ""), kind, own, chats, messages)
