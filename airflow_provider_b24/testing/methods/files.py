"""Files into a chat: ``im.v2.File.upload``, its twin for bots, and the older way in three steps."""

from __future__ import annotations

import base64
import binascii
from typing import Any

from airflow_provider_b24.testing.chats import Chat, MalformedDialog, UnknownChat, UnknownUser
from airflow_provider_b24.testing.company import Company, StoredFile
from airflow_provider_b24.testing.crm import ZONE
from airflow_provider_b24.testing.errors import PortalError
from airflow_provider_b24.testing.methods.bot_accounts import bot_of
from airflow_provider_b24.testing.methods.bots import dialog_of
from airflow_provider_b24.testing.records import Message
from airflow_provider_b24.testing.registry import Call, method
from airflow_provider_b24.testing.wire import is_empty, is_truthy, is_yes, to_int

_TYPES = {"png": "image", "jpg": "image", "jpeg": "image", "gif": "image", "mp4": "video", "mp3": "audio"}
# The folder of a chat has the chat's number and this.
_FOLDERS = 4_000_000


def _content(call: Call, fields: dict[str, Any]) -> bytes:
    name, content = fields.get("name"), fields.get("content")
    if is_empty(name) or is_empty(content):
        raise PortalError("FILE_EMPTY", "File name and content are required")
    data = _decoded(content)
    if data is None:
        raise PortalError("FILE_INVALID_CONTENT", "Invalid base64 content")
    if len(data) > call.company.max_file_size:
        raise PortalError("FILE_TOO_LARGE", "File is too large")
    return data


def _decoded(content: Any) -> bytes | None:
    try:
        return base64.b64decode(content, validate=True) if isinstance(content, str) else None
    except (binascii.Error, ValueError):
        return None


def _store(company: Company, chat: Chat, name: str, data: bytes, author: int) -> StoredFile:
    stored = StoredFile(company.next_file_id(), chat.id, name, data, author)
    company.files[stored.id] = stored
    return stored


def _unique(company: Company, chat: Chat, name: str) -> str:
    """The name under which a file comes into the chat's folder: "report (1).pdf" where there is a "report.pdf"."""
    taken = {file.name for file in company.files.values() if file.chat_id == chat.id}
    stem, dot, ending = name.rpartition(".") if "." in name else (name, "", "")
    number, unique = 0, name
    while unique in taken:
        number += 1
        unique = f"{stem} ({number}){dot}{ending}"
    return unique


def _card(call: Call, stored: StoredFile) -> dict[str, Any]:
    company = call.company
    extension = stored.name.rpartition(".")[2].lower() if "." in stored.name else ""
    link = f"{call.base_url}/files/{stored.id}/{stored.name}"
    kind = _TYPES.get(extension, "file")
    return {
        "id": stored.id,
        "chatId": stored.chat_id,
        "date": company.now_text(),
        "type": kind,
        "name": stored.name,
        "extension": extension,
        "size": len(stored.content),
        "image": False,
        "status": "done",
        "progress": 100,
        "authorId": stored.author_id,
        "authorName": company.name_of(stored.author_id),
        "urlPreview": link if kind == "image" else "",
        "urlShow": link,
        "urlDownload": link,
        "viewerAttrs": {
            "viewer": "",
            "viewerType": "code",
            "src": link,
            "objectId": str(stored.id),
            "viewerGroupBy": str(stored.chat_id),
            "imChatId": stored.chat_id,
            "title": stored.name,
            "actions": '[{"type":"download"}]',
        },
        "mediaUrl": {"preview": {"250": ""}},
        "isTranscribable": False,
        "isVideoNote": False,
        "isVoiceNote": False,
    }


def _posted(call: Call, chat: Chat, author: int, fields: dict[str, Any], data: bytes) -> tuple[Message, dict[str, Any]]:
    company, text = call.company, str(fields.get("message") or "").strip()
    stored = _store(company, chat, _unique(company, chat, str(fields["name"])), data, author)
    card = _card(call, stored)
    params = {"fields": {"name": str(fields["name"]), "message": text}}
    return company.post(chat, author, text, params=params, files=[card]), card


