"""Changing what was posted: a message's text, its deletion, reactions. Pure.

None of it is done twice by being sent twice, but for one: a reaction that is switched over (``auto``). So where an
answer is lost the call is sent again; what the portal says then may only be that nothing was left to do.
"""

from __future__ import annotations

import logging
from collections.abc import Generator
from typing import TYPE_CHECKING, Any

from airflow_provider_b24.chat.dialogs import check_dialog_id, resolve
from airflow_provider_b24.chat.message import LONGEST_TEXT, check_blocks, check_message_id, worded
from airflow_provider_b24.rest.errors import Bitrix24Error, ConfigurationError, NotEditableError, OutcomeUnknownError

if TYPE_CHECKING:
    from airflow_provider_b24.chat.message import Blocks
    from airflow_provider_b24.chat.typing import Bot
    from airflow_provider_b24.rest.peer import Peer
    from airflow_provider_b24.rest.protocol import Call
    from airflow_provider_b24.rest.steps import Step

log = logging.getLogger(__name__)

ACTIONS = ("plus", "minus", "auto")
LIKE = "like"
# What is answered where nothing was left to do.
_DONE_BEFORE = frozenset({"without_changes", "reaction_already_set"})


def update_params(
    message_id: int | str,
    message: str | None = None,
    *,
    attach: Blocks | str | None = None,
    keyboard: Blocks | str | None = None,
    menu: Blocks | str | None = None,
    url_preview: bool | None = None,
    is_edited: bool | None = None,
) -> dict[str, Any]:
    """What ``im.message.update`` takes. What is None stays as it is in the message.

    :param message_id: the message.
    :param message: its new text; at most 20,000 characters. Not an empty one, for that would delete the message.
    :param attach: its new attachment; ``"N"`` or an empty one takes the old one away.
    :param keyboard: its new buttons; likewise.
    :param menu: the new items of its context menu; likewise.
    :param url_preview: whether links become previews.
    :param is_edited: whether it is marked as edited, where only the attachment changes. The portal's default is yes;
        a new text is marked in any case.
    :raises ConfigurationError: if nothing is to change, the text is empty or too long, or a value has a wrong type.
    """
    params: dict[str, Any] = {"MESSAGE_ID": check_message_id(message_id)}
    if message is not None:
        params["MESSAGE"] = _new_text(message)
    for name, value in (("ATTACH", attach), ("KEYBOARD", keyboard), ("MENU", menu)):
        if value is not None:
            params[name] = (check_blocks(name, value, "im.message.update") if value and value != "N" else "") or "N"
    for name, switch in (("URL_PREVIEW", url_preview), ("IS_EDITED", is_edited)):
        if switch is not None:
            params[name] = "Y" if switch else "N"
    if params.keys() <= {"MESSAGE_ID", "IS_EDITED"}:
        raise ConfigurationError(
            "nothing is to change", method="im.message.update", advice="Give message, attach, keyboard or menu."
        )
    return params


def bot_update_fields(
    message_id: int | str,
    message: str | None = None,
    *,
    menu: Blocks | str | None = None,
    is_edited: bool | None = None,
    **parameters: Any,
) -> dict[str, Any]:
    """The ``fields`` of ``imbot.v2.Chat.Message.update``, from the same parameters.

    :raises ConfigurationError: as :func:`update_params`; and for what a bot's message has not: ``menu``, ``is_edited``.
    """
    if menu is not None or is_edited is not None:
        raise ConfigurationError(
            f"a bot's message has no {'menu' if menu is not None else 'is_edited'}",
            method="imbot.v2.Chat.Message.update",
            advice="Leave it out, or edit as the account behind the connection (as_bot=False).",
        )
    params = update_params(message_id, message, **parameters)
    names = {"MESSAGE": "message", "ATTACH": "attach", "KEYBOARD": "keyboard", "URL_PREVIEW": "urlPreview"}
    return {names[name]: value for name, value in params.items() if name in names}


