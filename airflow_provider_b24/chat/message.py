"""A message's parameters, which are checked before anything is sent, and posting it."""

from __future__ import annotations

from collections.abc import Generator, Mapping, Sequence
from contextlib import suppress
from functools import partial
from typing import TYPE_CHECKING, Any

from airflow_provider_b24.chat.dialogs import check_dialog_id, for_bot, is_reference, resolve
from airflow_provider_b24.chat.long_text import check_long_text
from airflow_provider_b24.rest.errors import ConfigurationError

if TYPE_CHECKING:
    from airflow_provider_b24.chat.delivery import Memory, Posting
    from airflow_provider_b24.chat.typing import Bot
    from airflow_provider_b24.rest.peer import Peer
    from airflow_provider_b24.rest.protocol import Call
    from airflow_provider_b24.rest.steps import Step

# The portal cuts a longer text without a word (chat-bots-v2, entities.md).
LONGEST_TEXT = 20_000

_LISTS = {"ATTACH": "BLOCKS", "KEYBOARD": "BUTTONS", "MENU": "ITEMS"}

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
    :param attach: blocks, or a mapping with ``BLOCKS``; or either as a JSON text.
    :param keyboard: buttons, or a mapping with ``BUTTONS``; likewise.
    :param menu: items of the context menu, or a mapping with ``ITEMS``; likewise.
    :param system: show it as a system message, without an author.
    :param url_preview: turn links into previews. Default True.
    :param reply_id: the message that this one answers.
    :raises ConfigurationError: if there is neither text nor attachment, or the text is too long.
    """
    text = _text(message)
    blocks = {
        name: check_blocks(name, value)
        for name, value in (("ATTACH", attach), ("KEYBOARD", keyboard), ("MENU", menu))
        if value
    }
    if not text.strip() and not blocks.get("ATTACH"):
        raise ConfigurationError(
            "message is empty, and there is no attach", method="im.message.add", advice="Give one of the two."
        )
    if len(text) > LONGEST_TEXT:
        raise ConfigurationError(
            f"message has {len(text):,} characters, and the portal would cut it at {LONGEST_TEXT:,} without a word",
            method="im.message.add",
            advice="Post a shorter text, or have long_text make a file of it, or several messages.",
        )
    params: dict[str, Any] = {"DIALOG_ID": dialog_id}
    if text:
        params["MESSAGE"] = text
    params |= {name: value for name, value in blocks.items() if value}
    if system:
        params["SYSTEM"] = "Y"
    if not url_preview:
        params["URL_PREVIEW"] = "N"
    if reply_id is not None:
        params["REPLY_ID"] = check_message_id(reply_id, "reply_id")
    return params


def bot_fields(
    message: str | None = None,
    *,
    attach: Blocks | None = None,
    keyboard: Blocks | None = None,
    menu: Blocks | None = None,
    system: bool = False,
    url_preview: bool = True,
    reply_id: int | str | None = None,
) -> dict[str, Any]:
    """The ``fields`` of ``imbot.v2.Chat.Message.send``, from the same parameters.

    :raises ConfigurationError: as :func:`message_params`; and for a menu, which a bot's message can not have.
    """
    # The same checks, and the same words.
    params = message_params("1", message, attach=attach, keyboard=keyboard, reply_id=reply_id)
    if menu:
        raise ConfigurationError("a bot's message has no menu", advice="Leave the menu or as_bot=True out.")
    names = ("MESSAGE", "ATTACH", "KEYBOARD")
    given: dict[str, Any] = {name.lower(): params[name] for name in names if name in params}
    if system:
        given["system"] = True
    if not url_preview:
        given["urlPreview"] = False
    if reply_id is not None:
        given["replyId"] = check_message_id(reply_id, "reply_id")
    return given


def check_message(
    message: str | None = None,
    *,
    as_bot: bool = False,
    long_text: str = "file",
    markdown: bool = False,
    mentions: bool = False,
    **parameters: Any,
) -> None:
    """What :func:`post` checks before anything is sent.

    :param message: its text.
    :param as_bot: whether a bot posts it.
    :param long_text: what becomes of a text that is too long.
    :param markdown: whether it is Markdown.
    :param mentions: whether people in it become mentions.
    :param parameters: the others of :func:`message_params`.
    :raises ConfigurationError: for what can not be right.
    """
    check_long_text(long_text)
    if isinstance(message, str) and len(message) > LONGEST_TEXT and (markdown or mentions or long_text != "refuse"):
        # How long it is as it is sent is known later.
        message = message.strip()[:LONGEST_TEXT]
    if as_bot:
        bot_fields(message, **parameters)
    else:
        message_params("1", message, **parameters)


def post(
    peer: Peer,
    *,
    dialog_id: str | int,
    message: str | None = None,
    long_text: str = "file",
    markdown: bool = False,
    mentions: bool = False,
    memory: Memory | None = None,
    bot: Bot | None = None,
    **parameters: Any,
) -> Generator[Step, Any, int]:
    """Post a message once, whatever becomes of the answer: with ``im.message.add``, or as a bot.

    :param dialog_id: where, as an id or a reference.
    :param message: the text, of any length.
    :param long_text: what becomes of a text of more than 20,000 characters: ``file``, the default: it goes as a file
        with its beginning as the message, or, where the message has more than a text (``attach``, ``keyboard``,
        ``menu``, ``system``, ``reply_id``, no previews), as a file after that message; ``split``: it goes as several
        messages, of which the first has ``reply_id``, and the last ``attach``, ``keyboard`` and ``menu``; ``refuse``:
        it is an error. What counts are the characters (code points) of the text as it is sent.
    :param markdown: the text is Markdown. A file has it as it is written.
    :param mentions: people whom it names as in ``@anna@example.com`` are mentioned, see
        :func:`~airflow_provider_b24.chat.people.with_mentions`.
    :param memory: what is kept of it, for whoever tries again. Default: until this ends.
    :param bot: post as this bot, with ``imbot.v2.Chat.Message.send``.
    :param parameters: the others of :func:`message_params`.
    :return: the id of the message; of the first, where there are several.
    :raises ConfigurationError: before anything is sent.
    :raises NotFoundError: if the reference leads nowhere.
    :raises DeliveryUnknownError: if it may or may not have been posted.
    :raises Bitrix24Error: if the portal refuses.
    """
    from airflow_provider_b24.chat.delivery import Memory, deliver
    from airflow_provider_b24.chat.long_text import deliver_long, kept_way, posted_before

    checked = check_dialog_id(dialog_id)
    check_message(
        message, as_bot=bot is not None, long_text=long_text, markdown=markdown, mentions=mentions, **parameters
    )
    if bot is not None:
        checked = for_bot(checked)
    memory = memory or Memory()
    if mentions or is_reference(checked):
        # What was posted needs neither dialog nor people any more.
        posted = yield from posted_before(peer, memory)
        if posted is not None:
            return posted
    found = yield from resolve(peer, checked)
    way = yield from kept_way(memory)
    text = yield from worded(peer, message, markdown=markdown, mentions=mentions)
    if way is None and (len(text or "") <= LONGEST_TEXT or long_text == "refuse"):
        return (yield from deliver(peer, _posting(found, bot, {**parameters, "message": text}), memory))
    return (
        yield from deliver_long(
            peer,
            text=text or "",
            source=message or "",
            way=way,
            long_text=long_text,
            dialog_id=found,
            memory=memory,
            bot=bot,
            parameters=parameters,
            posting=partial(_posting, found, bot),
        )
    )


def worded(
    peer: Peer, message: str | None, *, markdown: bool = False, mentions: bool = False
) -> Generator[Step, Any, str | None]:
    """A text as it is sent.

    :param message: as it was given.
    :param markdown: it is Markdown, and becomes BBCode.
    :param mentions: people in it become mentions, after that: Markdown knows none.
    """
    from airflow_provider_b24.rest.steps import Ask

    if message and markdown:
        from airflow_provider_b24.chat.markdown import to_bbcode

        # A long one takes a while.
        message = yield Ask(partial(to_bbcode, message))
    if message and mentions:
        from airflow_provider_b24.chat.people import with_mentions

        message = yield from with_mentions(peer, message)
    return message


def _posting(dialog_id: str, bot: Bot | None, parameters: Mapping[str, Any]) -> Posting:
    from airflow_provider_b24.chat.delivery import Posting
    from airflow_provider_b24.rest.protocol import Call

    system = bool(parameters.get("system"))
    message, attach = parameters.get("message"), parameters.get("attach")
    if bot is None:
        params = message_params(dialog_id, **parameters)
        return Posting(dialog_id, message, attach, 0 if system else None, lambda _: Call("im.message.add", params))
    speaker = {**bot.params, "dialogId": dialog_id}
    fields = bot_fields(**parameters)

    def call(uuid: str) -> Call:
        identified = {**fields, "templateId": uuid} if uuid else fields
        return Call("imbot.v2.Chat.Message.send", {**speaker, "fields": identified})

    return Posting(
        dialog_id,
        message,
        attach,
        0 if system else bot.bot_id,
        call,
        # A system message has no UUID; and the account behind the connection has no part in a bot's private talk.
        has_uuid=not system,
        readable=not dialog_id.isdecimal(),
    )


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


def check_blocks(name: str, value: object, method: str = "im.message.add") -> object:
    """An attachment, a keyboard or a menu as an object; a template renders to text, which is read as JSON.

    :raises ConfigurationError: if it can not be one.
    """
    problem = f"a {type(value).__name__}"
    if isinstance(value, str):
        import json

        problem = "a text that is no JSON"
        with suppress(ValueError, RecursionError):
            value = json.loads(value)
    if isinstance(value, Mapping) or (isinstance(value, Sequence) and not isinstance(value, (str, bytes, bytearray))):
        inner = value.get(_LISTS.get(name, ""), []) if isinstance(value, Mapping) else value
        items = inner if isinstance(inner, (list, tuple)) else []
        wrong = next((type(one).__name__ for one in items if not isinstance(one, Mapping)), None)
        if wrong is None:
            return value
        problem = f"a list with a {wrong}, and a block is a mapping"
    raise ConfigurationError(
        f"{name.lower()} is {problem}",
        method=method,
        advice="Give a list of blocks, or a mapping; a template makes its text with '| tojson'.",
    )