@method("im.v2.File.upload", "im", in_batch=False)
def file_upload(call: Call) -> Any:
    """Put a file into a dialog, as a message of the caller."""
    company, author = call.company, call.caller.user_id
    # Of a workgroup's "sg17" the page says nothing.
    try:
        if str(call.get("dialogId")).startswith("sg"):
            raise MalformedDialog
        chat = company.chats.resolve(call.get("dialogId"), author, company.users, company.now_text())
    except (MalformedDialog, UnknownChat, UnknownUser):
        raise PortalError("CHAT_NOT_FOUND", "CHAT_NOT_FOUND") from None
    if author not in chat.members:
        raise PortalError("ACCESS_DENIED", "Access denied", status=403)
    fields = call.get("fields")
    fields = fields if isinstance(fields, dict) else {}
    message, card = _posted(call, chat, author, fields, _content(call, fields))
    return {"file": card, "messageId": message.id, "chatId": chat.id, "dialogId": str(call.get("dialogId"))}


@method("imbot.v2.File.upload", "imbot", in_batch=False)
def bot_file_upload(call: Call) -> Any:
    """Put a file into a dialog, as a message of the bot."""
    bot = bot_of(call)
    chat = dialog_of(call, bot)
    fields = call.get("fields")
    fields = fields if isinstance(fields, dict) else {}
    message, card = _posted(call, chat, bot.id, fields, _content(call, fields))
    file = {name: card[name] for name in ("id", "chatId", "name", "extension", "size")}
    return {"file": file, "messageId": message.id, "chatId": chat.id, "dialogId": str(call.get("dialogId"))}


def _chat(call: Call) -> Chat:
    """The chat that one of the older methods means: by number, or else by dialog."""
    company, caller = call.company, call.caller.user_id
    number, dialog = call.upper("CHAT_ID"), call.upper("DIALOG_ID")
    if number is None and dialog is None:
        raise PortalError("CHAT_ID_EMPTY", "Chat ID can't be empty")
    if number is not None:
        if to_int(number) <= 0:
            raise PortalError("CHAT_ID_EMPTY", "Chat ID can't be empty")
        chat = company.chats.by_id.get(to_int(number))
    else:
        try:
            chat = company.chats.resolve(dialog, caller, company.users, company.now_text())
        except MalformedDialog:
            raise PortalError("DIALOG_ID_EMPTY", "Dialog ID can't be empty") from None
        except (UnknownChat, UnknownUser):
            chat = None
    if chat is None or caller not in chat.members:
        raise PortalError("ACCESS_ERROR", "You do not have access to the specified dialog", status=403)
    return chat


@method("im.disk.folder.get", "im")
def disk_folder_get(call: Call) -> Any:
    """The folder of a chat. A dialog is named as ``chat12`` only."""
    dialog = call.upper("DIALOG_ID")
    if call.upper("CHAT_ID") is None and dialog is not None and not str(dialog).startswith("chat"):
        raise PortalError("DIALOG_ID_EMPTY", "Dialog ID can't be empty")
    return {"ID": _FOLDERS + _chat(call).id}