def update(
    peer: Peer,
    *,
    message_id: int | str,
    message: str | None = None,
    markdown: bool = False,
    mentions: bool = False,
    dialog_id: str | int | None = None,
    delete_if_empty: bool = False,
    bot: Bot | None = None,
    **parameters: Any,
) -> Generator[Step, Any, None]:
    """Change a message, with ``im.message.update`` or as a bot with ``imbot.v2.Chat.Message.update``.

    :param message_id: the message; it must be the account's own, or the bot's.
    :param message: its new text. Default: as it is.
    :param markdown: the text is Markdown.
    :param mentions: people whom it names as in ``@anna@example.com`` are mentioned.
    :param dialog_id: where it is; needed only by ``delete_if_empty``, see :func:`delete`.
    :param delete_if_empty: delete the message where the new text is empty. By default that is refused.
    :param bot: edit as this bot.
    :param parameters: the others of :func:`update_params`.
    :raises ConfigurationError: before anything is sent.
    :raises NotEditableError: if it may not be changed, or not any more.
    :raises OutcomeUnknownError: if it may or may not have been changed. Doing it again does no harm.
    :raises Bitrix24Error: if the portal refuses, or can not be reached.
    """
    from airflow_provider_b24.rest.conversation import converse

    if delete_if_empty and isinstance(message, str) and not message.strip():
        yield from delete(peer, message_id=message_id, dialog_id=dialog_id, bot=bot)
        return
    fields_of = update_params if bot is None else bot_update_fields
    if (markdown or mentions) and message:
        # Before it is worked on.
        fields_of(message_id, message.strip()[:LONGEST_TEXT], **parameters)
        message = yield from worded(peer, message, markdown=markdown, mentions=mentions)
    fields = fields_of(message_id, message, **parameters)
    if bot is None:
        call = _call("im.message.update", fields)
    else:
        call = _as_bot("imbot.v2.Chat.Message.update", bot, message_id, fields=fields)
    try:
        yield from converse(peer, call)
    except Bitrix24Error as error:
        raise _meant(error, bot).with_traceback(None) from None


def delete(
    peer: Peer, *, message_id: int | str, dialog_id: str | int | None = None, bot: Bot | None = None
) -> Generator[Step, Any, None]:
    """Delete a message, with ``im.message.delete`` or as a bot with ``imbot.v2.Chat.Message.delete``.

    The portal answers in the same words for a message that is gone already and for one that may not be deleted. Only
    its dialog tells the one from the other: it is read where ``dialog_id`` is given, and a message that is not there
    counts as deleted.

    :param message_id: the message.
    :param dialog_id: the dialog that it is in, as an id or a reference. Default: not known.
    :param bot: delete as this bot.
    :raises NotEditableError: if it may not be deleted, or not any more, or, without ``dialog_id``, if it is gone.
    :raises OutcomeUnknownError: if it may or may not have been deleted. Doing it again does no harm.
    :raises Bitrix24Error: if the portal refuses, or can not be reached.
    """
    number = check_message_id(message_id)
    dialog = None if dialog_id is None else check_dialog_id(dialog_id)
    if bot is None:
        call = _call("im.message.delete", {"MESSAGE_ID": number})
    else:
        call = _as_bot("imbot.v2.Chat.Message.delete", bot, number)
    lost, failure = yield from _done(peer, call)
    if failure is None:
        return
    failure = _meant(failure, bot)
    if isinstance(failure, NotEditableError):
        # The account has no part in a bot's private talk: its own with the same person is another one.
        if dialog is not None and not (bot is not None and dialog.isdecimal()):
            from airflow_provider_b24.chat.looking import is_gone

            try:
                found = yield from resolve(peer, dialog)
                gone = yield from is_gone(peer, found, number)
            except Bitrix24Error as caught:
                log.info("Whether message %s is gone could not be read: %s", number, caught)
                gone = False
            if gone:
                return
        elif lost:
            failure = OutcomeUnknownError(
                f"message {number} may have been deleted: the answer was lost, and now the portal says that it can "
                "not be deleted, as it does of one that is gone",
                method=call.method,
                advice="Look in the dialog; with dialog_id that is done for you.",
            )
            failure.permanent = True
    raise failure.with_traceback(None)


