"""``im.message.*``"""

from __future__ import annotations

from typing import Any

from airflow_provider_b24.testing.blocks import check_attach, check_keyboard, check_menu
from airflow_provider_b24.testing.chats import Chat, MalformedDialog, UnknownChat, UnknownUser
from airflow_provider_b24.testing.errors import PortalError
from airflow_provider_b24.testing.records import Message
from airflow_provider_b24.testing.registry import Call, method
from airflow_provider_b24.testing.wire import is_empty, to_int


def _target(call: Call) -> Chat:
    """The dialog to write to."""
    company, author = call.company, call.caller.user_id
    try:
        chat = company.chats.resolve(call.upper("DIALOG_ID"), author, company.users, company.now_text())
    except MalformedDialog:
        raise PortalError("USER_ID_EMPTY", "User ID can't be empty") from None
    except UnknownChat:
        raise PortalError("CHAT_ID", "Chat is not found, the message was not created") from None
    except UnknownUser:
        raise PortalError("USER_NOT_FOUND", "User not found") from None
    if author not in chat.members:
        raise PortalError("ACCESS_ERROR", "Action unavailable")
    return chat


def check_reply(call: Call, chat: Chat, reply_id: Any, author: int) -> None:
    """The message that is answered must be in the same chat, and the author must see it.

    :raises PortalError: ``REPLY_ACCESS_ERROR``, ``REPLY_FROM_OTHER_CHAT_ERROR``.
    """
    if is_empty(reply_id):
        return
    found = call.company.chats.message(to_int(reply_id))
    if found is None or author not in found[0].members:
        raise PortalError("REPLY_ACCESS_ERROR", "Action unavailable")
    if found[0] is not chat:
        raise PortalError("REPLY_FROM_OTHER_CHAT_ERROR", "You can only reply to a message within the same chat")


@method("im.message.add", "im")
def message_add(call: Call) -> Any:
    """Write a message as the caller."""
    chat = _target(call)
    given = call.upper("MESSAGE")
    text = "" if given is None or isinstance(given, (dict, list)) else str(given).strip()
    attach = check_attach(call.upper("ATTACH"))
    if not text and attach is None:
        raise PortalError("MESSAGE_EMPTY", "Message can't be empty")
    params = {str(key).upper(): value for key, value in call.params.items() if str(key).lower() != "auth"}
    for name, value in (
        ("ATTACH", attach),
        ("KEYBOARD", check_keyboard(call.upper("KEYBOARD"))),
        ("MENU", check_menu(call.upper("MENU"))),
    ):
        if value is not None:
            params[name] = value
    check_reply(call, chat, call.upper("REPLY_ID"), call.caller.user_id)
    author = 0 if call.upper("SYSTEM") == "Y" else call.caller.user_id
    return call.company.post(chat, author, text, params=params).id


def _changeable(call: Call, *, by_owner: bool = False) -> tuple[Chat, Message]:
    """The message, if the caller wrote it (or, ``by_owner``, runs the group chat) and may still change it."""
    message_id = to_int(call.upper("MESSAGE_ID"))
    if message_id <= 0:
        raise PortalError("MESSAGE_ID_ERROR", "Message ID can't be empty")
    caller = call.caller.user_id
    found = call.company.chats.message(message_id)
    owned = found is not None and by_owner and not found[0].private and found[0].owner == caller
    if found is None or not (found[1].author_id == caller or owned) or _is_late(call, found[1]):
        raise PortalError("CANT_EDIT_MESSAGE", "Time has expired for modification or you don't have access", status=403)
    return found


def _is_late(call: Call, message: Message) -> bool:
    window = call.company.edit_window
    return window is not None and (call.company.now() - message.date).total_seconds() > window


@method("im.message.update", "im")
def message_update(call: Call) -> Any:
    """Change a message of the caller; an empty text deletes it."""
    chat, message = _changeable(call)
    changes: dict[str, Any] = {}
    for name, check in (
        ("ATTACH", check_attach),
        ("KEYBOARD", check_keyboard),
        ("MENU", lambda value: check_menu(value, "menu_ERROR")),
    ):
        if call.upper(name) is not None:
            changes[name] = check(call.upper(name))
    given = call.upper("MESSAGE")
    if given is not None:
        text = str(given).strip()
        if not text:
            message.deleted = True
        message.text = call.company.cut(text)
    if given is not None or call.upper("IS_EDITED") != "N":
        message.edited = True
    message.params = {key: value for key, value in (message.params | changes).items() if value is not None}
    call.company.changed(chat, message)
    return True


@method("im.message.delete", "im")
def message_delete(call: Call) -> Any:
    """Delete a message of the caller, or any in a group chat that the caller runs."""
    chat, message = _changeable(call, by_owner=True)
    message.deleted = True
    message.text = ""
    call.company.changed(chat, message)
    return True


@method("im.message.like", "im")
def message_like(call: Call) -> Any:
    """Put the caller's like to a message or take it away; ``auto`` switches over.

    What is answered for a message that is not there, or that the caller can not see, is not documented; here it is
    the one refusal that there is.
    """
    message_id = to_int(call.upper("MESSAGE_ID"))
    if message_id <= 0:
        raise PortalError("MESSAGE_ID_ERROR", "Message ID can't be empty")
    caller = call.caller.user_id
    found = call.company.chats.message(message_id)
    likes = found[1].reactions.setdefault("like", []) if found is not None and caller in found[0].members else None
    action = str(call.upper("ACTION") or "auto").lower()
    wanted = {"plus": True, "minus": False}.get(action, likes is not None and caller not in likes)
    if found is None or likes is None or (caller in likes) is wanted:
        raise PortalError("WITHOUT_CHANGES", "Action completed without changes")
    if wanted:
        likes.append(caller)
    else:
        likes.remove(caller)
    call.company.changed(*found)
    return True
