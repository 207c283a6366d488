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
    from airflow_provider_b24.chat.message import message_params

    if type not in TYPES:
        raise ConfigurationError(
            f"type is {type!r}", method="im.notify", advice="'USER' comes from the account, 'SYSTEM' from nobody."
        )
    # The same checks as of a message; but here an attachment needs a text.
    checked = message_params("1", message, attach=attach)
    if "MESSAGE" not in checked or not message.strip():
        raise ConfigurationError("message is empty", method="im.notify", advice="A notification needs a text.")
    params = {"USER_ID": int(user_id), "TYPE": type, "MESSAGE": checked["MESSAGE"]}
    given = {"MESSAGE_OUT": message_out, "TAG": tag, "SUB_TAG": sub_tag, "ATTACH": checked.get("ATTACH")}
    params.update({name: value for name, value in given.items() if value})
    if tag or sub_tag:
        params["CLIENT_ID"] = CLIENT_ID
    return params


def notify(peer: Peer, *, user_id: int | str, message: str, **parameters: Any) -> Generator[Step, Any, int]:
    """Notify a person with ``im.notify``.

    With a tag, one that may have been sent is sent again, for it replaces the earlier one. Without, it is not.

    :param user_id: as :func:`check_user` takes it.
    :param message: the text, with BBCode.
    :param parameters: those of :func:`notification_params`.
    :return: the id of the notification.
    :raises RequestRefusedError: if the portal sent none, which it does not explain.
    :raises OutcomeUnknownError: if it may or may not have been sent.
    :raises Bitrix24Error: if it was not sent.
    """
    from airflow_provider_b24.chat.dialogs import resolve
    from airflow_provider_b24.rest.conversation import converse
    from airflow_provider_b24.rest.protocol import Call, as_number

    person = check_user(user_id)
    # Before the portal is asked for anything.
    notification_params(1, message, **parameters)
    found = yield from resolve(peer, person)
    reply = yield from converse(peer, Call("im.notify", notification_params(found, message, **parameters)))
    number = int(as_number(reply.result) or 0) if not isinstance(reply.result, bool) else 0
    if not number:
        raise RequestRefusedError(
            f"the portal did not notify user {found}, without saying why",
            method="im.notify",
            advice="Is that the id of an active employee? A bot or an unknown user gets no notifications.",
        )
    return number
