"""``airflow bitrix24 bot …``: registers the chat bot as which a connection speaks, shows it, and removes it."""

from __future__ import annotations

import base64
import os
import shlex
import sys
from argparse import Namespace
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, TypeVar

from airflow.utils.providers_configuration_loader import providers_configuration_loaded

from airflow_provider_b24.chat import bots
from airflow_provider_b24.chat.typing import Bot
from airflow_provider_b24.cli import bot_store
from airflow_provider_b24.rest.credentials import OAuthApp
from airflow_provider_b24.rest.errors import Bitrix24Error, ConfigurationError

if TYPE_CHECKING:
    from airflow_provider_b24.hooks.bitrix24 import Bitrix24Hook
    from airflow_provider_b24.hooks.settings import Settings
    from airflow_provider_b24.rest.client import Client

    T = TypeVar("T")


@providers_configuration_loaded
def register(args: Namespace) -> None:
    """Register a bot for a connection, or change the one it has; and let the connection speak as it.

    :raises SystemExit: with what went wrong and what to do about it.
    """
    with _hook(args.conn_id, "Not registered.") as (hook, settings):
        properties = _properties(args)
        token = _token(hook, settings)
        with _client(hook, settings, token) as client:
            profile = bots.Profile(_code(client, settings, token, args), properties, args.type)
            card = client.run(partial(bots.register, profile=profile, token=token))
        stored = bot_store.change_extra(args.conn_id, {"bot_id": card.id, "bot_token": token})
    _say(f"Registered: the bot {card.name!r} (id {card.id}, code {card.code}).")
    if stored:
        if token:
            bot_store.forget_token(args.conn_id)
        _say(f"The connection {args.conn_id!r} speaks as it from now on.")
    elif settings.bot != Bot(card.id, token):
        _say(f"The connection {args.conn_id!r} is not in Airflow's database: give it these extra fields yourself.")
        _say(f"  bot_id     {card.id}")
        if token:
            name = shlex.quote(bot_store.variable_of(args.conn_id))
            _say(f"  bot_token  what this shows: airflow variables get {name}")
    if card.chats == 0:
        _say("It is in no chat yet: add it, by its name, to those in which it is to speak.")


@providers_configuration_loaded
def show(args: Namespace) -> None:
    """List the bots of a connection: those of its token, or of its application."""
    from airflow.cli.simple_table import AirflowConsole

    with _hook(args.conn_id, "The bots could not be listed.") as (hook, settings):
        token = _known_token(hook, settings)
        if token is None and not isinstance(settings.credential, OAuthApp):
            raise ConfigurationError(
                f"the connection {args.conn_id!r} has no bot",
                advice="A webhook sees only the bots of a token. Register one: airflow bitrix24 bot register",
            )
        with _client(hook, settings, token) as client:
            cards = client.run(partial(bots.every, token=token))
    speaks = settings.bot.bot_id if settings.bot else None
    rows = [
        {
            "id": card.id,
            "name": card.name,
            "code": card.code,
            "type": card.type,
            "chats": card.chats,
            "messages": card.messages,
            "speaks": card.id == speaks,
        }
        for card in cards
    ]
    AirflowConsole().print_as(data=rows, output=args.output)


@providers_configuration_loaded
def unregister(args: Namespace) -> None:
    """Remove a connection's bot from the portal and from the connection."""
    with _hook(args.conn_id, "Not removed.") as (hook, settings):
        bot = settings.bot
        if bot is None:
            raise ConfigurationError(f"the connection {args.conn_id!r} has no bot", advice="There is nothing to do.")
        if not args.yes and not _agreed(
            f"Remove the bot {bot.bot_id} from {settings.credential.address}? What it wrote stays, nobody can bring it "
            "back (y/N) "
        ):
            raise SystemExit("Nothing was removed.")
        with _client(hook, settings, bot.token) as client:
            there = client.run(partial(bots.unregister, bot=bot))
        stored = bot_store.change_extra(args.conn_id, {"bot_id": None, "bot_token": None})
        bot_store.forget_token(args.conn_id)
    _say(f"Removed: the bot {bot.bot_id}." if there else f"The portal has no bot {bot.bot_id} any more.")
    if stored:
        _say(f"The connection {args.conn_id!r} speaks as its account from now on.")
    else:
        _say(f"Now take bot_id and bot_token out of the connection {args.conn_id!r}; it is not in Airflow's database.")