@method("disk.folder.uploadFile", "disk", in_batch=False)
def disk_folder_upload(call: Call) -> Any:
    """Put a file into a folder.

    The way by an address of its own (``uploadUrl``, without ``fileContent``) is not here. What becomes of a name that
    is taken is not documented; it is refused here.
    """
    company, caller = call.company, call.caller.user_id
    if is_empty(call.get("id")):
        raise PortalError("ERROR_ARGUMENT", "Invalid value of parameter {Parameter #0}")
    chat = company.chats.by_id.get(to_int(call.get("id")) - _FOLDERS)
    if chat is None:
        raise PortalError("ERROR_NOT_FOUND", f"Could not find entity with id `{call.get('id')}`")
    if caller not in chat.members:
        raise PortalError("ACCESS_DENIED", "Access denied")
    data, content = call.get("data"), call.get("fileContent")
    name = data.get("NAME") if isinstance(data, dict) else None
    if is_empty(name):
        raise PortalError("DISK_BASE_SERVICE_22001", "Error: required parameter NAME (DISK_BASE_SERVICE_22001)")
    raw = _decoded(content[1]) if isinstance(content, list) and len(content) == 2 else None
    if not raw:
        raise PortalError("ERROR_COULD_NOT_SAVE_FILE", "Could not save file")
    unique = _unique(company, chat, str(name))
    if unique != str(name) and not is_yes(call.get("generateUniqueName")):
        raise PortalError("DISK_OBJ_22000", "A file of that name is there already")
    stored = _store(company, chat, unique, raw, caller)
    return _disk_object(call, stored)


def _disk_object(call: Call, stored: StoredFile) -> dict[str, Any]:
    moment = call.company.now().astimezone(ZONE).isoformat(timespec="seconds")
    return {
        "ID": stored.id,
        "NAME": stored.name,
        "CODE": None,
        "STORAGE_ID": "1357",
        "TYPE": "file",
        "PARENT_ID": str(_FOLDERS + stored.chat_id),
        "DELETED_TYPE": 0,
        "GLOBAL_CONTENT_VERSION": 1,
        "FILE_ID": 30_000 + stored.id,
        "SIZE": str(len(stored.content)),
        "CREATE_TIME": moment,
        "UPDATE_TIME": moment,
        "DELETE_TIME": None,
        "CREATED_BY": str(stored.author_id),
        "UPDATED_BY": str(stored.author_id),
        "DELETED_BY": None,
        "DOWNLOAD_URL": f"{call.base_url}/files/{stored.id}/{stored.name}",
        "DETAIL_URL": f"{call.base_url}/company/personal/user/{stored.author_id}/disk/file/{stored.name}",
    }


@method("im.disk.file.commit", "im")
def disk_file_commit(call: Call) -> Any:
    """Post files that are on the Drive, in one message."""
    company, author = call.company, call.caller.user_id
    chat = _chat(call)
    given = call.upper("FILE_ID")
    given = call.upper("UPLOAD_ID") if given is None else given
    if given is None:
        raise PortalError("FILES_ERROR", "List of files in not specified")
    numbers = [to_int(one) for one in (given if isinstance(given, list) else [given])]
    files = [company.files.get(number) for number in numbers if is_truthy(number)]
    found = [file for file in files if file is not None and file.chat_id == chat.id]
    if not found or len(found) < len(numbers):
        raise PortalError("SAVE_ERROR", "Error during saving file to chat")
    text = str(call.upper("MESSAGE") or "").strip()
    cards = [_card(call, file) for file in found]
    message = company.post(chat, author, text, params={"MESSAGE": text}, files=cards)
    return {
        "FILES": {f"upload{card['id']}": {**card, "date": {}} for card in cards},
        "DISK_ID": [str(card["id"]) for card in cards],
        "FILE_MODELS": {f"upload{file.id}": _model(file) for file in found},
        "MESSAGE_ID": message.id,
    }


def _model(file: StoredFile) -> dict[str, Any]:
    return {
        "id": file.id,
        "name": file.name,
        "createTime": {},
        "updateTime": {},
        "deleteTime": None,
        "code": None,
        "xmlId": None,
        "storageId": 1357,
        "realObjectId": file.id,
        "parentId": _FOLDERS + file.chat_id,
        "deletedType": 0,
        "createdBy": str(file.author_id),
        "updatedBy": str(file.author_id),
        "deletedBy": "0",
        "size": len(file.content),
        "links": {"download": f"/files/{file.id}/{file.name}"},
    }
