"""Notifications: what reaches a person in the portal's notification centre, without a chat."""

from __future__ import annotations

from collections.abc import Generator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from airflow_provider_b24.rest.errors import ConfigurationError, RequestRefusedError

if TYPE_CHECKING:
    from airflow_provider_b24.rest.peer import Peer
    from airflow_provider_b24.rest.steps import Step

TYPES = ("USER", "SYSTEM")

# Tags belong to an application, and a webhook has to name one; always the same, or nothing would be replaced.
CLIENT_ID = "airflow-provider-b24"


def check_user(value: object) -> str:
    """A person as text: a user id, or an address (``user:anna@example.com``).

    :raises ConfigurationError: for anything else, chats included.
    """
    from airflow_provider_b24.chat.dialogs import check_dialog_id
    from airflow_provider_b24.chat.directory import is_person

    advice = "Give a user id such as 13, 'user:anna@example.com', 'head:Sales' or 'responsible:deal:1663'."
    try:
        text = check_dialog_id(value, "user_id")
    except ConfigurationError:
        text = ""
    if not text.isdecimal() and not is_person(text):
        raise ConfigurationError(f"user_id is {value!r}, which names no person", advice=advice)
    return text


def notification_params(
    user_id: int | str,
    message: str,
    *,
    type: str = "USER",
    message_out: str | None = None,
    tag: str | None = None,
    sub_tag: str | None = None,
    attach: Mapping[str, Any] | Sequence[Any] | None = None,
) -> dict[str, Any]:
    """What ``im.notify`` takes.

    :raises ConfigurationError: if the text is empty or too long, or the type is unknown.
    """
    from airflow_provider_b24.chat.message import LONGEST_TEXT, check_blocks

    if type not in TYPES:
        raise ConfigurationError(
            f"type is {type!r}", method="im.notify", advice="'USER' comes from the account, 'SYSTEM' from nobody."
        )
    problem = None if isinstance(message, str) else f"a {message.__class__.__name__}"
    if problem is not None or not message.strip():
        raise ConfigurationError(
            f"message is {problem or 'empty'}", method="im.notify", advice="A notification needs a text."
        )
    if len(message) > LONGEST_TEXT:
        raise ConfigurationError(
            f"message has {len(message):,} characters, and a notification has {LONGEST_TEXT:,} at most",
            method="im.notify",
            advice="Notify of its beginning, and post the whole in a dialog: MessageAddOperator or hook.send_message "
            "with dialog_id='user:…' makes a file of a long text.",
        )
    blocks = check_blocks("ATTACH", attach, "im.notify") if attach else None
    params = {"USER_ID": int(user_id), "TYPE": type, "MESSAGE": message}
    given = {"MESSAGE_OUT": message_out, "TAG": tag, "SUB_TAG": sub_tag, "ATTACH": blocks}
    params.update({name: value for name, value in given.items() if value})
    if tag or sub_tag:
        params["CLIENT_ID"] = CLIENT_ID
    return params


def check_notification(message: str, *, markdown: bool = False, mentions: bool = False, **parameters: Any) -> None:
    """What :func:`notify` checks before the portal is asked for anything.

    :param message: its text; of what becomes another text, the length is known later.
    :param markdown: whether it is Markdown.
    :param mentions: whether people in it become mentions.
    :param parameters: the others of :func:`notification_params`.
    :raises ConfigurationError: for what can not be right.
    """
    from airflow_provider_b24.chat.message import LONGEST_TEXT

    if isinstance(message, str) and (markdown or mentions):
        message = message.strip()[:LONGEST_TEXT]
    notification_params(1, message, **parameters)


def notify(
    peer: Peer,
    *,
    user_id: int | str,
    message: str,
    markdown: bool = False,
    mentions: bool = False,
    **parameters: Any,
) -> Generator[Step, Any, int]:
    """Notify a person with ``im.notify``.

    With a tag, one that may have been sent is sent again, for it replaces the earlier one. Without, it is not.

    :param user_id: as :func:`check_user` takes it.
    :param message: the text, with BBCode; at most 20,000 characters as it is sent.
    :param markdown: the text is Markdown.
    :param mentions: people whom it names as in ``@anna@example.com`` are mentioned.
    :param parameters: those of :func:`notification_params`.
    :return: the id of the notification.
    :raises RequestRefusedError: if the portal sent none, which it does not explain.
    :raises OutcomeUnknownError: if it may or may not have been sent.
    :raises Bitrix24Error: if it was not sent.
    """
    from airflow_provider_b24.chat.dialogs import resolve
    from airflow_provider_b24.chat.message import worded
    from airflow_provider_b24.rest.conversation import converse
    from airflow_provider_b24.rest.protocol import Call, as_number

    person = check_user(user_id)
    check_notification(message, markdown=markdown, mentions=mentions, **parameters)
    found = yield from resolve(peer, person)
    text = yield from worded(peer, message, markdown=markdown, mentions=mentions)
    reply = yield from converse(peer, Call("im.notify", notification_params(found, text or "", **parameters)))
    number = int(as_number(reply.result) or 0) if not isinstance(reply.result, bool) else 0
    if not number:
        raise RequestRefusedError(
            f"the portal did not notify user {found}, without saying why",
            method="im.notify",
            advice="Is that the id of an active employee? A bot or an unknown user gets no notifications.",
        )
    return number