@contextmanager
def _hook(conn_id: str, failed: str) -> Iterator[tuple[Bitrix24Hook, Settings]]:
    # Connections and Variables are looked up in Airflow's database, as Airflow's own commands do it.
    os.environ["_AIRFLOW_PROCESS_CONTEXT"] = "server"
    from airflow_provider_b24.hooks.bitrix24 import Bitrix24Hook
    from airflow_provider_b24.hooks.connection import read_connection

    with Bitrix24Hook(conn_id) as hook:
        try:
            yield hook, read_connection(hook, conn_id)
        except Bitrix24Error as error:
            raise SystemExit(f"{failed} {error}") from None


def _client(hook: Bitrix24Hook, settings: Settings, token: str | None) -> Client:
    from airflow_provider_b24.rest.client import Client

    # What the token is called by the portal must not be shown either.
    known = replace(settings, bot=Bot(settings.bot.bot_id if settings.bot else 0, token))
    return Client(hook._peer_of(known), settings.transport)


def _known_token(hook: Bitrix24Hook, settings: Settings) -> str | None:
    """The token that the connection's bot has, or that was kept for one that is being registered."""
    from airflow_provider_b24.hooks.masking import mask

    if isinstance(settings.credential, OAuthApp):
        return settings.bot.token if settings.bot else None
    token = settings.bot.token if settings.bot else None
    token = token or bot_store.pending_token(hook.bitrix24_conn_id)
    if token:
        mask([token])
    return token


def _token(hook: Bitrix24Hook, settings: Settings) -> str | None:
    """The same, or a new one, which is kept before anything else is done."""
    from airflow_provider_b24.hooks.masking import mask

    token = _known_token(hook, settings)
    if token is None and not isinstance(settings.credential, OAuthApp):
        token = bots.new_token()
        mask([token])
        bot_store.keep_token(hook.bitrix24_conn_id, token)
    return token


def _code(client: Client, settings: Settings, token: str | None, args: Namespace) -> str:
    """The code of the bot that the connection has, or of the new one."""
    card = None
    if settings.bot is not None:
        card = client.run(partial(bots.find, bot_id=settings.bot.bot_id, token=token))
    if card is None:
        return args.code or f"airflow_{args.conn_id}"
    if not card.own or args.code not in (None, card.code):
        whose = f"whose code is {card.code}" if card.own else "which is somebody else's"
        raise ConfigurationError(
            f"the connection {args.conn_id!r} speaks as the bot {card.id} already, {whose}",
            advice="Leave --code out to change it; for another one take bot_id and bot_token out of the connection.",
        )
    return card.code


def _properties(args: Namespace) -> dict[str, str]:
    given = {
        "name": args.name,
        "lastName": args.last_name,
        "workPosition": args.position,
        "color": args.color,
        "avatar": _base64(args.avatar) if args.avatar else None,
    }
    return {name: value for name, value in given.items() if value}


def _base64(path: str) -> str:
    try:
        with open(path, "rb") as file:
            content = file.read()
    except OSError as error:
        raise ConfigurationError(
            f"the avatar {path!r} can not be read ({type(error).__name__})", advice="Give the path of an image."
        ) from None
    if not content:
        raise ConfigurationError(f"the avatar {path!r} is empty", advice="Give the path of an image.")
    return base64.b64encode(content).decode()


def _agreed(question: str) -> bool:
    try:
        return input(question).strip().lower() in ("y", "yes")
    except EOFError:
        return False


def _say(words: str) -> None:
    sys.stdout.write(f"{words}\n")
    sys.stdout.flush()
