"""``im.dialog.*`` and ``im.chat.get``"""

from __future__ import annotations

import re
from typing import Any

from airflow_provider_b24.testing.chats import Chat, MalformedDialog, UnknownChat, UnknownUser
from airflow_provider_b24.testing.company import Company, User
from airflow_provider_b24.testing.errors import PortalError
from airflow_provider_b24.testing.records import Message
from airflow_provider_b24.testing.registry import Call, method
from airflow_provider_b24.testing.wire import as_json_array, is_numeric, to_int

_NOT_TOLD = frozenset({"DIALOG_ID", "MESSAGE", "REPLY_ID", "SYSTEM"})


def _find(call: Call) -> Chat | None:
    """The dialog, or ``None`` where the caller has no access to it.

    :raises PortalError: ``DIALOG_ID_EMPTY``.
    """
    company, viewer = call.company, call.caller.user_id
    try:
        chat = company.chats.resolve(call.upper("DIALOG_ID"), viewer, company.users, company.now_text())
    except MalformedDialog:
        raise PortalError("DIALOG_ID_EMPTY", "Dialog ID can't be empty") from None
    except (UnknownChat, UnknownUser):
        return None
    return chat if viewer in chat.members else None


def _accessible(call: Call, description: str = "You do not have access to the specified dialog") -> Chat:
    chat = _find(call)
    if chat is None:
        raise PortalError("ACCESS_ERROR", description, status=403)
    return chat


@method("im.dialog.writing", "im")
def dialog_writing(call: Call) -> Any:
    """Show that the caller is writing."""
    call.company.signal(_accessible(call, "Action unavailable"), call.caller.user_id)
    return True


@method("im.dialog.get", "im")
def dialog_get(call: Call) -> Any:
    """What there is to know of a dialog."""
    chat = _accessible(call)
    viewer = call.caller.user_id
    live = [message for message in chat.messages if not message.deleted]
    last = live[-1].id if live else 0
    unread = next((one.id for one in live if one.id > chat.read.get(viewer, 0) and one.author_id != viewer), 0)
    kind = "private" if chat.private else (chat.entity_type.lower().replace("_", "") or "chat")
    return {
        "id": chat.id,
        "parent_chat_id": 0,
        "parent_message_id": 0,
        "name": chat.title,
        "description": "",
        "owner": chat.owner,
        "extranet": False,
        "avatar": "",
        "color": color_of(chat.id),
        "type": kind,
        "counter": chat.unread(viewer),
        "user_counter": len(chat.members),
        "message_count": len(live),
        "unread_id": unread,
        "restrictions": dict.fromkeys(
            ("avatar", "rename", "extend", "call", "mute", "leave", "leave_owner", "send", "user_list"), True
        )
        | {"path": "", "path_title": ""},
        "last_message_id": last,
        "last_id": chat.read.get(viewer, 0),
        "marked_id": 0,
        "disk_folder_id": 0,
        "entity_type": chat.entity_type,
        "entity_id": chat.entity_id,
        "entity_data_1": "",
        "entity_data_2": "",
        "entity_data_3": "",
        "mute_list": [],
        "date_create": chat.created,
        "message_type": "P" if chat.private else "C",
        "public": "",
        "role": "owner" if chat.owner == viewer else "member",
        "entity_link": _entity_link(chat),
        "text_field_enabled": True,
        "background_id": None,
        "permissions": {
            "manage_users_add": "member",
            "manage_users_delete": "manager",
            "manage_ui": "member",
            "manage_settings": "owner",
            "manage_messages": "member",
            "can_post": "member",
        },
        "is_new": False,
        "readed_list": [
            {
                "user_id": member,
                "user_name": call.company.name_of(member),
                "message_id": chat.read.get(member, 0),
                "date": None,
            }
            for member in sorted(chat.members)
            if member != viewer
        ],
        "manager_list": [chat.owner],
        "last_message_views": {"message_id": last, "first_viewers": [], "count_of_viewers": 0},
        "dialog_id": str(call.upper("DIALOG_ID")),
    }


def _entity_link(chat: Chat) -> dict[str, str]:
    deal = re.fullmatch(r"DEAL\|(\d+)", chat.entity_id)
    if deal:
        return {"type": "DEAL", "url": f"/crm/deal/details/{deal.group(1)}/", "id": chat.entity_id}
    return {"type": chat.entity_type, "url": "", "id": chat.entity_id}


def color_of(number: int) -> str:
    """A colour for an avatar."""
    palette = ("#4ba984", "#df532d", "#4b75c9", "#8474c8", "#e0971f", "#1f9bb8", "#b5547f", "#6f8f2f")
    return palette[number % len(palette)]