def like(
    peer: Peer,
    *,
    message_id: int | str,
    action: str = "plus",
    reaction: str = LIKE,
    bot: Bot | None = None,
) -> Generator[Step, Any, None]:
    """Put a reaction to a message, or take it away.

    With ``im.message.like``; as a bot with ``imbot.v2.Chat.Message.Reaction.add`` and ``.delete``. That it was so
    already is no error.

    :param message_id: the message.
    :param action: ``plus`` (the default), ``minus``, or ``auto``, which switches over, and is the method's own default:
        it is never sent twice, and a bot has no such thing.
    :param reaction: which one (``like``, ``redHeart``, ``whiteHeavyCheckMark`` …); another than ``like`` as a bot only.
    :param bot: react as this bot.
    :raises ConfigurationError: before anything is sent.
    :raises OutcomeUnknownError: if it may or may not have been done.
    :raises Bitrix24Error: if the portal refuses, or can not be reached.
    """
    from airflow_provider_b24.rest.conversation import converse

    call = like_call(message_id, action, reaction, bot)
    if action == "auto":
        yield from converse(peer, call)
        return
    _, failure = yield from _done(peer, call)
    if failure is not None:
        raise failure.with_traceback(None)


def like_call(message_id: int | str, action: str = "plus", reaction: str = LIKE, bot: Bot | None = None) -> Call:
    """The call that :func:`like` makes.

    :raises ConfigurationError: for what can not be right.
    """
    number = check_message_id(message_id)
    check_reaction(action, reaction)
    if bot is None:
        if reaction != LIKE:
            raise ConfigurationError(
                f"reaction is {reaction!r}", method="im.message.like", advice="Only a bot has others than 'like'."
            )
        return _call("im.message.like", {"MESSAGE_ID": number, "ACTION": action})
    if action == "auto":
        raise ConfigurationError("action is 'auto'", advice="A bot adds a reaction ('plus') or deletes it ('minus').")
    method = f"imbot.v2.Chat.Message.Reaction.{'add' if action == 'plus' else 'delete'}"
    return _as_bot(method, bot, number, reaction=reaction)


def check_reaction(action: object, reaction: object = LIKE) -> None:
    """Refuse what is no action, or can not be the code of a reaction.

    :raises ConfigurationError: saying what there is.
    """
    if action not in ACTIONS:
        raise ConfigurationError(f"action is {action!r}", advice=f"It is one of {', '.join(ACTIONS)}.")
    if not isinstance(reaction, str) or not reaction.isascii() or not reaction.isalpha():
        raise ConfigurationError(f"reaction is {reaction!r}", advice="It is a code such as 'like' or 'redHeart'.")


def _done(peer: Peer, call: Call) -> Generator[Step, Any, tuple[bool, Bitrix24Error | None]]:
    """Send it until there is an answer: whether one was lost before, and what it was refused with, if it was."""
    from airflow_provider_b24.rest.conversation import converse
    from airflow_provider_b24.rest.steps import Wait

    lost = False
    for attempt in range(1, peer.patience.tries + 1):
        try:
            yield from converse(peer, call)
        except Bitrix24Error as error:
            if (error.code or "").lower() in _DONE_BEFORE:
                return lost, None
            if not error.effect_unknown or attempt == peer.patience.tries:
                if error.effect_unknown:
                    error.permanent, error.advice = False, "It may be done again: twice is as good as once."
                return lost, error
            lost = True
            yield Wait(max(peer.backoff(attempt), error.retry_after or 0.0))
        else:
            return lost, None
    raise AssertionError


def _meant(error: Bitrix24Error, bot: Bot | None) -> Bitrix24Error:
    """What a refusal means here: a bot has no code of its own for messages that it may not change."""
    if bot is None or (error.code or "").lower() != "access_denied":
        return error
    return NotEditableError(error.description, method=error.method, code=error.code, status=error.status)


def _new_text(message: object) -> str:
    if not isinstance(message, str):
        raise ConfigurationError(
            f"message is a {type(message).__name__}", method="im.message.update", advice="Give a text."
        )
    if not message.strip():
        raise ConfigurationError(
            "message is empty, and an update with an empty text deletes the message",
            method="im.message.update",
            advice="Give a text; leave message out to keep the old one; or say delete_if_empty=True.",
        )
    if len(message) > LONGEST_TEXT:
        raise ConfigurationError(
            f"message has {len(message):,} characters, and the portal would cut it at {LONGEST_TEXT:,} without a word",
            method="im.message.update",
            advice="A message that was posted can not become a file or several: give a shorter text, such as its "
            "beginning (chat.splitting.beginning), and post the whole as a reply.",
        )
    return message


def _call(method: str, params: dict[str, Any]) -> Call:
    from airflow_provider_b24.rest.protocol import Call

    return Call(method, params)


def _as_bot(method: str, bot: Bot, message_id: int | str, **more: Any) -> Call:
    return _call(method, {**bot.params, "messageId": check_message_id(message_id), **more})