def user_card(company: Company, user: User) -> dict[str, Any]:
    """A user as ``im.*`` shows one; ids are numbers."""
    return {
        "id": user.id,
        "active": user.active,
        "name": user.full_name,
        "first_name": user.name,
        "last_name": user.last_name,
        "work_position": user.position,
        "color": color_of(user.id),
        "avatar": "",
        "avatar_hr": "",
        "gender": user.gender or "M",
        "birthday": "",
        "extranet": False,
        "network": False,
        "bot": user.bot,
        "connector": False,
        "external_auth_id": "bot" if user.bot else "default",
        "status": "online",
        "idle": False,
        "last_activity_date": company.now_text(),
        "mobile_last_date": False,
        "desktop_last_date": False,
        "absent": False,
        "departments": user.departments,
        "phones": False,
        "bot_data": None,
        "type": "bot" if user.bot else "user",
        "website": "",
        "email": user.email,
    }


def message_card(chat: Chat, message: Message, viewer: int) -> dict[str, Any]:
    """A message as ``im.dialog.messages.get`` shows one."""
    params = {key: value for key, value in message.params.items() if key not in _NOT_TOLD}
    if message.files:
        params["FILE_ID"] = [file["id"] for file in message.files]
    if message.edited:
        params["IS_EDITED"] = "Y"
    if message.deleted:
        params["IS_DELETED"] = "Y"
    if message.reactions.get("like"):
        params["LIKE"] = message.reactions["like"]
    return {
        "id": message.id,
        "chat_id": chat.id,
        "author_id": message.author_id,
        "date": message.date.isoformat(timespec="seconds"),
        "text": message.text,
        "unread": message.id > chat.read.get(viewer, 0) and message.author_id != viewer,
        "uuid": message.uuid,
        "replaces": [],
        "params": as_json_array(params),
        "disappearing_date": None,
    }


def _bound(call: Call, name: str) -> int | None:
    value = call.upper(name)
    if value is None:
        return None
    if not is_numeric(value):
        word = name.split("_", maxsplit=1)[0].capitalize()
        raise PortalError(f"{name}_STRING", f"{word} ID can't be string")
    return to_int(value)


@method("im.dialog.messages.get", "im")
def dialog_messages_get(call: Call) -> Any:
    """Messages of a dialog, newest first: the last ones, those before ``LAST_ID`` or after ``FIRST_ID``."""
    last_id, first_id = _bound(call, "LAST_ID"), _bound(call, "FIRST_ID")
    chat = _accessible(call)
    limit = to_int(call.upper("LIMIT"))
    limit = 20 if limit <= 0 else min(limit, 50)
    messages = chat.messages
    if any(bound is not None and chat.find(bound) is None for bound in (last_id, first_id)):
        messages = []
    if first_id is not None:
        picked = [message for message in messages if message.id > first_id][:limit]
    else:
        picked = [message for message in messages if last_id is None or message.id < last_id][-limit:]
    authors = sorted({message.author_id for message in picked if message.author_id})
    return {
        "chat_id": chat.id,
        "messages": [message_card(chat, message, call.caller.user_id) for message in reversed(picked)],
        "users": [user_card(call.company, call.company.users[author]) for author in authors],
        "files": [file for message in reversed(picked) for file in message.files],
    }


@method("im.dialog.read", "im")
def dialog_read(call: Call) -> Any:
    """Mark messages read, up to ``MESSAGE_ID`` or all; ``false`` without access."""
    chat = _find(call)
    if chat is None:
        return False
    viewer = call.caller.user_id
    last = to_int(call.upper("MESSAGE_ID")) or (chat.messages[-1].id if chat.messages else 0)
    chat.read[viewer] = max(last, chat.read.get(viewer, 0))
    return {
        "dialogId": str(call.upper("DIALOG_ID")),
        "chatId": chat.id,
        "lastId": chat.read[viewer],
        "counter": chat.unread(viewer),
    }


@method("im.dialog.unread", "im")
def dialog_unread(call: Call) -> Any:
    """Mark messages unread, from ``MESSAGE_ID`` on."""
    message_id = to_int(call.upper("MESSAGE_ID"))
    if message_id <= 0:
        raise PortalError("MESSAGE_ID_ERROR", "First unread message id can't be empty")
    chat = _find(call)
    if chat is None or chat.find(message_id) is None:
        return False
    earlier = [message.id for message in chat.messages if message.id < message_id]
    chat.read[call.caller.user_id] = earlier[-1] if earlier else 0
    return True


@method("im.chat.get", "im")
def chat_get(call: Call) -> Any:
    """The chat of an entity; ``null`` where there is none, or where a parameter is wrong."""
    kind, entity = call.upper("ENTITY_TYPE"), call.upper("ENTITY_ID")
    chat = call.company.chats.of_entity(str(kind), str(entity)) if kind and entity else None
    return {"ID": chat.id} if chat else None
